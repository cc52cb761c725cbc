//! `template`: what services send.

mod content;

use clap::{Args, Subcommand, builder::PossibleValuesParser, builder::TypedValueParser};
use db::{
    Db, service,
    template::{self, Author, Change, Detailed, Template, Which, rules},
};
use domain::{
    clock::Clock,
    id::{ServiceId, TemplateId},
    status::Channel,
};
use serde::Serialize;
use uuid::Uuid;

use self::content::Content;
use crate::{
    database,
    error::Error,
    humane,
    output::{say, say_json, timestamp},
    services, users,
};

/// Templates: what services send
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Create(Create),
    Update(Update),
    List(List),
    Show(Show),
    Archive(Archive),
}

/// Create a template, and print its id
#[derive(Debug, Args)]
pub(crate) struct Create {
    #[arg(long, value_name = "ID")]
    service: ServiceId,
    /// Whose work it is
    #[arg(long, value_name = "ID")]
    user: Uuid,
    #[arg(long = "type", value_name = "TYPE", value_parser = channel())]
    channel: Channel,
    #[arg(long)]
    name: String,
    /// Of e-mails
    #[arg(long, required_if_eq("channel", "email"))]
    subject: Option<String>,
    /// Its e-mails offer to unsubscribe
    #[arg(long)]
    unsubscribe_link: bool,
    #[command(flatten)]
    content: Content,
    #[arg(long)]
    json: bool,
}

/// Make a new version of a template; what is not named stays
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("change").required(true).multiple(true)
    .args(["name", "subject", "content", "file"])))]
pub(crate) struct Update {
    id: TemplateId,
    #[arg(long, value_name = "ID")]
    service: ServiceId,
    /// Whose work it is; without it, whose the version before was
    #[arg(long, value_name = "ID")]
    user: Option<Uuid>,
    #[arg(long)]
    name: Option<String>,
    /// Of e-mails
    #[arg(long)]
    subject: Option<String>,
    #[command(flatten)]
    content: Option<Content>,
    #[arg(long)]
    json: bool,
}

/// Show a service's templates, but those that are archived
#[derive(Debug, Args)]
pub(crate) struct List {
    #[arg(long, value_name = "ID")]
    service: ServiceId,
    #[arg(long)]
    json: bool,
}

/// Show a template as it is, or was
#[derive(Debug, Args)]
pub(crate) struct Show {
    id: TemplateId,
    #[arg(long, value_name = "ID")]
    service: ServiceId,
    /// An older version
    #[arg(long, value_name = "NUMBER")]
    version: Option<i32>,
    #[arg(long)]
    json: bool,
}

/// Archive a template: nothing is sent with it any more
#[derive(Debug, Args)]
pub(crate) struct Archive {
    id: TemplateId,
    #[arg(long, value_name = "ID")]
    service: ServiceId,
    #[arg(long)]
    json: bool,
}

fn channel() -> impl TypedValueParser<Value = Channel> {
    PossibleValuesParser::new(Channel::ALL.iter().map(|channel| channel.as_str()))
        .try_map(|word| word.parse::<Channel>())
}

pub(crate) async fn run(command: Command) -> Result<(), Error> {
    let db = database::open(&database::settings()?.database).await?;
    match command {
        Command::Create(arguments) => create(&db, arguments).await,
        Command::Update(arguments) => update(&db, arguments).await,
        Command::List(arguments) => list(&db, arguments).await,
        Command::Show(arguments) => show(&db, arguments).await,
        Command::Archive(arguments) => archive(&db, arguments).await,
    }
}

async fn create(db: &Db, arguments: Create) -> Result<(), Error> {
    let Create { service, user, channel, name, subject, unsubscribe_link, content, json } = arguments;
    let now = Clock::System.now();
    let template = Template {
        id: TemplateId::new(now),
        service_id: service,
        channel,
        name,
        version: 1,
        subject: check_subject(channel, subject)?,
        content: check_content(channel, content.read()?)?,
        has_unsubscribe_link: unsubscribe_link,
        archived: false,
    };
    let id = template.id;
    permitted(db, service, channel).await?;
    let author = author(db, user).await?;
    db.run("template.create", move |conn| template::create(conn, &template, &author, now)).await?;
    let made = find(db, service, Which::Current(id), id).await?;
    if json {
        return say_json(&Shown::from(made));
    }
    eprintln!("created the template {}; its id:", made.dated.template.name);
    say(&id.to_string())
}

fn check_content(channel: Channel, content: String) -> Result<String, Error> {
    rules::check_content(channel, &content).map_err(|unfit| Error::No(unfit.to_string()))?;
    Ok(content)
}

fn check_subject(channel: Channel, subject: Option<String>) -> Result<Option<String>, Error> {
    match (channel, &subject) {
        (Channel::Sms, Some(_)) => return Err(Error::No("a text has no subject".into())),
        (Channel::Email, Some(subject)) => {
            rules::check_subject(subject).map_err(|unfit| Error::No(unfit.to_string()))?;
        }
        (_, None) => {}
    }
    Ok(subject)
}

