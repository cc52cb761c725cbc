//! The log: everything that a service has sent, newest first, for the people who run it.
//!
//! A page must come as fast from ten million rows as from ten, whatever it is narrowed to, and no index may be kept for it that
//! the sending path would pay for. So what drives a page depends on the statuses that are asked for ([`Source`]):
//!
//! - statuses that few notifications have are found in `uncommon_statuses`, which triggers keep;
//! - `created` ones are found in `due`, which has a row for each;
//! - everything else is the service's rows in the order of their ids, where what is asked for is dense as a rule, and until
//!   there are as many as the figures know of.
//!
//! Where neither helps (a search for somebody who was never written to, a few old ones among millions), a source ends after
//! [`MOST_READ`] rows, and the page says how far it looked back, so that the caller can go on from there.
//!
//! The ids come first, from every source as many as are needed; whole rows are read only for what is shown.

mod details;
mod own_list;

use chrono::{DateTime, Utc};
use diesel::{
    PgConnection, QueryResult, RunQueryDsl,
    pg::Pg,
    query_builder::{AstPass, Query, QueryFragment, QueryId},
    sql_types as sql,
};
use domain::{
    id::{NotificationId, ServiceId, lowest_v7},
    status::{Channel, KeyType, Status},
};
use uuid::Uuid;

pub use self::details::{Details, Person, Version, author, details, people};
pub(crate) use self::own_list::newest_of_key_type;
use crate::{
    notification::{self, Row, StoredNotification, page::Which},
    pg_enum::PgStatus,
    schema::sql_types::{self, NotificationStatus},
    statement::statement,
    statistics,
};

/// Rows that one source looks at for one page: a second's work.
pub const MOST_READ: i64 = 500_000;

/// What a log is narrowed to. An empty list of words narrows nothing.
#[derive(Clone, Debug)]
pub struct Filter {
    pub channels: Vec<Channel>,
    pub statuses: Vec<Status>,
    /// Only what was accepted at or after this time.
    pub since: Option<DateTime<Utc>>,
    /// Only what was accepted before this one, whoever's it is.
    pub older_than: Option<NotificationId>,
    /// Also what neither a key nor, with `one_off`, a person sent.
    pub jobs: bool,
    /// Also what test keys sent.
    pub test_keys: bool,
    /// Also what people sent.
    pub one_off: bool,
    pub search: Option<Search>,
    /// Usually [`MOST_READ`].
    pub most_read: i64,
}

/// A part of a recipient or of a client's reference. `Debug` shows nothing of it.
#[derive(Clone)]
pub struct Search {
    /// Of phone numbers; None: no number has that in it.
    number: Option<String>,
    address: String,
    reference: String,
}

impl std::fmt::Debug for Search {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Search").finish_non_exhaustive()
    }
}

impl Search {
    /// As people type numbers, addresses and references, whole or in part.
    #[must_use]
    pub fn new(typed: &str) -> Self {
        let number = typed.replace(['(', ')', '-', ' '], "");
        let number = number.trim_start_matches(['+', '0']);
        Self {
            number: (!number.is_empty()).then(|| containing(number)),
            address: containing(&typed.trim().to_lowercase()),
            reference: containing(&typed.to_lowercase()),
        }
    }
}

/// The pattern of LIKE for texts that have this in them.
fn containing(part: &str) -> String {
    let escaped = part.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    format!("%{escaped}%")
}

#[derive(Debug)]
pub struct Page {
    /// Newest first.
    pub notifications: Vec<StoredNotification>,
    pub has_next: bool,
    /// Nothing older than this one was looked at, and there may be more.
    pub looked_back_to: Option<NotificationId>,
}

/// Below every id.
const NO_ID: Uuid = Uuid::nil();

/// Where the ids of a page come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    All,
    Uncommon(PgStatus),
    Waiting,
}

impl Source {
    const fn of(status: Status) -> Self {
        match status {
            Status::Created => Self::Waiting,
            Status::Sending | Status::Delivered => Self::All,
            Status::Pending
            | Status::Sent
            | Status::TemporaryFailure
            | Status::PermanentFailure
            | Status::TechnicalFailure => Self::Uncommon(PgStatus(status)),
        }
    }

    /// As the index has it that drives the source.
    const fn order(self) -> &'static str {
        match self {
            Self::All => "ORDER BY service_id DESC, id DESC",
            Self::Uncommon(_) | Self::Waiting => "ORDER BY id DESC",
        }
    }

    /// One that has them all is enough.
    fn of_all(statuses: &[Status]) -> Vec<Self> {
        let sources: Vec<Self> = statuses.iter().map(|status| Self::of(*status)).collect();
        if sources.is_empty() || sources.contains(&Self::All) { vec![Self::All] } else { sources }
    }
}

