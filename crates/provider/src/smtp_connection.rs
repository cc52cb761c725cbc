//! Connections to an SMTP relay, and the dialogue on them.
//!
//! The pool is ours and not lettre's, whose pool takes a connection back when a send is cancelled halfway. Its next user
//! would read the answers to the mail before, or write into it. Here a connection that was left in the middle of
//! anything is closed: only a finished dialogue puts one back.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use domain::retry::SendFailure;
use lettre::transport::smtp::{
    Error,
    authentication::{Credentials, Mechanism},
    client::{AsyncSmtpConnection, Tls, TlsParameters},
    commands::{Data, Mail, Rcpt, Rset},
    extension::ClientId,
};
use percent_encoding::percent_decode_str;
use tokio::{net::TcpStream, sync::Semaphore, time::timeout};
use url::Url;

use crate::{
    mail::Composed,
    quick_retry::{Tried, once_more},
    smtp::failure,
};

/// A connection that rested longer than this is asked whether it still lives before a mail is trusted to it.
const ASK_AFTER: Duration = Duration::from_secs(1);
/// Servers hang up after some minutes (RFC 5321 asks for five); we do so before.
const CLOSE_AFTER: Duration = Duration::from_secs(60);

/// Where in the dialogue something failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Connect,
    SignIn,
    Sender,
    Recipient,
    Content,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "connect",
            Self::SignIn => "AUTH",
            Self::Sender => "MAIL",
            Self::Recipient => "RCPT",
            Self::Content => "DATA",
        })
    }
}

/// A relay and how to be let in.
pub(crate) struct Server {
    host: String,
    port: u16,
    tls: Tls,
    credentials: Option<Credentials>,
    hello: ClientId,
}

