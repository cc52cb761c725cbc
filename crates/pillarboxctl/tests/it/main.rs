//! The real binary on real databases, and on an API that the test plays.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod audit;
mod configuration;
mod ctl;
mod demo;
mod inbound_number;
mod inspect;
mod key;
mod migrate;
mod platform;
mod played_api;
mod seed;
mod stats;
