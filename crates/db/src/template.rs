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
    pub archived: bool,
}

/// The current version of a template of this service, unless it is hidden.
///
/// # Errors
/// When the query fails.
pub fn current(conn: &mut PgConnection, service: ServiceId, id: TemplateId) -> QueryResult<Option<Template>> {
    type Row = (PgChannel, String, i32, Option<String>, String, Option<DateTime<Utc>>);
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
            templates::archived_at,
        ))
        .first(conn)
        .optional()?;
    Ok(row.map(|(channel, name, version, subject, content, archived_at)| Template {
        id,
        service_id: service,
        channel: channel.0,
        name,
        version,
        subject,
        content,
        archived: archived_at.is_some(),
    }))
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

/// Creates a template at version 1, or adds a version when the text has changed; the version that is current now.
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
            Some(old) if old.subject == template.subject && old.content == template.content => {
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
                template_versions::created_at.eq(now),
                template_versions::created_by.eq(created_by),
            ))
            .execute(conn)?;
        Ok(version)
    })
}
