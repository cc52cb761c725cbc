//! Connections to an SMTP relay, and the dialogue on them.
//!
//! The pool is ours and not lettre's, whose pool takes a connection back when a send is cancelled halfway. Its next user
//! would read the answers to the mail before, or write into it. Here a connection that was left in the middle of
//! anything is closed: only a finished dialogue puts one back.
//!
//! A relay may close a connection that rested, or say 421 to the next mail on it. That is no failure of the mail: until
//! its content goes out nothing can have been taken, so a new connection is asked at once.
//!
//! TLS is ours, too, because what the relay answers must be made readable (`smtp_answers`) above it and beneath lettre.

use std::{
    fmt,
    fmt::Display,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use domain::retry::SendFailure;
use lettre::transport::smtp::{
    Error,
    authentication::{Credentials, Mechanism},
    client::AsyncSmtpConnection,
    commands::{Data, Mail, Rcpt, Rset, Starttls},
    extension::{ClientId, Extension},
    response::{Code, Response, Severity},
};
use percent_encoding::percent_decode_str;
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{net::TcpStream, sync::Semaphore, time::timeout};
use tokio_rustls::{TlsConnector, client::TlsStream};
use url::Url;

use crate::{
    mail::Composed,
    quick_retry::{Tried, once_more},
    smtp::failure,
    smtp_answers::Answers,
};

/// Servers hang up after some minutes (RFC 5321 asks for five); we do so before.
const CLOSE_AFTER: Duration = Duration::from_secs(60);
/// For the answer to the end of a mail: it may be taken, and not hearing of it means a second one. RFC 5321, 4.5.3.2.6. Whoever
/// sends has a lease, and waits for less.
const LAST_ANSWER: Duration = Duration::from_secs(600);

/// Where in the dialogue something failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Connect,
    SignIn,
    Sender,
    Recipient,
    Data,
    /// From here on it may have been taken.
    Content,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "connect",
            Self::SignIn => "AUTH",
            Self::Sender => "MAIL",
            Self::Recipient => "RCPT",
            Self::Data | Self::Content => "DATA",
        })
    }
}

impl Stage {
    /// What it means that nobody knows what the relay thinks.
    pub(crate) fn broken_off(self, reason: String) -> SendFailure {
        match self {
            Self::Content => SendFailure::Unanswered(reason),
            Self::Connect | Self::SignIn | Self::Sender | Self::Recipient | Self::Data => {
                SendFailure::Transient(reason)
            }
        }
    }
}

/// When a connection is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encryption {
    Never,
    FromTheStart,
    /// If the relay offers it.
    Offered,
    Required,
}

/// A relay and how to be let in.
pub(crate) struct Server {
    host: String,
    port: u16,
    encryption: Encryption,
    tls: TlsConnector,
    credentials: Option<Credentials>,
    credentials_without_tls: bool,
    hello: ClientId,
}

