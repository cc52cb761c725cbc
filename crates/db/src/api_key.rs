//! API keys. The secret is sealed for the key's id; it leaves here only to verify a signature or to be shown once.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{
    BoolExpressionMethods, Connection, ExpressionMethods, OptionalExtension, PgConnection, QueryDsl,
    QueryResult, RunQueryDsl,
};
use domain::{
    id::{ApiKeyId, ServiceId},
    status::KeyType,
};
use serde_json::json;
use uuid::Uuid;

use crate::{
    history::{self, Kind},
    pg_enum::PgKeyType,
    schema::api_keys,
    sealing::Keyring,
};

/// A key that a token may have been signed with.
#[derive(Clone)]
pub struct ApiKey {
    pub id: ApiKeyId,
    pub key_type: KeyType,
    /// The bytes of the HMAC: the text of a UUID. None: it was sealed with a key that we do not have.
    pub secret: Option<Vec<u8>>,
    pub revoked: bool,
}

impl std::fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiKey").field("id", &self.id).field("revoked", &self.revoked).finish_non_exhaustive()
    }
}

/// A revoked key is told from an unknown one for this long, so that its user learns what happened.
const VISIBLE_AFTER_REVOCATION: TimeDelta = TimeDelta::days(7);

/// The first moment of a revocation that is still told of.
fn first_visible(now: DateTime<Utc>) -> DateTime<Utc> {
    let since = (now - VISIBLE_AFTER_REVOCATION).date_naive();
    // Midnight of the revocation day is later than `now - 7 days`: the day itself is later than that day.
    since.succ_opt().unwrap_or(since).and_time(chrono::NaiveTime::MIN).and_utc()
}

/// The keys of a service that authentication looks at: live ones, and those revoked within the last seven days (counted from
/// the midnight of that day).
///
/// # Errors
/// When the query fails.
pub fn visible(
    conn: &mut PgConnection,
    keyring: &Keyring,
    service: ServiceId,
    now: DateTime<Utc>,
) -> QueryResult<Vec<ApiKey>> {
    type Row = (Uuid, PgKeyType, Vec<u8>, Option<DateTime<Utc>>);
    let rows: Vec<Row> = api_keys::table
        .filter(api_keys::service_id.eq(service.0))
        .filter(api_keys::revoked_at.is_null().or(api_keys::revoked_at.ge(first_visible(now))))
        .order(api_keys::created_at)
        .select((api_keys::id, api_keys::key_type, api_keys::secret, api_keys::revoked_at))
        .load(conn)?;
    let key = |(id, key_type, sealed, revoked_at): Row| ApiKey {
        id: id.into(),
        key_type: key_type.0,
        secret: keyring.open(id, &sealed).ok(),
        revoked: revoked_at.is_some(),
    };
    Ok(rows.into_iter().map(key).collect())
}

/// A key as people see it.
#[derive(Clone, Debug)]
pub struct KeyRow {
    pub id: ApiKeyId,
    pub service_id: ServiceId,
    pub name: String,
    pub key_type: KeyType,
    pub created_at: DateTime<Utc>,
    /// The user who made it; None: an operator did.
    pub created_by: Option<Uuid>,
    pub updated_at: Option<DateTime<Utc>>,
    pub revoked_at: Option<DateTime<Utc>>,
}

type Row = (
    Uuid,
    Uuid,
    String,
    PgKeyType,
    DateTime<Utc>,
    Option<Uuid>,
    Option<DateTime<Utc>>,
    Option<DateTime<Utc>>,
);

const COLUMNS: (
    api_keys::id,
    api_keys::service_id,
    api_keys::name,
    api_keys::key_type,
    api_keys::created_at,
    api_keys::created_by,
    api_keys::updated_at,
    api_keys::revoked_at,
) = (
    api_keys::id,
    api_keys::service_id,
    api_keys::name,
    api_keys::key_type,
    api_keys::created_at,
    api_keys::created_by,
    api_keys::updated_at,
    api_keys::revoked_at,
);

impl From<Row> for KeyRow {
    fn from((id, service_id, name, key_type, created_at, created_by, updated_at, revoked_at): Row) -> Self {
        let (id, service_id, key_type) = (id.into(), service_id.into(), key_type.0);
        Self { id, service_id, name, key_type, created_at, created_by, updated_at, revoked_at }
    }
}

/// Every key that a service ever had, oldest first.
///
/// # Errors
/// When the query fails.
pub fn list(conn: &mut PgConnection, service: ServiceId) -> QueryResult<Vec<KeyRow>> {
    let rows: Vec<Row> = api_keys::table
        .filter(api_keys::service_id.eq(service.0))
        .order((api_keys::created_at, api_keys::id))
        .select(COLUMNS)
        .load(conn)?;
    Ok(rows.into_iter().map(KeyRow::from).collect())
}

