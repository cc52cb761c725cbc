//! The `providers` section of the configuration. Each vendor's own settings stand in the vendor's file.

use std::{fmt, time::Duration};

use domain::{status::ProviderId, this_machine::is_this_machine};
use serde::Deserialize;
use url::Url;

use crate::smtp;

/// How the companies that carry messages are reached. Whether each takes part, and with what weight, is the database's matter
/// ([`domain::provider::Standing`]); one that is not configured never does. The default names none: every send is then retried.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The sender of texts whose service has none; at most 11 characters.
    pub sms_sender: String,
    pub http: HttpConfig,
    pub mmg: SmsConfig,
    pub firetext: SmsConfig,
    pub smtp: smtp::Config,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            sms_sender: "Pillarbox".into(),
            http: HttpConfig::default(),
            mmg: SmsConfig::default(),
            firetext: SmsConfig::default(),
            smtp: smtp::Config::default(),
        }
    }
}

/// How the SMS companies are called.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpConfig {
    /// For a connection, TLS included. The wire contract says 10 s.
    #[serde(with = "humantime_serde")]
    pub connect_timeout: Duration,
    /// For each read, and each write: how long nothing may happen. The wire contract says 10 s. The call as a whole may take
    /// as long as the sender's lease allows.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
    /// Idle connections kept per host. As many as calls run at once, or connections are made and thrown away.
    pub max_idle_connections: usize,
}

impl Default for HttpConfig {
    fn default() -> Self {
        let ten_seconds = Duration::from_secs(10);
        Self { connect_timeout: ten_seconds, timeout: ten_seconds, max_idle_connections: 1024 }
    }
}

/// The section of a company that carries texts: `providers.mmg`, `providers.firetext`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SmsConfig {
    /// Where texts are posted; by default the company's own address.
    pub url: String,
    /// Lets the key, and the credentials for receipts, go over plain `http://` to hosts other than this machine.
    pub credentials_without_tls: bool,
    /// Without it the company is not configured. MMG's goes into the `Authorization` header as it is, after `Basic `.
    pub key: Secret,
    /// For texts to other countries; by default the key. Firetext's only.
    pub international_key: Secret,
    /// Where receipts are to be posted, if the company is to be told with each text.
    pub receipt_url: String,
    /// Basic authentication that it is to use for receipts, written into that URL.
    pub receipt_user: String,
    pub receipt_password: Secret,
}

/// What holds for a company where its section says nothing.
pub(crate) struct Usual {
    pub(crate) id: ProviderId,
    pub(crate) url: &'static str,
}

/// A company that is configured.
#[derive(Debug)]
pub(crate) struct Company {
    pub(crate) uri: hyper::Uri,
    /// With credentials.
    pub(crate) receipt_url: Option<Secret>,
}

impl SmsConfig {
    /// None when it is not configured.
    pub(crate) fn company(&self, usual: &Usual) -> Result<Option<Company>, ConfigError> {
        if self.key.is_empty() {
            return Ok(None);
        }
        let url = if self.url.is_empty() { usual.url } else { &self.url };
        let uri = http_url(usual.id, "url", url)?;
        self.check_tls(usual.id, "url", uri.scheme_str(), uri.host())?;
        Ok(Some(Company { uri, receipt_url: receipt_url(usual.id, self)? }))
    }

    fn check_tls(
        &self,
        provider: ProviderId,
        field: &'static str,
        scheme: Option<&str>,
        host: Option<&str>,
    ) -> Result<(), ConfigError> {
        if scheme == Some("https") || self.credentials_without_tls || host.is_some_and(is_this_machine) {
            return Ok(());
        }
        let problem = "credentials would go over http://: say https://; where everybody on the way may read them, \
                       credentials_without_tls = true";
        Err(ConfigError::new(provider, field, problem))
    }
}

/// A setting that never shows in `Debug`.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() { "(not set)" } else { "(secret)" })
    }
}

/// A setting that cannot be used. Never holds the value, which may be a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("providers.{provider}.{field}: {problem}")]
pub struct ConfigError {
    pub provider: ProviderId,
    pub field: &'static str,
    pub problem: String,
}

impl ConfigError {
    pub(crate) fn new(provider: ProviderId, field: &'static str, problem: impl fmt::Display) -> Self {
        Self { provider, field, problem: problem.to_string() }
    }
}

/// An absolute `http` or `https` URL.
fn http_url(provider: ProviderId, field: &'static str, text: &str) -> Result<hyper::Uri, ConfigError> {
    let uri: hyper::Uri = text.parse().map_err(|e| ConfigError::new(provider, field, e))?;
    match uri.scheme_str() {
        Some("http" | "https") => Ok(uri),
        _ => Err(ConfigError::new(provider, field, "not an http:// or https:// URL")),
    }
}