impl Server {
    /// Reads `smtp://user:password@host:port/hello-name?tls=required`.
    pub(crate) fn parse(
        url: &str,
        credentials_without_tls: bool,
        tls: &Arc<ClientConfig>,
    ) -> Result<Self, String> {
        let url = Url::parse(url).map_err(|e| e.to_string())?;
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or("no host")?;
        let asked = url.query_pairs().find(|(name, _)| name == "tls").map(|(_, value)| value.into_owned());
        let (encryption, default_port) = match (url.scheme(), asked.as_deref()) {
            ("smtp", None) => (Encryption::Never, 25),
            ("smtp", Some("required")) => (Encryption::Required, 587),
            ("smtp", Some("opportunistic")) => (Encryption::Offered, 587),
            ("smtps", None) => (Encryption::FromTheStart, 465),
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
        if credentials.is_some() && encryption == Encryption::Never && !credentials_without_tls {
            return Err("credentials, and no TLS: say ?tls=required or smtps://; where everybody on the way may read them, \
                        credentials_without_tls = true"
                .into());
        }
        let hello = match url.path().trim_matches('/') {
            "" => ClientId::default(),
            name => ClientId::Domain(name.into()),
        };
        Ok(Self {
            port: url.port().unwrap_or(default_port),
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            encryption,
            tls: TlsConnector::from(Arc::clone(tls)),
            credentials,
            credentials_without_tls,
            hello,
        })
    }

    /// Greeted and signed in.
    async fn connect(&self) -> Result<AsyncSmtpConnection, SendFailure> {
        let stream = self.tcp().await.map_err(unconnected)?;
        let (mut connection, encrypted) = match self.encryption {
            Encryption::Never => (self.greet(Answers::new(stream)).await?, false),
            Encryption::FromTheStart => (self.greet(Answers::new(self.encrypt(stream).await?)).await?, true),
            Encryption::Offered | Encryption::Required => self.starttls(stream).await?,
        };
        if let Some(credentials) = &self.credentials {
            if !encrypted && !self.credentials_without_tls {
                let why = "SMTP at AUTH: the relay offers no TLS, and credentials_without_tls is not set";
                return Err(SendFailure::Misconfigured(why.into()));
            }
            let signed_in = connection.auth(&[Mechanism::Plain, Mechanism::Login], credentials).await;
            signed_in.map_err(|e| failure(Stage::SignIn, &e))?;
        }
        Ok(connection)
    }

    /// Whether it came to be encrypted goes along.
    async fn starttls(&self, stream: TcpStream) -> Result<(AsyncSmtpConnection, bool), SendFailure> {
        // lettre keeps what it is given: it gets a second handle, and loses it. What it may have read ahead, which
        // somebody on the way may have put there, is lost with it.
        let (plain, stream) = twice(stream).map_err(unconnected)?;
        let mut connection = self.greet(Answers::new(plain)).await?;
        if !connection.server_info().supports_feature(Extension::StartTls) {
            return if self.encryption == Encryption::Required {
                Err(SendFailure::Misconfigured("SMTP at connect: the relay offers no TLS".into()))
            } else {
                Ok((connection, false))
            };
        }
        connection.command(Starttls).await.map_err(|e| failure(Stage::Connect, &e))?;
        drop(connection);
        let stream = self.encrypt(stream).await?;
        Ok((self.greet(Answers::greeted(stream)).await?, true))
    }

    async fn greet<S>(&self, answers: Answers<S>) -> Result<AsyncSmtpConnection, SendFailure>
    where
        Answers<S>: lettre::transport::smtp::client::AsyncTokioStream + 'static,
    {
        let greeted = AsyncSmtpConnection::connect_with_transport(Box::new(answers), &self.hello).await;
        greeted.map_err(|e| failure(Stage::Connect, &e))
    }

    async fn encrypt(&self, stream: TcpStream) -> Result<TlsStream<TcpStream>, SendFailure> {
        let name = ServerName::try_from(self.host.clone())
            .map_err(|_| SendFailure::Misconfigured("SMTP at connect: no host that TLS knows".into()))?;
        self.tls.connect(name, stream).await.map_err(unconnected)
    }

    async fn tcp(&self) -> io::Result<TcpStream> {
        let stream = once_more(|| async {
            TcpStream::connect((self.host.as_str(), self.port)).await.map_err(Tried::NotReached)
        })
        .await?;
        // The end of a mail is a small write of its own; Nagle would hold it back until the rest is acknowledged.
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn unconnected(error: io::Error) -> SendFailure {
    SendFailure::Transient(format!("SMTP at connect: {error}"))
}

/// Two handles of one socket.
fn twice(stream: TcpStream) -> io::Result<(TcpStream, TcpStream)> {
    let stream = stream.into_std()?;
    Ok((TcpStream::from_std(stream.try_clone()?)?, TcpStream::from_std(stream)?))
}

struct Resting {
    connection: AsyncSmtpConnection,
    since: Instant,
    /// The dialogue before was broken off, and the relay still has its beginning.
    halfway: bool,
}

/// At most `size` connections, kept for the next mail.
pub(crate) struct Pool {
    server: Server,
    slots: Semaphore,
    resting: Mutex<Vec<Resting>>,
    /// For opening a connection, and for each answer but the last.
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

    /// Waits for a free connection. No free connection is no fault of the relay, and burns no step of the ladder.
    ///
    /// Cancelled anywhere in here, the connection is closed.
    pub(crate) async fn send(&self, mail: &Composed) -> Result<(), SendFailure> {
        let Ok(slot) = timeout(self.timeout, self.slots.acquire()).await else {
            return Err(SendFailure::Throttled {
                reason: "every SMTP connection is busy".into(),
                after: None,
            });
        };
        let _slot = slot.expect("the semaphore is never closed");
        if let Some(mut connection) = self.reuse().await {
            match self.announce(&mut connection, mail).await {
                Err(ended) if ended.is_closing() => {}
                announced => return self.finish(connection, announced, mail).await,
            }
        }
        let mut connection = match timeout(self.timeout, self.server.connect()).await {
            Ok(connected) => connected?,
            Err(_) => return Err(Ended::Silent(Stage::Connect, self.timeout).failure()),
        };
        let announced = self.announce(&mut connection, mail).await;
        self.finish(connection, announced, mail).await
    }

    /// Everything before the content, of which the relay has nothing yet.
    async fn announce(&self, connection: &mut AsyncSmtpConnection, mail: &Composed) -> Result<(), Ended> {
        let done = Severity::PositiveCompletion;
        self.ask(connection, Stage::Sender, Mail::new(Some(mail.from.clone()), vec![]), done).await?;
        self.ask(connection, Stage::Recipient, Rcpt::new(mail.to.clone(), vec![]), done).await?;
        self.ask(connection, Stage::Data, Data, Severity::PositiveIntermediate).await
    }

    async fn ask(
        &self,
        connection: &mut AsyncSmtpConnection,
        stage: Stage,
        command: impl Display,
        expected: Severity,
    ) -> Result<(), Ended> {
        let answer = timeout(self.timeout, connection.command(command)).await;
        judge(stage, answer.map_err(|_| Ended::Silent(stage, self.timeout))?, expected)
    }

    /// The content, if it is wanted; then the connection rests, unless it is of no more use.
    async fn finish(
        &self,
        mut connection: AsyncSmtpConnection,
        announced: Result<(), Ended>,
        mail: &Composed,
    ) -> Result<(), SendFailure> {
        let sent = match announced {
            Ok(()) => content(&mut connection, mail).await,
            refused => refused,
        };
        match sent {
            Ok(()) => self.put_back(connection, false),
            // A relay that answered is in order; one unknown recipient must not cost a new connection.
            Err(Ended::Error(_, ref error)) if error.status().is_some() && !is_421(error) => {
                self.put_back(connection, true);
            }
            Err(_) => {}
        }
        sent.map_err(|ended| ended.failure())
    }

    /// A connection that rested, where the relay expects a new mail.
    async fn reuse(&self) -> Option<AsyncSmtpConnection> {
        let Resting { mut connection, halfway, .. } = self.last_resting()?;
        if halfway {
            self.ask(&mut connection, Stage::Sender, Rset, Severity::PositiveCompletion).await.ok()?;
        }
        Some(connection)
    }

    /// The one that rested shortest.
    fn last_resting(&self) -> Option<Resting> {
        let mut resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        resting.pop().filter(|last| last.since.elapsed() < CLOSE_AFTER)
    }

    fn put_back(&self, connection: AsyncSmtpConnection, halfway: bool) {
        let mut resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        resting.retain(|other| other.since.elapsed() < CLOSE_AFTER);
        resting.push(Resting { connection, since: Instant::now(), halfway });
    }
}

async fn content(connection: &mut AsyncSmtpConnection, mail: &Composed) -> Result<(), Ended> {
    let answer = timeout(LAST_ANSWER, connection.message(&mail.bytes)).await;
    let answer = answer.map_err(|_| Ended::Silent(Stage::Content, LAST_ANSWER))?;
    judge(Stage::Content, answer, Severity::PositiveCompletion)
}

fn judge(stage: Stage, answer: Result<Response, Error>, expected: Severity) -> Result<(), Ended> {
    let answer = answer.map_err(|error| Ended::Error(stage, error))?;
    if answer.code().severity == expected { Ok(()) } else { Err(Ended::Unexpected(stage, answer.code())) }
}

/// Why a dialogue is over before its time.
enum Ended {
    /// A refusal, or no connection any more.
    Error(Stage, Error),
    Silent(Stage, Duration),
    /// A yes to something else.
    Unexpected(Stage, Code),
}

impl Ended {
    /// The connection is at its end, and nothing is said of the mail.
    fn is_closing(&self) -> bool {
        match self {
            Self::Error(_, error) => error.status().is_none() || is_421(error),
            Self::Silent(..) | Self::Unexpected(..) => true,
        }
    }

    fn failure(&self) -> SendFailure {
        match self {
            Self::Error(stage, error) => failure(*stage, error),
            Self::Silent(stage, time) => {
                stage.broken_off(format!("SMTP at {stage}: no answer within {time:?}"))
            }
            Self::Unexpected(stage, code) => stage.broken_off(format!("SMTP {code} at {stage}, out of turn")),
        }
    }
}

fn is_421(error: &Error) -> bool {
    error.status().is_some_and(|code| u16::from(code) == 421)
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader, Write},
        net::{SocketAddr, TcpListener},
        thread,
    };

    use rustls::{
        RootCertStore, ServerConfig, ServerConnection, StreamOwned,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    };

    use super::*;

    /// Self-signed, of `localhost` and 127.0.0.1, for a hundred years.
    const CERTIFICATE: &[u8] = include_bytes!("../tests/it/localhost.crt");
    const KEY: &[u8] = include_bytes!("../tests/it/localhost.key");

    fn trusting(certificates: &[&[u8]]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        for pem in certificates {
            roots.add(CertificateDer::from_pem_slice(pem).unwrap()).unwrap();
        }
        Arc::new(
            ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(roots)
                .with_no_client_auth(),
        )
    }

    fn mail() -> Composed {
        let address = || lettre::Address::new("ada", "example.com").unwrap();
        let id = "6f2f8a0e-1f41-4c8d-8f0a-0b7f0a3c9f11".parse().unwrap();
        Composed { id, from: address(), to: address(), bytes: b"Subject: x\r\n\r\nHello\r\n".to_vec() }
    }

    fn pool(url: &str, tls: &Arc<ClientConfig>) -> Pool {
        Pool::new(Server::parse(url, false, tls).unwrap(), 1, Duration::from_secs(10))
    }

    #[tokio::test(start_paused = true)]
    async fn a_relay_that_is_busy_with_our_own_mail_burns_no_step() {
        let pool = pool("smtp://127.0.0.1:1", &trusting(&[]));
        let busy = pool.slots.acquire().await.unwrap();
        let throttled =
            SendFailure::Throttled { reason: "every SMTP connection is busy".into(), after: None };
        assert_eq!(pool.send(&mail()).await, Err(throttled));
        drop(busy);
        assert!(matches!(pool.send(&mail()).await, Err(SendFailure::Transient(_))));
    }

    /// A relay with TLS, for one connection; every answer has a byte that is no UTF-8. Tells what it was told.
    fn tls_relay(starttls: bool) -> (SocketAddr, thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let serve = move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut lines = Vec::new();
            if starttls {
                dialogue(stream.try_clone().unwrap(), true, &mut lines);
            }
            let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
            let config = ServerConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(
                    vec![CertificateDer::from_pem_slice(CERTIFICATE).unwrap()],
                    PrivateKeyDer::from_pem_slice(KEY).unwrap(),
                );
            let mut tls = ServerConnection::new(Arc::new(config.unwrap())).unwrap();
            if tls.complete_io(&mut stream).is_ok() {
                dialogue(StreamOwned::new(tls, stream), !starttls, &mut lines);
            }
            lines
        };
        (address, thread::spawn(serve))
    }

