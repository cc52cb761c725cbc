//! Numbered pages with a total, as the API of 2016 has them. A cursor ([`super::list`]) costs the same on every page; here a
//! deep page reads all that comes before it, and a total reads every row that it counts. Only callers of that API pay for
//! it: no index is kept for their sake.

use chrono::{DateTime, Utc};
use diesel::{ExpressionMethods, PgConnection, QueryDsl, QueryResult, RunQueryDsl, SelectableHelper};
use domain::{
    id::{ServiceId, lowest_v7},
    status::{Channel, KeyType, Status},
};

use uuid::Uuid;

use super::{Row, StoredNotification, of_service};
use crate::{
    pg_enum::{PgChannel, PgKeyType, PgStatus},
    schema::notifications,
};

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
    let narrowed = || {
        // The id is the time, and days are partitions of it.
        let from = narrowing.since.map_or(Uuid::nil(), lowest_v7);
        let mut query = notifications::table
            .filter(of_service(service, from, Uuid::max()))
            .filter(notifications::key_type.eq(PgKeyType(key_type)))
            .into_boxed();
        // No notification has a job yet. The day one can, `narrowing.jobs` decides here whether those that have one are
        // among them.
        let Narrowing { channels, statuses, since: _, jobs: _ } = narrowing;
        if !channels.is_empty() {
            query = query.filter(notifications::channel.eq_any(channels.iter().map(|c| PgChannel(*c))));
        }
        if !statuses.is_empty() {
            query = query.filter(notifications::status.eq_any(statuses.iter().map(|s| PgStatus(*s))));
        }
        // The pair alone would not leave out the partitions of days before.
        query.filter(notifications::id.ge(from))
    };
    let before = (which.number - 1).saturating_mul(which.size);
    let rows: Vec<Row> = narrowed()
        .select(Row::as_select())
        .order((notifications::service_id.desc(), notifications::id.desc()))
        .offset(before)
        .limit(which.size)
        .load(conn)?;
    let notifications: Vec<StoredNotification> = rows.into_iter().map(Into::into).collect();
    let here = i64::try_from(notifications.len()).unwrap_or(i64::MAX);
    let total = match here {
        0 => 0,
        // A page that is not full is the last one, and says how many there are.
        _ if here < which.size => before + here,
        _ => narrowed().count().get_result(conn)?,
    };
    Ok(Page { notifications, total })
}
