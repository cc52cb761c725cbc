//! Token buckets in this process: how often somebody may do something in a minute, and no more than so many somebodies.
//!
//! Other replicas count for themselves: these limits protect a process, and cost nobody a visit to the database. What is sold
//! to services, and exact, is in `db::limit`.

use std::{
    hash::Hash,
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::NoOpMiddleware,
    state::{InMemoryState, NotKeyed},
};
use moka::sync::Cache;

/// Whose buckets are remembered: some hundred bytes each. Where there are more, the rarest start anew.
const CAPACITY: u64 = 10_000;
/// A bucket is full again after a minute, and as good as none.
const REMEMBERED_FOR: Duration = Duration::from_secs(60);

/// A bucket for each `K`, of as many tokens as it gets in a minute.
pub(crate) struct Buckets<K, C: Clock = DefaultClock> {
    /// None: no limit.
    quota: Option<Quota>,
    clock: C,
    buckets: Cache<K, Arc<Bucket<C>>>,
}

struct Bucket<C: Clock> {
    tokens: RateLimiter<NotKeyed, InMemoryState, C, NoOpMiddleware<C::Instant>>,
    /// Whether whoever came last found it empty.
    empty: AtomicBool,
}

impl<K: Hash + Eq + Send + Sync + 'static> Buckets<K> {
    /// `per_minute` 0 is no limit.
    pub(crate) fn new(per_minute: u32) -> Self {
        Self::with_clock(per_minute, DefaultClock::default())
    }
}

impl<K, C> Buckets<K, C>
where
    K: Hash + Eq + Send + Sync + 'static,
    C: Clock + Clone + Send + Sync + 'static,
{
    fn with_clock(per_minute: u32, clock: C) -> Self {
        let buckets = Cache::builder().max_capacity(CAPACITY).time_to_idle(REMEMBERED_FOR).build();
        Self { quota: NonZeroU32::new(per_minute).map(Quota::per_minute), clock, buckets }
    }

    /// Takes a token, or says when there will be one.
    pub(crate) fn take(&self, whose: K) -> Result<(), Duration> {
        let Some(quota) = self.quota else { return Ok(()) };
        let bucket = self.buckets.get_with(whose, || {
            let tokens = RateLimiter::direct_with_clock(quota, self.clock.clone());
            Arc::new(Bucket { tokens, empty: AtomicBool::new(false) })
        });
        let taken = bucket.tokens.check().map_err(|not_until| not_until.wait_time_from(self.clock.now()));
        bucket.empty.store(taken.is_err(), Ordering::Relaxed);
        taken
    }

    /// Whether whoever came last found no token.
    pub(crate) fn was_empty(&self, whose: &K) -> bool {
        self.buckets.get(whose).is_some_and(|bucket| bucket.empty.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    #[test]
    fn a_bucket_empties_and_fills_again_and_is_nobody_elses() {
        let clock = FakeRelativeClock::default();
        let buckets = Buckets::with_clock(60, clock.clone());
        assert!((0..60).all(|_| buckets.take("a").is_ok()));
        assert!(!buckets.was_empty(&"a"));
        let wait = buckets.take("a").unwrap_err();
        assert!(wait > Duration::ZERO && wait <= Duration::from_secs(1), "{wait:?}");
        assert!(buckets.was_empty(&"a"));
        assert!(buckets.take("b").is_ok() && !buckets.was_empty(&"b"));
        clock.advance(wait);
        assert_eq!((buckets.take("a"), buckets.was_empty(&"a")), (Ok(()), false));
        assert!(buckets.take("a").is_err());
    }

    #[test]
    fn none_is_no_limit() {
        let buckets = Buckets::new(0);
        assert!((0..10_000).all(|_| buckets.take(()).is_ok()));
    }

    #[test]
    fn strangers_fill_no_memory() {
        let buckets = Buckets::new(10);
        for stranger in 0..100_000 {
            assert!(buckets.take(stranger).is_ok());
        }
        buckets.buckets.run_pending_tasks();
        assert!(buckets.buckets.entry_count() <= CAPACITY);
    }
}