    /// Until STARTTLS, or the end of a mail, or of the connection.
    fn dialogue(stream: impl io::Read + Write, greets: bool, lines: &mut Vec<String>) {
        let mut stream = BufReader::with_capacity(1, stream);
        let say = |stream: &mut BufReader<_>, answer: &[u8]| Write::write_all(stream.get_mut(), answer);
        if greets {
            say(&mut stream, b"220 relay \xe9\r\n").unwrap();
        }
        let mut line = String::new();
        while stream.read_line(&mut line).is_ok_and(|length| length > 0) {
            let said = std::mem::take(&mut line).trim_end().to_owned();
            let answer: &[u8] = match said.as_str() {
                "STARTTLS" => b"220 go \xe9\r\n",
                "DATA" => b"354 go \xe9\r\n",
                "." => b"250 taken \xe9\r\n",
                _ if said.starts_with("EHLO") => b"250-relay \xe9\r\n250-STARTTLS\r\n250 AUTH PLAIN\r\n",
                _ if said.starts_with("AUTH") => b"235 welcome \xe9\r\n",
                _ if said.contains(' ') && said.contains(':') => b"250 \xe9\r\n",
                _ => b"",
            };
            let ended = matches!(said.as_str(), "STARTTLS" | ".");
            lines.push(said);
            if say(&mut stream, answer).is_err() || ended {
                return;
            }
        }
    }

