//! The companies that carry messages: how each stands, who made it so, and why. How they are reached is configuration.

use chrono::{DateTime, NaiveDate, Utc};
use diesel::{
    Connection, ExpressionMethods, OptionalExtension, PgConnection, QueryDsl, QueryResult, QueryableByName,
    RunQueryDsl, sql_query, sql_types as sql,
};
use domain::{
    provider::Standing,
    status::{Channel, ProviderId},
};
use uuid::Uuid;

use crate::{
    history,
    pg_enum::{PgChannel, PgProvider},
    schema::{providers, sql_types, users},
};

/// The most versions that are told.
const VERSIONS: i64 = 100;

#[derive(Clone, Debug, QueryableByName)]
pub struct ProviderDetails {
    #[diesel(sql_type = sql::Uuid)]
    pub id: Uuid,
    #[diesel(sql_type = sql_types::Provider, deserialize_as = PgProvider)]
    pub identifier: ProviderId,
    #[diesel(sql_type = sql::Text)]
    pub display_name: String,
    #[diesel(sql_type = sql_types::Channel, deserialize_as = PgChannel)]
    pub channel: Channel,
    /// 0 to 100: its weight.
    #[diesel(sql_type = sql::SmallInt)]
    pub priority: i16,
    #[diesel(sql_type = sql::Bool)]
    pub active: bool,
    #[diesel(sql_type = sql::Bool)]
    pub supports_international: bool,
    /// Of the last change.
    #[diesel(sql_type = sql::Nullable<sql::Text>)]
    pub reason: Option<String>,
    #[diesel(sql_type = sql::Nullable<sql::Text>)]
    pub created_by_name: Option<String>,
    #[diesel(sql_type = sql::Nullable<sql::Timestamptz>)]
    pub updated_at: Option<DateTime<Utc>>,
    /// Fragments of texts since the day that was asked for, without those of test keys.
    #[diesel(sql_type = sql::BigInt)]
    pub billable_sms: i64,
}

/// How everybody stands: for whoever sends.
///
/// # Errors
/// When the query fails.
pub fn standings(conn: &mut PgConnection) -> QueryResult<Vec<Standing>> {
    let rows: Vec<(PgProvider, bool, i16, bool)> = providers::table
        .select((
            providers::identifier,
            providers::active,
            providers::priority,
            providers::supports_international,
        ))
        .order(providers::identifier)
        .load(conn)?;
    let standing = |(PgProvider(provider), active, priority, international)| {
        // From 0 to 100, says a CHECK.
        let weight = u8::try_from(priority).unwrap_or(0);
        Standing { provider, active, weight, international }
    };
    Ok(rows.into_iter().map(standing).collect())
}

const DETAILS: &str =
    "SELECT p.id, p.identifier, p.display_name, p.channel, p.priority, p.active, p.supports_international,
       p.reason, u.name AS created_by_name, p.updated_at, coalesce(sent.units, 0) AS billable_sms
     FROM providers AS p
     LEFT JOIN users AS u ON u.id = p.created_by
     LEFT JOIN (
       SELECT provider, sum(billable_units)::bigint AS units FROM figures
       WHERE day >= $1 AND channel = 'sms' AND key_type <> 'test' GROUP BY provider
     ) AS sent ON sent.provider = p.identifier";

/// All of them, by channel, then priority, with their texts since a day in London.
///
/// # Errors
/// When the query fails.
pub fn list(conn: &mut PgConnection, since: NaiveDate) -> QueryResult<Vec<ProviderDetails>> {
    sql_query(format!("{DETAILS} ORDER BY p.channel::text, p.priority, p.identifier"))
        .bind::<sql::Date, _>(since)
        .load(conn)
}

/// One of them.
///
/// # Errors
/// When the query fails.
pub fn find(conn: &mut PgConnection, id: Uuid, since: NaiveDate) -> QueryResult<Option<ProviderDetails>> {
    sql_query(format!("{DETAILS} WHERE p.id = $2"))
        .bind::<sql::Date, _>(since)
        .bind::<sql::Uuid, _>(id)
        .get_result(conn)
        .optional()
}

/// What is to change; what is None stays.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// 0 to 100.
    pub priority: Option<i16>,
    pub active: Option<bool>,
    pub supports_international: Option<bool>,
    pub reason: Option<String>,
    pub changed_by: Option<Uuid>,
}

#[derive(QueryableByName)]
struct State {
    #[diesel(sql_type = sql::Text)]
    state: String,
}

/// Changes how a provider stands, and records who did so and why; false when there is none. Changes of one provider go one after the other: the UPDATE
/// holds its row.
///
/// # Errors
/// When a query fails, or a CHECK does not hold; then nothing is written.
pub fn change(conn: &mut PgConnection, id: Uuid, change: &Change, now: DateTime<Utc>) -> QueryResult<bool> {
    conn.transaction(|conn| {
        let changed: Option<State> = sql_query(
            "UPDATE providers SET priority = coalesce($2, priority), active = coalesce($3, active),
               supports_international = coalesce($4, supports_international), reason = $5, created_by = $6, updated_at = $7
             WHERE id = $1
             RETURNING jsonb_build_object('id', id, 'identifier', identifier, 'display_name', display_name,
               'notification_type', channel, 'priority', priority, 'active', active,
               'supports_international', supports_international, 'reason', reason)::text AS state",
        )
        .bind::<sql::Uuid, _>(id)
        .bind::<sql::Nullable<sql::SmallInt>, _>(change.priority)
        .bind::<sql::Nullable<sql::Bool>, _>(change.active)
        .bind::<sql::Nullable<sql::Bool>, _>(change.supports_international)
        .bind::<sql::Nullable<sql::Text>, _>(&change.reason)
        .bind::<sql::Nullable<sql::Uuid>, _>(change.changed_by)
        .bind::<sql::Timestamptz, _>(now)
        .get_result(conn)
        .optional()?;
        let Some(State { state }) = changed else { return Ok(false) };
        // jsonb gives nothing but JSON.
        let state = serde_json::from_str(&state).unwrap_or_default();
        let change = history::Change {
            kind: history::Kind::Provider,
            subject_id: id,
            service_id: None,
            state: &state,
            changed_by: change.changed_by,
            changed_at: now,
        };
        history::record(conn, &change)?;
        Ok(true)
    })
}

/// Who made a version: id, name and e-mail address.
pub type Author = (Uuid, String, String);

/// What a provider was from when on, newest first, with who made it so, if we know them.
///
/// # Errors
/// When a query fails.
pub fn versions(conn: &mut PgConnection, id: Uuid) -> QueryResult<Vec<(history::Version, Option<Author>)>> {
    let versions = history::of(conn, history::Kind::Provider, id, VERSIONS)?;
    let ids: Vec<Uuid> = versions.iter().filter_map(|version| version.changed_by).collect();
    let authors: Vec<Author> = users::table
        .filter(users::id.eq_any(ids))
        .select((users::id, users::name, users::email_address))
        .load(conn)?;
    let with_author = |version: history::Version| {
        let author = authors.iter().find(|author| Some(author.0) == version.changed_by);
        (version, author.cloned())
    };
    Ok(versions.into_iter().map(with_author).collect())
}
