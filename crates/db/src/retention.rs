//! How long a service wants its things kept. Received texts go by it (`scheduler::retain`); notifications are not deleted yet.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use diesel::{ExpressionMethods, OptionalExtension, PgConnection, QueryDsl, QueryResult, RunQueryDsl};
use domain::{id::ServiceId, status::UnknownWord};
use uuid::Uuid;

use crate::schema::{data_retention, services};

/// Of a service that says nothing.
pub const DEFAULT_DAYS: u32 = 7;

/// What is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    Sms,
    Email,
    Letter,
}

impl Kept {
    /// In the order of the contract's schema.
    pub const ALL: [Self; 3] = [Self::Sms, Self::Letter, Self::Email];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sms => "sms",
            Self::Email => "email",
            Self::Letter => "letter",
        }
    }
}

impl FromStr for Kept {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let known = Self::ALL.into_iter().find(|kept| kept.as_str() == text);
        known.ok_or_else(|| UnknownWord(text.into(), "notification type"))
    }
}

/// What a service said of one type.
#[derive(Clone, Debug, PartialEq, Eq, diesel::Queryable)]
pub struct Retention {
    pub id: Uuid,
    pub service_id: Uuid,
    pub service_name: String,
    pub notification_type: String,
    pub days: i32,
    pub created_at: DateTime<Utc>,
    pub updated_at: Option<DateTime<Utc>>,
}

#[diesel::dsl::auto_type(no_type_alias)]
fn rows() -> _ {
    data_retention::table.inner_join(services::table).select((
        data_retention::id,
        data_retention::service_id,
        services::name,
        data_retention::notification_type,
        data_retention::days_of_retention,
        data_retention::created_at,
        data_retention::updated_at,
    ))
}

/// By type.
///
/// # Errors
/// When the query fails.
pub fn list(conn: &mut PgConnection, service: ServiceId) -> QueryResult<Vec<Retention>> {
    rows()
        .filter(data_retention::service_id.eq(service.0))
        .order(data_retention::notification_type)
        .load(conn)
}

/// # Errors
/// When the query fails.
pub fn of(conn: &mut PgConnection, service: ServiceId, kept: Kept) -> QueryResult<Option<Retention>> {
    rows()
        .filter(data_retention::service_id.eq(service.0))
        .filter(data_retention::notification_type.eq(kept.as_str()))
        .first(conn)
        .optional()
}

/// # Errors
/// When the query fails.
pub fn find(conn: &mut PgConnection, service: ServiceId, id: Uuid) -> QueryResult<Option<Retention>> {
    rows()
        .filter(data_retention::id.eq(id))
        .filter(data_retention::service_id.eq(service.0))
        .first(conn)
        .optional()
}

/// For how many days the service keeps texts that people sent.
///
/// # Errors
/// When the query fails.
pub fn days_of_texts(conn: &mut PgConnection, service: ServiceId) -> QueryResult<u32> {
    let days = of(conn, service, Kept::Sms)?.and_then(|own| u32::try_from(own.days).ok());
    Ok(days.unwrap_or(DEFAULT_DAYS))
}

/// What the service says first of a type; None: it said something before.
///
/// # Errors
/// When the query fails, as it does for an unknown service.
pub fn create(
    conn: &mut PgConnection,
    service: ServiceId,
    (kept, days): (Kept, i32),
    (id, now): (Uuid, DateTime<Utc>),
) -> QueryResult<Option<Retention>> {
    use data_retention::{created_at, days_of_retention, id as column, notification_type, service_id, table};
    let created = diesel::insert_into(table)
        .values((
            column.eq(id),
            service_id.eq(service.0),
            notification_type.eq(kept.as_str()),
            days_of_retention.eq(days),
            created_at.eq(now),
        ))
        .on_conflict((service_id, notification_type))
        .do_nothing()
        .execute(conn)?;
    if created == 1 { find(conn, service, id) } else { Ok(None) }
}

/// Changes what the service said; whether it had.
///
/// # Errors
/// When the query fails.
pub fn set_days(
    conn: &mut PgConnection,
    service: ServiceId,
    (id, days): (Uuid, i32),
    now: DateTime<Utc>,
) -> QueryResult<bool> {
    use data_retention::{days_of_retention, service_id, table, updated_at};
    let row = table.find(id).filter(service_id.eq(service.0));
    let set = (days_of_retention.eq(days), updated_at.eq(now));
    Ok(diesel::update(row).set(set).execute(conn)? == 1)
}
