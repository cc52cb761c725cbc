//! The providers against real sockets on 127.0.0.1, well-behaved and not.

#![allow(clippy::unwrap_used, reason = "tests")]

mod http_server;
mod sms;
mod smtp;
mod smtp_server;
