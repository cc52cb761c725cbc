//! Callbacks: where a service wants to be told of what happened. Only how that is set up; nothing is told yet.
//!
//! The token that goes along is sealed for its row, and never leaves here in an answer or a log line.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use diesel::{ExpressionMethods, OptionalExtension, PgConnection, QueryDsl, QueryResult, RunQueryDsl};
use domain::{id::ServiceId, status::UnknownWord};
use uuid::Uuid;

use crate::{
    schema::callbacks::{
        bearer_token, callback_type, created_at, id, service_id, table, updated_at, updated_by_id, url,
    },
    sealing::Keyring,
};

/// What is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallbackType {
    DeliveryStatus,
    Complaint,
    ReturnedLetter,
    InboundSms,
}

impl CallbackType {
    pub const ALL: [Self; 4] =
        [Self::DeliveryStatus, Self::Complaint, Self::ReturnedLetter, Self::InboundSms];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DeliveryStatus => "delivery_status",
            Self::Complaint => "complaint",
            Self::ReturnedLetter => "returned_letter",
            Self::InboundSms => "inbound_sms",
        }
    }
}

impl FromStr for CallbackType {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let known = Self::ALL.into_iter().find(|known| known.as_str() == text);
        known.ok_or_else(|| UnknownWord(text.into(), "callback type"))
    }
}

/// A callback without its token.
#[derive(Clone, Debug, PartialEq, Eq, diesel::Queryable)]
pub struct Callback {
    pub id: Uuid,
    pub service_id: Uuid,
    pub callback_type: String,
    pub url: String,
    pub updated_by_id: Uuid,
    pub created_at: DateTime<Utc>,
    pub updated_at: Option<DateTime<Utc>>,
}

/// The columns of [`Callback`].
const SHOWN: (id, service_id, callback_type, url, updated_by_id, created_at, updated_at) =
    (id, service_id, callback_type, url, updated_by_id, created_at, updated_at);

/// A callback as it is to be. `Debug` shows no token.
#[derive(Clone)]
pub struct NewCallback {
    pub id: Uuid,
    pub service_id: ServiceId,
    pub callback_type: CallbackType,
    pub url: String,
    pub bearer_token: String,
    pub updated_by_id: Uuid,
}

impl std::fmt::Debug for NewCallback {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewCallback").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A callback of a service, if it is of this type.
///
/// # Errors
/// When the query fails.
pub fn find(
    conn: &mut PgConnection,
    service: ServiceId,
    (wanted, of): (Uuid, CallbackType),
) -> QueryResult<Option<Callback>> {
    table
        .find(wanted)
        .filter(service_id.eq(service.0))
        .filter(callback_type.eq(of.as_str()))
        .select(SHOWN)
        .first(conn)
        .optional()
}

/// Stores a callback; None: the service has one of this type.
///
/// # Errors
/// When the query fails, as it does for an unknown service.
pub fn create(
    conn: &mut PgConnection,
    keyring: &Keyring,
    new: &NewCallback,
    now: DateTime<Utc>,
) -> QueryResult<Option<Callback>> {
    diesel::insert_into(table)
        .values((
            id.eq(new.id),
            service_id.eq(new.service_id.0),
            callback_type.eq(new.callback_type.as_str()),
            url.eq(&new.url),
            bearer_token.eq(keyring.seal(new.id, new.bearer_token.as_bytes())),
            updated_by_id.eq(new.updated_by_id),
            created_at.eq(now),
        ))
        .on_conflict((service_id, callback_type))
        .do_nothing()
        .returning(SHOWN)
        .get_result(conn)
        .optional()
}

/// What changes; what is None stays. `Debug` shows no token.
#[derive(Clone)]
pub struct Changes {
    pub url: Option<String>,
    pub bearer_token: Option<String>,
    pub updated_by_id: Uuid,
}

impl std::fmt::Debug for Changes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Changes").field("url", &self.url).finish_non_exhaustive()
    }
}

/// Changes a callback; None: there is no such one.
///
/// # Errors
/// When the query fails.
pub fn update(
    conn: &mut PgConnection,
    keyring: &Keyring,
    service: ServiceId,
    (wanted, of): (Uuid, CallbackType),
    changes: Changes,
    now: DateTime<Utc>,
) -> QueryResult<Option<Callback>> {
    let row = table.find(wanted).filter(service_id.eq(service.0)).filter(callback_type.eq(of.as_str()));
    let sealed = changes.bearer_token.map(|token| keyring.seal(wanted, token.as_bytes()));
    diesel::update(row)
        .set((
            changes.url.map(|new| url.eq(new)),
            sealed.map(|sealed| bearer_token.eq(sealed)),
            updated_by_id.eq(changes.updated_by_id),
            updated_at.eq(now),
        ))
        .returning(SHOWN)
        .get_result(conn)
        .optional()
}

/// Deletes a callback; whether there was one.
///
/// # Errors
/// When the query fails.
pub fn delete(
    conn: &mut PgConnection,
    service: ServiceId,
    (wanted, of): (Uuid, CallbackType),
) -> QueryResult<bool> {
    let row = table.find(wanted).filter(service_id.eq(service.0)).filter(callback_type.eq(of.as_str()));
    Ok(diesel::delete(row).execute(conn)? == 1)
}
