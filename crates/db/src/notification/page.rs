//! Numbered pages with a total, as the API of 2016 has them. A cursor ([`super::list`]) costs the same on every page; here a
//! deep page reads all that comes before it, and a total reads every row that it counts: every page reads a service's rows once.
//! Only callers of that API pay for it: no index is kept for their sake, they have few connections, and little time on them
//! (`api::reads`). Rare statuses are read from `uncommon_statuses`, and what figures do not know of is not looked for.

use chrono::{DateTime, Utc};
use diesel::{
    ExpressionMethods, PgConnection, QueryDsl, QueryResult, RunQueryDsl, SelectableHelper,
    dsl::sql as sql_literal, pg::Pg, sql_types as sql,
};
use domain::{
    id::{ServiceId, lowest_v7},
    status::{Channel, KeyType, Status},
};
use uuid::Uuid;

use super::{Row, StoredNotification, of_service};
use crate::{log, pg_enum::PgKeyType, schema::notifications, statement::statement, statistics};

/// What pages are made of. An empty list of words narrows nothing.
#[derive(Clone, Debug, Default)]
pub struct Narrowing {
    pub channels: Vec<Channel>,
    pub statuses: Vec<Status>,
    /// Only what was accepted at or after this time.
    pub since: Option<DateTime<Utc>>,
    /// Also what was made from the rows of a job.
    pub jobs: bool,
}

/// Which page: the first is number 1. Neither number is less than 1.
#[derive(Clone, Copy, Debug)]
pub struct Which {
    pub number: i64,
    pub size: i64,
}

#[derive(Debug)]
pub struct Page {
    /// Newest first. None: the page is beyond the end.
    pub notifications: Vec<StoredNotification>,
    /// On all pages together. Not counted beyond the end, where it is 0.
    pub total: i64,
}

/// One page of a service's notifications that were made with keys of one type.
///
/// # Errors
/// When a query fails.
pub fn page(
    conn: &mut PgConnection,
    service: ServiceId,
    key_type: KeyType,
    narrowing: &Narrowing,
    which: Which,
) -> QueryResult<Page> {
    let before = (which.number - 1).saturating_mul(which.size);
    conn.build_transaction().read_only().repeatable_read().run(|conn| {
        let narrowed = Narrowed::new(service, key_type, narrowing);
        // Figures know of no less than there is: beyond them nobody need look, nor on when the last has been found.
        let known = statistics::at_most(
            conn,
            narrowed.service,
            &narrowed.channels,
            &[key_type.as_str()],
            &narrowed.statuses,
        )?;
        let wanted = which.size.min(known.saturating_sub(before));
        if wanted <= 0 {
            return Ok(Page { notifications: Vec::new(), total: 0 });
        }
        let notifications = narrowed.page(conn, before, wanted)?;
        let here = i64::try_from(notifications.len()).unwrap_or(i64::MAX);
        let so_far = before.saturating_add(here);
        let total = match notifications.last() {
            None => 0,
            // The last page, and says how many there are.
            Some(_) if here < wanted || so_far >= known => so_far,
            Some(oldest) => so_far + narrowed.count_before(conn, oldest.id.0)?,
        };
        Ok(Page { notifications, total })
    })
}

/// What all pages together are made of.
struct Narrowed<'a> {
    service: Uuid,
    key_type: KeyType,
    /// The id is the time, and days are partitions of it.
    lowest: Uuid,
    channels: Vec<&'a str>,
    statuses: Vec<&'a str>,
    /// All statuses that are asked for are found in `uncommon_statuses`.
    uncommon: bool,
}

impl<'a> Narrowed<'a> {
    fn new(service: ServiceId, key_type: KeyType, narrowing: &'a Narrowing) -> Self {
        // No notification has a job yet. The day one can, `narrowing.jobs` decides here whether those that have one are
        // among them.
        let Narrowing { channels, statuses, since, jobs: _ } = narrowing;
        let uncommon = !statuses.is_empty() && statuses.iter().all(|status| log::is_uncommon(*status));
        let channels = if channels.is_empty() { Channel::ALL } else { channels };
        let statuses = if statuses.is_empty() { Status::ALL } else { statuses };
        Self {
            service: service.0,
            key_type,
            lowest: since.map_or(Uuid::nil(), lowest_v7),
            channels: channels.iter().map(|channel| channel.as_str()).collect(),
            statuses: statuses.iter().map(|status| status.as_str()).collect(),
            uncommon,
        }
    }

