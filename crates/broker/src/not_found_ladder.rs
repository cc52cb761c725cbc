//! How long an id that is not in the database (yet) is put aside, and when it is given up.
//!
//! A team that publishes ids itself may publish before its commit is visible. There is no row that could hold a due time
//! then, so the delays live in the broker: one queue per step, whose messages expire into the queue that they came from.

use std::time::Duration;

use domain::retry::RetryPolicy;
use serde::{Deserialize, Deserializer};

/// The steps, in the order in which they are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotFoundLadder(Vec<Duration>);

impl Default for NotFoundLadder {
    /// The same steps as for a provider's failures: about five hours in all.
    fn default() -> Self {
        Self::new(RetryPolicy::default().ladder().to_vec())
    }
}

/// `["10s", "1m"]`
impl<'de> Deserialize<'de> for NotFoundLadder {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let steps = Vec::<humantime_serde::Serde<Duration>>::deserialize(deserializer)?;
        Ok(Self::new(steps.into_iter().map(humantime_serde::Serde::into_inner).collect()))
    }
}

impl NotFoundLadder {
    #[must_use]
    pub fn new(steps: Vec<Duration>) -> Self {
        Self(steps)
    }

    pub(crate) fn steps(&self) -> &[Duration] {
        &self.0
    }

    /// The delay that follows after `tries` tries found nothing before; `None` when it is time to give up.
    pub(crate) fn after(&self, tries: u32) -> Option<Duration> {
        self.0.get(usize::try_from(tries).ok()?).copied()
    }
}

/// A delay as it stands in a queue's name: `10s`, `1m`, `4h`.
pub(crate) fn label(delay: Duration) -> String {
    let millis = delay.as_millis();
    for (unit, size) in [("h", 3_600_000), ("m", 60_000), ("s", 1000)] {
        if millis >= size && millis.is_multiple_of(size) {
            return format!("{}{unit}", millis / size);
        }
    }
    format!("{millis}ms")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_tries_over_about_five_hours_then_the_end() {
        let ladder = NotFoundLadder::default();
        let taken: Vec<_> = (0..).map_while(|tries| ladder.after(tries)).map(label).collect();
        assert_eq!(taken, ["10s", "1m", "5m", "1h", "4h"]);
        assert_eq!(ladder.after(5), None);
        assert_eq!(ladder.after(u32::MAX), None);
    }

    #[test]
    fn labels_tell_every_delay_apart() {
        for (millis, expected) in
            [(50, "50ms"), (1500, "1500ms"), (90_000, "90s"), (5_400_000, "90m"), (0, "0ms")]
        {
            assert_eq!(label(Duration::from_millis(millis)), expected);
        }
    }
}
