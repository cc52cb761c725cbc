//! The only owner of lapin: what exists in the broker (`topology`), what a message looks like (`envelope`), publishing
//! ([`Publisher`]), consuming ([`Consumer`]), and connections that come back (`link`).
//!
//! The broker is never trusted with anything but speed. A message carries a kind and an id; losing or doubling it costs
//! time, never a notification. So nothing here returns an error that a caller would have to handle, except at the start,
//! when the configuration cannot be right.
//!
//! Publishing and consuming have a connection each: a broker that is short of memory or disk stops reading from
//! connections that publish, and acks must still get through then. Each is opened on first use.

mod config;
mod consumer;
mod envelope;
mod link;
mod not_found_ladder;
mod publisher;
mod topology;

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use domain::{clock::Clock, wakeup::Kind};
use lapin::{
    options::QueueDeclareOptions,
    types::{FieldTable, MessageCount},
};
use tokio::time::timeout;
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

pub use crate::{
    config::Config,
    consumer::{Consumer, Incoming, ParkReason},
    not_found_ladder::NotFoundLadder,
    publisher::Publisher,
};
use crate::{link::Link, publisher::Sender, topology::Topology};

/// What can be wrong with the configuration, or with a question to the broker.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    #[error("`broker.url` is not a URL like amqp://user:password@host:5672/%2f")]
    Url,
    #[error(
        "`broker.url` would send credentials without TLS: say amqps://, or, in a network that you trust, \
         `broker.credentials_without_tls = true`"
    )]
    NoTls,
    #[error("`broker.prefix` must be 1 to 100 of the characters A-Z a-z 0-9 . _ -")]
    Prefix,
    #[error("a step of `broker.not_found_ladder` must be longer than nothing and shorter than 49 days")]
    Ladder,
    #[error("a connection to the broker is no longer looked after")]
    Abandoned,
    #[error("there is no connection to the broker")]
    NotConnected,
    #[error("the broker did not answer in time")]
    TimedOut,
    #[error("{0}")]
    Amqp(#[from] lapin::Error),
}

/// The broker, whether it is up just now or not. Clones share everything.
#[derive(Clone)]
pub struct Broker {
    shared: Arc<Shared>,
}

struct Shared {
    config: Config,
    /// What connections are called in the broker's own lists.
    name: String,
    topology: Topology,
    clock: Clock,
    sender: OnceLock<Sender>,
    publishing: OnceLock<Link>,
    consuming: OnceLock<Link>,
    tasks: TaskTracker,
    stopping: CancellationToken,
    /// Cancelled when a connection is no longer looked after.
    abandoned: CancellationToken,
    /// Ends the connections with the last owner, when nobody called [`Broker::close`].
    _guard: DropGuard,
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broker").field("config", &self.shared.config).finish_non_exhaustive()
    }
}

impl Broker {
    /// Needs a runtime, and not the broker: connecting is tried in the background for as long as it takes. `name` is what
    /// the connections are called in the broker's own lists.
    ///
    /// # Errors
    /// When the configuration cannot be right.
    pub fn start(config: &Config, name: &str, clock: Clock) -> Result<Self, BrokerError> {
        config.check_tls()?;
        let topology = Topology::new(&config.prefix, config.not_found_ladder.clone())?;
        let stopping = CancellationToken::new();
        let shared = Shared {
            config: config.clone(),
            name: name.to_owned(),
            topology,
            clock,
            sender: OnceLock::new(),
            publishing: OnceLock::new(),
            consuming: OnceLock::new(),
            tasks: TaskTracker::new(),
            abandoned: CancellationToken::new(),
            _guard: stopping.clone().drop_guard(),
            stopping,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Starts connecting, when that has not been done yet.
    #[must_use]
    pub fn publisher(&self) -> Publisher {
        self.shared.sender();
        Publisher::new(self.shared.clone())
    }

    /// Consumes the queue of a kind, with at most `prefetch` messages that are not answered yet (rate × latency), until
    /// `stopping` or [`Consumer::stop`].
    #[must_use]
    pub fn consumer(&self, kind: Kind, prefetch: u16, stopping: &CancellationToken) -> Consumer {
        Consumer::new(self.shared.clone(), kind, prefetch, stopping.child_token())
    }

    /// Whether every connection that is in use is up, and none is blocked by the broker.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        let mut links = [&self.shared.publishing, &self.shared.consuming]
            .into_iter()
            .filter_map(OnceLock::get)
            .peekable();
        links.peek().is_some() && links.all(|link| link.session().is_some_and(|session| session.is_open()))
    }

    /// Waits for the end of the connections, without keeping them open.
    ///
    /// # Errors
    /// When one of them would never come back, though nobody closed the broker.
    pub fn kept_up(&self) -> impl Future<Output = Result<(), BrokerError>> + Send + 'static + use<> {
        let (stopping, abandoned) = (self.shared.stopping.clone(), self.shared.abandoned.clone());
        async move {
            tokio::select! {
                () = stopping.cancelled() => Ok(()),
                () = abandoned.cancelled() => Err(BrokerError::Abandoned),
            }
        }
    }

