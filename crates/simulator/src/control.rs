//! How each provider behaves at the moment, and changing that while the simulator runs.

use std::{
    sync::{PoisonError, RwLock},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{endpoint::Endpoint, options::Options};

/// The three parts that the simulator plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    Mmg,
    Firetext,
    Email,
}

impl Provider {
    pub const ALL: [Self; 3] = [Self::Mmg, Self::Firetext, Self::Email];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mmg => "mmg",
            Self::Firetext => "firetext",
            Self::Email => "email",
        }
    }
}

/// How a provider behaves towards everybody, beside what a magic recipient asks for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, clap::Args)]
pub struct Behaviour {
    /// Milliseconds before a send call is answered
    #[arg(long, default_value_t = Behaviour::default().latency_ms)]
    pub latency_ms: u64,
    /// Take a message before the latency, not after it: a caller that dies meanwhile has sent it
    #[arg(long)]
    pub takes_first: bool,
    /// Share of send calls that are refused, from 0 to 1
    #[arg(long, default_value_t = Behaviour::default().error_rate, value_parser = rate)]
    pub error_rate: f64,
    /// Close every connection without an answer
    #[arg(long)]
    pub outage: bool,
    /// Whether receipts follow
    #[arg(long, default_value_t = Behaviour::default().receipts, action = clap::ArgAction::Set)]
    pub receipts: bool,
    /// Milliseconds from taking a message to its receipt
    #[arg(long, default_value_t = Behaviour::default().receipt_delay_ms)]
    pub receipt_delay_ms: u64,
    /// Up to so many milliseconds more, by chance
    #[arg(long, default_value_t = Behaviour::default().receipt_jitter_ms)]
    pub receipt_jitter_ms: u64,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            latency_ms: 0,
            takes_first: false,
            error_rate: 0.0,
            outage: false,
            receipts: true,
            receipt_delay_ms: 100,
            receipt_jitter_ms: 0,
        }
    }
}

impl Behaviour {
    /// Draws whether this call is one of those that fail.
    pub(crate) fn fails_now(&self) -> bool {
        self.error_rate > 0.0 && rand::random::<f64>() < self.error_rate
    }

    /// Milliseconds to wait before a message is decided on, and after that, before the answer.
    pub(crate) fn latency(&self) -> (u64, u64) {
        if self.takes_first { (0, self.latency_ms) } else { (self.latency_ms, 0) }
    }

    /// Draws how long a receipt waits; a day at most, so that its time can be reckoned with.
    pub(crate) fn draw_receipt_delay(&self) -> Duration {
        let jitter = match self.receipt_jitter_ms {
            0 => 0,
            most => rand::random_range(0..=most),
        };
        Duration::from_millis(self.receipt_delay_ms.saturating_add(jitter)).min(LONGEST_RECEIPT_DELAY)
    }
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..=1.0).contains(&rate) { Ok(rate) } else { Err(OUT_OF_RANGE.to_owned()) }
}

const LONGEST_RECEIPT_DELAY: Duration = Duration::from_secs(24 * 60 * 60);

const OUT_OF_RANGE: &str = "error_rate must be between 0 and 1";

/// Part of a behaviour, as `POST /control` names it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Change {
    latency_ms: Option<u64>,
    takes_first: Option<bool>,
    error_rate: Option<f64>,
    outage: Option<bool>,
    receipts: Option<bool>,
    receipt_delay_ms: Option<u64>,
    receipt_jitter_ms: Option<u64>,
}

impl Change {
    fn parse(fields: Value) -> Result<Self, String> {
        let change: Self = serde_json::from_value(fields).map_err(|error| error.to_string())?;
        match change.error_rate {
            Some(rate) if !(0.0..=1.0).contains(&rate) => Err(OUT_OF_RANGE.to_owned()),
            _ => Ok(change),
        }
    }

    fn apply(&self, behaviour: &mut Behaviour) {
        let Self {
            latency_ms,
            takes_first,
            error_rate,
            outage,
            receipts,
            receipt_delay_ms,
            receipt_jitter_ms,
        } = *self;
        *behaviour = Behaviour {
            latency_ms: latency_ms.unwrap_or(behaviour.latency_ms),
            takes_first: takes_first.unwrap_or(behaviour.takes_first),
            error_rate: error_rate.unwrap_or(behaviour.error_rate),
            outage: outage.unwrap_or(behaviour.outage),
            receipts: receipts.unwrap_or(behaviour.receipts),
            receipt_delay_ms: receipt_delay_ms.unwrap_or(behaviour.receipt_delay_ms),
            receipt_jitter_ms: receipt_jitter_ms.unwrap_or(behaviour.receipt_jitter_ms),
        };
    }
}