/// Where a company posts its receipts, with the credentials that it is to use written into the URL.
fn receipt_url(provider: ProviderId, config: &SmsConfig) -> Result<Option<Secret>, ConfigError> {
    let SmsConfig { receipt_url: url, receipt_user: user, receipt_password: password, .. } = config;
    if url.is_empty() {
        return Ok(None);
    }
    let invalid = |problem: &dyn fmt::Display| ConfigError::new(provider, "receipt_url", problem);
    let mut parsed = Url::parse(url).map_err(|e| invalid(&e))?;
    if !matches!(parsed.scheme(), "http" | "https") {
        return Err(invalid(&"not an http:// or https:// URL"));
    }
    if user.is_empty() {
        return Ok(Some(Secret::from(url.as_str())));
    }
    config.check_tls(provider, "receipt_url", Some(parsed.scheme()), parsed.host_str())?;
    let written = parsed.set_username(user).and_then(|()| parsed.set_password(Some(password.expose())));
    written.map_err(|()| invalid(&"cannot hold credentials"))?;
    Ok(Some(Secret::from(parsed.as_str())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{firetext, mmg};

    const MMG: ProviderId = ProviderId::Mmg;

    #[test]
    fn credentials_are_written_into_the_receipt_url() {
        let written = |url: &str, user: &str, password: &str| {
            let (receipt_url, receipt_user) = (url.into(), user.into());
            let receipt_password = password.into();
            let config = SmsConfig { receipt_url, receipt_user, receipt_password, ..SmsConfig::default() };
            Ok(super::receipt_url(MMG, &config)?.map(|url| url.expose().to_owned()))
        };
        let url = "https://notify.example/notifications/sms/mmg";
        for (user, password, expected) in [
            ("user", "pass", "https://user:pass@notify.example/notifications/sms/mmg"),
            ("a@b", "p:/?#", "https://a%40b:p%3A%2F%3F%23@notify.example/notifications/sms/mmg"),
            ("", "", url),
        ] {
            assert_eq!(written(url, user, password), Ok::<_, ConfigError>(Some(expected.into())));
        }
        assert_eq!(written("", "user", "pass"), Ok(None));
        for bad in ["notify.example", "ftp://notify.example/", "https://"] {
            assert!(written(bad, "user", "pass").is_err(), "{bad}");
        }
    }

    #[test]
    fn credentials_do_not_go_over_plain_http_unless_told_by_name() {
        let company = |url: &str, receipt_url: &str, credentials_without_tls| {
            let config = SmsConfig {
                url: url.into(),
                key: "hush".into(),
                receipt_url: receipt_url.into(),
                receipt_user: "u".into(),
                credentials_without_tls,
                ..SmsConfig::default()
            };
            config.company(&mmg::USUAL).map(|company| company.is_some()).map_err(|e| e.field)
        };
        for url in ["https://mmg.example/", "http://127.0.0.1:1/", "http://[::1]:1/", "http://localhost/"] {
            assert_eq!(company(url, url, false), Ok(true), "{url}");
        }
        let open = "http://mmg.example/";
        assert_eq!(company(open, "", false), Err("url"));
        assert_eq!(company("", open, false), Err("receipt_url"));
        assert_eq!(company(open, open, true), Ok(true));
    }

    #[test]
    fn a_company_is_configured_when_it_has_a_key() {
        let company = |key: &str| SmsConfig { key: key.into(), ..SmsConfig::default() }.company(&mmg::USUAL);
        assert!(company("").unwrap().is_none());
        assert!(company("k").unwrap().is_some());
    }

    #[test]
    fn no_secret_shows_in_debug_and_unknown_keys_are_errors() {
        let read = |text: &str| serde_json::from_str::<Config>(text);
        let config = read(
            r#"{"mmg": {"key": "hush-1", "receipt_user": "u", "receipt_password": "hush-2"},
                "firetext": {"key": "hush-3", "international_key": "hush-4"},
                "smtp": {"url": "smtp://user:hush-5@host:587?tls=required", "timeout": "3s"},
                "http": {"timeout": "2s"}}"#,
        )
        .unwrap();
        assert!(!format!("{config:?}").contains("hush"), "{config:?}");
        assert_eq!(config.http.timeout, Duration::from_secs(2));
        let usual = |config: &SmsConfig, usual| {
            let company = config.company(usual).unwrap().unwrap();
            company.uri.host().unwrap().to_owned()
        };
        assert_eq!(usual(&config.mmg, &mmg::USUAL), "api.mmg.co.uk");
        assert_eq!(usual(&config.firetext, &firetext::USUAL), "www.firetext.co.uk");
        assert!(read(r#"{"mmg": {"keys": "x"}}"#).is_err());
        assert!(read(r#"{"mmg": {"weight": 51}}"#).is_err(), "the table `providers` says so");
        assert!(read(r#"{"aql": {}}"#).is_err());
    }
}
