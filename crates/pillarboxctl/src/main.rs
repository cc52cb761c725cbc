//! An operator's hand: schema, demo data, services and what is theirs, the story of one notification, the balance of them all.
//!
//! What is asked for goes to standard output, one thing a line; what else is to be said, to standard error. Nothing here
//! shows what was sent to whom, and a key only to whoever creates or seeds it.

mod api_client;
mod audit;
mod cli;
mod database;
mod demo;
mod error;
mod guest_list;
mod humane;
mod inbound_number;
mod inspect;
mod key;
mod key_text;
mod migrate;
mod output;
mod patience;
mod providers;
mod seed;
mod services;
mod stats;
mod templates;
mod token;
mod users;

use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pillarboxctl: {error}");
            error.exit_code()
        }
    }
}
