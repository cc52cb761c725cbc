//! What the API is told at its start.

use std::time::Duration;

use provider::Secret;
use serde::Deserialize;

use crate::{
    caller_address::{ForwardedHeader, Proxies},
    reads::ReadsConfig,
};

/// Every section that this process uses.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Config {
    pub api: ApiConfig,
    pub broker: broker::Config,
    pub database: db::Config,
    pub internal: InternalConfig,
    pub listen: service::listen::Config,
    pub providers: provider::Config,
    pub sealing: db::sealing::Config,
    pub shutdown: service::lifecycle::Config,
}

/// The section `api`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ApiConfig {
    /// `host:port`; port 0 takes any free one.
    pub listen: String,
    /// Threads that serve requests; one for each core when not set.
    pub threads: Option<usize>,
    /// The largest request body, in bytes. Files by e-mail arrive as base64 in JSON.
    pub body_limit: usize,
    /// What large bodies and answers in hand may fill together of the process's memory, in bytes; one service gets half.
    pub large_bodies: usize,
    /// How long a client may take to send the head of its request, and how long for the body.
    #[serde(with = "humantime_serde")]
    pub client_timeout: Duration,
    /// How long a request may take from its head to the answer (the wire contract says 30 s).
    #[serde(with = "humantime_serde")]
    pub request_timeout: Duration,
    /// How long a client may take no bytes of its answer.
    #[serde(with = "humantime_serde")]
    pub write_timeout: Duration,
    /// How long after SIGTERM requests are still taken, so that a load balancer sees `/readyz` fail before the port closes; at
    /// most half of `shutdown.drain_timeout`.
    #[serde(with = "humantime_serde")]
    pub closing_notice: Duration,
    /// How long an idle connection is kept.
    #[serde(with = "humantime_serde")]
    pub keep_alive: Duration,
    /// Where the front end is; error messages point there.
    pub admin_url: String,
    /// What the API's links in messages begin with, as recipients reach it; when empty, what each caller called it.
    pub public_url: String,
    /// What links to unsubscribe in the text of e-mails begin with, when people are to see the front end's page instead of
    /// ours.
    pub unsubscribe_url: String,
    /// What links to files in e-mails begin with; when empty, as other links.
    pub documents_url: String,
    /// The largest file that is sent by e-mail, in bytes.
    pub file_limit: usize,
    /// How long a delivery by request holds its notification; longer than any provider may take.
    #[serde(with = "humantime_serde")]
    pub delivery_lease: Duration,
    /// Deliveries by request at a time; further ones wait.
    pub deliveries_at_once: usize,
    /// Connections for look-ups: keys, services, templates. Nothing else takes them, so that who calls is always known.
    pub lookup_connections: u32,
    /// What services read.
    pub reads: ReadsConfig,
    /// Failed authentications that one address may have in a minute, in each process; 0 is no limit. Who authenticates is
    /// let in whatever others at the same address do.
    pub failed_authentications_per_minute: u32,
    /// Addresses and networks (`10.0.0.0/8`) of proxies in front of us, separated by commas: they are believed for whom they
    /// speak. Nobody is when it is empty.
    pub trusted_proxies: String,
    /// The header in which they say so.
    pub forwarded_header: ForwardedHeader,
    /// Whether services may be told of things at hosts of our own network.
    pub private_callbacks: bool,
    /// HTTP basic auth of the receipt endpoints. Without it the process does not start, unless
    /// `receipts_without_credentials` says that whoever reaches these endpoints may post.
    pub receipt_user: String,
    pub receipt_password: Secret,
    /// Anybody may say what became of a message: right only where something in front of the API asks for credentials.
    pub receipts_without_credentials: bool,
    /// HTTP basic auth of the endpoints for texts that people send: any user of a list with any password of a list, both
    /// separated by commas. Nobody gets in where a list is empty. Firetext's user is `notify`.
    pub inbound_mmg_users: String,
    pub inbound_mmg_passwords: Secret,
    pub inbound_firetext_passwords: Secret,
    /// Anybody may post texts: right only where something in front of the API asks for credentials.
    pub inbound_without_credentials: bool,
}

impl Default for ApiConfig {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:6011".into(),
            threads: None,
            body_limit: 8 * 1024 * 1024,
            large_bodies: 96 * 1024 * 1024,
            client_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(20),
            closing_notice: Duration::from_secs(5),
            keep_alive: Duration::from_secs(75),
            admin_url: "http://localhost:6012".into(),
            public_url: String::new(),
            unsubscribe_url: String::new(),
            documents_url: String::new(),
            file_limit: 2 * 1024 * 1024,
            delivery_lease: Duration::from_secs(60),
            deliveries_at_once: 256,
            lookup_connections: 4,
            reads: ReadsConfig::default(),
            failed_authentications_per_minute: 300,
            trusted_proxies: String::new(),
            forwarded_header: ForwardedHeader::default(),
            private_callbacks: false,
            receipt_user: String::new(),
            receipt_password: Secret::default(),
            receipts_without_credentials: false,
            inbound_mmg_users: String::new(),
            inbound_mmg_passwords: Secret::default(),
            inbound_firetext_passwords: Secret::default(),
            inbound_without_credentials: false,
        }
    }
}

