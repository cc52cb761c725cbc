//! `key`: API keys of a service.

use clap::{Args, Subcommand, builder::PossibleValuesParser, builder::TypedValueParser};
use db::{
    Db,
    api_key::{KeyRow, NewKey},
};
use domain::{
    clock::Clock,
    id::{ApiKeyId, ServiceId},
    status::KeyType,
};
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use crate::{
    database,
    error::Error,
    humane, key_text,
    output::{say, say_json, timestamp},
    services, users,
};

/// In characters, as at the internal API.
const LONGEST_NAME: usize = 255;

/// API keys of a service
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Create(Create),
    Revoke(Revoke),
    List(List),
}

/// Create a key and print it; its secret is not shown again
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// The service that will send with it
    #[arg(long, value_name = "ID")]
    service: ServiceId,
    /// What people call it; no other live key of the service may have this name
    #[arg(long)]
    name: String,
    /// Whom it reaches: anyone, the team and the guest list, or no one (outcomes are simulated)
    #[arg(long = "type", value_name = "TYPE", value_parser = key_type())]
    key_type: KeyType,
    /// Whose doing it is
    #[arg(long, value_name = "ID")]
    user: Option<Uuid>,
    #[arg(long)]
    json: bool,
}

/// Revoke a key, for good
#[derive(Debug, Args)]
pub(crate) struct Revoke {
    /// The key's id, as `key list` shows it (not its secret)
    id: ApiKeyId,
    #[arg(long)]
    json: bool,
}

/// Show the keys of a service, without their secrets
#[derive(Debug, Args)]
pub(crate) struct List {
    #[arg(long, value_name = "ID")]
    service: ServiceId,
    #[arg(long)]
    json: bool,
}

fn key_type() -> impl TypedValueParser<Value = KeyType> {
    PossibleValuesParser::new(KeyType::ALL.iter().map(|key_type| key_type.as_str()))
        .try_map(|word| word.parse::<KeyType>())
}

pub(crate) async fn run(command: Command) -> Result<(), Error> {
    match command {
        Command::Create(arguments) => create(arguments).await,
        Command::Revoke(arguments) => revoke(arguments).await,
        Command::List(arguments) => list(arguments).await,
    }
}

async fn create(Create { service, name, key_type, user, json }: Create) -> Result<(), Error> {
    let settings = database::settings()?;
    let keyring = settings.sealing.keyring()?;
    let name = name.trim().to_owned();
    if name.is_empty() {
        return Err(Error::No("a key needs a name".into()));
    }
    if name.chars().count() > LONGEST_NAME {
        return Err(Error::No(format!("the name of a key has {LONGEST_NAME} characters at most")));
    }
    let db = database::open(&settings.database).await?;
    let keys = keys_of(&db, service).await?;
    if keys.iter().any(|key| key.revoked_at.is_none() && key.name == name) {
        return Err(Error::No(format!("a live key of this service is named {name:?} already")));
    }
    let now = Clock::System.now();
    let (id, secret) = (ApiKeyId::new(now), Uuid::new_v4());
    let whole = key_text::whole(&name, service, &secret.to_string());
    let created = db.run("key.create", move |conn| {
        if let Some(user) = user
            && !db::user::exists(conn, user)?
        {
            return Ok(Err(users::unknown(user)));
        }
        let new = NewKey { id, service_id: service, key_type, name: &name, secret, created_by: user };
        let is_new = db::api_key::create(conn, &keyring, &new, now)?;
        Ok(if is_new {
            Ok(())
        } else {
            Err("a live key of this service was given this name just now".into())
        })
    });
    created.await?.map_err(Error::No)?;
    if json {
        return say_json(&json!({ "id": id, "key_type": key_type, "key": whole }));
    }
    eprintln!("created the {key_type} key {id}; it is shown this once:");
    say(&whole)
}

async fn revoke(Revoke { id, json }: Revoke) -> Result<(), Error> {
    let db = database::open(&database::settings()?.database).await?;
    let now = Clock::System.now();
    if !db.run("key.revoke", move |conn| db::api_key::revoke(conn, id, None, now)).await? {
        return Err(Error::No(format!("no live key has the id {id}: it is unknown, or revoked already")));
    }
    if json {
        return say_json(&json!({ "id": id, "expiry_date": timestamp(now) }));
    }
    say(&format!("revoked {id}; running APIs notice within a few seconds"))
}

async fn list(List { service, json }: List) -> Result<(), Error> {
    let db = database::open(&database::settings()?.database).await?;
    let keys = keys_of(&db, service).await?;
    if json {
        return say_json(&keys.iter().map(Listed::from).collect::<Vec<_>>());
    }
    if keys.is_empty() {
        return say("no keys");
    }
    let now = Clock::System.now();
    let lines = keys.iter().map(|key| {
        let state = match key.revoked_at {
            Some(at) => format!("revoked {}", humane::relative(at, now)),
            None => "live".into(),
        };
        let created = humane::time(key.created_at);
        format!("{}  {:<6}  created {created}  {state:<20}  {}", key.id, key.key_type.as_str(), key.name)
    });
    say(&lines.collect::<Vec<_>>().join("\n"))
}

async fn keys_of(db: &Db, service: ServiceId) -> Result<Vec<KeyRow>, Error> {
    let found = db
        .run("key.list", move |conn| match db::service::find(conn, service)? {
            Some(_) => db::api_key::list(conn, service).map(Some),
            None => Ok(None),
        })
        .await?;
    found.ok_or_else(|| Error::No(services::unknown(service)))
}

/// A key in JSON, as the internal API tells it.
#[derive(Serialize)]
struct Listed<'a> {
    id: ApiKeyId,
    name: &'a str,
    key_type: KeyType,
    created_at: String,
    updated_at: Option<String>,
    /// When it was revoked.
    expiry_date: Option<String>,
    created_by: Option<Uuid>,
}

impl<'a> From<&'a KeyRow> for Listed<'a> {
    fn from(row: &'a KeyRow) -> Self {
        Self {
            id: row.id,
            name: &row.name,
            key_type: row.key_type,
            created_at: timestamp(row.created_at),
            updated_at: row.updated_at.map(timestamp),
            expiry_date: row.revoked_at.map(timestamp),
            created_by: row.created_by,
        }
    }
}
