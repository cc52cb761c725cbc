//! `guest-list`: whom a service in trial mode, and its team keys, may reach besides its members.

use clap::{Args, Subcommand};
use db::{
    Db,
    guest_list::{self, Guest},
    service,
};
use domain::{id::ServiceId, status::Channel};
use serde_json::{Value, json};

use crate::{
    database,
    error::Error,
    output::{say, say_json},
    services,
};

/// Whom a service in trial mode, and its team keys, may reach besides its members
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Set(Set),
    Show(Show),
}

/// Put these people in place of those on the list
#[derive(Args)]
pub(crate) struct Set {
    #[arg(long, value_name = "ID")]
    service: ServiceId,
    /// Phone numbers and e-mail addresses
    #[arg(value_name = "RECIPIENT", required_unless_present = "nobody")]
    recipients: Vec<String>,
    /// Leave the list empty
    #[arg(long, conflicts_with = "recipients")]
    nobody: bool,
    #[arg(long)]
    json: bool,
}

/// Recipients are not shown.
impl std::fmt::Debug for Set {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Set").field("service", &self.service).finish_non_exhaustive()
    }
}

/// Show the list
#[derive(Debug, Args)]
pub(crate) struct Show {
    #[arg(long, value_name = "ID")]
    service: ServiceId,
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(command: Command) -> Result<(), Error> {
    let db = database::open(&database::settings()?.database).await?;
    match command {
        Command::Set(arguments) => set(&db, arguments).await,
        Command::Show(arguments) => show(&db, arguments).await,
    }
}

async fn set(db: &Db, Set { service, recipients, json, .. }: Set) -> Result<(), Error> {
    let guest = |recipient: &String| {
        let channel = if recipient.contains('@') { Channel::Email } else { Channel::Sms };
        Guest::parse(channel, recipient).ok_or_else(|| {
            Error::No(format!("{recipient:?} is neither a phone number nor an e-mail address"))
        })
    };
    let guests = recipients.iter().map(guest).collect::<Result<Vec<_>, _>>()?;
    let new = guests.clone();
    let replaced = db.run("guest_list.replace", move |conn| guest_list::replace(conn, service, &new));
    if !replaced.await? {
        return Err(Error::No(services::unknown(service)));
    }
    if json { say_json(&as_json(&guests)) } else { say(&format!("{} on the list", guests.len())) }
}

async fn show(db: &Db, Show { service, json }: Show) -> Result<(), Error> {
    let found = db.run("guest_list.list", move |conn| {
        service::of(conn, service, |conn| guest_list::list(conn, service))
    });
    let guests = found.await?.ok_or_else(|| Error::No(services::unknown(service)))?;
    if json {
        return say_json(&as_json(&guests));
    }
    if guests.is_empty() {
        return say("nobody");
    }
    let lines = guests.iter().map(|guest| format!("{:<5}  {}", guest.channel.as_str(), guest.recipient));
    say(&lines.collect::<Vec<_>>().join("\n"))
}

/// As the internal API has it.
fn as_json(guests: &[Guest]) -> Value {
    let of = |channel: Channel| {
        let theirs = guests.iter().filter(|guest| guest.channel == channel);
        theirs.map(|guest| &guest.recipient).collect::<Vec<_>>()
    };
    json!({ "email_addresses": of(Channel::Email), "phone_numbers": of(Channel::Sms) })
}