/// The keys that are live, and those that authentication still tells from unknown ones, oldest first.
///
/// # Errors
/// When the query fails.
pub fn recent(conn: &mut PgConnection, service: ServiceId, now: DateTime<Utc>) -> QueryResult<Vec<KeyRow>> {
    let first = first_visible(now);
    let mut rows = list(conn, service)?;
    rows.retain(|key| key.revoked_at.is_none_or(|revoked| revoked >= first));
    Ok(rows)
}

/// A key that is to be.
pub struct NewKey<'a> {
    pub id: ApiKeyId,
    pub service_id: ServiceId,
    pub key_type: KeyType,
    pub name: &'a str,
    pub secret: Uuid,
    /// None: an operator.
    pub created_by: Option<Uuid>,
}

impl std::fmt::Debug for NewKey<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewKey").field("id", &self.id).field("name", &self.name).finish_non_exhaustive()
    }
}

/// Stores a key, and that it was made. False: a live key of the service has this name, or any key this id; then that one stays
/// as it is.
///
/// # Errors
/// When a query fails, as it does without such a user; then nothing is written.
pub fn create(
    conn: &mut PgConnection,
    keyring: &Keyring,
    new: &NewKey<'_>,
    now: DateTime<Utc>,
) -> QueryResult<bool> {
    let sealed = keyring.seal(new.id.0, new.secret.hyphenated().to_string().as_bytes());
    conn.transaction(|conn| {
        let row: Option<Row> = diesel::insert_into(api_keys::table)
            .values((
                api_keys::id.eq(new.id.0),
                api_keys::service_id.eq(new.service_id.0),
                api_keys::name.eq(new.name),
                api_keys::key_type.eq(PgKeyType(new.key_type)),
                api_keys::secret.eq(sealed),
                api_keys::created_at.eq(now),
                api_keys::created_by.eq(new.created_by),
            ))
            .on_conflict_do_nothing()
            .returning(COLUMNS)
            .get_result(conn)
            .optional()?;
        record(conn, row.map(KeyRow::from), new.created_by, now)
    })
}

/// Revokes a live key by id, and records who did; false when there is none.
///
/// # Errors
/// When a query fails; then nothing is written.
pub fn revoke(
    conn: &mut PgConnection,
    id: ApiKeyId,
    by: Option<Uuid>,
    now: DateTime<Utc>,
) -> QueryResult<bool> {
    revoke_as(conn, id, None, by, now)
}

/// The same, and by whom the request says it is done, whoever the client acts for.
///
/// # Errors
/// When a query fails; then nothing is written.
pub fn revoke_as(
    conn: &mut PgConnection,
    id: ApiKeyId,
    created_by: Option<Uuid>,
    by: Option<Uuid>,
    now: DateTime<Utc>,
) -> QueryResult<bool> {
    let live = api_keys::table.filter(api_keys::id.eq(id.0)).filter(api_keys::revoked_at.is_null());
    conn.transaction(|conn| {
        let row: Option<Row> = diesel::update(live)
            .set((api_keys::revoked_at.eq(now), api_keys::updated_at.eq(now)))
            .returning(COLUMNS)
            .get_result(conn)
            .optional()?;
        let row =
            row.map(KeyRow::from).map(|key| KeyRow { created_by: created_by.or(key.created_by), ..key });
        record(conn, row, created_by.or(by), now)
    })
}

/// Whoever changed the row holds it. Its `created_by` is who made this version.
fn record(
    conn: &mut PgConnection,
    changed: Option<KeyRow>,
    changed_by: Option<Uuid>,
    changed_at: DateTime<Utc>,
) -> QueryResult<bool> {
    let Some(key) = changed else { return Ok(false) };
    let time = |time: DateTime<Utc>| time.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string();
    let state = json!({
        "id": key.id,
        "service_id": key.service_id,
        "name": key.name,
        "key_type": key.key_type.as_str(),
        "expiry_date": key.revoked_at.map(time),
        "created_at": time(key.created_at),
        "updated_at": key.updated_at.map(time),
        "created_by_id": key.created_by,
    });
    let (subject_id, service_id, state) = (key.id.0, Some(key.service_id), &state);
    let change =
        history::Change { kind: Kind::ApiKey, subject_id, service_id, state, changed_by, changed_at };
    history::record(conn, &change).map(|_version| true)
}
