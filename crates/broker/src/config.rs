//! Section `broker`.

use std::{fmt, time::Duration};

use domain::this_machine::is_this_machine;
use lapin::uri::{AMQPScheme, AMQPUri};
use serde::Deserialize;

use crate::{BrokerError, NotFoundLadder};

/// Where the broker is and how patient we are with it.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `amqp://user:password@host:port/vhost`, or `amqps` for TLS with the machine's certificates. `/` in the name of the
    /// vhost is written `%2f`.
    pub url: String,
    /// Lets `amqp://` go to a host that is not this machine: whoever is on the way can read the password, and everything else.
    pub credentials_without_tls: bool,
    /// What the names of all exchanges and queues begin with.
    pub prefix: String,
    /// What a connection attempt may take, from the TCP handshake to the declared queues.
    #[serde(with = "humantime_serde")]
    pub connect_timeout: Duration,
    /// What publishing a batch may take. What is not confirmed by then counts as not published.
    #[serde(with = "humantime_serde")]
    pub publish_timeout: Duration,
    /// A connection that is silent for twice this long is given up. Whole seconds; the broker may ask for less.
    #[serde(with = "humantime_serde")]
    pub heartbeat: Duration,
    /// The longest pause between two attempts to connect.
    #[serde(with = "humantime_serde")]
    pub longest_pause: Duration,
    /// How long ids that are not in the database are put aside, step by step.
    pub not_found_ladder: NotFoundLadder,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: "amqp://127.0.0.1:5672/%2f".to_owned(),
            credentials_without_tls: false,
            prefix: "pillarbox".to_owned(),
            connect_timeout: Duration::from_secs(5),
            publish_timeout: Duration::from_secs(5),
            heartbeat: Duration::from_secs(10),
            longest_pause: Duration::from_secs(5),
            not_found_ladder: NotFoundLadder::default(),
        }
    }
}

/// Without the URL's user and password.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            url: _,
            credentials_without_tls: _,
            prefix,
            connect_timeout,
            publish_timeout,
            heartbeat,
            longest_pause,
            not_found_ladder,
        } = self;
        f.debug_struct("Config")
            .field("url", &self.uri().map_or_else(|_| "not an AMQP URL".to_owned(), |uri| address(&uri)))
            .field("prefix", prefix)
            .field("connect_timeout", connect_timeout)
            .field("publish_timeout", publish_timeout)
            .field("heartbeat", heartbeat)
            .field("longest_pause", longest_pause)
            .field("not_found_ladder", not_found_ladder)
            .finish()
    }
}

impl Config {
    /// The URL, read. The parser's own error may quote it, so it is not passed on.
    pub(crate) fn uri(&self) -> Result<AMQPUri, BrokerError> {
        let mut uri: AMQPUri = self.url.parse().map_err(|_| BrokerError::Url)?;
        let seconds = u16::try_from(self.heartbeat.as_secs().max(1)).unwrap_or(u16::MAX);
        uri.query.heartbeat.get_or_insert(seconds);
        Ok(uri)
    }

    /// There are always credentials: where the URL has none, RabbitMQ's own are sent.
    pub(crate) fn check_tls(&self) -> Result<(), BrokerError> {
        let uri = self.uri()?;
        let open = uri.scheme == AMQPScheme::AMQP && !is_this_machine(&uri.authority.host);
        if open && !self.credentials_without_tls { Err(BrokerError::NoTls) } else { Ok(()) }
    }
}

/// Where a connection goes, fit for a log line.
pub(crate) fn address(uri: &AMQPUri) -> String {
    let scheme = match uri.scheme {
        AMQPScheme::AMQP => "amqp",
        AMQPScheme::AMQPS => "amqps",
    };
    format!("{scheme}://{}:{} vhost {}", uri.authority.host, uri.authority.port, uri.vhost)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_go_over_tls_unless_told_by_name() {
        let check = |url: &str, credentials_without_tls| {
            Config { url: url.into(), credentials_without_tls, ..Config::default() }.check_tls().is_ok()
        };
        for url in
            ["amqp://u:p@127.0.0.1/", "amqp://localhost", "amqp://u:p@[::1]:5672/x", "amqps://u:p@rabbit/"]
        {
            assert!(check(url, false), "{url}");
        }
        for url in ["amqp://u:p@rabbit/", "amqp://rabbit", "amqp://u:p@10.0.0.1:5672/x"] {
            assert!(!check(url, false) && check(url, true), "{url}");
        }
    }

    #[test]
    fn the_password_never_shows() {
        for url in [
            "amqp://user:hunter2@broker:5672/%2f",
            "user:hunter2@broker",
            "hunter2:hunter2",
            "amqp://u:hunter2@b:x/",
        ] {
            let config = Config { url: url.into(), ..Config::default() };
            assert!(!format!("{config:?}").contains("hunter2"), "{url}");
            if let Err(error) = config.uri() {
                assert!(!format!("{error} {error:?}").contains("hunter2"), "{url}");
            }
        }
    }

    #[test]
    fn heartbeats_are_on_unless_the_url_says_otherwise() {
        assert_eq!(Config::default().uri().unwrap().query.heartbeat, Some(10));
        let config = Config { url: "amqp://broker/%2f?heartbeat=3".into(), ..Config::default() };
        assert_eq!(config.uri().unwrap().query.heartbeat, Some(3));
    }
}
