//! What is told of notifications besides what stands in their rows: templates as they were, keys, people.

use std::collections::{BTreeSet, HashMap};

use diesel::{OptionalExtension, PgConnection, QueryResult, RunQueryDsl, sql_types as sql};
use domain::id::{ApiKeyId, ServiceId, TemplateId};
use uuid::Uuid;

use crate::{notification::StoredNotification, statement::statement};

/// Of some notifications.
#[derive(Debug, Default)]
pub struct Details {
    pub versions: HashMap<(TemplateId, i32), Version>,
    /// Names.
    pub keys: HashMap<ApiKeyId, String>,
    pub people: HashMap<Uuid, Person>,
}

/// A template as it was when it was sent.
#[derive(Clone, Debug)]
pub struct Version {
    pub service_id: ServiceId,
    pub name: String,
    pub subject: Option<String>,
    pub content: String,
    pub has_unsubscribe_link: bool,
    /// Of the template, whatever its version: what was filled in is not shown.
    pub redact_personalisation: bool,
}

#[derive(Clone, Debug)]
pub struct Person {
    pub name: String,
    pub email_address: String,
}

statement! {
    Versions { ids: Vec<Uuid> => sql::Array<sql::Uuid>, numbers: Vec<i32> => sql::Array<sql::Integer>, }
        -> (sql::Uuid, sql::Integer, sql::Uuid, sql::Text, sql::Nullable<sql::Text>, sql::Text, sql::Bool, sql::Bool),
    "SELECT t.id, v.version, t.service_id, v.name, v.subject, v.content, v.has_unsubscribe_link, t.redact_personalisation
     FROM UNNEST(?, ?) AS wanted (id, version)
     JOIN templates t ON t.id = wanted.id
     JOIN template_versions v ON v.template_id = wanted.id AND v.version = wanted.version"
}

statement! {
    Keys { ids: Vec<Uuid> => sql::Array<sql::Uuid>, } -> (sql::Uuid, sql::Text),
    "SELECT id, name FROM api_keys WHERE id = ANY(?)"
}

statement! {
    People { ids: Vec<Uuid> => sql::Array<sql::Uuid>, } -> (sql::Uuid, sql::Text, sql::Text),
    "SELECT id, name, email_address FROM users WHERE id = ANY(?)"
}

/// The details of these.
///
/// # Errors
/// When a query fails.
pub fn details(conn: &mut PgConnection, of: &[StoredNotification]) -> QueryResult<Details> {
    type VersionRow = (Uuid, i32, Uuid, String, Option<String>, String, bool, bool);
    let (ids, numbers) =
        distinct(of.iter().map(|n| (n.template_id.0, n.template_version))).into_iter().unzip();
    let rows: Vec<VersionRow> = Versions { ids, numbers, _binds: std::marker::PhantomData }.load(conn)?;
    let version =
        |(id, version, service, name, subject, content, has_unsubscribe_link, redact): VersionRow| {
            let shown = Version {
                service_id: service.into(),
                name,
                subject,
                content,
                has_unsubscribe_link,
                redact_personalisation: redact,
            };
            ((id.into(), version), shown)
        };
    let ids = distinct(of.iter().filter_map(|n| n.api_key_id.map(|id| id.0)));
    let keys: Vec<(Uuid, String)> = match &*ids {
        [] => Vec::new(),
        _ => Keys { ids, _binds: std::marker::PhantomData }.load(conn)?,
    };
    Ok(Details {
        versions: rows.into_iter().map(version).collect(),
        keys: keys.into_iter().map(|(id, name)| (id.into(), name)).collect(),
        people: people(conn, of.iter().filter_map(|n| n.created_by))?,
    })
}

/// The people who sent something, if any did.
///
/// # Errors
/// When the query fails.
pub fn people(
    conn: &mut PgConnection,
    ids: impl Iterator<Item = Uuid>,
) -> QueryResult<HashMap<Uuid, Person>> {
    let ids = distinct(ids);
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows: Vec<(Uuid, String, String)> = People { ids, _binds: std::marker::PhantomData }.load(conn)?;
    Ok(rows.into_iter().map(|(id, name, email_address)| (id, Person { name, email_address })).collect())
}

fn distinct<T: Ord>(items: impl Iterator<Item = T>) -> Vec<T> {
    items.collect::<BTreeSet<_>>().into_iter().collect()
}

statement! {
    Author { service: Uuid => sql::Uuid, id: Uuid => sql::Uuid, } -> (sql::Text, sql::Bool),
    "SELECT name, EXISTS (SELECT FROM service_users WHERE service_id = ? AND user_id = users.id) FROM users WHERE id = ?"
}

/// The name of somebody who wants to send, and whether they may for this service.
///
/// # Errors
/// When the query fails.
pub fn author(conn: &mut PgConnection, service: ServiceId, id: Uuid) -> QueryResult<Option<(String, bool)>> {
    Author { service: service.0, id, _binds: std::marker::PhantomData }.get_result(conn).optional()
}
