//! API keys. The secret is sealed for the key's id; it leaves here only to verify a signature or to be shown once.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{BoolExpressionMethods, ExpressionMethods, PgConnection, QueryDsl, QueryResult, RunQueryDsl};
use domain::{
    id::{ApiKeyId, ServiceId},
    status::KeyType,
};
use uuid::Uuid;

use crate::{pg_enum::PgKeyType, schema::api_keys, sealing::Keyring};

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
    let since = (now - VISIBLE_AFTER_REVOCATION).date_naive();
    // Midnight of the revocation day is later than `now - 7 days`: the day itself is later than that day.
    let first_visible = since.succ_opt().unwrap_or(since).and_time(chrono::NaiveTime::MIN).and_utc();
    type Row = (Uuid, PgKeyType, Vec<u8>, Option<DateTime<Utc>>);
    let rows: Vec<Row> = api_keys::table
        .filter(api_keys::service_id.eq(service.0))
        .filter(api_keys::revoked_at.is_null().or(api_keys::revoked_at.ge(first_visible)))
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

/// A key as the operator sees it.
#[derive(Clone, Debug)]
pub struct KeyRow {
    pub id: ApiKeyId,
    pub name: String,
    pub key_type: KeyType,
    pub created_at: DateTime<Utc>,
    pub revoked_at: Option<DateTime<Utc>>,
}

/// Every key that a service ever had, oldest first.
///
/// # Errors
/// When the query fails.
pub fn list(conn: &mut PgConnection, service: ServiceId) -> QueryResult<Vec<KeyRow>> {
    type Row = (Uuid, String, PgKeyType, DateTime<Utc>, Option<DateTime<Utc>>);
    let rows: Vec<Row> = api_keys::table
        .filter(api_keys::service_id.eq(service.0))
        .order((api_keys::created_at, api_keys::id))
        .select((
            api_keys::id,
            api_keys::name,
            api_keys::key_type,
            api_keys::created_at,
            api_keys::revoked_at,
        ))
        .load(conn)?;
    let key = |(id, name, key_type, created_at, revoked_at): Row| KeyRow {
        id: id.into(),
        name,
        key_type: key_type.0,
        created_at,
        revoked_at,
    };
    Ok(rows.into_iter().map(key).collect())
}

/// Stores a key; one with this id stays as it is.
///
/// # Errors
/// When the query fails, or a live key of the service has this name.
pub fn create(
    conn: &mut PgConnection,
    keyring: &Keyring,
    (id, service, key_type): (ApiKeyId, ServiceId, KeyType),
    name: &str,
    secret: Uuid,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let sealed = keyring.seal(id.0, secret.hyphenated().to_string().as_bytes());
    diesel::insert_into(api_keys::table)
        .values((
            api_keys::id.eq(id.0),
            api_keys::service_id.eq(service.0),
            api_keys::name.eq(name),
            api_keys::key_type.eq(PgKeyType(key_type)),
            api_keys::secret.eq(sealed),
            api_keys::created_at.eq(now),
        ))
        .on_conflict(api_keys::id)
        .do_nothing()
        .execute(conn)?;
    Ok(())
}

/// Revokes a live key by id; false when there is none.
///
/// # Errors
/// When the query fails.
pub fn revoke(conn: &mut PgConnection, id: ApiKeyId, now: DateTime<Utc>) -> QueryResult<bool> {
    let live = api_keys::table.filter(api_keys::id.eq(id.0)).filter(api_keys::revoked_at.is_null());
    Ok(diesel::update(live).set(api_keys::revoked_at.eq(now)).execute(conn)? == 1)
}
