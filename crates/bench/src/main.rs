//! Measures Pillarbox against the machine it runs on: what Postgres alone can do with our rows (the floor), accepting through
//! the API, delivering what waits, and the whole way. `scripts/bench` starts everything and calls this, one command for each
//! measurement; each appends a line to the file of runs, and `report` makes the table and the JSON of them.
//!
//! Every run begins from empty tables and queues, which it empties itself. Hence the mark that [`database`] leaves in a
//! database of its own, and without which nothing is emptied.

mod accept;
mod cli;
mod cpu;
mod database;
mod delivery;
mod end_to_end;
mod error;
mod floor;
mod http;
mod machine;
mod report;
mod run;
mod stack;
mod text;
mod token;
mod worker;

use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}
