//! Templates and their versions. A version never changes.

mod edit;
pub mod rules;

use chrono::{DateTime, Utc};
use diesel::{ExpressionMethods, JoinOnDsl, PgConnection, QueryDsl, QueryResult, RunQueryDsl};
use domain::{
    id::{ServiceId, TemplateId},
    status::Channel,
};
use uuid::Uuid;

pub use self::edit::{Author, Change, author, create, put, redact, set_reply_to, update};
use crate::{
    pg_enum::PgChannel,
    platform,
    schema::{template_versions, templates},
};

/// A template at one of its versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    pub id: TemplateId,
    pub service_id: ServiceId,
    pub channel: Channel,
    pub name: String,
    pub version: i32,
    /// E-mails only.
    pub subject: Option<String>,
    pub content: String,
    /// Its e-mails end with a link to unsubscribe, and offer it to mail programs.
    pub has_unsubscribe_link: bool,
    pub archived: bool,
}

/// The current version of a template of this service, unless it is hidden.
///
/// # Errors
/// When the query fails.
pub fn current(conn: &mut PgConnection, service: ServiceId, id: TemplateId) -> QueryResult<Option<Template>> {
    let current = detailed(conn, service, Which::Current(id))?.pop();
    Ok(current.map(|current| current.dated.template))
}

/// A template at one of its versions, with what is told of its history.
#[derive(Clone, Debug)]
pub struct Dated {
    pub template: Template,
    pub created_at: DateTime<Utc>,
    /// When this version was made; None for the first one.
    pub updated_at: Option<DateTime<Utc>>,
    /// An e-mail address.
    pub created_by: Option<String>,
}

/// What people who work on a template are told besides.
#[derive(Clone, Debug)]
pub struct Detailed {
    pub dated: Dated,
    /// The user who made this version; None: an operator did.
    pub created_by_id: Option<Uuid>,
    /// What was filled into its messages is shown to nobody who reads the log.
    pub redact_personalisation: bool,
    /// Who its texts come from, or where answers to its e-mails go; None: the service's default.
    pub reply_to: Option<Uuid>,
}

impl Detailed {
    /// The user who made this version; the platform's, if no person did.
    #[must_use]
    pub fn made_by(&self) -> Uuid {
        self.created_by_id.unwrap_or(platform::USER)
    }
}

/// What is asked of a service's templates. Hidden ones are never answered.
#[derive(Clone, Copy, Debug)]
pub enum Which {
    /// The current version of each that is not archived, by name and then by type.
    All(Option<Channel>),
    Current(TemplateId),
    Version(TemplateId, i32),
    /// Every version, newest first.
    Versions(TemplateId),
}

/// Templates of this service, as they are shown to it.
///
/// # Errors
/// When the query fails.
pub fn dated(conn: &mut PgConnection, service: ServiceId, which: Which) -> QueryResult<Vec<Dated>> {
    Ok(detailed(conn, service, which)?.into_iter().map(|detailed| detailed.dated).collect())
}

type Head = (Uuid, PgChannel, Option<DateTime<Utc>>, DateTime<Utc>, bool, Option<Uuid>);
type Version = (i32, String, Option<String>, String, bool, bool, DateTime<Utc>, Option<String>, Option<Uuid>);

