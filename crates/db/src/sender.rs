//! Senders: whom the texts of a service come from, and where answers to its e-mails go. Two tables of one shape.
//!
//! A service that has senders has one default among them. Changes of one service's senders go one after the other, under the
//! lock of its row; `…_one_default` stands behind that.

use chrono::{DateTime, Utc};
use diesel::{
    Connection, OptionalExtension, PgConnection, QueryResult, QueryableByName, RunQueryDsl, sql_query,
    sql_types as sql,
};
use domain::id::ServiceId;
use uuid::Uuid;

use crate::service;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Sms,
    ReplyTo,
}

impl Kind {
    const fn table(self) -> &'static str {
        match self {
            Self::Sms => "sms_senders",
            Self::ReplyTo => "reply_to_addresses",
        }
    }

    /// What recipients see.
    const fn text(self) -> &'static str {
        match self {
            Self::Sms => "sender",
            Self::ReplyTo => "address",
        }
    }

    fn columns(self) -> String {
        let inbound_number_id = match self {
            Self::Sms => "inbound_number_id",
            Self::ReplyTo => "NULL::uuid AS inbound_number_id",
        };
        let text = self.text();
        format!(
            "id, {text} AS text, is_default, archived_at IS NOT NULL AS archived, {inbound_number_id}, created_at, updated_at"
        )
    }
}

#[derive(Clone, Debug, QueryableByName)]
pub struct Sender {
    #[diesel(sql_type = sql::Uuid)]
    pub id: Uuid,
    #[diesel(sql_type = sql::Text)]
    pub text: String,
    #[diesel(sql_type = sql::Bool)]
    pub is_default: bool,
    #[diesel(sql_type = sql::Bool)]
    pub archived: bool,
    /// It is this number of the service, where people can answer.
    #[diesel(sql_type = sql::Nullable<sql::Uuid>)]
    pub inbound_number_id: Option<Uuid>,
    #[diesel(sql_type = sql::Timestamptz)]
    pub created_at: DateTime<Utc>,
    #[diesel(sql_type = sql::Nullable<sql::Timestamptz>)]
    pub updated_at: Option<DateTime<Utc>>,
}

/// Why senders stay as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such service, or it has no such sender.
    Unknown,
    /// The service has this address already.
    Duplicate,
    /// None would be the default.
    NoDefault,
    /// The text of a number is the number.
    NumberChanged,
    NumberArchived,
    DefaultArchived,
    /// The service has another number already.
    HasNumber,
    /// The number that is wanted is not free, or none is.
    NoFreeNumber,
}

/// What became of a change; refused, nothing is written.
pub type Changed = QueryResult<Result<Sender, Refusal>>;

/// The senders that are not archived: the default, then the newest.
///
/// # Errors
/// When the query fails.
pub fn list(conn: &mut PgConnection, kind: Kind, service: ServiceId) -> QueryResult<Vec<Sender>> {
    let (columns, table) = (kind.columns(), kind.table());
    sql_query(format!(
        "SELECT {columns} FROM {table} WHERE service_id = $1 AND archived_at IS NULL
         ORDER BY is_default DESC, created_at DESC, id DESC"
    ))
    .bind::<sql::Uuid, _>(service.0)
    .load(conn)
}

/// One that is not archived.
///
/// # Errors
/// When the query fails.
pub fn find(
    conn: &mut PgConnection,
    kind: Kind,
    service: ServiceId,
    id: Uuid,
) -> QueryResult<Option<Sender>> {
    let (columns, table) = (kind.columns(), kind.table());
    sql_query(format!(
        "SELECT {columns} FROM {table} WHERE id = $1 AND service_id = $2 AND archived_at IS NULL"
    ))
    .bind::<sql::Uuid, _>(id)
    .bind::<sql::Uuid, _>(service.0)
    .get_result(conn)
    .optional()
}

/// Whether the service has this address, apart from the sender `but`.
///
/// # Errors
/// When the query fails.
pub fn has_address(
    conn: &mut PgConnection,
    service: ServiceId,
    address: &str,
    but: Option<Uuid>,
) -> QueryResult<bool> {
    let known = list(conn, Kind::ReplyTo, service)?;
    Ok(known.iter().any(|sender| sender.text == address && Some(sender.id) != but))
}

/// A sender as it is to be.
#[derive(Clone, Debug)]
pub struct NewSender {
    pub id: Uuid,
    pub text: String,
    pub is_default: bool,
}

/// Stores a sender, or brings back an existing one in this state, without a look at the others.
pub(crate) fn put(
    conn: &mut PgConnection,
    kind: Kind,
    service: ServiceId,
    new: &NewSender,
    now: DateTime<Utc>,
) -> QueryResult<Sender> {
    let (columns, table, text) = (kind.columns(), kind.table(), kind.text());
    let no_number = match kind {
        Kind::Sms => ", inbound_number_id = NULL",
        Kind::ReplyTo => "",
    };
    sql_query(format!(
        "INSERT INTO {table} (id, service_id, {text}, is_default, created_at) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (id) DO UPDATE SET {text} = excluded.{text}, is_default = excluded.is_default,
           archived_at = NULL {no_number} RETURNING {columns}"
    ))
    .bind::<sql::Uuid, _>(new.id)
    .bind::<sql::Uuid, _>(service.0)
    .bind::<sql::Text, _>(&new.text)
    .bind::<sql::Bool, _>(new.is_default)
    .bind::<sql::Timestamptz, _>(now)
    .get_result(conn)
}

