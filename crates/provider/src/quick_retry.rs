//! One quick second try, for calls that certainly did not reach the provider. The only place that uses `backoff`.
//!
//! A refused connection is often a provider's process being replaced, and over in a blink; without the second try the
//! message would wait for the first step of the ladder. Whether a failure is of that kind is the caller's to say, and
//! anything that may have been written to the provider is not: a second call could send a second message.

use std::time::Duration;

use backoff::{ExponentialBackoff, backoff::Backoff};

/// What a failed try tells about the next one.
pub(crate) enum Tried<E> {
    /// Nothing was written: trying again cannot send twice.
    NotReached(E),
    /// It may have arrived.
    MaybeReached(E),
}

/// Between the first and the second try, half of it more or less by chance, so that a thousand calls do not come back
/// as one.
const PAUSE: Duration = Duration::from_millis(100);

/// Runs `call`, and once more if it did not reach the provider.
pub(crate) async fn once_more<T, E, F>(mut call: impl FnMut() -> F) -> Result<T, E>
where
    F: Future<Output = Result<T, Tried<E>>>,
{
    backoff::future::retry(OnePause::default(), || {
        let call = call();
        async move {
            call.await.map_err(|failed| match failed {
                Tried::NotReached(e) => backoff::Error::transient(e),
                Tried::MaybeReached(e) => backoff::Error::permanent(e),
            })
        }
    })
    .await
}

#[derive(Default)]
struct OnePause {
    taken: bool,
}

impl Backoff for OnePause {
    fn next_backoff(&mut self) -> Option<Duration> {
        if std::mem::replace(&mut self.taken, true) {
            return None;
        }
        ExponentialBackoff { current_interval: PAUSE, ..ExponentialBackoff::default() }.next_backoff()
    }

    fn reset(&mut self) {
        self.taken = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn tries(failure: fn(u32) -> Result<(), Tried<u32>>) -> (u32, Result<(), u32>) {
        let mut tries = 0;
        let result = once_more(|| {
            tries += 1;
            std::future::ready(failure(tries))
        })
        .await;
        (tries, result)
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_did_not_arrive_is_tried_again_and_only_once() {
        assert_eq!(tries(|_| Ok(())).await, (1, Ok(())));
        assert_eq!(tries(|n| Err(Tried::MaybeReached(n))).await, (1, Err(1)));
        assert_eq!(tries(|n| Err(Tried::NotReached(n))).await, (2, Err(2)));
        assert_eq!(tries(|n| if n == 1 { Err(Tried::NotReached(n)) } else { Ok(()) }).await, (2, Ok(())));
    }
}
