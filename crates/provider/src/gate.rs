//! How many calls at once a provider gets, and when it gets none. Each has a gate of its own, so that one that hangs, or asks
//! for patience, holds up nobody else.
//!
//! A provider that throttles says so to one message and means all: its gate closes for as long as it asks. Then a single call
//! may ask how things stand, and each that is taken lets one more in: the calls at once double with every round trip, until
//! all places are open again or it throttles again. Otherwise the whole backlog would knock at the end of every pause.
//!
//! It is this process's own: others find out for themselves.

use std::{
    fmt,
    ops::Deref,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use domain::retry::SendFailure;
use tokio::{sync::Notify, time::Instant};

/// For a provider that throttles without saying for how long.
const PAUSE: Duration = Duration::from_secs(10);
/// No provider's word closes its gate for longer than this at a time: one call asks again then.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Calls are over in less, so that there will be room.
const FULL: Duration = Duration::from_secs(1);

/// A provider behind its gate.
pub(crate) struct Gated<P> {
    provider: P,
    /// The most calls at once.
    most: usize,
    state: Mutex<State>,
    /// Told whenever somebody leaves.
    left: Arc<Notify>,
}

struct State {
    inside: usize,
    /// The most for now.
    open: usize,
    closed_until: Option<Instant>,
}

impl<P> Gated<P> {
    pub(crate) fn new(provider: P, most: usize, left: &Arc<Notify>) -> Arc<Self> {
        let state = State { inside: 0, open: most.max(1), closed_until: None };
        Arc::new(Self { provider, most: most.max(1), state: Mutex::new(state), left: Arc::clone(left) })
    }

    pub(crate) fn provider(&self) -> &P {
        &self.provider
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Places that are free now.
    pub(crate) fn room(&self) -> usize {
        self.state().room(Instant::now())
    }

    /// How long it is until there may be a place.
    pub(crate) fn wait(&self) -> Duration {
        let now = Instant::now();
        match self.state().closed_until {
            Some(until) if until > now => until - now,
            _ => FULL,
        }
    }

    pub(crate) fn enter(self: &Arc<Self>) -> Option<Place<P>> {
        let mut state = self.state();
        if state.room(Instant::now()) == 0 {
            return None;
        }
        state.inside += 1;
        drop(state);
        Some(Place(Arc::clone(self)))
    }

    /// What a call came to.
    fn heard<T>(&self, result: &Result<T, SendFailure>) {
        let now = Instant::now();
        let mut state = self.state();
        match result {
            Err(SendFailure::Throttled { after, .. }) => {
                let until = now + after.unwrap_or(PAUSE).min(LONGEST_PAUSE);
                state.closed_until = state.closed_until.max(Some(until));
                state.open = 1;
            }
            // It answers as usual. Those that were on their way when it asked for patience prove nothing.
            Ok(_) | Err(SendFailure::Rejected(_) | SendFailure::Recipient { .. })
                if !state.is_closed(now) =>
            {
                state.open = self.most.min(state.open + 1);
            }
            Ok(_) | Err(_) => {}
        }
    }
}

impl State {
    fn is_closed(&self, now: Instant) -> bool {
        self.closed_until.is_some_and(|until| now < until)
    }

    fn room(&self, now: Instant) -> usize {
        if self.is_closed(now) { 0 } else { self.open.saturating_sub(self.inside) }
    }
}

/// The right to call a provider once. Given back when it is dropped.
#[must_use = "a place that nobody uses keeps somebody out"]
pub struct Place<P>(Arc<Gated<P>>);

impl<P> Place<P> {
    /// Calls the provider, and lets the gate know how that went.
    pub(crate) async fn call<T>(
        &self,
        call: impl Future<Output = Result<T, SendFailure>>,
    ) -> Result<T, SendFailure> {
        let result = call.await;
        self.0.heard(&result);
        result
    }
}

impl<P> Deref for Place<P> {
    type Target = P;

    fn deref(&self) -> &P {
        &self.0.provider
    }
}

impl<P> Drop for Place<P> {
    fn drop(&mut self) {
        self.0.state().inside -= 1;
        self.0.left.notify_one();
    }
}

impl<P: fmt::Debug> fmt::Debug for Gated<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gated")
            .field("provider", &self.provider)
            .field("room", &self.room())
            .finish_non_exhaustive()
    }
}

impl<P: fmt::Debug> fmt::Debug for Place<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Place").field(&self.0.provider).finish()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn gate(most: usize) -> Arc<Gated<()>> {
        Gated::new((), most, &Arc::default())
    }

    const TAKEN: Result<(), SendFailure> = Ok(());

    fn throttled(seconds: u64) -> Result<(), SendFailure> {
        Err(SendFailure::Throttled { reason: "429".into(), after: Some(Duration::from_secs(seconds)) })
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_enter_than_there_are_places() {
        let gate = gate(2);
        let (first, second) = (gate.enter().unwrap(), gate.enter().unwrap());
        assert!(gate.enter().is_none());
        drop(first);
        assert_eq!(gate.room(), 1);
        let third = gate.enter().unwrap();
        assert_eq!((gate.room(), gate.wait()), (0, FULL));
        drop((second, third));
        assert_eq!(gate.room(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_pause_one_call_asks_and_each_that_is_taken_lets_one_more_in() {
        let gate = gate(8);
        let inside: Vec<_> = (0..6).map(|_| gate.enter().unwrap()).collect();
        for (n, place) in inside.iter().enumerate() {
            // The ones that are taken were on their way before.
            place.0.heard(&if n % 2 == 0 { throttled(3) } else { TAKEN });
        }
        drop(inside);
        assert_eq!((gate.room(), gate.wait()), (0, Duration::from_secs(3)));
        advance(Duration::from_secs(3)).await;
        let mut at_once = Vec::new();
        while gate.room() < 8 {
            let places: Vec<_> = std::iter::from_fn(|| gate.enter()).collect();
            at_once.push(places.len());
            places.iter().for_each(|place| place.0.heard(&TAKEN));
        }
        assert_eq!(at_once, [1, 2, 4]);
        let place = gate.enter().unwrap();
        place.0.heard(&throttled(1));
        drop(place);
        advance(Duration::from_secs(1)).await;
        assert_eq!(gate.room(), 1, "and again from the start");
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_is_as_long_as_the_longest_that_was_asked_for_and_has_a_bound() {
        let gate = gate(8);
        for (asked, wait) in [(3, 3), (1, 3), (5, 5), (86_400, 60)] {
            gate.heard(&throttled(asked));
            assert_eq!(gate.wait(), Duration::from_secs(wait), "{asked}");
        }
        let silent = self::gate(1);
        silent.heard::<()>(&Err(SendFailure::Throttled { reason: "421".into(), after: None }));
        assert_eq!(silent.wait(), PAUSE);
    }

    #[tokio::test(start_paused = true)]
    async fn other_failures_close_nothing_and_open_nothing() {
        let gate = gate(8);
        gate.heard(&throttled(1));
        advance(Duration::from_secs(1)).await;
        gate.heard::<()>(&Err(SendFailure::Transient("503".into())));
        assert_eq!(gate.room(), 1);
        gate.heard::<()>(&Err(SendFailure::Rejected("550".into())));
        assert_eq!(gate.room(), 2);
    }
}