    fn page(&self, conn: &mut PgConnection, offset: i64, limit: i64) -> QueryResult<Vec<StoredNotification>> {
        if self.uncommon {
            let ids: Vec<(Uuid,)> = Uncommon {
                service: self.service,
                statuses: &self.statuses,
                lowest: self.lowest,
                before: Uuid::max(),
                owner: self.service,
                key_type: self.key_type.as_str(),
                channels: &self.channels,
                offset,
                limit,
                _binds: std::marker::PhantomData,
            }
            .load(conn)?;
            return log::load(conn, &ids.into_iter().map(|(id,)| id).collect::<Vec<_>>());
        }
        let rows: Vec<Row> = self
            .rows(Uuid::max())
            .select(Row::as_select())
            .order((notifications::service_id.desc(), notifications::id.desc()))
            .offset(offset)
            .limit(limit)
            .load(conn)?;
        Ok(rows.into_iter().map(Into::into).collect())
    }

    /// How many are older than this one.
    fn count_before(&self, conn: &mut PgConnection, oldest: Uuid) -> QueryResult<i64> {
        if !self.uncommon {
            return self.rows(oldest).count().get_result(conn);
        }
        let count = UncommonBefore {
            service: self.service,
            statuses: &self.statuses,
            lowest: self.lowest,
            before: oldest,
            owner: self.service,
            key_type: self.key_type.as_str(),
            channels: &self.channels,
            _binds: std::marker::PhantomData,
        };
        count.get_result::<(i64,)>(conn).map(|(count,)| count)
    }

    fn rows(&self, before: Uuid) -> notifications::BoxedQuery<'a, Pg> {
        notifications::table
            .filter(of_service(ServiceId(self.service), self.lowest, before))
            // The pair alone would not leave out the partitions of days before, and after.
            .filter(notifications::id.ge(self.lowest))
            .filter(notifications::id.lt(before))
            .filter(notifications::key_type.eq(PgKeyType(self.key_type)))
            .filter(
                sql_literal::<sql::Bool>("channel::text = ANY(")
                    .bind::<sql::Array<sql::Text>, _>(self.channels.clone())
                    .sql(")"),
            )
            .filter(
                sql_literal::<sql::Bool>("status::text = ANY(")
                    .bind::<sql::Array<sql::Text>, _>(self.statuses.clone())
                    .sql(")"),
            )
            .into_boxed()
    }
}

// Each is looked up in its partition: what is listed may be of another key type, or gone.
statement! {
    Uncommon {
        service: Uuid => sql::Uuid,
        statuses: &'a [&'a str] => sql::Array<sql::Text>,
        lowest: Uuid => sql::Uuid,
        before: Uuid => sql::Uuid,
        owner: Uuid => sql::Uuid,
        key_type: &'a str => sql::Text,
        channels: &'a [&'a str] => sql::Array<sql::Text>,
        offset: i64 => sql::BigInt,
        limit: i64 => sql::BigInt,
    } -> (sql::Uuid,),
    "SELECT found.id FROM (
       SELECT notification_id AS id, status FROM uncommon_statuses
       WHERE service_id = ? AND status = ANY(?::text[]::notification_status[]) AND notification_id >= ? AND notification_id < ?
       ORDER BY notification_id DESC) AS found
     CROSS JOIN LATERAL (
       SELECT service_id, key_type, channel, status FROM notifications WHERE notifications.id = found.id OFFSET 0) AS n
     WHERE n.service_id = ? AND n.key_type::text = ? AND n.channel::text = ANY(?) AND n.status = found.status
     ORDER BY found.id DESC OFFSET ? LIMIT ?"
}

statement! {
    UncommonBefore {
        service: Uuid => sql::Uuid,
        statuses: &'a [&'a str] => sql::Array<sql::Text>,
        lowest: Uuid => sql::Uuid,
        before: Uuid => sql::Uuid,
        owner: Uuid => sql::Uuid,
        key_type: &'a str => sql::Text,
        channels: &'a [&'a str] => sql::Array<sql::Text>,
    } -> (sql::BigInt,),
    "SELECT count(*) FROM (
       SELECT notification_id AS id, status FROM uncommon_statuses
       WHERE service_id = ? AND status = ANY(?::text[]::notification_status[]) AND notification_id >= ? AND notification_id < ?) AS found
     CROSS JOIN LATERAL (
       SELECT service_id, key_type, channel, status FROM notifications WHERE notifications.id = found.id OFFSET 0) AS n
     WHERE n.service_id = ? AND n.key_type::text = ? AND n.channel::text = ANY(?) AND n.status = found.status"
}
