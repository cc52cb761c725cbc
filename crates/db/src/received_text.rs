//! Texts that people send to services.
//!
//! A text is stored for the service that has its number at that moment, once however often the provider posts it. Its
//! content is sealed for its row; the sender's number stays in clear, as recipients of notifications do.

use chrono::{DateTime, Utc};
use diesel::{
    BoolExpressionMethods, ExpressionMethods, JoinOnDsl, NullableExpressionMethods, OptionalExtension,
    PgConnection, QueryDsl, QueryResult, RunQueryDsl,
    dsl::{count_star, exists, max, not},
};
use domain::{
    id::{ReceivedTextId, ServiceId, lowest_v7},
    received_text::IncomingText,
};
use uuid::Uuid;

use crate::{
    pg_enum::{PgPermission, PgProvider},
    retention::Kept,
    schema::{data_retention, inbound_numbers, received_texts, service_permissions, services},
    sealing::Keyring,
    service::Permission,
};

/// What became of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reception {
    Stored,
    /// It was stored before.
    Repeated,
    /// Nobody has this number, or nobody who may receive texts: it is not kept.
    Unwanted,
}

/// Stores a text for the service that has its number.
///
/// # Errors
/// When a query fails; then nothing is stored.
pub fn store(
    conn: &mut PgConnection,
    keyring: &Keyring,
    text: &IncomingText,
    now: DateTime<Utc>,
) -> QueryResult<Reception> {
    use received_texts as column;
    let Some(service) = whose(conn, &text.notify_number)? else { return Ok(Reception::Unwanted) };
    let id = ReceivedTextId::new(now);
    let fingerprint = text.identity.as_ref().map(|words| {
        let words = std::iter::once(text.provider.as_str()).chain(words.iter().map(String::as_str));
        keyring.fingerprint(words).to_vec()
    });
    let stored = diesel::insert_into(received_texts::table)
        .values((
            column::id.eq(id.0),
            column::service_id.eq(service),
            column::notify_number.eq(&text.notify_number),
            column::user_number.eq(&text.user_number),
            column::content.eq(keyring.seal(id.0, text.content.as_bytes())),
            column::provider.eq(PgProvider(text.provider)),
            column::provider_reference.eq(&text.provider_reference),
            column::provider_date.eq(text.provider_date),
            column::fingerprint.eq(fingerprint),
            column::created_at.eq(now),
        ))
        .on_conflict(column::fingerprint)
        .do_nothing()
        .execute(conn)?;
    Ok(if stored == 1 { Reception::Stored } else { Reception::Repeated })
}

/// The service with this number, if it may receive texts.
fn whose(conn: &mut PgConnection, number: &str) -> QueryResult<Option<Uuid>> {
    let permission = service_permissions::permission.eq(PgPermission(Permission::InboundSms));
    let on = service_permissions::service_id.nullable().eq(inbound_numbers::service_id);
    inbound_numbers::table
        .inner_join(service_permissions::table.on(on))
        .filter(inbound_numbers::number.eq(number))
        .filter(inbound_numbers::active)
        .filter(permission)
        .select(service_permissions::service_id)
        .first(conn)
        .optional()
}

/// A text as its service reads it. `Debug` shows no personal data.
#[derive(Clone)]
pub struct ReceivedText {
    pub id: ReceivedTextId,
    pub notify_number: String,
    pub user_number: String,
    /// None: it was sealed with a key that we do not have.
    pub content: Option<String>,
    pub created_at: DateTime<Utc>,
}

impl std::fmt::Debug for ReceivedText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReceivedText").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Texts that a service received, newest first; only those that came before `older_than`, which must be one of them, or
/// else there are none.
///
/// # Errors
/// When a query fails.
pub fn list(
    conn: &mut PgConnection,
    keyring: &Keyring,
    service: ServiceId,
    older_than: Option<ReceivedTextId>,
    limit: i64,
) -> QueryResult<Vec<ReceivedText>> {
    use received_texts as column;
    let of_service = || received_texts::table.filter(column::service_id.eq(service.0));
    let mut query = of_service().order(column::id.desc()).limit(limit).into_boxed();
    if let Some(cursor) = older_than {
        let known = of_service().filter(column::id.eq(cursor.0));
        if !diesel::select(exists(known)).get_result(conn)? {
            return Ok(Vec::new());
        }
        query = query.filter(column::id.lt(cursor.0));
    }
    let rows: Vec<Row> = query.select(SHOWN).load(conn)?;
    Ok(rows.into_iter().map(|row| opened(keyring, row)).collect())
}

/// The most that is read at once.
pub const MOST: i64 = 5_000;

/// What comes in from a moment on, or the newest [`MOST`] of it; of one person, if a number is given. Newest first.
///
/// # Errors
/// When the query fails.
pub fn since(
    conn: &mut PgConnection,
    keyring: &Keyring,
    service: ServiceId,
    since: DateTime<Utc>,
    user_number: Option<&str>,
) -> QueryResult<Vec<ReceivedText>> {
    use received_texts as column;
    let mut query = received_texts::table
        .filter(column::service_id.eq(service.0))
        .filter(column::id.ge(lowest_v7(since)))
        .order(column::id.desc())
        .limit(MOST)
        .select(SHOWN)
        .into_boxed();
    if let Some(number) = user_number {
        query = query.filter(column::user_number.eq(number));
    }
    let rows: Vec<Row> = query.load(conn)?;
    Ok(rows.into_iter().map(|row| opened(keyring, row)).collect())
}