/// A setting of the section `api` that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("api.{key}: {problem}")]
pub(crate) struct BadSetting {
    key: &'static str,
    problem: &'static str,
}

impl ApiConfig {
    /// What links to files begin with, given what the caller called us.
    pub(crate) fn documents_base<'a>(&'a self, root: &'a str) -> &'a str {
        let configured = [&self.documents_url, &self.public_url].into_iter().find(|url| !url.is_empty());
        configured.map_or(root, |url| url.trim_end_matches('/'))
    }

    pub(crate) fn proxies(&self) -> Result<Proxies, BadSetting> {
        let problem = "addresses or networks such as 10.0.0.0/8, separated by commas";
        Proxies::parse(&self.trusted_proxies, self.forwarded_header)
            .ok_or(BadSetting { key: "trusted_proxies", problem })
    }

    pub(crate) fn check(&self) -> Result<(), BadSetting> {
        if self.delivery_lease < Duration::from_secs(10) {
            let problem = "at least 10s: a slow provider's answer must find the claim still ours";
            return Err(BadSetting { key: "delivery_lease", problem });
        }
        self.check_credentials()?;
        let urls = [
            ("public_url", &self.public_url),
            ("unsubscribe_url", &self.unsubscribe_url),
            ("documents_url", &self.documents_url),
        ];
        for (key, url) in urls {
            if !url.is_empty() && !["https://", "http://"].iter().any(|scheme| url.starts_with(scheme)) {
                return Err(BadSetting { key, problem: "begins with https:// or http://" });
            }
        }
        Ok(())
    }
}

impl ApiConfig {
    /// A door is open to everybody only where that is said by name, and nothing else is.
    fn check_credentials(&self) -> Result<(), BadSetting> {
        let refuse = |key, problem| Err(BadSetting { key, problem });
        if self.receipt_user.is_empty() != self.receipt_password.is_empty() {
            return refuse("receipt_password", "set together with receipt_user");
        }
        match (self.receipt_user.is_empty(), self.receipts_without_credentials) {
            (true, false) => refuse(
                "receipt_user",
                "set it and receipt_password, which providers are to use for receipts; or, where something in front of \
                 the API asks them, receipts_without_credentials = true",
            ),
            (false, true) => refuse("receipts_without_credentials", "not together with receipt_user"),
            _ if self.inbound_without_credentials && self.has_inbound_credentials() => {
                refuse("inbound_without_credentials", "not together with credentials")
            }
            _ => Ok(()),
        }
    }

    fn has_inbound_credentials(&self) -> bool {
        !self.inbound_mmg_users.is_empty()
            || !self.inbound_mmg_passwords.is_empty()
            || !self.inbound_firetext_passwords.is_empty()
    }

    /// Says at every start which doors are open to everybody.
    pub(crate) fn warn(&self) {
        if self.receipts_without_credentials {
            tracing::warn!(
                "api.receipts_without_credentials: whoever reaches the API may say what became of any message"
            );
        }
        if self.inbound_without_credentials {
            tracing::warn!(
                "api.inbound_without_credentials: whoever reaches the API may write to services as anybody"
            );
        }
    }
}

/// The section `internal`: who may call what is not for services.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InternalConfig {
    /// `notify-admin:secret`, more after commas. A client may stand several times: any of its secrets opens the door, so
    /// that they can be rotated.
    pub clients: Secret,
    /// `client-id:scope`, more after commas; a client may have several. `read` asks the internal API and changes nothing,
    /// `deliver` has single notifications delivered, `admin` does everything. A client without a scope is an error.
    pub scopes: String,
}

impl Default for InternalConfig {
    fn default() -> Self {
        Self { clients: Secret::default(), scopes: "notify-admin:admin".into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(change: impl FnOnce(&mut ApiConfig)) -> Result<(), &'static str> {
        let mut config = ApiConfig::default();
        change(&mut config);
        config.check().map_err(|bad| bad.key)
    }

    #[test]
    fn no_door_of_the_providers_is_open_by_silence() {
        assert_eq!(check(|_| ()), Err("receipt_user"));
        assert_eq!(check(|config| config.receipt_user = "mmg".into()), Err("receipt_password"));
        assert_eq!(check(|config| config.receipts_without_credentials = true), Ok(()));
        let with_credentials = |config: &mut ApiConfig| {
            config.receipt_user = "mmg".into();
            config.receipt_password = "hush".into();
        };
        assert_eq!(check(with_credentials), Ok(()));
        let both = check(|config| {
            with_credentials(config);
            config.receipts_without_credentials = true;
        });
        assert_eq!(both, Err("receipts_without_credentials"));
        let inbound = check(|config| {
            with_credentials(config);
            config.inbound_without_credentials = true;
            config.inbound_firetext_passwords = "fire".into();
        });
        assert_eq!(inbound, Err("inbound_without_credentials"));
    }
}
