//! Who changed what, and what it was from then on. Written in the transaction of the change.

use chrono::{DateTime, Utc};
use diesel::{OptionalExtension, PgConnection, QueryResult, RunQueryDsl, sql_types as sql};
use domain::id::ServiceId;
use serde_json::Value;
use uuid::Uuid;

use crate::statement::statement;

/// What has a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Service,
    ApiKey,
    Provider,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::ApiKey => "api_key",
            Self::Provider => "provider",
        }
    }
}

/// One thing as it was from a moment on.
#[derive(Clone, Debug)]
pub struct Version {
    pub subject_id: Uuid,
    pub version: i32,
    /// As it was recorded: an object of its fields, without secrets.
    pub state: Value,
    pub changed_by: Option<Uuid>,
    pub changed_at: DateTime<Utc>,
}

/// A change that is being made.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    pub kind: Kind,
    pub subject_id: Uuid,
    /// Whose it is, if any one's.
    pub service_id: Option<ServiceId>,
    pub state: &'a Value,
    pub changed_by: Option<Uuid>,
    pub changed_at: DateTime<Utc>,
}

statement! {
    Record {
        kind: &'a str => sql::Text,
        subject_id: Uuid => sql::Uuid,
        service_id: Option<Uuid> => sql::Nullable<sql::Uuid>,
        state: String => sql::Text,
        changed_by: Option<Uuid> => sql::Nullable<sql::Uuid>,
        changed_at: DateTime<Utc> => sql::Timestamptz,
    } -> (sql::Integer),
    "INSERT INTO history (kind, subject_id, service_id, state, changed_by, changed_at, version)
     SELECT t.kind, t.subject_id, t.service_id, t.state::jsonb, t.changed_by, t.changed_at,
       1 + coalesce((SELECT max(version) FROM history h WHERE h.kind = t.kind AND h.subject_id = t.subject_id), 0)
     FROM (VALUES (?, ?, ?, ?, ?, ?)) AS t (kind, subject_id, service_id, state, changed_by, changed_at)
     RETURNING version"
}

/// Records a change and answers its version, from 1. The caller holds the row that changes, so that no two get the same.
///
/// # Errors
/// When the database refuses.
pub fn record(conn: &mut PgConnection, change: &Change<'_>) -> QueryResult<i32> {
    let record = Record {
        kind: change.kind.as_str(),
        subject_id: change.subject_id,
        service_id: change.service_id.map(|id| id.0),
        state: change.state.to_string(),
        changed_by: change.changed_by,
        changed_at: change.changed_at,
        _binds: std::marker::PhantomData,
    };
    record.get_result::<(i32,)>(conn).map(|(version,)| version)
}

type Row = (Uuid, i32, String, Option<Uuid>, DateTime<Utc>);

impl From<Row> for Version {
    fn from((subject_id, version, state, changed_by, changed_at): Row) -> Self {
        // jsonb gives nothing but JSON.
        let state = serde_json::from_str(&state).unwrap_or_default();
        Self { subject_id, version, state, changed_by, changed_at }
    }
}

statement! {
    Of {
        kind: &'a str => sql::Text,
        subject_id: Uuid => sql::Uuid,
        most: i64 => sql::BigInt,
    } -> (sql::Uuid, sql::Integer, sql::Text, sql::Nullable<sql::Uuid>, sql::Timestamptz),
    "SELECT subject_id, version, state::text, changed_by, changed_at FROM history
     WHERE kind = ? AND subject_id = ? ORDER BY version DESC LIMIT ?"
}

/// The versions of one thing, newest first.
///
/// # Errors
/// When the query fails.
pub fn of(conn: &mut PgConnection, kind: Kind, subject_id: Uuid, most: i64) -> QueryResult<Vec<Version>> {
    let of = Of { kind: kind.as_str(), subject_id, most, _binds: std::marker::PhantomData };
    Ok(of.load::<Row>(conn)?.into_iter().map(Into::into).collect())
}

/// The current version of one thing; none was recorded: 0.
///
/// # Errors
/// When the query fails.
pub fn version(conn: &mut PgConnection, kind: Kind, subject_id: Uuid) -> QueryResult<i32> {
    let newest = Of { kind: kind.as_str(), subject_id, most: 1, _binds: std::marker::PhantomData };
    Ok(newest.get_result::<Row>(conn).optional()?.map_or(0, |row| row.1))
}

statement! {
    OfService { kind: &'a str => sql::Text, service_id: Uuid => sql::Uuid, }
        -> (sql::Uuid, sql::Integer, sql::Text, sql::Nullable<sql::Uuid>, sql::Timestamptz),
    "SELECT subject_id, version, state::text, changed_by, changed_at FROM history
     WHERE kind = ? AND service_id = ? ORDER BY changed_at, subject_id, version"
}

/// The versions of all things of a kind that a service has, oldest first.
///
/// # Errors
/// When the query fails.
pub fn of_service(conn: &mut PgConnection, kind: Kind, service: ServiceId) -> QueryResult<Vec<Version>> {
    let of = OfService { kind: kind.as_str(), service_id: service.0, _binds: std::marker::PhantomData };
    Ok(of.load::<Row>(conn)?.into_iter().map(Into::into).collect())
}
