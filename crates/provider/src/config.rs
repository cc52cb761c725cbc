//! The `providers` section of the configuration. Each vendor's own settings stand in the vendor's file.

use std::{fmt, time::Duration};

use domain::status::ProviderId;
use serde::Deserialize;
use url::Url;

use crate::{firetext, mmg, smtp};

/// Everything about the companies that carry messages. The default names no provider: every send is then retried.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The sender of texts whose service has none; at most 11 characters.
    pub sms_sender: String,
    pub http: HttpConfig,
    pub mmg: mmg::Config,
    pub firetext: firetext::Config,
    pub smtp: smtp::Config,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            sms_sender: "Pillarbox".into(),
            http: HttpConfig::default(),
            mmg: mmg::Config::default(),
            firetext: firetext::Config::default(),
            smtp: smtp::Config::default(),
        }
    }
}

/// How the SMS companies are called.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpConfig {
    /// For the TCP connection. The wire contract says 10 s.
    #[serde(with = "humantime_serde")]
    pub connect_timeout: Duration,
    /// For one call as a whole, from choosing a connection to the last byte of the answer.
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
pub(crate) fn http_url(
    provider: ProviderId,
    field: &'static str,
    text: &str,
) -> Result<hyper::Uri, ConfigError> {
    let uri: hyper::Uri = text.parse().map_err(|e| ConfigError::new(provider, field, e))?;
    match uri.scheme_str() {
        Some("http" | "https") => Ok(uri),
        _ => Err(ConfigError::new(provider, field, "not an http:// or https:// URL")),
    }
}

/// Where a company posts its receipts, with the credentials that it is to use written into the URL.
pub(crate) fn receipt_url(
    provider: ProviderId,
    url: &str,
    user: &str,
    password: &Secret,
) -> Result<Option<String>, ConfigError> {
    if url.is_empty() {
        return Ok(None);
    }
    let invalid = |problem: &dyn fmt::Display| ConfigError::new(provider, "receipt_url", problem);
    let mut parsed = Url::parse(url).map_err(|e| invalid(&e))?;
    if !matches!(parsed.scheme(), "http" | "https") {
        return Err(invalid(&"not an http:// or https:// URL"));
    }
    if user.is_empty() {
        return Ok(Some(url.to_owned()));
    }
    let written = parsed.set_username(user).and_then(|()| parsed.set_password(Some(password.expose())));
    written.map_err(|()| invalid(&"cannot hold credentials"))?;
    Ok(Some(parsed.into()))
}

/// Whether a provider takes part, and its weight of 0 to 100.
pub(crate) fn takes_part(
    provider: ProviderId,
    active: Option<bool>,
    key: (&'static str, &Secret),
    weight: u8,
) -> Result<bool, ConfigError> {
    if weight > 100 {
        return Err(ConfigError::new(provider, "weight", "more than 100"));
    }
    match (active, key.1.is_empty()) {
        (Some(true), true) => Err(ConfigError::new(provider, key.0, "needed by an active provider")),
        (active, missing) => Ok(active.unwrap_or(!missing)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MMG: ProviderId = ProviderId::Mmg;

    #[test]
    fn credentials_are_written_into_the_receipt_url() {
        let written = |user, password: &str| {
            receipt_url(MMG, "https://notify.example/notifications/sms/mmg", user, &password.into()).unwrap()
        };
        assert_eq!(
            written("user", "pass").as_deref(),
            Some("https://user:pass@notify.example/notifications/sms/mmg")
        );
        assert_eq!(
            written("a@b", "p:/?#").as_deref(),
            Some("https://a%40b:p%3A%2F%3F%23@notify.example/notifications/sms/mmg")
        );
        assert_eq!(written("", "").as_deref(), Some("https://notify.example/notifications/sms/mmg"));
        assert_eq!(receipt_url(MMG, "", "user", &"pass".into()), Ok(None));
        for bad in ["notify.example", "ftp://notify.example/", "https://"] {
            assert!(receipt_url(MMG, bad, "user", &"pass".into()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_provider_takes_part_when_it_has_a_key_unless_told_otherwise() {
        let (none, some) = (Secret::default(), Secret::from("k"));
        let takes_part = |active, key, weight| takes_part(MMG, active, ("key", key), weight);
        assert_eq!(takes_part(None, &none, 51), Ok(false));
        assert_eq!(takes_part(None, &some, 51), Ok(true));
        assert_eq!(takes_part(Some(false), &some, 100), Ok(false));
        assert!(takes_part(Some(true), &none, 51).is_err());
        assert!(takes_part(None, &some, 101).is_err());
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
        assert_eq!((config.mmg.weight, config.firetext.weight, config.smtp.weight), (51, 49, 100));
        assert!(read(r#"{"mmg": {"keys": "x"}}"#).is_err());
        assert!(read(r#"{"aql": {}}"#).is_err());
    }
}
