//! `db` against a real Postgres: a database per test.

mod accepting;
mod delivering;
mod due;
mod reading;
mod receipts;
mod schema;
