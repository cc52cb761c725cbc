//! The one source of the present. Everything else takes the time as an argument, so that a test can say what time it is.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use chrono::{DateTime, TimeDelta, Utc};

/// Tells the time: the system's, or one that a test sets and moves.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    #[default]
    System,
    /// Microseconds since the epoch, shared by all clones.
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// A clock that stands still at `time` until it is moved.
    #[must_use]
    pub fn manual(time: DateTime<Utc>) -> Self {
        Self::Manual(Arc::new(AtomicI64::new(time.timestamp_micros())))
    }

    /// Now, cut to the microseconds that Postgres keeps, so that what is written equals what is read.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        let micros = match self {
            #[expect(clippy::disallowed_methods, reason = "this is the clock")]
            Self::System => Utc::now().timestamp_micros(),
            Self::Manual(micros) => micros.load(Ordering::SeqCst),
        };
        DateTime::from_timestamp_micros(micros).expect("microseconds of a valid time are a valid time")
    }

    /// Moves a manual clock; the system's clock does not move for us.
    pub fn advance(&self, by: TimeDelta) {
        if let Self::Manual(micros) = self {
            micros.fetch_add(by.num_microseconds().unwrap_or(i64::MAX), Ordering::SeqCst);
        }
    }
}
