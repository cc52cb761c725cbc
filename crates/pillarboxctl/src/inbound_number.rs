//! `inbound-number`: the numbers that people can text services at.

use clap::{Args, Subcommand, builder::PossibleValuesParser, builder::TypedValueParser};
use db::{Db, inbound_number::InboundNumber};
use domain::{
    clock::Clock,
    id::{InboundNumberId, ServiceId},
    status::ProviderId,
};
use serde::Serialize;

use crate::{
    database,
    error::Error,
    output::{say, say_json},
};

/// Numbers that people can text services at
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Add(Add),
    Assign(Assign),
    List(List),
}

/// Add a number that a provider rents out to us
#[derive(Debug, Args)]
pub(crate) struct Add {
    /// As people dial it: 07…, or a short code
    #[arg(value_parser = number)]
    number: String,
    #[arg(long, value_name = "PROVIDER", value_parser = provider())]
    provider: ProviderId,
}

/// Give a free number to a service, with the permission to receive texts
#[derive(Debug, Args)]
pub(crate) struct Assign {
    #[arg(value_parser = number)]
    number: String,
    /// It can have one number
    #[arg(long, value_name = "ID")]
    service: ServiceId,
}

/// Show all numbers and whose they are
#[derive(Debug, Args)]
pub(crate) struct List {
    #[arg(long)]
    json: bool,
}

fn number(text: &str) -> Result<String, String> {
    if (3..=11).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()) {
        Ok(text.to_owned())
    } else {
        Err("3 to 11 digits".into())
    }
}

fn provider() -> impl TypedValueParser<Value = ProviderId> {
    PossibleValuesParser::new([ProviderId::Mmg, ProviderId::Firetext].map(ProviderId::as_str))
        .try_map(|word| word.parse::<ProviderId>())
}

pub(crate) async fn run(command: Command) -> Result<(), Error> {
    let db = database::open(&database::settings()?.database).await?;
    match command {
        Command::Add(arguments) => add(&db, arguments).await,
        Command::Assign(arguments) => assign(&db, arguments).await,
        Command::List(arguments) => list(&db, arguments).await,
    }
}

async fn add(db: &Db, Add { number, provider }: Add) -> Result<(), Error> {
    let (now, new) = (Clock::System.now(), number.clone());
    let id = InboundNumberId::new(now);
    let added = db
        .run("inbound_number.add", move |conn| db::inbound_number::add(conn, id, &new, provider, now))
        .await?;
    if !added {
        return Err(Error::No(format!("the number {number} is there already")));
    }
    say(&format!("added {number}"))
}

async fn assign(db: &Db, Assign { number, service }: Assign) -> Result<(), Error> {
    let (now, wanted) = (Clock::System.now(), number.clone());
    let assigned = db.run("inbound_number.assign", move |conn| {
        if db::service::find(conn, service)?.is_none() {
            return Ok(Err(format!("no service has the id {service}")));
        }
        let theirs = db::inbound_number::list(conn)?;
        let is_theirs = |known: &&InboundNumber| known.service.as_ref().is_some_and(|(id, _)| *id == service);
        if let Some(other) = theirs.iter().find(is_theirs).filter(|known| known.number != wanted) {
            return Ok(Err(format!("the service has the number {} already", other.number)));
        }
        let given = db::inbound_number::assign(conn, &wanted, service, now)?;
        Ok(if given { Ok(()) } else { Err(format!("{wanted} is no free number of ours")) })
    });
    assigned.await?.map_err(Error::No)?;
    say(&format!("people can text {service} at {number}"))
}

async fn list(db: &Db, List { json }: List) -> Result<(), Error> {
    let numbers = db.run("inbound_number.list", db::inbound_number::list).await?;
    if json {
        return say_json(&numbers.iter().map(Listed::from).collect::<Vec<_>>());
    }
    if numbers.is_empty() {
        return say("no numbers");
    }
    let lines = numbers.iter().map(|known| {
        let whose = match &known.service {
            Some((id, name)) if known.active => format!("{id}  {name}"),
            Some((id, name)) => format!("{id}  {name} (off)"),
            None if known.active => "free".into(),
            None => "archived".into(),
        };
        format!("{:<11}  {:<8}  {whose}", known.number, known.provider.as_str())
    });
    say(&lines.collect::<Vec<_>>().join("\n"))
}

/// A number in JSON.
#[derive(Serialize)]
struct Listed<'n> {
    id: InboundNumberId,
    number: &'n str,
    provider: &'static str,
    service: Option<ServiceId>,
    active: bool,
}

impl<'n> From<&'n InboundNumber> for Listed<'n> {
    fn from(known: &'n InboundNumber) -> Self {
        Self {
            id: known.id,
            number: &known.number,
            provider: known.provider.as_str(),
            service: known.service.as_ref().map(|(id, _)| *id),
            active: known.active,
        }
    }
}