/// Templates of this service, as they are shown to who works on them.
///
/// # Errors
/// When the query fails.
pub fn detailed(conn: &mut PgConnection, service: ServiceId, which: Which) -> QueryResult<Vec<Detailed>> {
    let joined = template_versions::table.on(template_versions::template_id.eq(templates::id));
    let mut query = templates::table
        .inner_join(joined)
        .filter(templates::service_id.eq(service.0))
        .filter(templates::hidden.eq(false))
        .order((templates::name, templates::channel, templates::id, template_versions::version.desc()))
        .select((
            (
                templates::id,
                templates::channel,
                templates::archived_at,
                templates::created_at,
                templates::redact_personalisation,
                templates::reply_to,
            ),
            (
                template_versions::version,
                template_versions::name,
                template_versions::subject,
                template_versions::content,
                template_versions::has_unsubscribe_link,
                template_versions::archived,
                template_versions::created_at,
                template_versions::created_by,
                template_versions::created_by_id,
            ),
        ))
        .into_boxed();
    query = match which {
        Which::All(_) | Which::Current(_) => query.filter(template_versions::version.eq(templates::version)),
        Which::Version(_, version) => query.filter(template_versions::version.eq(version)),
        Which::Versions(_) => query,
    };
    query = match which {
        Which::All(channel) => {
            let query = query.filter(templates::archived_at.is_null());
            match channel {
                Some(channel) => query.filter(templates::channel.eq(PgChannel(channel))),
                None => query,
            }
        }
        Which::Current(id) | Which::Version(id, _) | Which::Versions(id) => {
            query.filter(templates::id.eq(id.0))
        }
    };
    let rows: Vec<(Head, Version)> = query.load(conn)?;
    Ok(rows.into_iter().map(|(head, version)| shown(service, which, head, version)).collect())
}

fn shown(service: ServiceId, which: Which, head: Head, version: Version) -> Detailed {
    let (id, channel, archived_at, created_at, redact_personalisation, reply_to) = head;
    let (version, name, subject, content, has_unsubscribe_link, archived, made_at, by, created_by_id) =
        version;
    let archived = match which {
        Which::All(_) | Which::Current(_) => archived_at.is_some(),
        Which::Version(..) | Which::Versions(_) => archived,
    };
    let template = Template {
        id: id.into(),
        service_id: service,
        channel: channel.0,
        name,
        version,
        subject,
        content,
        has_unsubscribe_link,
        archived,
    };
    let updated_at = (version > 1).then_some(made_at);
    let dated = Dated { template, created_at, updated_at, created_by: by };
    Detailed { dated, created_by_id, redact_personalisation, reply_to }
}

/// Subject and content of one version.
pub type VersionText = (Option<String>, String);

/// The texts of these versions.
///
/// # Errors
/// When the query fails.
pub fn texts(
    conn: &mut PgConnection,
    versions: &[(TemplateId, i32)],
) -> QueryResult<std::collections::HashMap<(TemplateId, i32), VersionText>> {
    let ids: Vec<Uuid> = versions.iter().map(|(id, _)| id.0).collect();
    let numbers: Vec<i32> = versions.iter().map(|(_, version)| *version).collect();
    let rows: Vec<(Uuid, i32, Option<String>, String)> = template_versions::table
        .filter(template_versions::template_id.eq_any(ids))
        .filter(template_versions::version.eq_any(numbers))
        .select((
            template_versions::template_id,
            template_versions::version,
            template_versions::subject,
            template_versions::content,
        ))
        .load(conn)?;
    Ok(rows
        .into_iter()
        .map(|(id, version, subject, content)| ((id.into(), version), (subject, content)))
        .collect())
}

/// One version, under the name that its template has now.
#[derive(Clone, Debug, Default)]
pub struct NamedVersion {
    pub name: String,
    /// E-mails only.
    pub subject: Option<String>,
    pub content: String,
}

/// These versions with their names.
///
/// # Errors
/// When a query fails.
pub fn named(
    conn: &mut PgConnection,
    versions: &[(TemplateId, i32)],
) -> QueryResult<std::collections::HashMap<(TemplateId, i32), NamedVersion>> {
    let ids = versions.iter().map(|(id, _)| id.0);
    let names: Vec<(Uuid, String)> = templates::table
        .filter(templates::id.eq_any(ids))
        .select((templates::id, templates::name))
        .load(conn)?;
    let names: std::collections::HashMap<Uuid, String> = names.into_iter().collect();
    let named = |(version, (subject, content)): ((TemplateId, i32), VersionText)| {
        let name = names.get(&version.0.0).cloned().unwrap_or_default();
        (version, NamedVersion { name, subject, content })
    };
    Ok(texts(conn, versions)?.into_iter().map(named).collect())
}
