//! Notifications as they are read, and the one change of status that needs no worker: the time-out.

pub mod page;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use diesel::{
    BoxableExpression, ExpressionMethods, OptionalExtension, PgConnection, QueryDsl, QueryResult, Queryable,
    RunQueryDsl, Selectable, SelectableHelper, dsl::sql as sql_literal, expression::SqlLiteral, pg::Pg,
    sql_types as sql,
};
use domain::{
    id::{ApiKeyId, NotificationId, ServiceId, TemplateId, lowest_v7},
    london,
    status::{Channel, KeyType, ProviderId, Status, Trigger},
};
use uuid::Uuid;

use crate::{
    delivery::words,
    log,
    pg_enum::{PgChannel, PgKeyType, PgProvider, PgStatus},
    schema::notifications,
    statement::statement,
};

/// A notification as its service sees it. `Debug` shows no personal data.
#[derive(Clone)]
pub struct StoredNotification {
    pub id: NotificationId,
    pub service_id: ServiceId,
    pub channel: Channel,
    pub key_type: KeyType,
    pub api_key_id: Option<ApiKeyId>,
    /// The person who sent it, if one did.
    pub created_by: Option<Uuid>,
    pub template_id: TemplateId,
    pub template_version: i32,
    pub recipient: String,
    pub normalised_recipient: String,
    /// Sealed for the notification's id. Lists leave out what is large.
    pub personalisation: Option<Vec<u8>>,
    /// The bytes of a [`personalisation()`] that was left out.
    pub unread: usize,
    pub client_reference: Option<String>,
    /// The sender of a text, or the address that answers to an e-mail go to.
    pub sender: Option<String>,
    pub unsubscribe_url: Option<String>,
    pub international: bool,
    pub phone_prefix: Option<String>,
    pub rate_multiplier: i16,
    pub status: Status,
    pub created_at: DateTime<Utc>,
    pub updated_at: Option<DateTime<Utc>>,
    pub sent_at: Option<DateTime<Utc>>,
    pub sent_by: Option<ProviderId>,
    /// The provider's own id, when it gives one.
    pub provider_reference: Option<String>,
    pub billable_units: i32,
}

impl std::fmt::Debug for StoredNotification {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoredNotification")
            .field("id", &self.id)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = notifications, check_for_backend(diesel::pg::Pg))]
pub(crate) struct Row {
    id: Uuid,
    service_id: Uuid,
    channel: PgChannel,
    key_type: PgKeyType,
    api_key_id: Option<Uuid>,
    created_by: Option<Uuid>,
    template_id: Uuid,
    template_version: i32,
    recipient: String,
    normalised_recipient: String,
    #[diesel(select_expression = small(), select_expression_type = SqlLiteral<sql::Nullable<sql::Bytea>>)]
    personalisation: Option<Vec<u8>>,
    client_reference: Option<String>,
    sender: Option<String>,
    unsubscribe_url: Option<String>,
    international: bool,
    phone_prefix: Option<String>,
    rate_multiplier: i16,
    status: PgStatus,
    created_at: DateTime<Utc>,
    updated_at: Option<DateTime<Utc>>,
    sent_at: Option<DateTime<Utc>>,
    sent_by: Option<PgProvider>,
    provider_reference: Option<String>,
    billable_units: i32,
    #[diesel(select_expression = size(), select_expression_type = SqlLiteral<sql::Nullable<sql::Integer>>)]
    personalisation_size: Option<i32>,
}

/// What a list reads of a personalisation: all of it, up to so many bytes. Two hundred large ones are more than fits in memory.
macro_rules! small_personalisation {
    () => {
        "CASE WHEN octet_length(personalisation) <= 16384 THEN personalisation END"
    };
}
pub(crate) use small_personalisation;

fn small() -> SqlLiteral<sql::Nullable<sql::Bytea>> {
    sql_literal(small_personalisation!())
}

fn size() -> SqlLiteral<sql::Nullable<sql::Integer>> {
    sql_literal("octet_length(personalisation)")
}

impl From<Row> for StoredNotification {
    fn from(row: Row) -> Self {
        Self {
            id: row.id.into(),
            service_id: row.service_id.into(),
            channel: row.channel.0,
            key_type: row.key_type.0,
            api_key_id: row.api_key_id.map(Into::into),
            created_by: row.created_by,
            template_id: row.template_id.into(),
            template_version: row.template_version,
            recipient: row.recipient,
            normalised_recipient: row.normalised_recipient,
            unread: match (&row.personalisation, row.personalisation_size) {
                (None, Some(size)) => usize::try_from(size).unwrap_or_default(),
                (Some(_), _) | (None, None) => 0,
            },
            personalisation: row.personalisation,
            client_reference: row.client_reference,
            sender: row.sender,
            unsubscribe_url: row.unsubscribe_url,
            international: row.international,
            phone_prefix: row.phone_prefix,
            rate_multiplier: row.rate_multiplier,
            status: row.status.0,
            created_at: row.created_at,
            updated_at: row.updated_at,
            sent_at: row.sent_at,
            sent_by: row.sent_by.map(|provider| provider.0),
            provider_reference: row.provider_reference,
            billable_units: row.billable_units,
        }
    }
}

