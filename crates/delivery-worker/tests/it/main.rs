//! The worker between a real Postgres, a real RabbitMQ and a simulated provider.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod delivering;
mod evidence;
mod receipts;
mod stage;
