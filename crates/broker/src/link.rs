//! One connection to the broker that is there whenever the broker is.
//!
//! lapin can recover connections by itself, and that is left off on purpose: it replays only what was declared on the
//! very channel, gives up for good on what it takes for unrecoverable, keeps callers waiting on the old channel instead
//! of telling them at once that there is no broker, and was still being repaired in its latest releases. Here, a lost
//! connection is thrown away whole; a new one is made, everything is declared again (the broker may have come back
//! empty), and whoever wants a channel asks for one on the new connection. Nothing of the old one is carried over.

use std::{
    io,
    net::Shutdown,
    os::fd::AsFd,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use backoff::{ExponentialBackoff, ExponentialBackoffBuilder, backoff::Backoff};
use futures_util::StreamExt;
use lapin::{
    AsyncTcpStream, Channel, Connection, ConnectionProperties,
    tcp::OwnedTLSConfig,
    uri::{AMQPScheme, AMQPUri},
};
use tokio::{
    select,
    sync::{Notify, watch},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{BrokerError, Config, config::address, topology::Topology};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// A connection that held this long was a good one: the next pauses are short again.
const STABLE: Duration = Duration::from_secs(10);
/// lapin tells of a lost connection; this is for the case that it does not.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// Topology that went missing is declared again at most this often.
const REDECLARE_PAUSE: Duration = Duration::from_millis(250);
/// A polite goodbye must not hold up the end of a process.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Growing pauses between attempts, with some chance in them so that many processes do not come back in step. Never
/// gives up: a process that lives longer than its broker is the normal case.
pub(crate) struct Patience(ExponentialBackoff);

impl Patience {
    pub(crate) fn new(longest: Duration) -> Self {
        let builder = ExponentialBackoffBuilder::new()
            .with_initial_interval(FIRST_PAUSE.min(longest))
            .with_max_interval(longest)
            .with_max_elapsed_time(None)
            .build();
        Self(builder)
    }

    pub(crate) fn next(&mut self) -> Duration {
        self.0.next_backoff().unwrap_or(self.0.max_interval)
    }

    pub(crate) fn reset(&mut self) {
        self.0.reset();
    }
}

/// A living connection, with everything declared.
pub(crate) struct Session {
    connection: Connection,
    socket: Socket,
    redeclare: Notify,
}

impl Session {
    /// Whether a message would get through just now. A broker that is short of memory or disk blocks its publishers.
    pub(crate) fn is_open(&self) -> bool {
        self.connection.status().connected() && !self.connection.status().blocked()
    }

    pub(crate) async fn channel(&self) -> Result<Channel, lapin::Error> {
        self.connection.create_channel().await
    }

    /// Something that should be there is not: it will be declared again soon.
    pub(crate) fn redeclare(&self) {
        self.redeclare.notify_one();
    }

    async fn declare(&self, topology: &Topology) -> Result<(), lapin::Error> {
        let channel = self.channel().await?;
        topology.declare(&channel).await?;
        channel.close(200, "declared".into()).await
    }

    async fn close(&self) {
        let closed = timeout(CLOSE_TIMEOUT, self.connection.close(200, "bye".into())).await;
        if !matches!(closed, Ok(Ok(()))) {
            tracing::debug!("the connection was cut instead of closed");
        }
        self.socket.cut();
    }
}

/// The supervised connection. Clones share it.
#[derive(Clone)]
pub(crate) struct Link(watch::Receiver<Option<Arc<Session>>>);

impl Link {
    /// Starts connecting and never stops trying until `stopping`.
    pub(crate) fn start(
        config: &Config,
        name: String,
        topology: Topology,
        tasks: &TaskTracker,
        stopping: CancellationToken,
        abandoned: CancellationToken,
    ) -> Result<Self, BrokerError> {
        let (up, watch) = watch::channel(None);
        let kept = Kept { abandoned, stopping: stopping.clone() };
        let supervisor = Supervisor {
            uri: config.uri()?,
            name,
            topology,
            connect_timeout: config.connect_timeout,
            patience: Patience::new(config.longest_pause),
            up,
            stopping,
        };
        tasks.spawn(async move {
            let _kept = kept;
            supervisor.run().await;
        });
        Ok(Self(watch))
    }

    /// The connection, if there is one just now.
    pub(crate) fn session(&self) -> Option<Arc<Session>> {
        self.0.borrow().clone()
    }

    /// Waits for a connection; `None` when there will never be one again.
    pub(crate) async fn connected(&self) -> Option<Arc<Session>> {
        let mut watch = self.0.clone();
        watch.wait_for(Option::is_some).await.ok()?.clone()
    }
}

/// Says so when a connection is no longer looked after though nobody closed the broker: its supervisor panicked.
struct Kept {
    abandoned: CancellationToken,
    stopping: CancellationToken,
}

impl Drop for Kept {
    fn drop(&mut self) {
        if !self.stopping.is_cancelled() {
            self.abandoned.cancel();
        }
    }
}

struct Supervisor {
    uri: AMQPUri,
    name: String,
    topology: Topology,
    connect_timeout: Duration,
    patience: Patience,
    up: watch::Sender<Option<Arc<Session>>>,
    stopping: CancellationToken,
}

impl Supervisor {
    async fn run(mut self) {
        let stopping = self.stopping.clone();
        let address = address(&self.uri);
        while !stopping.is_cancelled() {
            let opened = select! {
                opened = self.open() => opened,
                () = stopping.cancelled() => break,
            };
            match opened {
                Ok(session) => {
                    tracing::info!(connection = self.name, address, "connected to the broker");
                    let session = Arc::new(session);
                    let since = Instant::now();
                    self.up.send_replace(Some(session.clone()));
                    self.watch_over(&session).await;
                    self.up.send_replace(None);
                    if stopping.is_cancelled() {
                        session.close().await;
                        break;
                    }
                    session.socket.cut();
                    tracing::warn!(connection = self.name, address, "lost the connection to the broker");
                    if since.elapsed() > STABLE {
                        self.patience.reset();
                    }
                }
                Err(error) => {
                    tracing::warn!(connection = self.name, address, %error, "no connection to the broker");
                }
            }
            select! {
                () = sleep(self.patience.next()) => {}
                () = stopping.cancelled() => {}
            }
        }
    }

    async fn open(&self) -> Result<Session, BrokerError> {
        let socket = Socket::default();
        // Cuts what is half open, also when this attempt is abandoned: lapin's IO thread would wait for the other side
        // for ever.
        let cut = CutOnDrop(Some(&socket));
        let opening = async {
            let connection =
                connect(self.uri.clone(), &self.name, self.connect_timeout, socket.clone()).await?;
            let session = Session { connection, socket: socket.clone(), redeclare: Notify::new() };
            session.declare(&self.topology).await?;
            Ok(session)
        };
        match timeout(self.connect_timeout, opening).await {
            Ok(Ok(session)) => {
                cut.disarm();
                Ok(session)
            }
            Ok(Err(error)) => Err(BrokerError::Amqp(error)),
            Err(_) => Err(BrokerError::TimedOut),
        }
    }

    /// Returns when the connection is lost, or at the stop.
    async fn watch_over(&self, session: &Session) {
        let mut events = std::pin::pin!(session.connection.events_listener());
        while session.connection.status().connected() {
            select! {
                () = self.stopping.cancelled() => return,
                Some(_) = events.next() => {}
                () = sleep(LOOK_AGAIN) => {}
                () = session.redeclare.notified() => {
                    tracing::warn!(connection = self.name, "queues or exchanges are missing and are declared again");
                    if let Err(error) = session.declare(&self.topology).await {
                        tracing::error!(connection = self.name, %error, "they could not be declared");
                    }
                    sleep(REDECLARE_PAUSE).await;
                }
            }
        }
    }
}

/// The TCP connection below lapin's, to end it when the other side does not answer any more.
#[derive(Clone, Default)]
struct Socket(Arc<Mutex<Option<std::net::TcpStream>>>);

impl Socket {
    fn keep(&self, stream: std::net::TcpStream) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(stream);
    }

    fn cut(&self) {
        if let Some(stream) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
            && let Err(error) = stream.shutdown(Shutdown::Both)
        {
            tracing::trace!(%error, "the socket was closed already");
        }
    }
}

struct CutOnDrop<'a>(Option<&'a Socket>);

