//! Events that may come by the thousand: counted, and told in one line every now and then.

use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

/// Between two lines.
const QUIET: TimeDelta = TimeDelta::seconds(10);

/// Counts one kind of event.
#[derive(Debug, Default)]
pub struct Tally(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    untold: usize,
    told_at: Option<DateTime<Utc>>,
}

impl Tally {
    /// `more` happened. The first is told at once, what follows together with what comes ten seconds later.
    pub fn count(&self, more: usize, now: DateTime<Utc>, tell: impl FnOnce(usize)) {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counted.untold += more;
        if counted.untold > 0 && counted.told_at.is_none_or(|told_at| now - told_at >= QUIET) {
            counted.told_at = Some(now);
            tell(std::mem::take(&mut counted.untold));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_one_line_in_ten_seconds_and_nothing_is_left_uncounted() {
        let (tally, start) = (Tally::default(), DateTime::UNIX_EPOCH);
        let mut told = Vec::new();
        for millis in 0..25_000 {
            tally.count(1, start + TimeDelta::milliseconds(millis), |count| told.push(count));
        }
        assert_eq!(told, [1, 10_000, 10_000]);
        tally.count(0, start + TimeDelta::seconds(40), |count| told.push(count));
        assert_eq!(told.pop(), Some(4999));
    }
}
