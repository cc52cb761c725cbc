//! `providers`: who carries messages at present, and with what weight.

use clap::{Args, Subcommand, builder::PossibleValuesParser, builder::TypedValueParser, value_parser};
use db::{
    Db,
    provider_details::{self, Change, ProviderDetails},
    statistics::month,
    user,
};
use domain::{
    clock::Clock,
    status::{Channel, ProviderId},
};
use serde::Serialize;
use uuid::Uuid;

use crate::{
    database,
    error::Error,
    output::{say, say_json, timestamp},
    users,
};

/// Who carries messages at present, and with what weight
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    List(List),
    Set(Set),
}

/// Show all providers
#[derive(Debug, Args)]
pub(crate) struct List {
    #[arg(long)]
    json: bool,
}

/// Change how a provider stands; everybody who sends follows within ten seconds
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("change").required(true).multiple(true).args(["on", "off", "priority"])))]
pub(crate) struct Set {
    #[arg(value_parser = provider())]
    provider: ProviderId,
    /// Let it carry messages
    #[arg(long, conflicts_with = "off")]
    on: bool,
    /// Give it none; its receipts are still read
    #[arg(long)]
    off: bool,
    /// Its weight among those of its kind, 0 to 100
    #[arg(long, value_name = "WEIGHT", value_parser = value_parser!(i16).range(0..=100))]
    priority: Option<i16>,
    /// Why, for whoever asks later
    #[arg(long)]
    reason: Option<String>,
    /// Who does it, for whoever asks later
    #[arg(long, value_name = "ID")]
    user: Option<Uuid>,
    #[arg(long)]
    json: bool,
}

fn provider() -> impl TypedValueParser<Value = ProviderId> {
    PossibleValuesParser::new(ProviderId::ALL.iter().map(|provider| provider.as_str()))
        .try_map(|word| word.parse::<ProviderId>())
}

pub(crate) async fn run(command: Command) -> Result<(), Error> {
    let db = database::open(&database::settings()?.database).await?;
    match command {
        Command::List(arguments) => list(&db, arguments).await,
        Command::Set(arguments) => set(&db, arguments).await,
    }
}

async fn list(db: &Db, List { json }: List) -> Result<(), Error> {
    let since = month(Clock::System.now());
    let rows = db.run("providers.list", move |conn| provider_details::list(conn, since)).await?;
    if json {
        return say_json(&rows.into_iter().map(Listed::from).collect::<Vec<_>>());
    }
    say(&rows.iter().map(line).collect::<Vec<_>>().join("\n"))
}

fn line(row: &ProviderDetails) -> String {
    let state = if row.active { "on" } else { "off" };
    let (identifier, channel) = (row.identifier.as_str(), row.channel.as_str());
    let reason = row.reason.as_deref().map(|reason| format!("  ({reason})")).unwrap_or_default();
    let sent = match row.channel {
        Channel::Sms => format!("  {} fragments this month", row.billable_sms),
        Channel::Email => String::new(),
    };
    format!("{identifier:<8}  {channel:<5}  {state:<3}  weight {:>3}{sent}{reason}", row.priority)
}

async fn set(db: &Db, arguments: Set) -> Result<(), Error> {
    let Set { provider, on, off, priority, reason, user, json } = arguments;
    let now = Clock::System.now();
    let active = (on || off).then_some(on);
    let change = Change { priority, active, reason, changed_by: user, ..Change::default() };
    let changed = db.run("providers.change", move |conn| {
        if let Some(user) = user
            && !user::exists(conn, user)?
        {
            return Ok(Err(users::unknown(user)));
        }
        let rows = provider_details::list(conn, month(now))?;
        let none = || format!("the database has no row for {provider}");
        let Some(row) = rows.into_iter().find(|row| row.identifier == provider) else {
            return Ok(Err(none()));
        };
        provider_details::change(conn, row.id, &change, now)?;
        Ok(provider_details::find(conn, row.id, month(now))?.ok_or_else(none))
    });
    let row = changed.await?.map_err(Error::No)?;
    if json { say_json(&Listed::from(row)) } else { say(&line(&row)) }
}

/// A provider in JSON, as the internal API tells it.
#[derive(Serialize)]
struct Listed {
    id: Uuid,
    display_name: String,
    identifier: ProviderId,
    priority: i16,
    notification_type: Channel,
    active: bool,
    updated_at: Option<String>,
    supports_international: bool,
    created_by_name: Option<String>,
    reason: Option<String>,
    current_month_billable_sms: i64,
}

impl From<ProviderDetails> for Listed {
    fn from(row: ProviderDetails) -> Self {
        Self {
            id: row.id,
            display_name: row.display_name,
            identifier: row.identifier,
            priority: row.priority,
            notification_type: row.channel,
            active: row.active,
            updated_at: row.updated_at.map(timestamp),
            supports_international: row.supports_international,
            created_by_name: row.created_by_name,
            reason: row.reason,
            current_month_billable_sms: row.billable_sms,
        }
    }
}
