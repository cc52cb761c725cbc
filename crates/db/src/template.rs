//! Templates and their versions. A version never changes.

use chrono::{DateTime, Utc};
use diesel::{
    BoolExpressionMethods, Connection, ExpressionMethods, JoinOnDsl, OptionalExtension, PgConnection,
    QueryDsl, QueryResult, RunQueryDsl,
};
use domain::{
    id::{ServiceId, TemplateId},
    status::Channel,
};
use uuid::Uuid;

use crate::{
    pg_enum::PgChannel,
    schema::{template_versions, templates},
};

/// A template at one of its versions.
#[derive(Clone, Debug)]
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
    type Row = (PgChannel, String, i32, Option<String>, String, bool, Option<DateTime<Utc>>);
    let row: Option<Row> = templates::table
        .inner_join(
            template_versions::table.on(template_versions::template_id
                .eq(templates::id)
                .and(template_versions::version.eq(templates::version))),
        )
        .filter(templates::id.eq(id.0))
        .filter(templates::service_id.eq(service.0))
        .filter(templates::hidden.eq(false))
        .select((
            templates::channel,
            templates::name,
            templates::version,
            template_versions::subject,
            template_versions::content,
            template_versions::has_unsubscribe_link,
            templates::archived_at,
        ))
        .first(conn)
        .optional()?;
    Ok(row.map(|(channel, name, version, subject, content, has_unsubscribe_link, archived_at)| Template {
        id,
        service_id: service,
        channel: channel.0,
        name,
        version,
        subject,
        content,
        has_unsubscribe_link,
        archived: archived_at.is_some(),
    }))
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

/// What is asked of a service's templates. Hidden ones are never answered.
#[derive(Clone, Copy, Debug)]
pub enum Which {
    /// The current version of each that is not archived, by name and then by type.
    All(Option<Channel>),
    Current(TemplateId),
    Version(TemplateId, i32),
}

/// Templates of this service, as they are shown.
///
/// # Errors
/// When the query fails.
pub fn dated(conn: &mut PgConnection, service: ServiceId, which: Which) -> QueryResult<Vec<Dated>> {
    type Head = (Uuid, PgChannel, String, Option<DateTime<Utc>>, DateTime<Utc>);
    type Version = (i32, Option<String>, String, bool, DateTime<Utc>, Option<String>);
    let joined = template_versions::table.on(template_versions::template_id.eq(templates::id));
    let mut query = templates::table
        .inner_join(joined)
        .filter(templates::service_id.eq(service.0))
        .filter(templates::hidden.eq(false))
        .order((templates::name, templates::channel, templates::id))
        .select((
            (
                templates::id,
                templates::channel,
                templates::name,
                templates::archived_at,
                templates::created_at,
            ),
            (
                template_versions::version,
                template_versions::subject,
                template_versions::content,
                template_versions::has_unsubscribe_link,
                template_versions::created_at,
                template_versions::created_by,
            ),
        ))
        .into_boxed();
    query = match which {
        Which::All(_) | Which::Current(_) => query.filter(template_versions::version.eq(templates::version)),
        Which::Version(_, version) => query.filter(template_versions::version.eq(version)),
    };
    query = match which {
        Which::All(channel) => {
            let query = query.filter(templates::archived_at.is_null());
            match channel {
                Some(channel) => query.filter(templates::channel.eq(PgChannel(channel))),
                None => query,
            }
        }
        Which::Current(id) | Which::Version(id, _) => query.filter(templates::id.eq(id.0)),
    };
    let rows: Vec<(Head, Version)> = query.load(conn)?;
    let dated = |((id, channel, name, archived_at, created_at), version): (Head, Version)| {
        let (version, subject, content, has_unsubscribe_link, made_at, created_by) = version;
        let template = Template {
            id: id.into(),
            service_id: service,
            channel: channel.0,
            name,
            version,
            subject,
            content,
            has_unsubscribe_link,
            archived: archived_at.is_some(),
        };
        Dated { template, created_at, updated_at: (version > 1).then_some(made_at), created_by }
    };
    Ok(rows.into_iter().map(dated).collect())
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

/// Creates a template at version 1, or adds a version when the text, or whether it has a link, has changed; the version that is current now.
///
/// # Errors
/// When a query fails; then nothing is written.
pub fn put(
    conn: &mut PgConnection,
    template: &Template,
    created_by: &str,
    now: DateTime<Utc>,
) -> QueryResult<i32> {
    conn.transaction(|conn| {
        let current = current(conn, template.service_id, template.id)?;
        let version = match &current {
            Some(old)
                if old.subject == template.subject
                    && old.content == template.content
                    && old.has_unsubscribe_link == template.has_unsubscribe_link =>
            {
                return Ok(old.version);
            }
            Some(old) => old.version + 1,
            None => 1,
        };
        diesel::insert_into(templates::table)
            .values((
                templates::id.eq(template.id.0),
                templates::service_id.eq(template.service_id.0),
                templates::channel.eq(PgChannel(template.channel)),
                templates::name.eq(&template.name),
                templates::version.eq(version),
                templates::created_at.eq(now),
            ))
            .on_conflict(templates::id)
            .do_update()
            .set((
                templates::name.eq(&template.name),
                templates::version.eq(version),
                templates::updated_at.eq(Some(now)),
            ))
            .execute(conn)?;
        diesel::insert_into(template_versions::table)
            .values((
                template_versions::template_id.eq(template.id.0),
                template_versions::version.eq(version),
                template_versions::subject.eq(&template.subject),
                template_versions::content.eq(&template.content),
                template_versions::has_unsubscribe_link.eq(template.has_unsubscribe_link),
                template_versions::created_at.eq(now),
                template_versions::created_by.eq(created_by),
            ))
            .execute(conn)?;
        Ok(version)
    })
}