/// One notification, whoever's it is (operators).
///
/// # Errors
/// When the query fails.
pub fn find(conn: &mut PgConnection, id: NotificationId) -> QueryResult<Option<StoredNotification>> {
    let row: Option<Row> = notifications::table.find(id.0).select(Row::as_select()).first(conn).optional()?;
    let Some(mut found) = row.map(StoredNotification::from) else { return Ok(None) };
    if found.unread > 0 {
        found.personalisation = personalisation(conn, id)?;
        found.unread = 0;
    }
    Ok(Some(found))
}

/// What a list left out.
///
/// # Errors
/// When the query fails.
pub fn personalisation(conn: &mut PgConnection, id: NotificationId) -> QueryResult<Option<Vec<u8>>> {
    let of = notifications::table.find(id.0).select(notifications::personalisation);
    Ok(of.first(conn).optional()?.flatten())
}

/// What a list is narrowed to. An empty list of words narrows nothing.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub channels: Vec<Channel>,
    pub statuses: Vec<Status>,
    pub client_reference: Option<String>,
    /// Only notifications accepted before this one, which must be of the same service: else the list is empty.
    pub older_than: Option<NotificationId>,
}

/// Notifications of a service that were made with keys of one type, newest first.
///
/// # Errors
/// When a query fails.
pub fn list(
    conn: &mut PgConnection,
    service: ServiceId,
    key_type: KeyType,
    filter: &Filter,
    limit: i64,
) -> QueryResult<Vec<StoredNotification>> {
    let before = match filter.older_than {
        None => Uuid::max(),
        Some(cursor) if find(conn, cursor)?.is_none_or(|row| row.service_id != service) => {
            return Ok(Vec::new());
        }
        Some(cursor) => cursor.0,
    };
    let Some(reference) = &filter.client_reference else {
        return log::newest_of_key_type(conn, service, key_type, filter, limit);
    };
    let mut query = notifications::table
        .filter(notifications::service_id.eq(service.0))
        // The index holds its hash.
        .filter(md5(notifications::client_reference).eq(md5(reference)))
        .filter(notifications::client_reference.eq(reference))
        .filter(notifications::id.lt(before))
        .filter(notifications::key_type.eq(PgKeyType(key_type)))
        .select(Row::as_select())
        .order((notifications::service_id.desc(), notifications::id.desc()))
        .limit(limit)
        .into_boxed();
    if !filter.channels.is_empty() {
        query = query.filter(notifications::channel.eq_any(filter.channels.iter().map(|c| PgChannel(*c))));
    }
    if !filter.statuses.is_empty() {
        query = query.filter(notifications::status.eq_any(filter.statuses.iter().map(|s| PgStatus(*s))));
    }
    let rows: Vec<Row> = query.load(conn)?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// The rows of a service with ids from one on and before another, as a range of the one index that has this order. Not
/// `service_id =`: plans are made once for all services, and where nearly all rows are one service's, the primary key would be
/// taken for good enough, so that a small service's list reads the large one's rows.
fn of_service(
    service: ServiceId,
    from: Uuid,
    before: Uuid,
) -> Box<dyn BoxableExpression<notifications::table, Pg, SqlType = sql::Bool>> {
    Box::new(
        sql_literal::<sql::Bool>("(service_id, id) >= (")
            .bind::<sql::Uuid, _>(service.0)
            .sql(", ")
            .bind::<sql::Uuid, _>(from)
            .sql(") AND (service_id, id) < (")
            .bind::<sql::Uuid, _>(service.0)
            .sql(", ")
            .bind::<sql::Uuid, _>(before)
            .sql(")"),
    )
}

/// Looked at in one statement: a page ends within a second, however much is stored and however little of it has gone quiet.
const TIME_OUT_PAGE: i64 = 20_000;
/// By so much an id may be older than its row says it is.
const ID_IS_OLDER: TimeDelta = TimeDelta::hours(1);

#[diesel::declare_sql_function]
extern "SQL" {
    fn md5(text: sql::Nullable<sql::Text>) -> sql::Nullable<sql::Text>;
}

statement! {
    PageEnd {
        lowest: Uuid => sql::Uuid,
        before: Uuid => sql::Uuid,
        page: i64 => sql::BigInt,
    } -> (sql::Uuid,),
    "SELECT id FROM notifications WHERE id >= ? AND id < ? ORDER BY id OFFSET ? LIMIT 1"
}

statement! {
    TimeOut {
        now: DateTime<Utc> => sql::Timestamptz,
        lowest: Uuid => sql::Uuid,
        before: Uuid => sql::Uuid,
        from: Vec<&'a str> => sql::Array<sql::Text>,
    } -> (sql::BigInt,),
    "WITH timed_out AS (
       UPDATE notifications SET status = 'temporary-failure', updated_at = ?
       WHERE id >= ? AND id < ? AND status::text = ANY(?) RETURNING id),
     no_longer_due AS (DELETE FROM due USING timed_out WHERE due.subject_id = timed_out.id)
     SELECT count(*) FROM timed_out"
}

