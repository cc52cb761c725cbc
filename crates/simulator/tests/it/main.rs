//! The simulator from outside: real sockets, the vendors' bytes.
#![expect(
    clippy::unwrap_used,
    reason = "these are tests, to which clippy.toml allows it only inside of test functions"
)]

mod catcher;
mod client;
mod control;
mod inbound;
mod inbox;
mod process;
mod receipts;
mod sms;
mod smtp;

use std::time::Duration;

use simulator::{Behaviour, Options, Simulator};
use tokio::time::{Instant, sleep};

/// A simulator that remembers every reference and does not let a test wait.
async fn start() -> Simulator {
    start_with(Options::default()).await
}

async fn start_with(options: Options) -> Simulator {
    let behaviour = Behaviour { receipt_delay_ms: 1, ..options.behaviour };
    Simulator::start(Options { record_all: true, receipt_retry_delay_ms: 5, behaviour, ..options })
        .await
        .unwrap()
}

/// Waits until `value` gives something, at most ten seconds.
async fn eventually<T>(what: &str, mut value: impl FnMut() -> Option<T>) -> T {
    let limit = Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(value) = value() {
            return value;
        }
        assert!(Instant::now() < limit, "{what} did not happen in ten seconds");
        sleep(Duration::from_millis(5)).await;
    }
}
