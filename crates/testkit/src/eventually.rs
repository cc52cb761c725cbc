//! Waiting for something that happens elsewhere, with a stated limit, never by sleeping for luck.

use std::time::{Duration, Instant};

/// Asks again and again until `question` answers; fails the test after `limit`.
///
/// # Panics
/// When the limit is reached.
pub async fn eventually<T>(limit: Duration, what: &str, mut question: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = question().await {
            return answer;
        }
        assert!(start.elapsed() < limit, "not within {limit:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
