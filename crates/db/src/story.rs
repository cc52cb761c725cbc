//! What happened to one notification, for the operator who is asked.

use chrono::{DateTime, Utc};
use diesel::{PgConnection, QueryResult, RunQueryDsl, sql_types as sql};
use domain::id::NotificationId;
use uuid::Uuid;

use crate::{
    due::{self, DueRow},
    notification::{self, StoredNotification},
    statement::statement,
};

/// One try to hand it to a provider.
#[derive(Debug)]
pub struct AttemptRow {
    pub at: DateTime<Utc>,
    /// None: no provider could be chosen.
    pub provider: Option<String>,
    pub took_ms: i32,
    pub outcome: String,
    pub reason: Option<String>,
}

/// One thing that a provider told us.
#[derive(Debug)]
pub struct ReceiptRow {
    pub at: DateTime<Utc>,
    pub provider: String,
    pub status: String,
    pub detail: Option<String>,
    pub applied_at: Option<DateTime<Utc>>,
    pub effect: Option<String>,
}

/// Everything that the database knows of a notification, but what it says and to whom.
#[derive(Debug)]
pub struct Story {
    pub notification: StoredNotification,
    /// None: nothing is to be done any more.
    pub due: Option<DueRow>,
    pub attempts: Vec<AttemptRow>,
    pub receipts: Vec<ReceiptRow>,
}

statement! {
    Attempts {
        id: Uuid => sql::Uuid,
    } -> (sql::Timestamptz, sql::Nullable<sql::Text>, sql::Integer, sql::Text, sql::Nullable<sql::Text>),
    "SELECT attempted_at, provider::text, took_ms, outcome::text, reason FROM attempts
     WHERE notification_id = ? ORDER BY attempted_at"
}

statement! {
    Receipts {
        exact: String => sql::Text,
        message_id: String => sql::Text,
    } -> (sql::Timestamptz, sql::Text, sql::Text, sql::Nullable<sql::Text>, sql::Nullable<sql::Timestamptz>,
          sql::Nullable<sql::Text>),
    "SELECT received_at, provider::text, status, detail, applied_at, effect FROM receipts
     WHERE reference = ? OR reference LIKE ? ORDER BY received_at"
}

type AttemptTuple = (DateTime<Utc>, Option<String>, i32, String, Option<String>);
type ReceiptTuple = (DateTime<Utc>, String, String, Option<String>, Option<DateTime<Utc>>, Option<String>);

/// The whole story; None when no notification has this id.
///
/// # Errors
/// When a query fails.
pub fn of(conn: &mut PgConnection, id: NotificationId) -> QueryResult<Option<Story>> {
    let Some(notification) = notification::find(conn, id)? else { return Ok(None) };
    let attempts: Vec<AttemptTuple> = Attempts { id: id.0, _binds: std::marker::PhantomData }.load(conn)?;
    let receipts: Vec<ReceiptTuple> =
        Receipts { exact: id.to_string(), message_id: format!("{id}@%"), _binds: std::marker::PhantomData }
            .load(conn)?;
    let attempt =
        |(at, provider, took_ms, outcome, reason)| AttemptRow { at, provider, took_ms, outcome, reason };
    let receipt = |(at, provider, status, detail, applied_at, effect)| ReceiptRow {
        at,
        provider,
        status,
        detail,
        applied_at,
        effect,
    };
    Ok(Some(Story {
        notification,
        due: due::find(conn, id.0)?,
        attempts: attempts.into_iter().map(attempt).collect(),
        receipts: receipts.into_iter().map(receipt).collect(),
    }))
}
