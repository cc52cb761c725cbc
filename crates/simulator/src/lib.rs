//! A simulator of the companies that carry messages: it plays MMG and Firetext over HTTP, takes mail over SMTP, sends receipts
//! back, posts texts that people would send, misbehaves when told to, and shows all it got on an inbox page. It stands alone and knows nothing of the platform but
//! the wire.
//!
//! As a process it is started by `main`; a test starts one in-process:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> std::io::Result<()> {
//! use simulator::{Options, Provider, Simulator};
//!
//! let simulator = Simulator::start(Options { record_all: true, ..Options::default() }).await?;
//! // … send something to `simulator.mmg_url()` …
//! simulator.behave(Provider::Mmg, |mmg| mmg.outage = true);
//! assert_eq!(simulator.counts().duplicates, Some(0));
//! simulator.stop().await;
//! # Ok(()) }
//! ```

mod control;
mod endpoint;
mod inbound;
mod inbox;
mod mail;
mod options;
mod outbox;
mod receipts;
mod record;
pub mod scenario;
mod server;
mod sms;
mod smtp;

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use tokio::{net::TcpListener, time::timeout};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

pub use control::{Behaviour, Provider};
pub use options::Options;
pub use record::{Calls, Counts, Message, Outcome, Receipt, Receipts, ReferenceCalls};

use control::Controls;
use endpoint::Endpoint;
use inbound::Inbound;
use outbox::Outbox;
use record::{Filter, Record};

/// How long open connections get to end.
const GOODBYE: Duration = Duration::from_secs(2);

/// What all connections share.
struct Shared {
    options: Options,
    controls: Controls,
    inbound: Inbound,
    record: Arc<Record>,
    outbox: Arc<Outbox>,
    /// The vendors' own numbers for messages.
    numbers: AtomicU64,
    stop: CancellationToken,
}

impl Shared {
    fn next_number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// Waits, but not beyond the end of the simulator.
    async fn pause(&self, milliseconds: u64) {
        if milliseconds > 0 {
            let _ = timeout(Duration::from_millis(milliseconds), self.stop.cancelled()).await;
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the simulator stands alone: this is its clock")]
fn now() -> DateTime<Utc> {
    Utc::now()
}

/// A running simulator. It ends with [`stop`](Self::stop), or soon after it is dropped.
pub struct Simulator {
    shared: Arc<Shared>,
    http: SocketAddr,
    smtp: SocketAddr,
    tasks: TaskTracker,
    _ends_when_dropped: DropGuard,
}

impl Simulator {
    /// Binds both ports and starts to answer.
    ///
    /// # Errors
    /// When a port cannot be bound, or a URL in the options is not one.
    pub async fn start(options: Options) -> io::Result<Self> {
        let controls =
            Controls::new(&options).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let inbound = Inbound::new(&options)?;
        let http_listener = TcpListener::bind(options.http).await?;
        let smtp_listener = TcpListener::bind(options.smtp).await?;
        let (http, smtp) = (http_listener.local_addr()?, smtp_listener.local_addr()?);
        let record = Arc::new(Record::new(options.keep, options.record_all));
        let outbox = Arc::new(Outbox::new(&options, record.clone()));
        let stop = CancellationToken::new();
        let shared = Arc::new(Shared {
            options,
            controls,
            inbound,
            record,
            outbox: outbox.clone(),
            numbers: AtomicU64::new(1),
            stop: stop.clone(),
        });
        let tasks = TaskTracker::new();
        tasks.spawn(outbox.run(tasks.clone(), stop.clone()));
        tasks.spawn(server::run(http_listener, shared.clone(), tasks.clone()));
        tasks.spawn(smtp::run(smtp_listener, shared.clone(), tasks.clone()));
        Ok(Self { shared, http, smtp, tasks, _ends_when_dropped: stop.drop_guard() })
    }

    #[must_use]
    pub fn http_addr(&self) -> SocketAddr {
        self.http
    }

    #[must_use]
    pub fn smtp_addr(&self) -> SocketAddr {
        self.smtp
    }

    /// The inbox page.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/", self.http)
    }

    /// Where MMG takes texts.
    #[must_use]
    pub fn mmg_url(&self) -> String {
        format!("http://{}/mmg", self.http)
    }

    /// Where Firetext takes texts.
    #[must_use]
    pub fn firetext_url(&self) -> String {
        format!("http://{}/firetext", self.http)
    }

    /// All messages that the inbox still has, newest first: also those that were refused.
    #[must_use]
    pub fn messages(&self) -> Vec<Message> {
        self.shared.record.newest(&Filter::default())
    }

    /// The accepted messages with that reference, newest first.
    #[must_use]
    pub fn accepted(&self, reference: &str) -> Vec<Message> {
        let filter = Filter { reference: reference.to_owned(), ..Filter::default() };
        let mut messages = self.shared.record.newest(&filter);
        messages.retain(|message| message.outcome == Outcome::Accepted);
        messages
    }

    /// Calls and acceptances for one reference; `None` unless [`Options::record_all`] is on.
    #[must_use]
    pub fn reference_calls(&self, reference: &str) -> Option<ReferenceCalls> {
        self.shared.record.reference_calls(reference)
    }

    #[must_use]
    pub fn counts(&self) -> Counts {
        self.shared.record.counts()
    }

    /// Messages whose receipts are still to come.
    #[must_use]
    pub fn receipts_waiting(&self) -> usize {
        self.shared.outbox.waiting()
    }

    #[must_use]
    pub fn behaviour(&self, provider: Provider) -> Behaviour {
        self.shared.controls.behaviour(provider)
    }

    /// Changes how one provider behaves from now on.
    pub fn behave(&self, provider: Provider, change: impl FnOnce(&mut Behaviour)) {
        self.shared.controls.change(provider, change);
    }

    /// Changes how all providers behave from now on.
    pub fn behave_all(&self, change: impl Fn(&mut Behaviour)) {
        for provider in Provider::ALL {
            self.behave(provider, &change);
        }
    }

    /// Changes where a provider's receipts go when a request names no URL; `None` for nowhere.
    ///
    /// # Errors
    /// When the URL is not an absolute `http` one.
    pub fn set_receipt_url(&self, provider: Provider, url: Option<&str>) -> io::Result<()> {
        let endpoint = url
            .map(Endpoint::parse)
            .transpose()
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        self.shared.controls.set_endpoint(provider, endpoint);
        Ok(())
    }

    /// Forgets all messages and counts.
    pub fn clear(&self) {
        self.shared.record.clear();
    }

    /// Closes both ports, lets open connections end and forgets the receipts that wait.
    pub async fn stop(self) {
        self.shared.stop.cancel();
        self.tasks.close();
        if timeout(GOODBYE, self.tasks.wait()).await.is_err() {
            tracing::warn!(left = self.tasks.len(), "stopped with connections still open");
        }
    }
}

impl std::fmt::Debug for Simulator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Simulator")
            .field("http", &self.http)
            .field("smtp", &self.smtp)
            .finish_non_exhaustive()
    }
}