/// What is shown of the newest rows of a source, and the last row that may be looked at, if there are so many.
#[derive(Clone)]
struct Candidates<'a> {
    source: Source,
    service: Uuid,
    lowest: Uuid,
    before: Uuid,
    channels: Vec<&'a str>,
    key_types: Vec<&'a str>,
    statuses: Vec<&'a str>,
    jobs: bool,
    one_off: bool,
    number: Option<&'a str>,
    address: &'a str,
    reference: &'a str,
    most_read: i64,
    limit: i64,
}

impl QueryId for Candidates<'_> {
    type QueryId = ();
    // Prepared once for each text.
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl Query for Candidates<'_> {
    type SqlType = (sql::Uuid, sql::Bool, sql::Bool);
}

impl RunQueryDsl<PgConnection> for Candidates<'_> {}

impl QueryFragment<Pg> for Candidates<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        let order = self.source.order();
        out.push_sql(
            "SELECT id, coalesce(shown, false), is_last FROM (SELECT service_id, id, row_number() OVER (",
        );
        out.push_sql(order);
        out.push_sql(") = ");
        out.push_bind_param::<sql::BigInt, _>(&self.most_read)?;
        out.push_sql(" AND id >= ");
        out.push_bind_param::<sql::Uuid, _>(&self.lowest)?;
        out.push_sql(" AS is_last, id >= ");
        out.push_bind_param::<sql::Uuid, _>(&self.lowest)?;
        out.push_sql(" AND channel::text = ANY(");
        out.push_bind_param::<sql::Array<sql::Text>, _>(&self.channels)?;
        out.push_sql(") AND key_type::text = ANY(");
        out.push_bind_param::<sql::Array<sql::Text>, _>(&self.key_types)?;
        out.push_sql(") AND status::text = ANY(");
        out.push_bind_param::<sql::Array<sql::Text>, _>(&self.statuses)?;
        out.push_sql(") AND (api_key_id IS NOT NULL OR ");
        out.push_bind_param::<sql::Bool, _>(&self.jobs)?;
        out.push_sql(") AND (created_by IS NULL OR ");
        out.push_bind_param::<sql::Bool, _>(&self.one_off)?;
        out.push_sql(") AND (CASE channel WHEN 'sms' THEN normalised_recipient LIKE ");
        out.push_bind_param::<sql::Nullable<sql::Text>, _>(&self.number)?;
        out.push_sql(" ELSE normalised_recipient LIKE ");
        out.push_bind_param::<sql::Text, _>(&self.address)?;
        out.push_sql(" END OR lower(client_reference) LIKE ");
        out.push_bind_param::<sql::Text, _>(&self.reference)?;
        out.push_sql(") AS shown FROM (");
        self.push_chunk(&mut out)?;
        // Whatever is too old uses up the limit, which ends the search.
        out.push_sql(") AS chunk) AS looked_at WHERE shown OR is_last OR id < ");
        out.push_bind_param::<sql::Uuid, _>(&self.lowest)?;
        out.push_sql(" ");
        out.push_sql(order);
        out.push_sql(" LIMIT ");
        out.push_bind_param::<sql::BigInt, _>(&self.limit)
    }
}

impl Candidates<'_> {
    /// The limit stands within, so that what narrows the page cannot be pushed below it: a partition without a match would be
    /// read from end to end.
    fn push_chunk<'b>(&'b self, out: &mut AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        match &self.source {
            Source::All => {
                // Not `service_id =`: where nearly all rows are one service's, the planner would take the primary key for good
                // enough for every service, and a small one would read the large one's rows. Only one index has this order. And
                // not from the lowest id: Postgres goes on below it, since a pair ends a search by its first half alone.
                out.push_sql(
                    "SELECT service_id, id, channel, key_type, status, api_key_id, created_by, normalised_recipient,
                       client_reference FROM notifications WHERE (service_id, id) >= (",
                );
                self.push_bound(out, &NO_ID)?;
                out.push_sql(") AND (service_id, id) < (");
                self.push_bound(out, &self.before)?;
                out.push_sql(") ");
                self.push_order(out)
            }
            Source::Uncommon(status) => {
                out.push_sql(
                    "SELECT * FROM (SELECT notification_id AS id FROM uncommon_statuses WHERE status = ",
                );
                out.push_bind_param::<NotificationStatus, _>(status)?;
                out.push_sql(" AND service_id = ");
                out.push_bind_param::<sql::Uuid, _>(&self.service)?;
                self.push_range(out, "notification_id")?;
                self.push_found(out)
            }
            Source::Waiting => {
                out.push_sql(
                    "SELECT * FROM (SELECT subject_id AS id FROM due WHERE kind IN ('deliver_sms', 'deliver_email')",
                );
                self.push_range(out, "subject_id")?;
                self.push_found(out)
            }
        }
    }

    fn push_bound<'b>(&'b self, out: &mut AstPass<'_, 'b, Pg>, id: &'b Uuid) -> QueryResult<()> {
        out.push_bind_param::<sql::Uuid, _>(&self.service)?;
        out.push_sql(", ");
        out.push_bind_param::<sql::Uuid, _>(id)
    }

    fn push_range<'b>(&'b self, out: &mut AstPass<'_, 'b, Pg>, id: &str) -> QueryResult<()> {
        out.push_sql(&format!(" AND {id} >= "));
        out.push_bind_param::<sql::Uuid, _>(&self.lowest)?;
        out.push_sql(&format!(" AND {id} < "));
        out.push_bind_param::<sql::Uuid, _>(&self.before)?;
        out.push_sql(" ");
        self.push_order(out)
    }

    fn push_order<'b>(&'b self, out: &mut AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(self.source.order());
        out.push_sql(" LIMIT ");
        out.push_bind_param::<sql::BigInt, _>(&self.most_read)
    }

    /// Looked up one by one, so that each is found in its partition; what is another service's, or gone, counts as looked at.
    fn push_found<'b>(&'b self, out: &mut AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql(
            ") AS found LEFT JOIN LATERAL (
               SELECT service_id, channel, key_type, status, api_key_id, created_by, normalised_recipient, client_reference
               FROM notifications WHERE notifications.id = found.id AND service_id = ",
        );
        out.push_bind_param::<sql::Uuid, _>(&self.service)?;
        out.push_sql(" OFFSET 0) AS row ON true");
        Ok(())
    }
}

