//! E-mail over SMTP, to a relay of the platform's own.
//!
//! The reference of an e-mail is its `Message-ID`, which we choose: it holds the notification's id, is the same on every
//! attempt, and so lets a relay or a mailbox recognise the second copy that at-least-once sending can produce.

use std::{sync::Arc, time::Duration};

use domain::{
    id::NotificationId,
    retry::{RecipientTrouble, SendFailure},
    status::ProviderId,
};
use lettre::transport::smtp::Error;
use rustls::ClientConfig;
use serde::Deserialize;

use crate::{
    Accepted, Composed, Mail,
    config::{ConfigError, Secret},
    mail,
    smtp_connection::{Pool, Server, Stage},
};

const ID: ProviderId = ProviderId::Smtp;

/// The `providers.smtp` section.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Without it SMTP is not configured. `smtp://user:password@host:587?tls=required` (STARTTLS),
    /// `…?tls=opportunistic`, `smtps://…` (TLS from the start) or `smtp://host` (plain). A path, as in
    /// `smtp://host/mail.example`, is the name that we introduce ourselves by.
    pub url: Secret,
    /// Signs in without TLS, too: whoever is on the way to the relay can read the URL's user and password.
    pub credentials_without_tls: bool,
    /// The domain of every From address and Message-ID.
    pub from_domain: String,
    /// Connections to the relay, and so e-mails in flight.
    pub pool_size: u32,
    /// For opening a connection, and for each answer but the one to the end of a mail: that one may mean that the mail is
    /// taken, and is waited for as long as the lease of the sender allows.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
    /// Believes receipts without a verified signature: for the simulator, or a relay in the platform's own network.
    pub accept_unsigned_receipts: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: Secret::default(),
            credentials_without_tls: false,
            from_domain: "notify.localhost".into(),
            pool_size: 100,
            timeout: Duration::from_secs(10),
            accept_unsigned_receipts: false,
        }
    }
}

/// Sends e-mails through a relay.
#[derive(Debug)]
pub struct Smtp {
    pool: Pool,
    domain: String,
}

impl Smtp {
    /// None when it is not configured.
    pub(crate) fn new(config: &Config, tls: &Arc<ClientConfig>) -> Result<Option<Self>, ConfigError> {
        if config.url.is_empty() {
            return Ok(None);
        }
        if !is_host(&config.from_domain) {
            return Err(ConfigError::new(ID, "from_domain", "not a domain name in ASCII"));
        }
        let server = Server::parse(config.url.expose(), config.credentials_without_tls, tls)
            .map_err(|e| ConfigError::new(ID, "url", e))?;
        let pool = Pool::new(server, config.pool_size, config.timeout);
        Ok(Some(Self { pool, domain: config.from_domain.clone() }))
    }

    /// The Message-ID without its brackets.
    pub(crate) fn reference(&self, id: NotificationId) -> String {
        mail::message_id(id, &self.domain)
    }

    pub(crate) fn compose(&self, mail: &Mail<'_>) -> Result<Composed, SendFailure> {
        mail::compose(mail, &self.domain)
    }

    pub(crate) async fn send(&self, mail: &Composed) -> Result<Accepted, SendFailure> {
        self.pool.send(mail).await?;
        Ok(Accepted { reference: Some(self.reference(mail.id)) })
    }
}

/// So short that a whole address, its local part being at most 64 octets, is no longer than the 254 of RFC 5321.
fn is_host(text: &str) -> bool {
    text.len() <= 189
        && text.split('.').all(|label| (1..=63).contains(&label.len()))
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '.' || c == '-')
}

/// What a failed dialogue means: who is to blame depends on where it failed.
pub(crate) fn failure(stage: Stage, error: &Error) -> SendFailure {
    let reason = reason(stage, error);
    // Our own greeting, name, password or sender was refused; or the server offers no sign-in that we know.
    let ours = match stage {
        Stage::Connect => error.is_client(),
        Stage::SignIn => error.is_client() || error.is_permanent(),
        Stage::Sender => error.is_permanent(),
        Stage::Recipient | Stage::Data | Stage::Content => {
            error.status().is_some_and(|code| u16::from(code) == 530)
        }
    };
    if ours {
        SendFailure::Misconfigured(reason)
    } else if let Some(trouble) = recipient_trouble(stage, error) {
        SendFailure::Recipient { trouble, reason }
    } else if is_throttling(error) {
        SendFailure::Throttled { reason, after: None }
    } else if error.is_permanent() && matches!(stage, Stage::Recipient | Stage::Data | Stage::Content) {
        SendFailure::Rejected(reason)
    } else if error.status().is_none() {
        stage.broken_off(reason)
    } else {
        SendFailure::Transient(reason)
    }
}

/// "Too fast" has no code of its own, only words: Amazon's `454 Throttling failure: Maximum sending rate exceeded`, others'
/// `421 4.7.0 … rate limit` and `421 too many connections`.
fn is_throttling(error: &Error) -> bool {
    let words = text(error).to_ascii_lowercase();
    let passing = error.status().is_some() && !error.is_permanent();
    passing && ["throttl", "rate limit", "sending rate", "too many"].iter().any(|word| words.contains(word))
}