    /// Waits until the publishing connection is up; `false` when that takes longer than `patience`.
    pub async fn connected_within(&self, patience: Duration) -> bool {
        matches!(timeout(patience, self.shared.publishing().connected()).await, Ok(Some(_)))
    }

    /// The name of a kind's queue, as in the public contract.
    #[must_use]
    pub fn queue_name(&self, kind: Kind) -> String {
        self.shared.topology.queue(kind)
    }

    /// The name of the queue of messages that were given up.
    #[must_use]
    pub fn parked_queue_name(&self) -> String {
        self.shared.topology.parked()
    }

    /// How many messages of a kind wait for a worker (those that a worker has taken do not count).
    ///
    /// # Errors
    /// When the broker cannot be asked.
    pub async fn depth(&self, kind: Kind) -> Result<MessageCount, BrokerError> {
        self.ready(self.shared.topology.queue(kind)).await
    }

    /// How many messages were given up and wait for an operator.
    ///
    /// # Errors
    /// When the broker cannot be asked.
    pub async fn parked_depth(&self) -> Result<MessageCount, BrokerError> {
        self.ready(self.shared.topology.parked()).await
    }

    async fn ready(&self, queue: String) -> Result<MessageCount, BrokerError> {
        self.ask(async |channel| {
            let options = QueueDeclareOptions::default().passive();
            Ok(channel.queue_declare(queue.into(), options, FieldTable::default()).await?.message_count())
        })
        .await
    }

    /// Empties all queues, those of other processes with the same prefix included.
    ///
    /// # Errors
    /// When the broker cannot be asked.
    pub async fn purge(&self) -> Result<(), BrokerError> {
        self.ask(async |channel| self.shared.topology.purge(channel).await).await
    }

    /// Deletes all queues and exchanges, with what is in them. They come back with the next connection, or as soon as
    /// they are missed.
    ///
    /// # Errors
    /// When the broker cannot be asked.
    pub async fn delete_all(&self) -> Result<(), BrokerError> {
        self.ask(async |channel| self.shared.topology.delete(channel).await).await
    }

    /// On a channel of its own, as a question that is refused closes it.
    async fn ask<T>(
        &self,
        question: impl AsyncFnOnce(&lapin::Channel) -> Result<T, lapin::Error>,
    ) -> Result<T, BrokerError> {
        let session = self.shared.publishing().session().ok_or(BrokerError::NotConnected)?;
        let asking = async {
            let channel = session.channel().await?;
            let answer = question(&channel).await?;
            channel.close(200, "answered".into()).await?;
            Ok(answer)
        };
        timeout(self.shared.config.connect_timeout, asking).await.map_err(|_| BrokerError::TimedOut)?
    }

    /// Ends the connections politely. Messages that were taken and not answered go back to their queues.
    pub async fn close(&self) {
        self.shared.stopping.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }
}

impl Shared {
    fn publishing(&self) -> &Link {
        self.publishing.get_or_init(|| self.link("publishing"))
    }

    fn consuming(&self) -> &Link {
        self.consuming.get_or_init(|| self.link("consuming"))
    }

    fn sender(&self) -> &Sender {
        self.sender.get_or_init(|| Sender::new(self.publishing().clone(), self.config.publish_timeout))
    }

    fn link(&self, purpose: &str) -> Link {
        let name = format!("{} ({purpose})", self.name);
        let (stopping, abandoned) = (self.stopping.clone(), self.abandoned.clone());
        Link::start(&self.config, name, self.topology.clone(), &self.tasks, stopping, abandoned)
            .expect("the URL was read at the start")
    }
}