/// What can be changed while the simulator runs.
#[derive(Debug)]
pub(crate) struct Controls {
    behaviours: RwLock<[Behaviour; 3]>,
    /// Where receipts go when the request does not say.
    endpoints: RwLock<[Option<Endpoint>; 3]>,
}

impl Controls {
    /// Fails when a receipt URL cannot be used.
    pub(crate) fn new(options: &Options) -> Result<Self, String> {
        let urls = [&options.mmg_receipt_url, &options.firetext_receipt_url, &options.mail_receipt_url];
        let mut endpoints = [None, None, None];
        for (endpoint, url) in endpoints.iter_mut().zip(urls) {
            *endpoint = url.as_deref().map(Endpoint::parse).transpose()?;
        }
        Ok(Self { behaviours: RwLock::new([options.behaviour; 3]), endpoints: RwLock::new(endpoints) })
    }

    pub(crate) fn behaviour(&self, provider: Provider) -> Behaviour {
        self.behaviours.read().unwrap_or_else(PoisonError::into_inner)[provider as usize]
    }

    pub(crate) fn change(&self, provider: Provider, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.behaviours.write().unwrap_or_else(PoisonError::into_inner)[provider as usize]);
    }

    pub(crate) fn endpoint(&self, provider: Provider) -> Option<Endpoint> {
        self.endpoints.read().unwrap_or_else(PoisonError::into_inner)[provider as usize].clone()
    }

    pub(crate) fn set_endpoint(&self, provider: Provider, endpoint: Option<Endpoint>) {
        self.endpoints.write().unwrap_or_else(PoisonError::into_inner)[provider as usize] = endpoint;
    }

    /// Carries out the JSON of `POST /control`: fields for all providers, and fields under a provider's name for that one,
    /// which count more. Nothing changes unless all of it makes sense.
    pub(crate) fn apply(&self, body: &[u8]) -> Result<(), String> {
        let mut fields: Map<String, Value> =
            serde_json::from_slice(body).map_err(|error| format!("not a JSON object: {error}"))?;
        let mut own = Vec::new();
        for provider in Provider::ALL {
            if let Some(fields) = fields.remove(provider.name()) {
                own.push((provider, Change::parse(fields)?));
            }
        }
        let common = Change::parse(Value::Object(fields))?;
        let mut behaviours = self.behaviours.write().unwrap_or_else(PoisonError::into_inner);
        behaviours.iter_mut().for_each(|behaviour| common.apply(behaviour));
        for (provider, change) in own {
            change.apply(&mut behaviours[provider as usize]);
        }
        Ok(())
    }

    /// What `GET /control` shows.
    pub(crate) fn show(&self) -> Value {
        let [mmg, firetext, email] = *self.behaviours.read().unwrap_or_else(PoisonError::into_inner);
        json!({"mmg": mmg, "firetext": firetext, "email": email})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn controls() -> Controls {
        Controls::new(&Options::default()).unwrap()
    }

    #[test]
    fn fields_are_for_all_and_a_providers_own_count_more() {
        let controls = controls();
        controls
            .apply(br#"{"latency_ms": 50, "receipts": false, "firetext": {"latency_ms": 7, "error_rate": 0.25}}"#)
            .unwrap();
        assert_eq!(controls.behaviour(Provider::Mmg).latency_ms, 50);
        assert_eq!(controls.behaviour(Provider::Email).latency_ms, 50);
        let firetext = controls.behaviour(Provider::Firetext);
        assert_eq!(
            firetext,
            Behaviour { latency_ms: 7, error_rate: 0.25, receipts: false, ..Behaviour::default() }
        );
    }

    #[test]
    fn nonsense_changes_nothing() {
        for body in [
            "",
            "[]",
            r#"{"latency": 5}"#,
            r#"{"outage": true, "error_rate": 1.5}"#,
            r#"{"outage": true, "mmg": {"error_rate": -1}}"#,
            r#"{"outage": true, "email": 3}"#,
        ] {
            let controls = controls();
            assert!(controls.apply(body.as_bytes()).is_err(), "{body}");
            assert_eq!(controls.behaviour(Provider::Mmg), Behaviour::default(), "{body}");
        }
    }

    #[test]
    fn the_default_rate_never_fails_and_the_full_one_always_does() {
        assert!(!Behaviour::default().fails_now());
        assert!(Behaviour { error_rate: 1.0, ..Behaviour::default() }.fails_now());
    }
}
