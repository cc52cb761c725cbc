//! Is the process alive, and should it be given work? `/healthz` and `/readyz`.
//!
//! [`Readiness`] is a value that any server can render: the one here, small, for processes without HTTP of their own, and
//! actix in the api. Alive means only that the process answers: a database that is down is no reason to restart us.
//!
//! Whoever asks is a stranger. He learns which check failed and no more (why is in the log, once, when it began), and costs
//! nothing: all who ask within a second get one answer.

use std::{
    convert::Infallible,
    fmt,
    future::Future,
    io,
    net::TcpListener,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Map, Value, json};
use tokio::{task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

/// What a check may take; a probe that hangs must not make the question hang.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);
/// How old an answer may be. "Draining" is never old.
const GOOD_FOR: Duration = Duration::from_secs(1);
/// Who asks for health asks shortly.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// Nobody needs more at once; the rest waits in the kernel.
const MAX_CONNECTIONS: usize = 32;
/// After an accept that failed for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

type Probe = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> + Send + Sync>;

#[derive(Clone)]
struct Check {
    name: &'static str,
    /// Whether the process is of no use without it.
    required: bool,
    probe: Probe,
}

/// What the process needs to be of use, and whether it has it. Clones share one state.
#[derive(Clone)]
pub struct Readiness {
    stopping: CancellationToken,
    checks: Arc<Mutex<Vec<Check>>>,
    /// What was answered last, and when. Held while the checks are asked, so that one caller asks for all.
    last: Arc<tokio::sync::Mutex<Option<Asked>>>,
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readiness").field("stopping", &self.stopping.is_cancelled()).finish_non_exhaustive()
    }
}

impl Readiness {
    /// Ready until `stopping` or a required check says otherwise.
    #[must_use]
    pub fn new(stopping: CancellationToken) -> Self {
        Self { stopping, checks: Arc::default(), last: Arc::default() }
    }

    /// Without this the process gets no work: `/readyz` answers 503. The reason of a failure goes to the log.
    pub fn require<F>(&self, name: &'static str, check: impl Fn() -> F + Send + Sync + 'static)
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.add(name, true, check);
    }

    /// Shown, but the process is of use without it (the api while the broker is down).
    pub fn mention<F>(&self, name: &'static str, check: impl Fn() -> F + Send + Sync + 'static)
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.add(name, false, check);
    }

    fn add<F>(&self, name: &'static str, required: bool, check: impl Fn() -> F + Send + Sync + 'static)
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        let probe: Probe = Arc::new(move || Box::pin(check()));
        self.checks.lock().unwrap_or_else(PoisonError::into_inner).push(Check { name, required, probe });
    }

    /// What the checks say, or said less than a second ago.
    pub async fn report(&self) -> Report {
        let mut last = self.last.lock().await;
        let answers = match &*last {
            Some((at, answers)) if at.elapsed() < GOOD_FOR => answers.clone(),
            before => {
                let answers = self.ask().await;
                tell_changes(before.as_ref().map_or(&[], |(_, answers)| answers), &answers);
                *last = Some((Instant::now(), answers.clone()));
                answers
            }
        };
        Report { draining: self.stopping.is_cancelled(), answers }
    }

    /// Asks all checks at once.
    async fn ask(&self) -> Vec<Answer> {
        let checks = self.checks.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut asked = JoinSet::new();
        for (index, check) in checks.iter().enumerate() {
            let answer = (check.probe)();
            asked.spawn(async move {
                let answer = tokio::time::timeout(CHECK_TIMEOUT, answer).await;
                (index, answer.unwrap_or_else(|_| Err("no answer in time".to_owned())))
            });
        }
        // What does not report back has panicked.
        let mut answers = vec![Err("the check broke".to_owned()); checks.len()];
        while let Some(answered) = asked.join_next().await {
            if let Ok((index, answer)) = answered {
                answers[index] = answer;
            }
        }
        let answers = checks.iter().zip(answers).map(|(check, answer)| Answer {
            name: check.name,
            required: check.required,
            problem: answer.err(),
        });
        answers.collect()
    }
}

/// Logs what began to fail, and what works again.
fn tell_changes(before: &[Answer], now: &[Answer]) {
    for answer in now {
        let failed = before.iter().any(|old| old.name == answer.name && old.problem.is_some());
        match &answer.problem {
            Some(reason) if !failed => {
                tracing::warn!(check = answer.name, reason, "a check of readiness fails");
            }
            None if failed => tracing::info!(check = answer.name, "a check of readiness is well again"),
            Some(_) | None => {}
        }
    }
}

type Asked = (Instant, Vec<Answer>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Answer {
    name: &'static str,
    required: bool,
    /// Not for strangers: it may name hosts, users and databases.
    problem: Option<String>,
}

/// What `/readyz` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    draining: bool,
    answers: Vec<Answer>,
}

impl Report {
    #[must_use]
    pub fn is_ready(&self) -> bool {
        !self.draining && self.answers.iter().all(|answer| !answer.required || answer.problem.is_none())
    }

    /// 200 or 503.
    #[must_use]
    pub fn status_code(&self) -> u16 {
        if self.is_ready() { 200 } else { 503 }
    }

