//! Waiting for what may pass: a database that is not up yet, another migration, messages on their way.

use std::time::Duration;

use backoff::{ExponentialBackoff, backoff::Backoff};

use crate::error::Error;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Attempts again and again, at least once, until it works, fails for good, or `limit` is over. Says on standard error what
/// it is waiting for.
pub(crate) async fn patiently<T>(
    limit: Duration,
    mut attempt: impl AsyncFnMut() -> Result<T, Error>,
) -> Result<T, Error> {
    let mut pauses = ExponentialBackoff {
        current_interval: FIRST_PAUSE,
        initial_interval: FIRST_PAUSE,
        max_interval: LONGEST_PAUSE,
        max_elapsed_time: Some(limit),
        ..ExponentialBackoff::default()
    };
    let mut said = String::new();
    loop {
        let error = match attempt().await {
            Err(error) if error.may_pass() => error,
            settled => return settled,
        };
        let Some(pause) = pauses.next_backoff() else { return Err(error) };
        let reason = error.to_string();
        if reason != said {
            eprintln!("waiting: {reason}");
            said = reason;
        }
        tokio::time::sleep(pause).await;
    }
}