impl CutOnDrop<'_> {
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for CutOnDrop<'_> {
    fn drop(&mut self) {
        if let Some(socket) = self.0 {
            socket.cut();
        }
    }
}

async fn connect(
    uri: AMQPUri,
    name: &str,
    patience: Duration,
    socket: Socket,
) -> Result<Connection, lapin::Error> {
    let properties = ConnectionProperties::default().with_connection_name(name.into());
    // The same one that lapin hands to `open`, but with a type that can be told.
    let runtime = lapin::runtime::default_runtime()?;
    let reactor = runtime.clone();
    let open = async move |uri: AMQPUri, _| {
        let opening = async {
            let host = uri.authority.host.trim_matches(['[', ']']);
            let mut last = io::Error::new(io::ErrorKind::AddrNotAvailable, "the host has no address");
            for address in tokio::net::lookup_host((host, uri.authority.port)).await? {
                match AsyncTcpStream::connect(&reactor, address).await {
                    Ok(stream) => {
                        if let AsyncTcpStream::Plain(plain) = &stream {
                            socket.keep(plain.get_ref().as_fd().try_clone_to_owned()?.into());
                        }
                        return match uri.scheme {
                            AMQPScheme::AMQP => Ok(stream),
                            AMQPScheme::AMQPS => {
                                stream.into_tls(host, OwnedTLSConfig::default().as_ref()).await
                            }
                        };
                    }
                    Err(error) => last = error,
                }
            }
            Err(last)
        };
        timeout(patience, opening)
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(lapin::Error::from)
    };
    Connection::connector(uri, runtime, open, properties).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_limit_and_never_end() {
        let mut patience = Patience::new(Duration::from_secs(1));
        let pauses: Vec<_> = (0..100).map(|_| patience.next()).collect();
        assert!(pauses[0] < Duration::from_millis(200), "{:?}", pauses[0]);
        // The limit, and the half of it that chance may add.
        assert!(pauses.iter().all(|pause| *pause <= Duration::from_millis(1501)));
        assert!(pauses[50..].iter().all(|pause| *pause >= Duration::from_millis(499)));
        patience.reset();
        assert!(patience.next() < Duration::from_millis(200));
    }

    #[tokio::test]
    async fn a_connection_that_nobody_looks_after_any_more_is_told() {
        for closed in [true, false] {
            let (abandoned, stopping) = (CancellationToken::new(), CancellationToken::new());
            let kept = Kept { abandoned: abandoned.clone(), stopping: stopping.clone() };
            if closed {
                stopping.cancel();
            }
            let supervisor = TaskTracker::new().spawn(async move {
                let _kept = kept;
                assert!(closed, "on purpose");
            });
            assert_eq!(supervisor.await.is_ok(), closed);
            assert_eq!(abandoned.is_cancelled(), !closed);
        }
    }
}
