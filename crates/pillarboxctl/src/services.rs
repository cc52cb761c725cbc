//! `service`: services, made and changed without a front end.

mod wanted;

use clap::{ArgGroup, Args, Subcommand};
use db::{
    Db,
    service::Permission,
    service_details::{self, Details, NewService, Refused, Which},
    user::{self, Person},
};
use domain::{clock::Clock, id::ServiceId};
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use self::wanted::Wanted;
use crate::{
    database,
    error::Error,
    output::{say, say_json},
    users,
};

/// Services: who sends
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Create(Create),
    List(List),
    Show(Show),
    Set(Set),
    Archive(Archive),
    AddUser(AddUser),
}

/// Create a service, in trial mode unless it is to be live, and print its id
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// What recipients see; no other service may have this name
    #[arg(long)]
    name: String,
    /// The person who works with it from the beginning
    #[arg(long, value_name = "ID")]
    user: Option<Uuid>,
    #[command(flatten)]
    wanted: Wanted,
    #[arg(long)]
    json: bool,
}

/// Show all services
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Also those that are archived
    #[arg(long)]
    all: bool,
    #[arg(long)]
    json: bool,
}

/// Show what is kept of a service, and who works with it
#[derive(Debug, Args)]
pub(crate) struct Show {
    id: ServiceId,
    #[arg(long)]
    json: bool,
}

/// Change a service; what is not named stays
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("change").required(true).multiple(true).args(wanted::NAMES).arg("name")))]
pub(crate) struct Set {
    id: ServiceId,
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    wanted: Wanted,
    #[arg(long)]
    json: bool,
}

/// End a service for good: its templates are archived, its keys revoked
#[derive(Debug, Args)]
pub(crate) struct Archive {
    id: ServiceId,
    #[arg(long)]
    json: bool,
}

/// Make a person a member of a service
#[derive(Debug, Args)]
pub(crate) struct AddUser {
    #[arg(value_name = "SERVICE_ID")]
    service: ServiceId,
    #[arg(value_name = "USER_ID")]
    user: Uuid,
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(command: Command) -> Result<(), Error> {
    let settings = database::settings()?;
    let db = database::open(&settings.database).await?;
    match command {
        Command::Create(arguments) => create(&db, arguments, settings.providers.sms_sender).await,
        Command::List(arguments) => list(&db, arguments).await,
        Command::Show(arguments) => show(&db, arguments).await,
        Command::Set(arguments) => set(&db, arguments).await,
        Command::Archive(arguments) => archive(&db, arguments).await,
        Command::AddUser(arguments) => add_user(&db, arguments).await,
    }
}

/// What commands say of an id that no service has.
pub(crate) fn unknown(id: ServiceId) -> String {
    format!("no service has the id {id}")
}

async fn create(
    db: &Db,
    Create { name, user, wanted, json }: Create,
    sms_sender: String,
) -> Result<(), Error> {
    let now = Clock::System.now();
    let mut details = Details::new(name, now);
    details.facts.created_by = user;
    wanted.apply(&mut details, now);
    let created = db.run("service.create", move |conn| {
        service_details::create(conn, NewService { details, user, sms_sender: &sms_sender }, user, now)
    });
    let details = created.await?.map_err(|refused| match (refused, user) {
        (Refused::Unknown, Some(user)) => Error::No(users::unknown(user)),
        (other, _) => Error::No(other.to_string()),
    })?;
    if json {
        return say_json(&details);
    }
    eprintln!("created the service {}, {}; its id:", details.settings.name, mode(&details));
    say(&details.id.to_string())
}

fn mode(details: &Details) -> &'static str {
    match (details.settings.active, details.settings.restricted) {
        (false, _) => "archived",
        (true, true) => "trial",
        (true, false) => "live",
    }
}

async fn list(db: &Db, List { all, json }: List) -> Result<(), Error> {
    let which = Which { only_active: !all, ..Which::default() };
    let services = db.run("service.list", move |conn| service_details::list(conn, &which)).await?;
    if json {
        return say_json(&services);
    }
    if services.is_empty() {
        return say("no services");
    }
    let line = |service: &Details| format!("{}  {:<8}  {}", service.id, mode(service), service.settings.name);
    say(&services.iter().map(line).collect::<Vec<_>>().join("\n"))
}

/// A service in JSON: as the internal API tells it, and who works with it.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    details: Details,
    users: Vec<Person>,
}

async fn show(db: &Db, Show { id, json }: Show) -> Result<(), Error> {
    let found = db.run("service.find", move |conn| {
        let Some(details) = service_details::find(conn, id)? else { return Ok(None) };
        Ok(Some((details, user::members(conn, id)?)))
    });
    let (details, members) = found.await?.ok_or_else(|| Error::No(unknown(id)))?;
    if json {
        return say_json(&Shown { details, users: members });
    }
    say(&text(&details, &members))
}

fn text(details: &Details, members: &[Person]) -> String {
    let settings = &details.settings;
    let permissions: Vec<_> = details.permissions.iter().map(|known| Permission::as_str(*known)).collect();
    let mut lines = vec![
        format!("name          {}", settings.name),
        format!("id            {}", details.id),
        format!("mode          {}", mode(details)),
        format!("permissions   {}", permissions.join(", ")),
        format!("a minute      {} requests", settings.rate_limit),
        format!(
            "a day         {} texts, {} of them abroad; {} e-mails",
            settings.sms_message_limit,
            settings.international_sms_message_limit.min(settings.sms_message_limit),
            settings.email_message_limit
        ),
        format!("contact link  {}", settings.contact_link.as_deref().unwrap_or("none")),
    ];
    let member = |person: &Person| format!("user          {}  {}", person.user.id, person.user.name);
    lines.extend(members.iter().map(member));
    lines.join("\n")
}

async fn set(db: &Db, Set { id, name, wanted, json }: Set) -> Result<(), Error> {
    let now = Clock::System.now();
    let changed = db.run("service.update", move |conn| {
        let change = |details: &mut Details| {
            if let Some(name) = name {
                details.settings.name = name;
            }
            wanted.apply(details, now);
            Ok(())
        };
        service_details::update(conn, id, change, None, now)
    });
    let details = changed.await?.map_err(|refused| refusal(&refused, id))?;
    if json { say_json(&details) } else { say(&text(&details, &[])) }
}

fn refusal(refused: &Refused, id: ServiceId) -> Error {
    match refused {
        Refused::Unknown => Error::No(unknown(id)),
        other => Error::No(other.to_string()),
    }
}

async fn archive(db: &Db, Archive { id, json }: Archive) -> Result<(), Error> {
    let now = Clock::System.now();
    let archived = db.run("service.archive", move |conn| service_details::archive(conn, id, None, now));
    archived.await?.map_err(|refused| refusal(&refused, id))?;
    if json { say_json(&json!({ "id": id, "active": false })) } else { say(&format!("archived {id}")) }
}

async fn add_user(db: &Db, AddUser { service, user, json }: AddUser) -> Result<(), Error> {
    let added = db.run("service.add_user", move |conn| {
        if service_details::find(conn, service)?.is_none() {
            return Ok(Err(unknown(service)));
        }
        if !user::exists(conn, user)? {
            return Ok(Err(users::unknown(user)));
        }
        let is_new = user::enter(conn, user, service, user::PERMISSIONS.iter().copied())?;
        Ok(if is_new { Ok(()) } else { Err(format!("{user} works with {service} already")) })
    });
    added.await?.map_err(Error::No)?;
    if json {
        return say_json(&json!({ "service": service, "user": user, "permissions": user::PERMISSIONS }));
    }
    say(&format!("{user} works with {service}"))
}
