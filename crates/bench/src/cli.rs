//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::{accept, database, delivery, end_to_end, error::Error, floor, report, stack::Stack};

/// Measures Pillarbox; scripts/bench is what people call
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Prepare(Prepare),
    Floor(Measure<floor::Arguments>),
    Accept(Measure<accept::Arguments>),
    Delivery(Measure<delivery::Arguments>),
    EndToEnd(Measure<end_to_end::Arguments>),
    Report(report::Arguments),
}

/// Mark an empty database as the bench's own, and make the one of the floor beside it
#[derive(Debug, clap::Args)]
struct Prepare {
    #[command(flatten)]
    stack: Stack,
}

/// What every measurement is told.
#[derive(Debug, clap::Args)]
struct Measure<T: clap::Args> {
    #[command(flatten)]
    arguments: T,
    #[command(flatten)]
    stack: Stack,
    /// Which round of measurements this is part of
    #[arg(long, default_value_t = 1)]
    round: u32,
    /// The file that the result is appended to, as a line of JSON; only printed without it
    #[arg(long)]
    into: Option<PathBuf>,
}

/// Reads the command line and does what it says.
pub(crate) fn run() -> Result<(), Error> {
    let Arguments { command } = Arguments::parse();
    // One thread: the bench shares the machine with what it measures.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::io("the runtime cannot be started"))?;
    runtime.block_on(async {
        let (run, round, into) = match command {
            Command::Prepare(Prepare { stack }) => return database::prepare(&stack),
            Command::Report(arguments) => return report::run(&arguments),
            Command::Floor(m) => (floor::run(&m.arguments, &m.stack)?, m.round, m.into),
            Command::Accept(m) => (accept::run(&m.arguments, &m.stack).await?, m.round, m.into),
            Command::Delivery(m) => (delivery::run(&m.arguments, &m.stack).await?, m.round, m.into),
            Command::EndToEnd(m) => (end_to_end::run(&m.arguments, &m.stack).await?, m.round, m.into),
        };
        run.of(round).keep(into.as_deref())
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }
}
