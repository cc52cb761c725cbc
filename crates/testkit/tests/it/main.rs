//! Rules of the house that a compiler cannot hold, held by tests, so that the docs cannot drift.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod house_rules;