/// The newest text of each person who wrote from a moment on, newest first: so many, after so many.
///
/// # Errors
/// When the query fails.
pub fn newest_of_each(
    conn: &mut PgConnection,
    keyring: &Keyring,
    service: ServiceId,
    since: DateTime<Utc>,
    (limit, offset): (i64, i64),
) -> QueryResult<Vec<ReceivedText>> {
    use received_texts as column;
    let newer = diesel::alias!(received_texts as newer);
    let a_newer_one = newer
        .filter(newer.field(column::service_id).eq(column::service_id))
        .filter(newer.field(column::user_number).eq(column::user_number))
        .filter(newer.field(column::id).gt(column::id));
    let rows: Vec<Row> = received_texts::table
        .filter(column::service_id.eq(service.0))
        .filter(column::id.ge(lowest_v7(since)))
        .filter(not(exists(a_newer_one)))
        .order(column::id.desc())
        .limit(limit)
        .offset(offset)
        .select(SHOWN)
        .load(conn)?;
    Ok(rows.into_iter().map(|row| opened(keyring, row)).collect())
}

/// # Errors
/// When the query fails.
pub fn find(
    conn: &mut PgConnection,
    keyring: &Keyring,
    service: ServiceId,
    id: ReceivedTextId,
) -> QueryResult<Option<ReceivedText>> {
    let row = received_texts::table.find(id.0).filter(received_texts::service_id.eq(service.0));
    let row: Option<Row> = row.select(SHOWN).first(conn).optional()?;
    Ok(row.map(|row| opened(keyring, row)))
}

/// How many texts came from a moment on, and when the newest did.
///
/// # Errors
/// When the query fails.
pub fn summary(
    conn: &mut PgConnection,
    service: ServiceId,
    since: DateTime<Utc>,
) -> QueryResult<(i64, Option<DateTime<Utc>>)> {
    use received_texts as column;
    received_texts::table
        .filter(column::service_id.eq(service.0))
        .filter(column::id.ge(lowest_v7(since)))
        .select((count_star(), max(column::created_at)))
        .first(conn)
}

/// When the newest text came to a number of the service.
///
/// # Errors
/// When the query fails.
pub fn newest_to(
    conn: &mut PgConnection,
    service: ServiceId,
    number: &str,
) -> QueryResult<Option<DateTime<Utc>>> {
    use received_texts as column;
    received_texts::table
        .filter(column::service_id.eq(service.0))
        .filter(column::notify_number.eq(number))
        .order(column::id.desc())
        .select(column::created_at)
        .first(conn)
        .optional()
}

type Row = (Uuid, String, String, Vec<u8>, DateTime<Utc>);

/// The columns of a [`Row`].
const SHOWN: (
    received_texts::id,
    received_texts::notify_number,
    received_texts::user_number,
    received_texts::content,
    received_texts::created_at,
) = (
    received_texts::id,
    received_texts::notify_number,
    received_texts::user_number,
    received_texts::content,
    received_texts::created_at,
);

fn opened(keyring: &Keyring, (id, notify_number, user_number, sealed, created_at): Row) -> ReceivedText {
    ReceivedText {
        id: id.into(),
        notify_number,
        user_number,
        content: keyring.open(id, &sealed).ok().and_then(|content| String::from_utf8(content).ok()),
        created_at,
    }
}

/// Services that have texts, and how many days each wants them kept, if it says so: by their ids, so many after one of them.
///
/// # Errors
/// When the query fails.
pub fn kept(
    conn: &mut PgConnection,
    after: ServiceId,
    page: i64,
) -> QueryResult<Vec<(ServiceId, Option<i32>)>> {
    let theirs = received_texts::table.filter(received_texts::service_id.eq(services::id));
    let own = data_retention::service_id
        .eq(services::id)
        .and(data_retention::notification_type.eq(Kept::Sms.as_str()));
    let rows: Vec<(Uuid, Option<i32>)> = services::table
        .left_join(data_retention::table.on(own))
        .filter(services::id.gt(after.0))
        .filter(exists(theirs))
        .order(services::id)
        .limit(page)
        .select((services::id, data_retention::days_of_retention.nullable()))
        .load(conn)?;
    Ok(rows.into_iter().map(|(id, days)| (id.into(), days)).collect())
}

/// Forgets the oldest texts of a service that came before `before`, at most `page` of them; how many there were.
///
/// # Errors
/// When the query fails.
pub fn forget(
    conn: &mut PgConnection,
    service: ServiceId,
    before: DateTime<Utc>,
    page: i64,
) -> QueryResult<usize> {
    use received_texts::{id, service_id, table};
    let of_service = table.filter(service_id.eq(service.0));
    let oldest: Vec<Uuid> =
        of_service.filter(id.lt(lowest_v7(before))).order(id).limit(page).select(id).load(conn)?;
    diesel::delete(table.filter(id.eq_any(oldest))).execute(conn)
}
