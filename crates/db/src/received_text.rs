//! Texts that people send to services, and the numbers that they send them to.
//!
//! A text is stored for the service that has its number at that moment, once however often the provider posts it. Its
//! content is sealed for its row; the sender's number stays in clear, as recipients of notifications do.

use chrono::{DateTime, Utc};
use diesel::{
    BoolExpressionMethods, Connection, ExpressionMethods, JoinOnDsl, NullableExpressionMethods,
    OptionalExtension, PgConnection, QueryDsl, QueryResult, RunQueryDsl, dsl::exists,
};
use domain::{
    id::{InboundNumberId, ReceivedTextId, ServiceId, lowest_v7},
    received_text::IncomingText,
    status::ProviderId,
};
use uuid::Uuid;

use crate::{
    pg_enum::{PgPermission, PgProvider},
    schema::{inbound_numbers, received_texts, service_permissions, services},
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
    type Row = (Uuid, String, String, Vec<u8>, DateTime<Utc>);
    let of_service = || received_texts::table.filter(column::service_id.eq(service.0));
    let mut query = of_service().order(column::id.desc()).limit(limit).into_boxed();
    if let Some(cursor) = older_than {
        let known = of_service().filter(column::id.eq(cursor.0));
        if !diesel::select(exists(known)).get_result(conn)? {
            return Ok(Vec::new());
        }
        query = query.filter(column::id.lt(cursor.0));
    }
    let columns =
        (column::id, column::notify_number, column::user_number, column::content, column::created_at);
    let rows: Vec<Row> = query.select(columns).load(conn)?;
    let opened = |(id, notify_number, user_number, sealed, created_at): Row| ReceivedText {
        id: id.into(),
        notify_number,
        user_number,
        content: keyring.open(id, &sealed).ok().and_then(|content| String::from_utf8(content).ok()),
        created_at,
    };
    Ok(rows.into_iter().map(opened).collect())
}

/// Forgets the oldest texts that came before `before`, at most `page` of them; how many there were.
///
/// # Errors
/// When the query fails.
pub fn forget(conn: &mut PgConnection, before: DateTime<Utc>, page: i64) -> QueryResult<usize> {
    use received_texts::{id, table};
    let oldest = table.filter(id.lt(lowest_v7(before))).order(id).limit(page).select(id);
    let oldest: Vec<Uuid> = oldest.load(conn)?;
    diesel::delete(table.filter(id.eq_any(oldest))).execute(conn)
}

/// A number that people can text a service at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboundNumber {
    pub id: InboundNumberId,
    /// As people dial it: `07…` or a short code, 3 to 11 digits.
    pub number: String,
    pub provider: ProviderId,
    /// Id and name; None: it is free.
    pub service: Option<(ServiceId, String)>,
    /// Given up for good otherwise.
    pub active: bool,
    pub created_at: DateTime<Utc>,
    pub updated_at: Option<DateTime<Utc>>,
}

/// Every number, in order.
///
/// # Errors
/// When the query fails.
pub fn numbers(conn: &mut PgConnection) -> QueryResult<Vec<InboundNumber>> {
    use inbound_numbers as column;
    type Row = (Uuid, String, PgProvider, bool, DateTime<Utc>, Option<DateTime<Utc>>);
    let rows: Vec<(Row, Option<(Uuid, String)>)> = inbound_numbers::table
        .left_join(services::table)
        .order(column::number)
        .select((
            (
                column::id,
                column::number,
                column::provider,
                column::active,
                column::created_at,
                column::updated_at,
            ),
            (services::id, services::name).nullable(),
        ))
        .load(conn)?;
    let number =
        |((id, number, provider, active, created_at, updated_at), service): (Row, Option<(Uuid, String)>)| {
            InboundNumber {
                id: id.into(),
                number,
                provider: provider.0,
                service: service.map(|(id, name)| (id.into(), name)),
                active,
                created_at,
                updated_at,
            }
        };
    Ok(rows.into_iter().map(number).collect())
}

/// Adds a free number; whether there was none like it.
///
/// # Errors
/// When the database refuses it.
pub fn add_number(
    conn: &mut PgConnection,
    id: InboundNumberId,
    number: &str,
    provider: ProviderId,
    now: DateTime<Utc>,
) -> QueryResult<bool> {
    use inbound_numbers as column;
    let added = diesel::insert_into(inbound_numbers::table)
        .values((
            column::id.eq(id.0),
            column::number.eq(number),
            column::provider.eq(PgProvider(provider)),
            column::created_at.eq(now),
        ))
        .on_conflict_do_nothing()
        .execute(conn)?;
    Ok(added == 1)
}

/// Gives a free number to a service, and the permission to receive texts with it; whether the service has it now. It has not
/// when the number is unknown, archived or somebody else's, or when the service has another one.
///
/// # Errors
/// When a query fails; then nothing is written.
pub fn assign_number(
    conn: &mut PgConnection,
    number: &str,
    service: ServiceId,
    now: DateTime<Utc>,
) -> QueryResult<bool> {
    use inbound_numbers as column;
    conn.transaction(|conn| {
        let another =
            inbound_numbers::table.filter(column::service_id.eq(service.0)).filter(column::number.ne(number));
        if diesel::select(exists(another)).get_result(conn)? {
            return Ok(false);
        }
        let free_or_theirs = inbound_numbers::table
            .filter(column::number.eq(number))
            .filter(column::active)
            .filter(column::service_id.is_null().or(column::service_id.eq(service.0)));
        let given = diesel::update(free_or_theirs)
            .set((column::service_id.eq(service.0), column::updated_at.eq(now)))
            .execute(conn)?;
        let permission = PgPermission(Permission::InboundSms);
        if given == 1 {
            diesel::insert_into(service_permissions::table)
                .values((
                    service_permissions::service_id.eq(service.0),
                    service_permissions::permission.eq(permission),
                ))
                .on_conflict_do_nothing()
                .execute(conn)?;
        }
        Ok(given == 1)
    })
}
