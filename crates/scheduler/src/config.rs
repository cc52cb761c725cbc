//! What a scheduler can be told.

use std::time::Duration;

use serde::Deserialize;

/// The sections that a scheduler reads.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Config {
    pub database: db::Config,
    pub broker: broker::Config,
    pub listen: service::listen::Config,
    pub scheduler: SchedulerConfig,
}

/// The section `scheduler`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SchedulerConfig {
    /// Where `/healthz` and `/readyz` are answered.
    pub health_listen: String,
    /// How often the sweep looks for what is due.
    #[serde(with = "humantime_serde")]
    pub release_every: Duration,
    /// A queue with more ready messages than this is not added to by the sweep: workers are behind, and the messages that
    /// seem lost are in it.
    pub release_below: u32,
    /// A notification that nobody heard of for this long has failed. The wire contract says 3 days.
    #[serde(with = "humantime_serde")]
    pub time_out_after: Duration,
    #[serde(with = "humantime_serde")]
    pub time_out_every: Duration,
    /// Texts that people sent are forgotten after this time. The wire contract says 7 days.
    #[serde(with = "humantime_serde")]
    pub received_texts_kept_for: Duration,
}

impl Default for SchedulerConfig {
    fn default() -> Self {
        Self {
            health_listen: "127.0.0.1:6013".into(),
            release_every: Duration::from_secs(1),
            release_below: 20_000,
            time_out_after: Duration::from_secs(3 * 24 * 3600),
            time_out_every: Duration::from_secs(600),
            received_texts_kept_for: Duration::from_secs(7 * 24 * 3600),
        }
    }
}
