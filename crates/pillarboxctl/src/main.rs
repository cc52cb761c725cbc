//! An operator's hand: schema, demo data, keys, the story of one notification, the balance of them all.
//!
//! What is asked for goes to standard output, one thing a line; what else is to be said, to standard error. Nothing here
//! shows a recipient, a content or a personalisation, and a key only to whoever creates or seeds it.

mod api_client;
mod audit;
mod cli;
mod database;
mod demo;
mod error;
mod humane;
mod inbound_number;
mod inspect;
mod key;
mod key_text;
mod migrate;
mod output;
mod patience;
mod seed;
mod token;

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
