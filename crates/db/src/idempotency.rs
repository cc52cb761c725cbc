//! Requests that say which they are (`Idempotency-Key`): made again within a day they get the same answer, and nothing is done
//! twice. Written in the transaction that stores the notification, so that no crash comes between the two; read in it too,
//! under the lock of the service's usage, so that two replicas cannot both be first.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{PgConnection, QueryResult, RunQueryDsl, sql_types as sql};
use domain::{
    id::{NotificationId, ServiceId},
    status::KeyType,
};
use uuid::Uuid;

use crate::{
    pg_enum::PgKeyType,
    schema::sql_types::KeyType as SqlKeyType,
    statement::{Words, statement},
};

/// How long a request is remembered.
pub const REMEMBERED_FOR: TimeDelta = TimeDelta::hours(24);
/// The longest key, in bytes.
pub const KEY_LIMIT: usize = 255;

/// What tells a request from another one with the same key.
#[must_use]
pub fn fingerprint(path: &str, body: &[u8]) -> [u8; 32] {
    let mut digest = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    digest.update(path.as_bytes());
    // No path has one, so that no path and body run into another pair.
    digest.update(&[0]);
    digest.update(body);
    digest.finish().as_ref().try_into().expect("SHA-256 gives 32 bytes")
}

/// A request that says which it is.
#[derive(Clone, PartialEq, Eq)]
pub struct Idempotency {
    pub key: String,
    /// Of [`fingerprint`].
    pub fingerprint: [u8; 32],
    /// What to answer from now on, sealed for the notification: none if the request is refused, so that it may be mended
    /// and made again.
    pub answer: Option<(NotificationId, Vec<u8>)>,
}

impl std::fmt::Debug for Idempotency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Idempotency").finish_non_exhaustive()
    }
}

/// Whose key it is: services, and their types of key, do not see each other's.
pub(crate) type Owned<'a> = (ServiceId, KeyType, &'a str);

/// [`Owned`], by its own.
pub(crate) type OwnedKey = (ServiceId, KeyType, String);

/// A request that was made before.
#[derive(Clone)]
pub(crate) struct Earlier {
    pub(crate) fingerprint: Vec<u8>,
    pub(crate) notification: NotificationId,
    pub(crate) answer: Vec<u8>,
}

statement! {
    Find {
        services: Vec<Uuid> => sql::Array<sql::Uuid>,
        key_types: Vec<&'a str> => sql::Array<sql::Text>,
        keys: Vec<Words<'a>> => sql::Array<sql::Text>,
        since: DateTime<Utc> => sql::Timestamptz,
    } -> (sql::Uuid, SqlKeyType, sql::Text, sql::Bytea, sql::Uuid, sql::Bytea),
    "SELECT i.service_id, i.key_type, i.key, i.fingerprint, i.notification_id, i.answer
     FROM UNNEST(?, ?, ?) AS t (service_id, key_type, key)
     JOIN idempotency i ON i.service_id = t.service_id AND i.key_type = t.key_type::key_type AND i.key = t.key
     WHERE i.created_at > ?"
}

type Row = (Uuid, PgKeyType, String, Vec<u8>, Uuid, Vec<u8>);

/// Those of these requests that were made before.
pub(crate) fn find(
    conn: &mut PgConnection,
    asked: &[Owned<'_>],
    now: DateTime<Utc>,
) -> QueryResult<Vec<(OwnedKey, Earlier)>> {
    let find = Find {
        services: asked.iter().map(|(service, ..)| service.0).collect(),
        key_types: asked.iter().map(|(_, key_type, _)| key_type.as_str()).collect(),
        keys: asked.iter().map(|(.., key)| Words(key)).collect(),
        since: now - REMEMBERED_FOR,
        _binds: std::marker::PhantomData,
    };
    let rows: Vec<Row> = find.load(conn)?;
    let earlier = |(service, key_type, key, fingerprint, notification, answer): Row| {
        (
            (ServiceId(service), key_type.0, key),
            Earlier { fingerprint, notification: notification.into(), answer },
        )
    };
    Ok(rows.into_iter().map(earlier).collect())
}

statement! {
    Remember {
        now: DateTime<Utc> => sql::Timestamptz,
        services: Vec<Uuid> => sql::Array<sql::Uuid>,
        key_types: Vec<&'a str> => sql::Array<sql::Text>,
        keys: Vec<Words<'a>> => sql::Array<sql::Text>,
        fingerprints: Vec<&'a [u8]> => sql::Array<sql::Bytea>,
        notifications: Vec<Uuid> => sql::Array<sql::Uuid>,
        answers: Vec<&'a [u8]> => sql::Array<sql::Bytea>,
    } -> (),
    // What is there already is more than a day old.
    "INSERT INTO idempotency (service_id, key_type, key, fingerprint, notification_id, answer, created_at)
     SELECT service_id, key_type::key_type, key, fingerprint, notification_id, answer, ?
     FROM UNNEST(?, ?, ?, ?, ?, ?) AS t (service_id, key_type, key, fingerprint, notification_id, answer)
     ON CONFLICT (service_id, key_type, key) DO UPDATE SET fingerprint = EXCLUDED.fingerprint,
       notification_id = EXCLUDED.notification_id, answer = EXCLUDED.answer, created_at = EXCLUDED.created_at"
}

pub(crate) fn remember(
    conn: &mut PgConnection,
    made: &[(Owned<'_>, Earlier)],
    now: DateTime<Utc>,
) -> QueryResult<()> {
    Remember {
        now,
        services: made.iter().map(|((service, ..), _)| service.0).collect(),
        key_types: made.iter().map(|((_, key_type, _), _)| key_type.as_str()).collect(),
        keys: made.iter().map(|((.., key), _)| Words(key)).collect(),
        fingerprints: made.iter().map(|(_, earlier)| &*earlier.fingerprint).collect(),
        notifications: made.iter().map(|(_, earlier)| earlier.notification.0).collect(),
        answers: made.iter().map(|(_, earlier)| &*earlier.answer).collect(),
        _binds: std::marker::PhantomData,
    }
    .execute(conn)?;
    Ok(())
}

statement! {
    Forget { before: DateTime<Utc> => sql::Timestamptz, most: i64 => sql::BigInt, } -> (),
    "DELETE FROM idempotency WHERE (service_id, key_type, key) IN
       (SELECT service_id, key_type, key FROM idempotency WHERE created_at <= ? ORDER BY created_at LIMIT ?
        FOR UPDATE SKIP LOCKED)"
}

/// Deletes up to `most` of those that are past their time, oldest first, and says how many.
///
/// # Errors
/// When the statement fails.
pub fn forget(conn: &mut PgConnection, now: DateTime<Utc>, most: i64) -> QueryResult<usize> {
    Forget { before: now - REMEMBERED_FOR, most, _binds: std::marker::PhantomData }.execute(conn)
}