impl<'a> Candidates<'a> {
    fn new(source: Source, service: ServiceId, filter: &'a Filter, limit: i64) -> Self {
        let all = |empty: bool, words: Vec<&'a str>, all: Vec<&'a str>| if empty { all } else { words };
        let key_types =
            KeyType::ALL.iter().filter(|key_type| filter.test_keys || **key_type != KeyType::Test);
        let search = filter.search.as_ref();
        Self {
            source,
            service: service.0,
            lowest: filter.since.map_or(Uuid::nil(), lowest_v7),
            before: filter.older_than.map_or(Uuid::max(), |id| id.0),
            channels: all(
                filter.channels.is_empty(),
                filter.channels.iter().map(|channel| channel.as_str()).collect(),
                Channel::ALL.iter().map(|channel| channel.as_str()).collect(),
            ),
            key_types: key_types.map(|key_type| key_type.as_str()).collect(),
            statuses: all(
                filter.statuses.is_empty(),
                filter.statuses.iter().map(|status| status.as_str()).collect(),
                Status::ALL.iter().map(|status| status.as_str()).collect(),
            ),
            jobs: filter.jobs,
            one_off: filter.one_off,
            number: search.map_or(Some("%"), |search| search.number.as_deref()),
            address: search.map_or("%", |search| &search.address),
            reference: search.map_or("%", |search| &search.reference),
            most_read: filter.most_read,
            limit,
        }
    }
}

impl Candidates<'_> {
    /// Figures know how many there can be: a few that are `sending` among millions end the search when the last is found, and
    /// where there are none nobody need look.
    fn limit_to_known(&mut self, conn: &mut PgConnection) -> QueryResult<bool> {
        let known = statistics::at_most(conn, self.service, &self.channels, &self.key_types, &self.statuses)?;
        self.limit = self.limit.min(known);
        Ok(known > 0)
    }
}

/// Found in `uncommon_statuses`. The function of the same name in the database says which go there.
#[must_use]
pub const fn is_uncommon(status: Status) -> bool {
    matches!(Source::of(status), Source::Uncommon(_))
}

/// All that is read is of one moment, and an index is followed as far as it must be, never read to its end to be sorted.
fn snapshot<T>(
    conn: &mut PgConnection,
    read: impl FnOnce(&mut PgConnection) -> QueryResult<T>,
) -> QueryResult<T> {
    conn.build_transaction().read_only().repeatable_read().run(|conn| {
        diesel::sql_query("SET LOCAL enable_sort = off").execute(conn)?;
        read(conn)
    })
}

/// One page of the log, as it is at one moment.
///
/// # Errors
/// When a query fails.
pub fn page(conn: &mut PgConnection, service: ServiceId, filter: &Filter, which: Which) -> QueryResult<Page> {
    snapshot(conn, |conn| {
        let before = (which.number - 1).saturating_mul(which.size);
        // One more, to know whether there is another page.
        let needed = before.saturating_add(which.size).saturating_add(1);
        let (mut ids, looked_back_to) = newest(conn, service, filter, needed)?;
        let shown = ids.len().min(usize::try_from(needed - 1).unwrap_or(usize::MAX));
        let has_next = ids.len() > shown;
        ids.truncate(shown);
        let ids = ids.split_off(ids.len().min(usize::try_from(before).unwrap_or(usize::MAX)));
        let looked_back_to = looked_back_to.filter(|_| !has_next).map(NotificationId);
        Ok(Page { notifications: load(conn, &ids)?, has_next, looked_back_to })
    })
}

