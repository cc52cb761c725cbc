//! How templates are made and changed. Whoever changes one holds its row, so that no two make the same version.

use chrono::{DateTime, Utc};
use diesel::{
    Connection, ExpressionMethods, OptionalExtension, PgConnection, QueryDsl, QueryResult, RunQueryDsl,
};
use domain::id::{ServiceId, TemplateId};
use uuid::Uuid;

use super::{Detailed, Template, Which, detailed};
use crate::{
    pg_enum::PgChannel,
    schema::{template_versions, templates, users},
};

/// Who makes a version.
#[derive(Clone, Debug)]
pub struct Author {
    /// None: an operator, who need not be a user.
    pub id: Option<Uuid>,
    /// What the public API tells.
    pub email_address: String,
}

/// A user as the author of templates; None: there is no such user.
///
/// # Errors
/// When the query fails.
pub fn author(conn: &mut PgConnection, user: Uuid) -> QueryResult<Option<Author>> {
    let address: Option<String> =
        users::table.find(user).select(users::email_address).first(conn).optional()?;
    Ok(address.map(|email_address| Author { id: Some(user), email_address }))
}

/// Stores a new template, at version 1.
///
/// # Errors
/// When the database refuses; then nothing is written.
pub fn create(
    conn: &mut PgConnection,
    template: &Template,
    author: &Author,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let first = Template { version: 1, archived: false, ..template.clone() };
    conn.transaction(|conn| {
        diesel::insert_into(templates::table)
            .values((
                templates::id.eq(first.id.0),
                templates::service_id.eq(first.service_id.0),
                templates::channel.eq(PgChannel(first.channel)),
                templates::name.eq(&first.name),
                templates::version.eq(first.version),
                templates::created_at.eq(now),
            ))
            .execute(conn)?;
        insert_version(conn, &first, author, now)
    })
}

fn insert_version(
    conn: &mut PgConnection,
    template: &Template,
    author: &Author,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    diesel::insert_into(template_versions::table)
        .values((
            template_versions::template_id.eq(template.id.0),
            template_versions::version.eq(template.version),
            template_versions::name.eq(&template.name),
            template_versions::subject.eq(&template.subject),
            template_versions::content.eq(&template.content),
            template_versions::has_unsubscribe_link.eq(template.has_unsubscribe_link),
            template_versions::archived.eq(template.archived),
            template_versions::created_at.eq(now),
            template_versions::created_by.eq(&author.email_address),
            template_versions::created_by_id.eq(author.id),
        ))
        .execute(conn)
        .map(drop)
}

/// What is to be different from now on; None stays as it is.
#[derive(Clone, Debug, Default)]
pub struct Change {
    pub name: Option<String>,
    /// E-mails only.
    pub subject: Option<String>,
    pub content: Option<String>,
    pub has_unsubscribe_link: Option<bool>,
    pub archived: Option<bool>,
}

impl Change {
    fn of(self, old: &Template) -> Template {
        Template {
            name: self.name.unwrap_or_else(|| old.name.clone()),
            subject: self.subject.or_else(|| old.subject.clone()),
            content: self.content.unwrap_or_else(|| old.content.clone()),
            has_unsubscribe_link: self.has_unsubscribe_link.unwrap_or(old.has_unsubscribe_link),
            archived: self.archived.unwrap_or(old.archived),
            ..old.clone()
        }
    }
}

/// Adds a version, if anything is different in it; the version that is current then. None: the service has no such template,
/// or it is hidden. Without an author the version is told to be by who made the one before.
///
/// # Errors
/// When a query fails; then nothing is written.
pub fn update(
    conn: &mut PgConnection,
    (service, id): (ServiceId, TemplateId),
    change: Change,
    author: Option<&Author>,
    now: DateTime<Utc>,
) -> QueryResult<Option<i32>> {
    conn.transaction(|conn| {
        let Some(Detailed { dated, created_by_id, .. }) = hold(conn, service, id)? else { return Ok(None) };
        let old = dated.template;
        let mut new = change.of(&old);
        if new == old {
            return Ok(Some(old.version));
        }
        new.version += 1;
        diesel::update(templates::table.find(id.0))
            .set((
                templates::name.eq(&new.name),
                templates::version.eq(new.version),
                templates::updated_at.eq(now),
            ))
            .execute(conn)?;
        if new.archived != old.archived {
            diesel::update(templates::table.find(id.0))
                .set(templates::archived_at.eq(new.archived.then_some(now)))
                .execute(conn)?;
        }
        let before = Author { id: created_by_id, email_address: dated.created_by.unwrap_or_default() };
        insert_version(conn, &new, author.unwrap_or(&before), now)?;
        Ok(Some(new.version))
    })
}

/// The template as it is, and stays until the end of the transaction.
fn hold(conn: &mut PgConnection, service: ServiceId, id: TemplateId) -> QueryResult<Option<Detailed>> {
    let held: Option<Uuid> = templates::table
        .find(id.0)
        .filter(templates::service_id.eq(service.0))
        .select(templates::id)
        .for_no_key_update()
        .first(conn)
        .optional()?;
    match held {
        // A second statement: the first one's snapshot may be older than what it waited for.
        Some(_) => Ok(detailed(conn, service, Which::Current(id))?.pop()),
        None => Ok(None),
    }
}

/// Creates a template at version 1, or brings an existing one to the same state by [`update`]; the version that is current now.
///
/// # Errors
/// When a query fails; then nothing is written.
pub fn put(
    conn: &mut PgConnection,
    template: &Template,
    created_by: &str,
    now: DateTime<Utc>,
) -> QueryResult<i32> {
    let author = Author { id: None, email_address: created_by.to_owned() };
    let change = Change {
        name: Some(template.name.clone()),
        subject: template.subject.clone(),
        content: Some(template.content.clone()),
        has_unsubscribe_link: Some(template.has_unsubscribe_link),
        archived: None,
    };
    conn.transaction(|conn| {
        let known = (template.service_id, template.id);
        if let Some(version) = update(conn, known, change, Some(&author), now)? {
            return Ok(version);
        }
        create(conn, template, &author, now)?;
        Ok(1)
    })
}

/// Hides what is filled into its messages from whoever reads the log, for good.
///
/// # Errors
/// When the query fails, or there is no such user.
pub fn redact(conn: &mut PgConnection, id: TemplateId, by: Uuid) -> QueryResult<()> {
    let shown = templates::table.find(id.0).filter(templates::redact_personalisation.eq(false));
    diesel::update(shown)
        .set((templates::redact_personalisation.eq(true), templates::redacted_by.eq(by)))
        .execute(conn)
        .map(drop)
}

/// Where answers to its messages go, or who they come from: an id of one of the service's; None: its default.
///
/// # Errors
/// When the query fails.
pub fn set_reply_to(
    conn: &mut PgConnection,
    id: TemplateId,
    reply_to: Option<Uuid>,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    diesel::update(templates::table.find(id.0))
        .set((templates::reply_to.eq(reply_to), templates::updated_at.eq(now)))
        .execute(conn)
        .map(drop)
}
