//! The providers against real sockets on 127.0.0.1, well-behaved and not.

#![allow(clippy::unwrap_used, reason = "tests")]

mod gates;
mod http_server;
mod sms;
mod smtp;
mod smtp_server;

use domain::{provider::Standing, status::ProviderId};
use provider::{AtOnce, Config, Providers};

const AT_ONCE: AtOnce = AtOnce { sms: 1000, email: 100 };

/// All that are configured take part, everywhere, with the same weight.
fn providers(config: &Config) -> Providers {
    let providers = Providers::new(config, AT_ONCE).unwrap();
    providers.stand(ProviderId::ALL.iter().map(|id| standing(*id, 50)).collect());
    providers
}

fn standing(provider: ProviderId, weight: u8) -> Standing {
    Standing { provider, active: true, weight, international: true }
}
