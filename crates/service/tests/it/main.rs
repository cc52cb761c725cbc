//! A real process, from its first line to its exit code.

#![allow(clippy::unwrap_used, reason = "a test may")]

mod process;
