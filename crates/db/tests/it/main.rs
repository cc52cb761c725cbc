//! `db` against a real Postgres: a database per test.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod accepting;
mod cancelling;
mod delivering;
mod due;
mod limits;
mod log;
mod pages;
mod plans;
mod reading;
mod receipts;
mod received_texts;
mod schema;
mod service_details;
mod sessions;
mod settings;
mod statistics;
mod templates;
mod unsubscribing;