/// The ids that are shown, at most so many, from all sources together; and what they looked back to, when one had more rows
/// than it may look at.
fn newest(
    conn: &mut PgConnection,
    service: ServiceId,
    filter: &Filter,
    needed: i64,
) -> QueryResult<(Vec<Uuid>, Option<Uuid>)> {
    let (mut ids, mut looked_back_to) = (Vec::new(), None);
    for source in Source::of_all(&filter.statuses) {
        let mut candidates = Candidates::new(source, service, filter, needed);
        if source == Source::All && !candidates.limit_to_known(conn)? {
            continue;
        }
        let rows: Vec<(Uuid, bool, bool)> = candidates.load(conn)?;
        let ended_at = rows.last().filter(|(_, _, is_last)| *is_last).map(|(id, ..)| *id);
        looked_back_to = looked_back_to.max(ended_at);
        ids.extend(rows.into_iter().filter(|(_, shown, _)| *shown).map(|(id, ..)| id));
    }
    ids.sort_unstable_by(|a, b| b.cmp(a));
    // Beyond that, one source knows what another does not.
    ids.retain(|id| looked_back_to.is_none_or(|to| *id >= to));
    ids.truncate(usize::try_from(needed).unwrap_or(usize::MAX));
    Ok((ids, looked_back_to))
}

statement! {
    Load { ids: &'a [Uuid] => sql::Array<sql::Uuid>, }
        -> (sql::Uuid, sql::Uuid, sql_types::Channel, sql_types::KeyType, sql::Nullable<sql::Uuid>, sql::Nullable<sql::Uuid>,
            sql::Uuid, sql::Integer, sql::Text, sql::Text, sql::Nullable<sql::Bytea>, sql::Nullable<sql::Text>,
            sql::Nullable<sql::Text>, sql::Nullable<sql::Text>, sql::Bool, sql::Nullable<sql::Text>, sql::SmallInt,
            NotificationStatus, sql::Timestamptz, sql::Nullable<sql::Timestamptz>, sql::Nullable<sql::Timestamptz>,
            sql::Nullable<sql_types::Provider>, sql::Nullable<sql::Text>, sql::Integer, sql::Nullable<sql::Integer>),
    concat!("SELECT n.id, service_id, channel, key_type, api_key_id, created_by, template_id, template_version, recipient,
       normalised_recipient, ", notification::small_personalisation!(), ", client_reference, sender, unsubscribe_url,
       international, phone_prefix, rate_multiplier, status, created_at, updated_at, sent_at, sent_by, provider_reference,
       billable_units, octet_length(personalisation)
     FROM UNNEST(?) AS wanted (id)
     CROSS JOIN LATERAL (SELECT * FROM notifications WHERE notifications.id = wanted.id OFFSET 0) AS n
     ORDER BY n.id DESC")
}

pub(crate) fn load(conn: &mut PgConnection, ids: &[Uuid]) -> QueryResult<Vec<StoredNotification>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<Row> = Load { ids, _binds: std::marker::PhantomData }.load(conn)?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// One notification of this service.
///
/// # Errors
/// When the query fails.
pub fn find(
    conn: &mut PgConnection,
    service: ServiceId,
    id: NotificationId,
) -> QueryResult<Option<StoredNotification>> {
    Ok(notification::find(conn, id)?.filter(|found| found.service_id == service))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_searched_as_they_are_kept() {
        let number = |typed| Search::new(typed).number;
        assert_eq!(number("07700 900-855").as_deref(), Some("%7700900855%"));
        assert_eq!(number("+44 (0)7700").as_deref(), Some("%4407700%"));
        assert_eq!(number("0"), None);
        assert_eq!(number(" "), None);
    }

    #[test]
    fn wildcards_are_letters() {
        let search = Search::new("A_b%c\\");
        assert_eq!((&*search.address, &*search.reference), ("%a\\_b\\%c\\\\%", "%a\\_b\\%c\\\\%"));
    }

    #[test]
    fn rare_statuses_have_a_source_of_their_own_unless_all_must_be_read() {
        use Status::{Created, Delivered, Pending, Sending, Sent};
        assert_eq!(Source::of_all(&[]), [Source::All]);
        assert_eq!(Source::of_all(&[Created, Sent]), [Source::Waiting, Source::Uncommon(PgStatus(Sent))]);
        assert_eq!(Source::of_all(&[Created, Sending, Pending]), [Source::All]);
        assert_eq!(Source::of_all(&[Delivered]), [Source::All]);
    }
}