async fn permitted(db: &Db, id: ServiceId, channel: Channel) -> Result<(), Error> {
    let found = db.run("service.find", move |conn| service::find(conn, id)).await?;
    let service = found.ok_or_else(|| Error::No(services::unknown(id)))?;
    let needed = rules::needed(channel);
    if service.permissions.contains(&needed) {
        Ok(())
    } else {
        Err(Error::No(format!("the service has no permission `{}`", needed.as_str())))
    }
}

async fn author(db: &Db, user: Uuid) -> Result<Author, Error> {
    let found = db.run("template.author", move |conn| template::author(conn, user)).await?;
    found.ok_or_else(|| Error::No(users::unknown(user)))
}

async fn find(db: &Db, service: ServiceId, which: Which, id: TemplateId) -> Result<Detailed, Error> {
    let found = db.run("template.detailed", move |conn| template::detailed(conn, service, which)).await?;
    let none = || Error::No(format!("the service {service} has no such template {id}"));
    found.into_iter().next().ok_or_else(none)
}

async fn update(db: &Db, arguments: Update) -> Result<(), Error> {
    let Update { id, service, user, name, subject, content, json } = arguments;
    let old = find(db, service, Which::Current(id), id).await?.dated.template;
    let content = content.map(|content| content.read()).transpose()?;
    let change = Change {
        name,
        subject: check_subject(old.channel, subject)?,
        content: content.map(|content| check_content(old.channel, content)).transpose()?,
        ..Change::default()
    };
    permitted(db, service, old.channel).await?;
    let author = match user {
        Some(user) => Some(author(db, user).await?),
        None => None,
    };
    changed(db, (service, id), change, author, json).await
}

async fn changed(
    db: &Db,
    (service, id): (ServiceId, TemplateId),
    change: Change,
    author: Option<Author>,
    json: bool,
) -> Result<(), Error> {
    let now = Clock::System.now();
    let made = db.run("template.update", move |conn| {
        template::update(conn, (service, id), change, author.as_ref(), now)
    });
    made.await?;
    let shown = find(db, service, Which::Current(id), id).await?;
    let template = &shown.dated.template;
    let state = if template.archived { "archived" } else { "current" };
    let line = format!("{id}  version {}  {state}", template.version);
    if json { say_json(&Shown::from(shown)) } else { say(&line) }
}

async fn list(db: &Db, List { service, json }: List) -> Result<(), Error> {
    let found = db.run("template.list", move |conn| {
        service::of(conn, service, |conn| template::detailed(conn, service, Which::All(None)))
    });
    let templates = found.await?.ok_or_else(|| Error::No(services::unknown(service)))?;
    if json {
        return say_json(&templates.into_iter().map(Shown::from).collect::<Vec<_>>());
    }
    if templates.is_empty() {
        return say("no templates");
    }
    let lines = templates.iter().map(|detailed| {
        let Template { id, channel, version, name, .. } = &detailed.dated.template;
        format!("{id}  {:<5}  version {version:<3}  {name}", channel.as_str())
    });
    say(&lines.collect::<Vec<_>>().join("\n"))
}

async fn show(db: &Db, Show { id, service, version, json }: Show) -> Result<(), Error> {
    let which = version.map_or(Which::Current(id), |version| Which::Version(id, version));
    let detailed = find(db, service, which, id).await?;
    if json {
        return say_json(&Shown::from(detailed));
    }
    let Detailed { dated, .. } = &detailed;
    let template = &dated.template;
    let made = humane::time(dated.updated_at.unwrap_or(dated.created_at));
    let mut lines = vec![
        format!("name     {}{}", template.name, if template.archived { " (archived)" } else { "" }),
        format!("type     {}", template.channel.as_str()),
        format!("version  {} of {made}", template.version),
    ];
    lines.extend(template.subject.iter().map(|subject| format!("subject  {subject}")));
    lines.extend([String::new(), template.content.clone()]);
    say(&lines.join("\n"))
}

async fn archive(db: &Db, Archive { id, service, json }: Archive) -> Result<(), Error> {
    find(db, service, Which::Current(id), id).await?;
    let change = Change { archived: Some(true), ..Change::default() };
    changed(db, (service, id), change, None, json).await
}

/// A template in JSON, as the internal API tells it.
#[derive(Serialize)]
struct Shown {
    id: TemplateId,
    name: String,
    template_type: Channel,
    content: String,
    subject: Option<String>,
    archived: bool,
    version: i32,
    service: ServiceId,
    created_by: Option<Uuid>,
    created_at: String,
    updated_at: Option<String>,
    reply_to: Option<Uuid>,
    redact_personalisation: bool,
    has_unsubscribe_link: bool,
}

impl From<Detailed> for Shown {
    fn from(Detailed { dated, created_by_id, redact_personalisation, reply_to }: Detailed) -> Self {
        let template = dated.template;
        Self {
            id: template.id,
            name: template.name,
            template_type: template.channel,
            content: template.content,
            subject: template.subject,
            archived: template.archived,
            version: template.version,
            service: template.service_id,
            created_by: created_by_id,
            created_at: timestamp(dated.created_at),
            updated_at: dated.updated_at.map(timestamp),
            reply_to,
            redact_personalisation,
            has_unsubscribe_link: template.has_unsubscribe_link,
        }
    }
}
