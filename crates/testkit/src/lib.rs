//! What tests share: a database of their own, names of their own in the broker, builders, and waiting with a limit.
//!
//! A dev-dependency only. The services are found through `TEST_DATABASE_URL` (whose role may create databases) and
//! `TEST_AMQP_URL`; `scripts/test` starts private ones and sets both.

mod builders;
mod database;
mod eventually;

pub use builders::{KEYRING, Sample, keyring, notification, request, sample, sealed_notification};
pub use database::TestDatabase;
pub use eventually::eventually;

/// The broker that tests may use.
///
/// # Panics
/// When `TEST_AMQP_URL` is not set.
#[must_use]
pub fn amqp_url() -> String {
    std::env::var("TEST_AMQP_URL")
        .expect("TEST_AMQP_URL is set: run `scripts/test`, or source its environment")
}

/// A prefix for exchanges and queues that no other test uses.
#[must_use]
pub fn broker_prefix() -> String {
    format!("test-{}", uuid::Uuid::new_v4().simple())
}