impl Server {
    /// Reads `smtp://user:password@host:port/hello-name?tls=required`.
    pub(crate) fn parse(url: &str) -> Result<Self, String> {
        let url = Url::parse(url).map_err(|e| e.to_string())?;
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or("no host")?.to_owned();
        let tls = url.query_pairs().find(|(name, _)| name == "tls").map(|(_, value)| value.into_owned());
        let parameters = || TlsParameters::new(host.clone()).map_err(|e| e.to_string());
        let (tls, default_port) = match (url.scheme(), tls.as_deref()) {
            ("smtp", None) => (Tls::None, 25),
            ("smtp", Some("required")) => (Tls::Required(parameters()?), 587),
            ("smtp", Some("opportunistic")) => (Tls::Opportunistic(parameters()?), 587),
            ("smtps", None) => (Tls::Wrapper(parameters()?), 465),
            _ => return Err("the scheme must be smtp or smtps, and tls required or opportunistic".into()),
        };
        let decoded = |text: &str| {
            let text = percent_decode_str(text).decode_utf8();
            text.map(|text| text.into_owned()).map_err(|_| "credentials are not UTF-8")
        };
        let credentials = match (url.username(), url.password()) {
            ("", None) => None,
            (user, password) => {
                Some(Credentials::new(decoded(user)?, decoded(password.unwrap_or_default())?))
            }
        };
        let hello = match url.path().trim_matches('/') {
            "" => ClientId::default(),
            name => ClientId::Domain(name.into()),
        };
        Ok(Self { port: url.port().unwrap_or(default_port), host, tls, credentials, hello })
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, SendFailure> {
        let mut connection = match &self.tls {
            // lettre connects here, since it takes no TLS stream of ours: without TCP_NODELAY, and so a little slower.
            Tls::Wrapper(tls) => {
                let address = (self.host.as_str(), self.port);
                AsyncSmtpConnection::connect_tokio1(address, None, &self.hello, Some(tls.clone()), None).await
            }
            _ => {
                let stream =
                    self.tcp().await.map_err(|e| SendFailure::Transient(format!("SMTP at connect: {e}")))?;
                AsyncSmtpConnection::connect_with_transport(Box::new(stream), &self.hello).await
            }
        }
        .map_err(|e| failure(Stage::Connect, &e))?;
        let starttls = match &self.tls {
            Tls::Required(tls) => Some(tls),
            Tls::Opportunistic(tls) if connection.can_starttls() => Some(tls),
            _ => None,
        };
        if let Some(tls) = starttls {
            let upgraded = connection.starttls(tls.clone(), &self.hello).await;
            upgraded.map_err(|e| failure(Stage::Connect, &e))?;
        }
        if let Some(credentials) = &self.credentials {
            let signed_in = connection.auth(&[Mechanism::Plain, Mechanism::Login], credentials).await;
            signed_in.map_err(|e| failure(Stage::SignIn, &e))?;
        }
        Ok(connection)
    }

    async fn tcp(&self) -> std::io::Result<TcpStream> {
        let stream = once_more(|| async {
            TcpStream::connect((self.host.as_str(), self.port)).await.map_err(Tried::NotReached)
        })
        .await?;
        // The end of a mail is a small write of its own; Nagle would hold it back until the rest is acknowledged.
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

struct Resting {
    connection: AsyncSmtpConnection,
    since: Instant,
}

/// At most `size` connections, kept for the next mail.
pub(crate) struct Pool {
    server: Server,
    slots: Semaphore,
    resting: Mutex<Vec<Resting>>,
    timeout: Duration,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("free", &self.slots.available_permits()).finish_non_exhaustive()
    }
}

impl Pool {
    pub(crate) fn new(server: Server, size: u32, timeout: Duration) -> Self {
        let size = usize::try_from(size.max(1)).unwrap_or(Semaphore::MAX_PERMITS).min(Semaphore::MAX_PERMITS);
        Self { server, slots: Semaphore::new(size), resting: Mutex::default(), timeout }
    }

    /// Waits for a free connection, then has as long again for the mail. No free connection is no fault of the relay,
    /// and burns no step of the ladder.
    pub(crate) async fn send(&self, mail: &Composed) -> Result<(), SendFailure> {
        let Ok(slot) = timeout(self.timeout, self.slots.acquire()).await else {
            return Err(SendFailure::Throttled {
                reason: "every SMTP connection is busy".into(),
                after: None,
            });
        };
        let _slot = slot.expect("the semaphore is never closed");
        match timeout(self.timeout, self.send_now(mail)).await {
            Ok(result) => result,
            Err(_) => Err(SendFailure::Unanswered(format!("SMTP: not done within {:?}", self.timeout))),
        }
    }

    /// Cancelled anywhere in here, the connection is closed.
    async fn send_now(&self, mail: &Composed) -> Result<(), SendFailure> {
        let mut connection = self.take().await?;
        match converse(&mut connection, mail).await {
            Ok(()) => {
                self.put_back(connection);
                Ok(())
            }
            Err((stage, error)) => {
                // A relay that answered is in order; one unknown recipient must not cost a new connection.
                let answered = error.status().is_some_and(|code| u16::from(code) != 421);
                if answered && connection.command(Rset).await.is_ok() {
                    self.put_back(connection);
                }
                Err(failure(stage, &error))
            }
        }
    }

    /// The connection that rested shortest, or a new one.
    async fn take(&self) -> Result<AsyncSmtpConnection, SendFailure> {
        while let Some(mut resting) = self.last_resting() {
            let rested = resting.since.elapsed();
            if rested < ASK_AFTER || (rested < CLOSE_AFTER && resting.connection.test_connected().await) {
                return Ok(resting.connection);
            }
        }
        self.server.connect().await
    }

    fn last_resting(&self) -> Option<Resting> {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn put_back(&self, connection: AsyncSmtpConnection) {
        let mut resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        resting.retain(|other| other.since.elapsed() < CLOSE_AFTER);
        resting.push(Resting { connection, since: Instant::now() });
    }
}

async fn converse(connection: &mut AsyncSmtpConnection, mail: &Composed) -> Result<(), (Stage, Error)> {
    let at = |stage| move |error| (stage, error);
    connection.command(Mail::new(Some(mail.from.clone()), vec![])).await.map_err(at(Stage::Sender))?;
    connection.command(Rcpt::new(mail.to.clone(), vec![])).await.map_err(at(Stage::Recipient))?;
    connection.command(Data).await.map_err(at(Stage::Content))?;
    connection.message(&mail.bytes).await.map_err(at(Stage::Content))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_relay_that_is_busy_with_our_own_mail_burns_no_step() {
        let pool = Pool::new(Server::parse("smtp://127.0.0.1:1").unwrap(), 1, Duration::from_secs(10));
        let busy = pool.slots.acquire().await.unwrap();
        let address = || lettre::Address::new("ada", "example.com").unwrap();
        let mail = Composed { from: address(), to: address(), bytes: vec![] };
        let throttled =
            SendFailure::Throttled { reason: "every SMTP connection is busy".into(), after: None };
        assert_eq!(pool.send(&mail).await, Err(throttled));
        drop(busy);
        assert!(matches!(pool.send(&mail).await, Err(SendFailure::Transient(_))));
    }
}