/// Adds a sender; as the default, it is the only one.
///
/// # Errors
/// When a query fails; then nothing is written.
pub fn add(
    conn: &mut PgConnection,
    kind: Kind,
    service: ServiceId,
    new: &NewSender,
    now: DateTime<Utc>,
) -> Changed {
    conn.transaction(|conn| {
        if !service::lock(conn, service)? {
            return Ok(Err(Refusal::Unknown));
        }
        let others = list(conn, kind, service)?;
        if kind == Kind::ReplyTo && others.iter().any(|other| other.text == new.text) {
            return Ok(Err(Refusal::Duplicate));
        }
        if !new.is_default && !others.iter().any(|other| other.is_default) {
            return Ok(Err(Refusal::NoDefault));
        }
        add_to(conn, kind, service, new, now).map(Ok)
    })
}

/// The same when it may be; the caller holds the service.
pub(crate) fn add_to(
    conn: &mut PgConnection,
    kind: Kind,
    service: ServiceId,
    new: &NewSender,
    now: DateTime<Utc>,
) -> QueryResult<Sender> {
    if new.is_default {
        unset_default(conn, kind, service, now)?;
    }
    put(conn, kind, service, new, now)
}

fn unset_default(
    conn: &mut PgConnection,
    kind: Kind,
    service: ServiceId,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let table = kind.table();
    sql_query(format!(
        "UPDATE {table} SET is_default = false, updated_at = $2 WHERE service_id = $1 AND is_default"
    ))
    .bind::<sql::Uuid, _>(service.0)
    .bind::<sql::Timestamptz, _>(now)
    .execute(conn)?;
    Ok(())
}

/// Changes a sender; made the default, it is the only one.
///
/// # Errors
/// When a query fails; then nothing is written.
pub fn update(
    conn: &mut PgConnection,
    kind: Kind,
    service: ServiceId,
    new: &NewSender,
    now: DateTime<Utc>,
) -> Changed {
    conn.transaction(|conn| {
        if !service::lock(conn, service)? {
            return Ok(Err(Refusal::Unknown));
        }
        let Some(old) = find(conn, kind, service, new.id)? else { return Ok(Err(Refusal::Unknown)) };
        if kind == Kind::ReplyTo && has_address(conn, service, &new.text, Some(new.id))? {
            return Ok(Err(Refusal::Duplicate));
        }
        if old.inbound_number_id.is_some() && old.text != new.text {
            return Ok(Err(Refusal::NumberChanged));
        }
        if old.is_default && !new.is_default {
            return Ok(Err(Refusal::NoDefault));
        }
        if new.is_default {
            unset_default(conn, kind, service, now)?;
        }
        set(conn, kind, new, now).map(Ok)
    })
}

pub(crate) fn set(
    conn: &mut PgConnection,
    kind: Kind,
    new: &NewSender,
    now: DateTime<Utc>,
) -> QueryResult<Sender> {
    let (columns, table, text) = (kind.columns(), kind.table(), kind.text());
    sql_query(format!(
        "UPDATE {table} SET {text} = $2, is_default = $3, updated_at = $4 WHERE id = $1 RETURNING {columns}"
    ))
    .bind::<sql::Uuid, _>(new.id)
    .bind::<sql::Text, _>(&new.text)
    .bind::<sql::Bool, _>(new.is_default)
    .bind::<sql::Timestamptz, _>(now)
    .get_result(conn)
}

/// Takes a sender out of use.
///
/// # Errors
/// When a query fails; then nothing is written.
pub fn archive(
    conn: &mut PgConnection,
    kind: Kind,
    service: ServiceId,
    id: Uuid,
    now: DateTime<Utc>,
) -> Changed {
    conn.transaction(|conn| {
        if !service::lock(conn, service)? {
            return Ok(Err(Refusal::Unknown));
        }
        match find(conn, kind, service, id)? {
            None => Ok(Err(Refusal::Unknown)),
            Some(number) if number.inbound_number_id.is_some() => Ok(Err(Refusal::NumberArchived)),
            Some(default) if default.is_default => Ok(Err(Refusal::DefaultArchived)),
            Some(_) => archive_row(conn, kind, id, now).map(Ok),
        }
    })
}

pub(crate) fn archive_row(
    conn: &mut PgConnection,
    kind: Kind,
    id: Uuid,
    now: DateTime<Utc>,
) -> QueryResult<Sender> {
    let (columns, table) = (kind.columns(), kind.table());
    sql_query(format!(
        "UPDATE {table} SET is_default = false, archived_at = $2, updated_at = $2 WHERE id = $1 RETURNING {columns}"
    ))
    .bind::<sql::Uuid, _>(id)
    .bind::<sql::Timestamptz, _>(now)
    .get_result(conn)
}