    #[tokio::test]
    async fn over_tls_credentials_and_mails_go_out_and_odd_answers_are_read() {
        for (scheme, query, starttls) in
            [("smtps", "", false), ("smtp", "?tls=required", true), ("smtp", "?tls=opportunistic", true)]
        {
            let (address, relay) = tls_relay(starttls);
            let url = format!("{scheme}://user:pass@{address}/worker{query}");
            pool(&url, &trusting(&[CERTIFICATE])).send(&mail()).await.unwrap();
            let lines = relay.join().unwrap();
            let before: &[&str] = if starttls { &["EHLO worker", "STARTTLS"] } else { &[] };
            let (first, then) = lines.split_at(before.len());
            assert_eq!(first, before);
            assert_eq!(then[..2], ["EHLO worker", "AUTH PLAIN AHVzZXIAcGFzcw=="], "{url}");
            assert_eq!(then[2..5], ["MAIL FROM:<ada@example.com>", "RCPT TO:<ada@example.com>", "DATA"]);
        }
    }

    #[tokio::test]
    async fn a_relay_that_nobody_vouches_for_is_told_nothing() {
        for (scheme, query, starttls) in [("smtps", "", false), ("smtp", "?tls=opportunistic", true)] {
            let (address, relay) = tls_relay(starttls);
            let url = format!("{scheme}://user:pass@{address}/worker{query}");
            let failure = pool(&url, &trusting(&[])).send(&mail()).await.unwrap_err();
            assert!(failure.to_string().contains("certificate"), "{failure}");
            assert!(relay.join().unwrap().iter().all(|line| !line.starts_with("AUTH")));
        }
    }
}
