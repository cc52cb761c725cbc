//! `user`: people who work with services.

use clap::{Args, Subcommand};
use db::user::{self, Standing, User};
use domain::clock::Clock;
use uuid::Uuid;

use crate::{
    database,
    error::Error,
    output::{say, say_json},
};

/// People who work with services
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Create(Create),
}

/// Create a person, and print their id
#[derive(Debug, Args)]
pub(crate) struct Create {
    #[arg(long)]
    name: String,
    /// Nobody else may have it
    #[arg(long, value_name = "ADDRESS")]
    email_address: String,
    #[arg(long, value_name = "NUMBER")]
    mobile_number: Option<String>,
    /// Runs the platform
    #[arg(long)]
    platform_admin: bool,
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(command: Command) -> Result<(), Error> {
    match command {
        Command::Create(arguments) => create(arguments).await,
    }
}

/// What commands say of an id that nobody has.
pub(crate) fn unknown(id: Uuid) -> String {
    format!("nobody has the id {id}")
}

async fn create(arguments: Create) -> Result<(), Error> {
    let Create { name, email_address, mobile_number, platform_admin, json } = arguments;
    let user = User::parse(name, &email_address, mobile_number).map_err(|faults| {
        let faults = faults.into_iter().map(|(field, fault)| format!("{field}: {fault}"));
        Error::No(faults.collect::<Vec<_>>().join("; "))
    })?;
    let db = database::open(&database::settings()?.database).await?;
    let (now, id) = (Clock::System.now(), user.id);
    let created = db.run("user.create", move |conn| {
        if user::create(conn, &user, Standing::of_operators(platform_admin), now)? {
            user::find(conn, id)
        } else {
            Ok(None)
        }
    });
    let taken = || Error::No("somebody has this e-mail address already".into());
    let person = created.await?.ok_or_else(taken)?;
    if json {
        return say_json(&person);
    }
    eprintln!("created {}; their id:", person.user.name);
    say(&id.to_string())
}