/// Notifications that were accepted within a time: a range of ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    lowest: Uuid,
    before: Uuid,
}

impl Accepted {
    #[must_use]
    pub fn between(from: DateTime<Utc>, before: DateTime<Utc>) -> Self {
        Self { lowest: lowest_v7(from), before: lowest_v7(before) }
    }
}

statement! {
    OpenDays {
        open: Vec<&'a str> => sql::Array<sql::Text>,
        last: NaiveDate => sql::Date,
    } -> (sql::Date,),
    // Months are few, so that those are found at once which have any; then the days of these. What is not folded yet is read once.
    "WITH asked AS (SELECT ?::text[] AS open, ?::date AS last),
     unfolded AS MATERIALIZED (
       SELECT service_id, day, count FROM statistics_deltas, asked WHERE day <= last AND status::text = ANY(open)),
     months AS MATERIALIZED (
       SELECT service_id, month FROM (
         SELECT service_id, month, count FROM statistics_by_month, asked WHERE month <= last AND status::text = ANY(open)
         UNION ALL SELECT service_id, date_trunc('month', day::timestamp)::date, count FROM unfolded) AS m
       GROUP BY 1, 2 HAVING sum(count) > 0),
     days AS (
       SELECT s.service_id, s.day, s.count FROM months AS m, asked, statistics AS s
       WHERE s.service_id = m.service_id AND s.day >= m.month AND s.day < m.month + interval '1 month' AND s.day <= last
         AND s.status::text = ANY(open)
       UNION ALL SELECT * FROM unfolded),
     open AS (SELECT service_id, day FROM days GROUP BY 1, 2 HAVING sum(count) > 0)
     SELECT DISTINCT day FROM open ORDER BY day"
}

/// When those were accepted, before `cutoff`, that are not final: the figures know the days of London, so that nobody reads all
/// that is stored. Oldest first.
///
/// # Errors
/// When the query fails.
pub fn open(conn: &mut PgConnection, cutoff: DateTime<Utc>) -> QueryResult<Vec<Accepted>> {
    let (open, last) = (words(Trigger::TimedOut), london::day(cutoff));
    let days: Vec<(NaiveDate,)> = OpenDays { open, last, _binds: std::marker::PhantomData }.load(conn)?;
    let day = |(day,): (NaiveDate,)| {
        let (from, before) = (london::midnight(day), london::midnight(day.succ_opt().unwrap_or(day)));
        // Days are of the creation, ids are made a moment before.
        Accepted::between(from - ID_IS_OLDER, cutoff.min(before))
    };
    Ok(days.into_iter().map(day).collect())
}

/// Ends those among `accepted` that nobody has heard of, in one bulk update: a page of them, oldest first. Answers how many
/// ended, and what of `accepted` there is still to look at.
///
/// # Errors
/// When a query fails; then none has ended.
pub fn time_out(
    conn: &mut PgConnection,
    Accepted { lowest, before }: Accepted,
    now: DateTime<Utc>,
) -> QueryResult<(i64, Option<Accepted>)> {
    let end = PageEnd { lowest, before, page: TIME_OUT_PAGE, _binds: std::marker::PhantomData };
    let end: Option<(Uuid,)> = end.get_result(conn).optional()?;
    let page_end = end.map_or(before, |(id,)| id);
    let from = words(Trigger::TimedOut);
    let (ended,): (i64,) =
        TimeOut { now, lowest, before: page_end, from, _binds: std::marker::PhantomData }.get_result(conn)?;
    Ok((ended, end.map(|_| Accepted { lowest: page_end, before })))
}
