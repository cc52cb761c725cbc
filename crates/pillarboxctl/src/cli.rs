//! The command line.

use clap::{Parser, Subcommand};

use crate::{
    audit, demo, error::Error, guest_list, inbound_number, inspect, key, migrate, providers, seed, services,
    stats, templates, token, users,
};

const AFTER_HELP: &str = "\
Configuration: the sections `database` and `sealing` of the file that PILLARBOX_CONFIG names (or ./pillarbox.toml), and the
environment: DATABASE_URL, PILLARBOX__SECTION__KEY.

Exit codes:
   0  done; for `audit`: balanced, for `demo`: both delivered, for `stats --check`: no difference
   1  not so: not balanced, not delivered, different, not found, refused
   2  the command line cannot be understood
  69  the database or the API cannot be reached
  78  the configuration cannot be used, or the schema is not this program's";

/// An operator's hand on Pillarbox
#[derive(Debug, Parser)]
#[command(version, after_help = AFTER_HELP)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Migrate(migrate::Arguments),
    Seed(seed::Arguments),
    #[command(subcommand)]
    User(users::Command),
    #[command(subcommand)]
    Service(services::Command),
    #[command(subcommand)]
    Template(templates::Command),
    #[command(subcommand)]
    GuestList(guest_list::Command),
    #[command(subcommand)]
    Key(key::Command),
    #[command(subcommand)]
    Providers(providers::Command),
    Stats(stats::Arguments),
    #[command(subcommand)]
    InboundNumber(inbound_number::Command),
    Inspect(inspect::Arguments),
    Audit(audit::Arguments),
    Token(token::Arguments),
    Demo(demo::Arguments),
}

/// Reads the command line and does what it says.
pub(crate) fn run() -> Result<(), Error> {
    let Arguments { command } = Arguments::parse();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::System)?;
    runtime.block_on(async {
        match command {
            Command::Migrate(arguments) => migrate::run(arguments).await,
            Command::Seed(arguments) => seed::run(arguments).await,
            Command::User(command) => users::run(command).await,
            Command::Service(command) => services::run(command).await,
            Command::Template(command) => templates::run(command).await,
            Command::GuestList(command) => guest_list::run(command).await,
            Command::Key(command) => key::run(command).await,
            Command::Providers(command) => providers::run(command).await,
            Command::Stats(arguments) => stats::run(arguments).await,
            Command::InboundNumber(command) => inbound_number::run(command).await,
            Command::Inspect(arguments) => inspect::run(arguments).await,
            Command::Audit(arguments) => audit::run(arguments).await,
            Command::Token(arguments) => token::run(&arguments),
            Command::Demo(arguments) => demo::run(arguments).await,
        }
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

    #[test]
    fn data_is_destroyed_only_when_said_twice() {
        let refused = |words: &[&str]| Arguments::try_parse_from(words).is_err();
        assert!(refused(&["pillarboxctl", "migrate", "--revert-all"]));
        assert!(refused(&["pillarboxctl", "migrate", "--destroy-all-data"]));
        assert!(!refused(&["pillarboxctl", "migrate", "--revert-all", "--destroy-all-data"]));
    }
}