    /// `{"status": "ready" | "not ready" | "draining", "checks": {"database": "ok" | "failed", …}}`
    #[must_use]
    pub fn to_json(&self) -> Value {
        let status = match (self.draining, self.is_ready()) {
            (true, _) => "draining",
            (false, true) => "ready",
            (false, false) => "not ready",
        };
        let checks: Map<_, _> = self
            .answers
            .iter()
            .map(|answer| {
                (answer.name.to_owned(), json!(if answer.problem.is_none() { "ok" } else { "failed" }))
            })
            .collect();
        json!({ "status": status, "checks": checks })
    }
}

/// What `/healthz` says, always with 200.
#[must_use]
pub fn alive() -> Value {
    json!({ "status": "alive" })
}

/// Serves the two answers until it is dropped: run it with [`crate::lifecycle::Tasks::attend`], so that it can still say
/// "draining" while the work is being finished.
///
/// # Errors
/// When the listener is of no use to the runtime.
pub async fn serve(listener: TcpListener, readiness: Readiness) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let mut connections = JoinSet::new();
    loop {
        while connections.len() >= MAX_CONNECTIONS {
            connections.join_next().await;
        }
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "the health endpoint could not accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        while connections.try_join_next().is_some() {}
        let readiness = readiness.clone();
        connections.spawn(async move {
            let answer = service_fn(|request| answer(request, readiness.clone()));
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_TIMEOUT)
                .serve_connection(TokioIo::new(stream), answer);
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to the health endpoint broke");
            }
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    readiness: Readiness,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let known = matches!(*request.method(), Method::GET | Method::HEAD);
    let (status, body) = match request.uri().path() {
        "/healthz" if known => (StatusCode::OK, alive()),
        "/readyz" if known => {
            let report = readiness.report().await;
            let status = if report.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            (status, report.to_json())
        }
        "/healthz" | "/readyz" => (StatusCode::METHOD_NOT_ALLOWED, json!({ "status": "method not allowed" })),
        _ => (StatusCode::NOT_FOUND, json!({ "status": "not found" })),
    };
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use std::{
        future::ready,
        sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    };

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn ready_when_all_required_checks_are_well() {
        let readiness = Readiness::new(CancellationToken::new());
        assert_eq!(readiness.report().await.to_json(), json!({ "status": "ready", "checks": {} }));
        tokio::time::advance(GOOD_FOR).await;

        let connected = Arc::new(AtomicBool::new(true));
        let flag = connected.clone();
        readiness.require("broker", move || {
            ready(if flag.load(SeqCst) { Ok(()) } else { Err("not connected".to_owned()) })
        });
        readiness.mention("cache", || ready(Err("cold".to_owned())));
        let report = readiness.report().await;
        assert_eq!(report.status_code(), 200);
        assert_eq!(
            report.to_json(),
            json!({ "status": "ready", "checks": { "broker": "ok", "cache": "failed" } })
        );

        connected.store(false, SeqCst);
        assert_eq!(readiness.report().await.status_code(), 200, "for less than a second");
        tokio::time::advance(GOOD_FOR).await;
        let report = readiness.report().await;
        assert_eq!(report.status_code(), 503);
        assert_eq!(report.to_json()["status"], "not ready");
        assert_eq!(report.to_json()["checks"]["broker"], "failed");
    }

    #[tokio::test(start_paused = true)]
    async fn strangers_learn_no_reason_and_cost_one_question_a_second() {
        let readiness = Readiness::new(CancellationToken::new());
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = asked.clone();
        readiness.require("database", move || {
            counted.fetch_add(1, SeqCst);
            async {
                tokio::time::sleep(Duration::from_millis(100)).await;
                Err("connection to server at \"db.internal\", user \"pillarbox\"".to_owned())
            }
        });
        let mut strangers = JoinSet::new();
        for _ in 0..100 {
            let readiness = readiness.clone();
            strangers.spawn(async move { readiness.report().await.to_json() });
        }
        let expected = json!({ "status": "not ready", "checks": { "database": "failed" } });
        assert!(strangers.join_all().await.iter().all(|answer| *answer == expected));
        assert_eq!(asked.load(SeqCst), 1);
    }

    #[tokio::test]
    async fn draining_is_not_ready() {
        let stopping = CancellationToken::new();
        let readiness = Readiness::new(stopping.clone());
        assert_eq!(readiness.report().await.status_code(), 200);
        stopping.cancel();
        let report = readiness.report().await;
        assert_eq!((report.status_code(), &report.to_json()["status"]), (503, &json!("draining")));
    }

    #[tokio::test(start_paused = true)]
    async fn a_check_that_hangs_or_panics_is_a_problem_of_its_own() {
        let readiness = Readiness::new(CancellationToken::new());
        readiness.require("database", std::future::pending);
        readiness.require("panics", || async {
            if true {
                panic!("on purpose");
            }
            Ok(())
        });
        readiness.require("broker", || ready(Ok(())));
        let report = readiness.report().await;
        assert_eq!(report.status_code(), 503);
        assert_eq!(
            report.to_json()["checks"],
            json!({ "database": "failed", "panics": "failed", "broker": "ok" })
        );
    }
}