/// What the answer says of the recipient, if that is what it speaks of. The enhanced code (RFC 3463) decides where there is
/// one; a bare code does at RCPT, where it is about nothing else. After the content a bare one is about the content.
fn recipient_trouble(stage: Stage, error: &Error) -> Option<RecipientTrouble> {
    let about_recipient = match stage {
        Stage::Connect | Stage::SignIn | Stage::Sender => return None,
        Stage::Recipient => true,
        Stage::Data | Stage::Content => false,
    };
    let code = u16::from(error.status()?);
    let text = text(error);
    let detail = enhanced_code(&text).and_then(|code| {
        let (subject, detail) = code.split_once('.')?.1.split_once('.')?;
        Some((subject.parse::<u16>().ok()?, detail.parse::<u16>().ok()?))
    });
    let full = match (code, detail) {
        // "Closing": it speaks of itself.
        (421, _) => return None,
        // 1.7 and 1.8 are the sender's address, 1.9 is the next relay.
        (_, Some((1, 7..=9))) => return None,
        // 2.2: no room; 2.3: none for a message as long as this.
        (_, Some((2, 2 | 3))) => true,
        // Addresses, mailboxes, and the way to their host.
        (_, Some((1 | 2, _))) => false,
        (_, Some((4, _))) if about_recipient => false,
        (452 | 552, None | Some((0, _))) if about_recipient => true,
        (450 | 501 | 550 | 551 | 553, None | Some((0, _))) if about_recipient => false,
        _ => return None,
    };
    Some(match (error.is_permanent(), full) {
        (true, true) => RecipientTrouble::Full,
        (true, false) => RecipientTrouble::Unknown,
        (false, _) => RecipientTrouble::Busy,
    })
}

/// The server's own words.
fn text(error: &Error) -> String {
    std::error::Error::source(error).map(ToString::to_string).unwrap_or_default()
}

/// Codes only: servers like to repeat the recipient's address in their answers, and reasons are stored and logged.
fn reason(stage: Stage, error: &Error) -> String {
    match error.status() {
        Some(code) => match enhanced_code(&text(error)) {
            Some(enhanced) => format!("SMTP {code} {enhanced} at {stage}"),
            None => format!("SMTP {code} at {stage}"),
        },
        None if error.is_response() => format!("SMTP: unreadable answer at {stage}"),
        None => format!("SMTP at {stage}: {error}"),
    }
}

/// The `5.1.1` of RFC 3463 at the start of a server's text.
fn enhanced_code(text: &str) -> Option<&str> {
    let code = text.split_whitespace().next()?;
    let mut parts = code.split('.');
    let number = |part: &str| part.len() <= 3 && part.parse::<u16>().is_ok();
    (parts.clone().count() == 3 && parts.all(number)).then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls;

    #[test]
    fn only_an_enhanced_code_is_quoted() {
        assert_eq!(enhanced_code("5.1.1 <ada@example.com> unknown"), Some("5.1.1"));
        assert_eq!(enhanced_code("4.7.650 later"), Some("4.7.650"));
        for text in ["", "ada@example.com unknown", "127.0.0.1 refused", "5.1 x", "5.1.1234 x", "a.b.c"] {
            assert_eq!(enhanced_code(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_relay_is_configured_by_its_url() {
        let new = |config: &Config| Smtp::new(config, &Arc::new(tls::client()));
        let smtp = |url: &str| new(&Config { url: url.into(), ..Config::default() });
        assert!(smtp("").unwrap().is_none());
        for url in
            ["smtp://127.0.0.1:2525", "smtp://host/mail.example", "smtp://u%40x:p@host:587?tls=opportunistic"]
        {
            assert!(smtp(url).unwrap().is_some(), "{url}");
        }
        for url in [
            "localhost",
            "http://host",
            "smtp://",
            "smtp://host?tls=maybe",
            "smtp://host:hush",
            "smtp://u:hush@host:587",
            "smtp://hush@127.0.0.1",
        ] {
            let error = smtp(url).unwrap_err().to_string();
            assert!(error.starts_with("providers.smtp.url: ") && !error.contains("hush"), "{error}");
        }
        let named =
            Config { url: "smtp://u:p@host".into(), credentials_without_tls: true, ..Config::default() };
        assert!(new(&named).unwrap().is_some());
        let domain = |from_domain: &str| {
            new(&Config { url: "smtp://host".into(), from_domain: from_domain.into(), ..Config::default() })
        };
        assert_eq!(domain("xn--bcher-kva.example").unwrap().unwrap().domain, "xn--bcher-kva.example");
        assert!(domain("localhost").is_ok());
        let long_label = format!("{}.example", "a".repeat(64));
        let long = "ab.".repeat(63) + "example";
        for bad in ["", "a b", "bücher.example", "a..b", ".a", "a\r\nb", &long_label, &long] {
            assert!(domain(bad).is_err(), "{bad:?}");
        }
    }
}
