//! Figures: how many notifications there are, by day in London, template, type of key, status and provider.
//!
//! They are kept by triggers on `notifications` (migration `statistics` tells how), so no function here is on the way of a
//! notification. Readers ask the views `figures` and `figures_by_month`, which add what is folded to what is not yet;
//! `figures` and `providers` have their questions.

mod figures;
mod providers;
mod repair;

use diesel::{PgConnection, QueryResult, RunQueryDsl, sql_types as sql};
use uuid::Uuid;

pub use self::{
    figures::{
        Counts, Days, LastUsed, Listed, Named, Sum, by_month, by_template, count, last_use, month,
        most_recently_used, of_all_services, of_platform, of_service, templates_by_month,
    },
    providers::{Carried, by_provider, by_provider_of_service},
    repair::{Repaired, repair},
};
use crate::{
    session::{Unhurried, unhurried},
    statement::statement,
};

statement! {
    Fold {
        page: i64 => sql::BigInt,
    } -> (sql::BigInt),
    // SKIP LOCKED and ORDER BY: two that fold at once (a leader that was, and the one that is) fold different deltas, and add them
    // in one order.
    "WITH page AS (SELECT ctid FROM statistics_deltas LIMIT ? FOR UPDATE SKIP LOCKED),
     folded AS (DELETE FROM statistics_deltas WHERE ctid = ANY(ARRAY(SELECT ctid FROM page)) RETURNING *),
     sums AS (
       SELECT service_id, day, template_id, channel, key_type, status, provider, sum(count) AS count,
         sum(billable_units) AS billable_units, max(last_created_at) AS last_created_at
       FROM folded GROUP BY 1, 2, 3, 4, 5, 6, 7 ORDER BY 1, 2, 3, 4, 5, 6, 7),
     added AS (
       INSERT INTO statistics AS s SELECT * FROM sums
       ON CONFLICT (service_id, day, template_id, channel, key_type, status, provider) DO UPDATE SET
         count = s.count + EXCLUDED.count, billable_units = s.billable_units + EXCLUDED.billable_units,
         last_created_at = greatest(s.last_created_at, EXCLUDED.last_created_at)),
     added_by_month AS (
       INSERT INTO statistics_by_month AS m
       SELECT service_id, date_trunc('month', day::timestamp)::date, template_id, channel, key_type, status, sum(count),
         max(last_created_at)
       FROM sums GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2, 3, 4, 5, 6
       ON CONFLICT (service_id, month, template_id, channel, key_type, status) DO UPDATE SET
         count = m.count + EXCLUDED.count,
         last_created_at = greatest(m.last_created_at, EXCLUDED.last_created_at))
     SELECT count(*) FROM folded"
}

/// Folds a page of the deltas into the sums, and says how many there were. Readers see either all of the page or none of it
/// folded.
///
/// # Errors
/// When the statement fails; then nothing is folded.
pub fn fold(conn: &mut PgConnection, page: u32) -> QueryResult<usize> {
    let fold = Fold { page: page.into(), _binds: std::marker::PhantomData };
    fold.get_result::<(i64,)>(conn).map(|(deltas,)| usize::try_from(deltas).unwrap_or_default())
}

statement! {
    Differences {} -> (sql::BigInt),
    "WITH counted AS (
       SELECT service_id, (created_at AT TIME ZONE 'Europe/London')::date AS day, template_id, channel, key_type, status,
         sent_by AS provider, count(*) AS count, sum(billable_units) AS billable_units
       FROM notifications GROUP BY 1, 2, 3, 4, 5, 6, 7),
     kept AS (
       SELECT service_id, day, template_id, channel, key_type, status, provider, sum(count) AS count,
         sum(billable_units) AS billable_units
       FROM figures GROUP BY 1, 2, 3, 4, 5, 6, 7 HAVING sum(count) <> 0 OR sum(billable_units) <> 0),
     months AS (
       SELECT service_id, date_trunc('month', day::timestamp)::date AS month, template_id, channel, key_type, status,
         sum(count) AS count, max(last_created_at) AS last_created_at
       FROM figures GROUP BY 1, 2, 3, 4, 5, 6),
     kept_months AS (
       SELECT service_id, month, template_id, channel, key_type, status, sum(count) AS count,
         max(last_created_at) AS last_created_at
       FROM figures_by_month GROUP BY 1, 2, 3, 4, 5, 6)
     SELECT (SELECT count(*) FROM (TABLE counted EXCEPT TABLE kept) AS missing)
       + (SELECT count(*) FROM (TABLE kept EXCEPT TABLE counted) AS surplus)
       + (SELECT count(*) FROM (TABLE months EXCEPT TABLE kept_months) AS missing)
       + (SELECT count(*) FROM (TABLE kept_months EXCEPT TABLE months) AS surplus)"
}

/// In how many figures the kept ones differ from a slow recount of the rows, and the months from their days, in one snapshot.
/// None, unless partitions were dropped: figures outlive rows.
///
/// # Errors
/// When the query fails.
pub fn differences(conn: &mut PgConnection) -> QueryResult<i64> {
    let differences = Differences { _binds: std::marker::PhantomData };
    let (differences,) = unhurried(conn, Unhurried::Audit, |conn| differences.get_result::<(i64,)>(conn))?;
    Ok(differences)
}

statement! {
    AtMost {
        service: Uuid => sql::Uuid,
        channels: &'a [&'a str] => sql::Array<sql::Text>,
        key_types: &'a [&'a str] => sql::Array<sql::Text>,
        statuses: &'a [&'a str] => sql::Array<sql::Text>,
    } -> (sql::BigInt,),
    "SELECT coalesce(sum(count), 0)::bigint FROM figures_by_month
     WHERE service_id = ? AND channel::text = ANY(?) AND key_type::text = ANY(?) AND status::text = ANY(?)"
}

/// As many notifications there are of these kinds, or more: figures outlive rows. Who looks for rows need not look on once so
/// many are found.
pub(crate) fn at_most(
    conn: &mut PgConnection,
    service: Uuid,
    channels: &[&str],
    key_types: &[&str],
    statuses: &[&str],
) -> QueryResult<i64> {
    let query = AtMost { service, channels, key_types, statuses, _binds: std::marker::PhantomData };
    query.get_result::<(i64,)>(conn).map(|(count,)| count)
}
