//! Figures that are not true are made so, while messages are accepted and delivered.
//!
//! They cannot come to differ by themselves: a trigger writes what a statement changes. But the migration that counted what was there
//! (`statistics`) let others write meanwhile, and somebody may have changed figures by hand.
//!
//! **Why this excludes nobody who writes.** A row and its deltas are committed together, and folding moves deltas in one
//! statement, so in every snapshot the rows differ from the figures by the same amount, whoever is at work. That amount, found in
//! one statement, is true still when it is appended, as one more delta. Only another repair would append it, too: whoever
//! repairs holds [`advisory_lock::MIGRATION`](crate::advisory_lock::MIGRATION).

use std::marker::PhantomData;

use diesel::{Connection, PgConnection, QueryResult, RunQueryDsl, sql_types as sql};
use uuid::Uuid;

use crate::statement::statement;

/// What was made true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repaired {
    /// Of days and of months.
    pub figures: i64,
    /// Notifications that a list of rare statuses lacked, or had with another one.
    pub statuses: i64,
    /// Figures of days of which not every row can be here: their partition was dropped, or never made. Nothing is known of them.
    pub left_alone: i64,
}

// A day in London lies in one or two of the days, in UTC, that partitions are for.
statement! {
    Days {} -> (sql::BigInt, sql::BigInt),
    "WITH partitions AS (
       SELECT right(c.relname, 8)::date AS day FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
       WHERE i.inhparent = 'notifications'::regclass AND c.relname ~ '^notifications_[0-9]{8}$'),
     wrong AS (
       SELECT service_id, day, template_id, channel, key_type, status, provider, sum(count)::bigint AS count,
         sum(billable_units)::bigint AS billable_units, max(last_created_at) AS last_created_at
       FROM (
         SELECT service_id, (created_at AT TIME ZONE 'Europe/London')::date AS day, template_id, channel, key_type, status,
           sent_by AS provider, 1 AS count, billable_units, created_at AS last_created_at FROM notifications
         UNION ALL
         SELECT service_id, day, template_id, channel, key_type, status, provider, -count, -billable_units, NULL
         FROM figures) AS rows_and_figures
       GROUP BY 1, 2, 3, 4, 5, 6, 7 HAVING sum(count) <> 0 OR sum(billable_units) <> 0),
     repaired AS (
       INSERT INTO statistics_deltas
       SELECT wrong.* FROM wrong
       WHERE (day::timestamp AT TIME ZONE 'Europe/London' AT TIME ZONE 'UTC')::date IN (TABLE partitions)
         AND ((day + 1)::timestamp AT TIME ZONE 'Europe/London' AT TIME ZONE 'UTC' - interval '1 microsecond')::date
           IN (TABLE partitions)
       RETURNING 1)
     SELECT (SELECT count(*) FROM repaired), (SELECT count(*) FROM wrong) - (SELECT count(*) FROM repaired)"
}

statement! {
    Months {} -> (sql::BigInt,),
    "WITH repaired AS (
       INSERT INTO statistics_by_month AS m
       SELECT service_id, month, template_id, channel, key_type, status, sum(count)::bigint, max(of_days)
       FROM (
         SELECT service_id, date_trunc('month', day::timestamp)::date AS month, template_id, channel, key_type, status, count,
           last_created_at AS of_days, NULL::timestamptz AS of_month FROM figures
         UNION ALL
         SELECT service_id, month, template_id, channel, key_type, status, -count, NULL, last_created_at
         FROM figures_by_month) AS days_and_months
       GROUP BY 1, 2, 3, 4, 5, 6 HAVING sum(count) <> 0 OR max(of_days) > coalesce(max(of_month), '-infinity')
       ON CONFLICT (service_id, month, template_id, channel, key_type, status) DO UPDATE SET
         count = m.count + EXCLUDED.count,
         last_created_at = greatest(m.last_created_at, EXCLUDED.last_created_at)
       RETURNING 1)
     SELECT count(*) FROM repaired"
}

statement! {
    WrongStatuses {} -> (sql::Uuid,),
    "SELECT n.id FROM notifications AS n LEFT JOIN uncommon_statuses AS u ON u.notification_id = n.id
     WHERE CASE WHEN is_uncommon(n.status) THEN u.status IS DISTINCT FROM n.status ELSE u.status IS NOT NULL END
     ORDER BY n.id LIMIT 1000"
}

statement! {
    Hold {
        ids: &'a [Uuid] => sql::Array<sql::Uuid>,
    } -> (sql::Uuid,),
    "SELECT id FROM notifications WHERE id = ANY(?) ORDER BY id FOR NO KEY UPDATE"
}

statement! {
    Forget {
        ids: &'a [Uuid] => sql::Array<sql::Uuid>,
    } -> (),
    "DELETE FROM uncommon_statuses WHERE notification_id = ANY(?)"
}

statement! {
    List {
        ids: &'a [Uuid] => sql::Array<sql::Uuid>,
    } -> (),
    "INSERT INTO uncommon_statuses SELECT id, service_id, status FROM notifications WHERE id = ANY(?) AND is_uncommon(status)"
}

/// Recounts all rows (slow), and makes true what differs. For whoever holds the lock that the module names.
///
/// # Errors
/// When a statement fails; what was repaired before it stays.
pub fn repair(conn: &mut PgConnection) -> QueryResult<Repaired> {
    let (days, left_alone): (i64, i64) = Days { _binds: PhantomData }.get_result(conn)?;
    // After the days, which months are made of.
    let (months,): (i64,) = Months { _binds: PhantomData }.get_result(conn)?;
    let mut statuses = 0;
    loop {
        let wrong: Vec<(Uuid,)> = WrongStatuses { _binds: PhantomData }.load(conn)?;
        let ids: Vec<Uuid> = wrong.into_iter().map(|(id,)| id).collect();
        if ids.is_empty() {
            return Ok(Repaired { figures: days + months, statuses, left_alone });
        }
        statuses += i64::try_from(ids.len()).unwrap_or(i64::MAX);
        list_again(conn, &ids)?;
    }
}

/// Nobody changes these meanwhile; so what they are is what is listed.
fn list_again(conn: &mut PgConnection, ids: &[Uuid]) -> QueryResult<()> {
    conn.transaction(|conn| {
        let _held: Vec<(Uuid,)> = Hold { ids, _binds: PhantomData }.load(conn)?;
        Forget { ids, _binds: PhantomData }.execute(conn)?;
        List { ids, _binds: PhantomData }.execute(conn)?;
        Ok(())
    })
}
