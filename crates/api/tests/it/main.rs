//! The API as its callers see it: real HTTP, a real Postgres, and a broker that is there or not.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod authentication;
mod broken_database;
mod broker;
mod closing;
mod conventions;
mod delivering;
mod differences;
mod documents;
mod drain;
mod files;
mod hanging_up;
mod http;
mod internal;
mod limits;
mod openapi;
mod pages;
mod reading;
mod reads;
mod receipts;
mod received;
mod sending;
mod slow_clients;
mod stage;
mod stored_values;
mod strangers;
mod templates;
mod unsubscribe;
mod v1;
