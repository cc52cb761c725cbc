//! Receipts on their way: each waits for its time, then is posted over a kept connection, a bounded number at a time, and again
//! after a while when its endpoint is down, as the vendors do.

use std::{
    cmp::{Ordering, Reverse},
    collections::{BinaryHeap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    Method, Request, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use tokio::{
    sync::{Notify, Semaphore},
    time::{Instant, sleep_until, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    control::Provider,
    endpoint::Endpoint,
    options::Options,
    receipts::{Step, content_type},
    record::{Receipt, Record},
};

/// How long an endpoint may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two receipts for one message, and between attempts at most.
const PAUSE: Duration = Duration::from_millis(50);
const LONGEST_RETRY_DELAY: Duration = Duration::from_secs(30);
/// Of an endpoint's answer, which is read only so that the connection can be used again.
const ANSWER_LIMIT: usize = 64 * 1024;

/// The receipts that are due for one message, posted one after the other.
#[derive(Debug)]
pub(crate) struct Job {
    /// The message's id in the inbox.
    pub(crate) message: u64,
    pub(crate) provider: Provider,
    pub(crate) endpoint: Endpoint,
    pub(crate) steps: VecDeque<Step>,
    /// Receipts posted so far.
    posts: u32,
    /// Failed attempts at the first of `steps`.
    attempts: u32,
}

impl Job {
    pub(crate) fn new(message: u64, provider: Provider, endpoint: Endpoint, steps: Vec<Step>) -> Self {
        Self { message, provider, endpoint, steps: steps.into(), posts: 0, attempts: 0 }
    }
}

/// A job and its time; the order of the heap is by time, then by arrival.
struct Due {
    at: Instant,
    arrival: u64,
    job: Job,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Due {}
impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Due {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.arrival).cmp(&(other.at, other.arrival))
    }
}

#[derive(Default)]
struct Queue {
    heap: BinaryHeap<Reverse<Due>>,
    arrivals: u64,
}

pub(crate) struct Outbox {
    queue: Mutex<Queue>,
    /// Told when a job has become the first of the queue.
    first: Notify,
    /// Jobs in the queue or being posted.
    unsettled: AtomicUsize,
    at_once: Arc<Semaphore>,
    client: Client<HttpConnector, Full<Bytes>>,
    record: Arc<Record>,
    backlog: usize,
    retries: u32,
    retry_delay: Duration,
}

impl Outbox {
    pub(crate) fn new(options: &Options, record: Arc<Record>) -> Self {
        let at_once = options.receipts_at_once.clamp(1, Semaphore::MAX_PERMITS);
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(PATIENCE));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_max_idle_per_host(at_once)
            .build(connector);
        Self {
            queue: Mutex::default(),
            first: Notify::new(),
            unsettled: AtomicUsize::new(0),
            at_once: Arc::new(Semaphore::new(at_once)),
            client,
            record,
            backlog: options.receipt_backlog,
            retries: options.receipt_retries,
            retry_delay: Duration::from_millis(options.receipt_retry_delay_ms),
        }
    }

    /// Receipts that are still to come.
    pub(crate) fn waiting(&self) -> usize {
        self.unsettled.load(Relaxed)
    }

    /// Takes a new job, unless too many wait already: then its receipts are lost.
    pub(crate) fn put(&self, job: Job, after: Duration) {
        if self.accept(&job) {
            self.queue_up(job, after);
        }
    }

    /// Posts the first of a job's receipts right away and returns when it is answered; the others follow.
    pub(crate) async fn post_now(&self, job: Job) {
        if self.accept(&job) {
            self.attempt(job).await;
        }
    }

    fn accept(&self, job: &Job) -> bool {
        let room = self.unsettled.fetch_add(1, Relaxed) < self.backlog;
        if !room {
            tracing::warn!(provider = job.provider.name(), "a receipt is lost: too many wait");
            self.settled(job, Some(Receipt::Lost));
        }
        room
    }

    fn settled(&self, job: &Job, end: Option<Receipt>) {
        self.unsettled.fetch_sub(1, Relaxed);
        if let Some(receipt) = end {
            self.record.receipt(job.message, receipt);
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn queue_up(&self, job: Job, after: Duration) {
        let at = Instant::now() + after;
        let mut queue = self.queue();
        let is_first = queue.heap.peek().is_none_or(|Reverse(first)| at < first.at);
        queue.arrivals += 1;
        let arrival = queue.arrivals;
        queue.heap.push(Reverse(Due { at, arrival, job }));
        drop(queue);
        if is_first {
            self.first.notify_one();
        }
    }

    /// The first job if its time has come, or else when that will be.
    fn take_due(&self) -> Result<Job, Option<Instant>> {
        let mut queue = self.queue();
        match queue.heap.peek() {
            Some(Reverse(first)) if first.at > Instant::now() => Err(Some(first.at)),
            _ => queue.heap.pop().map(|Reverse(due)| due.job).ok_or(None),
        }
    }

    /// Posts what is due until told to stop; what waits then is forgotten.
    pub(crate) async fn run(self: Arc<Self>, tasks: TaskTracker, stop: CancellationToken) {
        loop {
            let permit = tokio::select! {
                () = stop.cancelled() => return,
                permit = self.at_once.clone().acquire_owned() => permit.expect("the semaphore is never closed"),
            };
            let job = loop {
                let next = match self.take_due() {
                    Ok(job) => break job,
                    Err(next) => next,
                };
                let time = async {
                    match next {
                        Some(at) => sleep_until(at).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = self.first.notified() => {}
                    () = time => {}
                }
            };
            let outbox = self.clone();
            let stop = stop.clone();
            tasks.spawn(async move {
                let _permit = permit;
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = outbox.attempt(job) => {}
                }
            });
        }
    }

    /// Posts the job's next receipt and decides what comes then.
    async fn attempt(&self, mut job: Job) {
        let Some(step) = job.steps.front() else { return self.settled(&job, None) };
        let fate = step.fate;
        let answer = timeout(PATIENCE, self.post(&job, step.body.clone())).await.unwrap_or(None);
        match answer {
            Some(status) if status.is_success() => {
                job.steps.pop_front();
                job.attempts = 0;
                job.posts += 1;
                let posted = Receipt::Posted { fate, answered: status.as_u16(), posts: job.posts };
                self.record.receipt(job.message, posted);
                if job.steps.is_empty() {
                    self.settled(&job, None);
                } else {
                    self.queue_up(job, PAUSE);
                }
            }
            // Asking again would change nothing.
            Some(status) if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS => {
                tracing::warn!(provider = job.provider.name(), %status, "a receipt was refused");
                self.settled(&job, Some(Receipt::Lost));
            }
            _ if job.attempts >= self.retries => {
                tracing::warn!(provider = job.provider.name(), "a receipt is given up: its endpoint is down");
                self.settled(&job, Some(Receipt::Lost));
            }
            _ => {
                job.attempts += 1;
                self.record.receipt(job.message, Receipt::Retrying { fate, attempts: job.attempts });
                let after = self.retry_delay.saturating_mul(1 << (job.attempts - 1).min(16));
                self.queue_up(job, after.min(LONGEST_RETRY_DELAY));
            }
        }
    }

    /// The endpoint's answer; nothing when it gave none.
    async fn post(&self, job: &Job, body: Bytes) -> Option<StatusCode> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = job.endpoint.uri.clone();
        let headers = request.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            content_type(job.provider).parse().expect("our own constants are header values"),
        );
        if let Some(authorization) = &job.endpoint.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        if job.provider == Provider::Email {
            headers
                .insert("x-amz-sns-message-type", "Notification".parse().expect("a word is a header value"));
        }
        let response = self.client.request(request).await.ok()?;
        let status = response.status();
        Limited::new(response.into_body(), ANSWER_LIMIT).collect().await.ok()?;
        Some(status)
    }
}
