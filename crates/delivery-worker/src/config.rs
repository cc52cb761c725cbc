//! What a worker can be told.

use std::time::Duration;

use provider::AtOnce;
use serde::Deserialize;

/// The sections that a worker reads.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Config {
    pub database: db::Config,
    pub broker: broker::Config,
    pub sealing: db::sealing::Config,
    pub providers: provider::Config,
    pub listen: service::listen::Config,
    pub worker: WorkerConfig,
}

/// The section `worker`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WorkerConfig {
    /// Where `/healthz` and `/readyz` are answered.
    pub health_listen: String,
    /// Texts at each provider at the same time: rate × latency, so 13,000 a second at 50 ms.
    pub sms_in_flight: u16,
    /// E-mails at the relay at the same time; no more than its pool has connections.
    pub email_in_flight: u16,
    /// How long a claim is ours. A worker that dies holds up what it had in hand for as long.
    #[serde(with = "humantime_serde")]
    pub lease: Duration,
}

impl Default for WorkerConfig {
    fn default() -> Self {
        Self {
            health_listen: "127.0.0.1:6012".into(),
            sms_in_flight: 1000,
            email_in_flight: 100,
            lease: Duration::from_secs(60),
        }
    }
}

/// A setting that would lose or double something.
#[derive(Debug, thiserror::Error)]
#[error("worker.{field}: {problem}")]
pub(crate) struct Unusable {
    field: &'static str,
    problem: &'static str,
}

impl WorkerConfig {
    /// The most calls at once that each provider gets.
    #[must_use]
    pub fn at_once(&self) -> AtOnce {
        AtOnce { sms: self.sms_in_flight.into(), email: self.email_in_flight.into() }
    }

    pub(crate) fn check(&self) -> Result<(), Unusable> {
        let refuse = |field, problem| Err(Unusable { field, problem });
        if self.sms_in_flight == 0 || self.email_in_flight == 0 {
            return refuse("sms_in_flight and email_in_flight", "at least 1");
        }
        if self.lease < Duration::from_secs(10) {
            return refuse("lease", "at least 10s: a slow provider's answer must find the claim still ours");
        }
        Ok(())
    }
}
