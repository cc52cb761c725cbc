//! The sweep: what is to be woken now, whoever should have been told of it before.

use chrono::{DateTime, Utc};
use diesel::{PgConnection, QueryResult, RunQueryDsl, sql_types as sql};
use domain::wakeup::{Kind, WakeUp};
use uuid::Uuid;

use super::{REWAKE_AFTER, TOLD_FOR, later};
use crate::statement::statement;

statement! {
    Sweep {
        kinds: Vec<&'a str> => sql::Array<sql::Text>,
        now: DateTime<Utc> => sql::Timestamptz,
        limit: i64 => sql::BigInt,
        now_again: DateTime<Utc> => sql::Timestamptz,
        rewake_at: DateTime<Utc> => sql::Timestamptz,
        once_more: DateTime<Utc> => sql::Timestamptz,
    } -> (sql::Uuid, sql::Text, sql::Bool),
    // Kind by kind, so that none is found behind the backlog of another, which may be left out because its queue is long.
    "WITH seen AS (SELECT d.subject_id FROM UNNEST(?) AS k (kind) CROSS JOIN LATERAL (
       SELECT subject_id FROM due WHERE due.kind = k.kind::wakeup_kind AND wake_at <= ?
       ORDER BY wake_at LIMIT ? FOR UPDATE SKIP LOCKED) AS d)
     UPDATE due SET wake_at = CASE WHEN due_at <= ? THEN ? ELSE due_at END FROM seen WHERE due.subject_id = seen.subject_id
     RETURNING due.subject_id, due.kind::text, due.due_at <= ?"
}

/// What one look of the sweep found.
#[derive(Debug)]
pub struct Swept {
    /// To be published.
    pub wake: Vec<WakeUp>,
    /// The page of a kind was full: there may be more.
    pub more: bool,
}

impl Swept {
    /// What another look found, too.
    pub fn append(&mut self, other: Self) {
        self.wake.extend(other.wake);
        self.more |= other.more;
    }
}

/// The sweep: finds up to `page` rows of each of these kinds whose time to be woken has come.
///
/// # Errors
/// When the query fails.
pub fn take(conn: &mut PgConnection, kinds: &[Kind], now: DateTime<Utc>, page: usize) -> QueryResult<Swept> {
    let rows: Vec<(Uuid, String, bool)> = Sweep {
        kinds: kinds.iter().map(|kind| kind.as_str()).collect(),
        now,
        limit: i64::try_from(page).unwrap_or(i64::MAX),
        now_again: now,
        rewake_at: later(now, REWAKE_AFTER),
        once_more: now,
        _binds: std::marker::PhantomData,
    }
    .load(conn)?;
    let more = is_full(kinds, page, &rows.iter().map(|row| &*row.1));
    let due = rows.into_iter().filter(|(_, _, due)| *due).map(|(subject, kind, _)| (subject, kind));
    Ok(Swept { wake: wake_ups(kinds, due), more })
}

statement! {
    SweepLost {
        kinds: Vec<&'a str> => sql::Array<sql::Text>,
        now: DateTime<Utc> => sql::Timestamptz,
        told_before: DateTime<Utc> => sql::Timestamptz,
        now_again: DateTime<Utc> => sql::Timestamptz,
        limit: i64 => sql::BigInt,
        rewake_at: DateTime<Utc> => sql::Timestamptz,
    } -> (sql::Uuid, sql::Text),
    "WITH seen AS (SELECT d.subject_id FROM UNNEST(?) AS k (kind) CROSS JOIN LATERAL (
       SELECT subject_id FROM due WHERE due.kind = k.kind::wakeup_kind AND wake_at > ? AND wake_at <= ? AND due_at <= ?
       ORDER BY wake_at LIMIT ? FOR UPDATE SKIP LOCKED) AS d)
     UPDATE due SET wake_at = ? FROM seen WHERE due.subject_id = seen.subject_id RETURNING due.subject_id, due.kind::text"
}

/// The sweep, for kinds whose queue is empty: finds up to `page` rows of each that are due, that somebody was told of more than
/// [`TOLD_FOR`] ago, and that nobody holds. Few are ever found: what a worker has taken and not begun is told once more.
///
/// # Errors
/// When the query fails.
pub fn take_lost(
    conn: &mut PgConnection,
    kinds: &[Kind],
    now: DateTime<Utc>,
    page: usize,
) -> QueryResult<Swept> {
    let rows: Vec<(Uuid, String)> = SweepLost {
        kinds: kinds.iter().map(|kind| kind.as_str()).collect(),
        now,
        // Whoever tells puts `wake_at` to `REWAKE_AFTER` later; so it says when that was.
        told_before: later(now, REWAKE_AFTER - TOLD_FOR),
        now_again: now,
        limit: i64::try_from(page).unwrap_or(i64::MAX),
        rewake_at: later(now, REWAKE_AFTER),
        _binds: std::marker::PhantomData,
    }
    .load(conn)?;
    let more = is_full(kinds, page, &rows.iter().map(|row| &*row.1));
    Ok(Swept { more, wake: wake_ups(kinds, rows) })
}

/// Whether a page of one of these kinds is.
fn is_full<'r>(kinds: &[Kind], page: usize, found: &(impl Iterator<Item = &'r str> + Clone)) -> bool {
    kinds.iter().any(|kind| found.clone().filter(|name| *name == kind.as_str()).count() == page)
}

fn wake_ups(kinds: &[Kind], rows: impl IntoIterator<Item = (Uuid, String)>) -> Vec<WakeUp> {
    let known = |name: &str| kinds.iter().copied().find(|kind| kind.as_str() == name);
    rows.into_iter().filter_map(|(subject, kind)| Some(WakeUp { kind: known(&kind)?, subject })).collect()
}

statement! {
    Unwake {
        subjects: &'a [Uuid] => sql::Array<sql::Uuid>,
        now: DateTime<Utc> => sql::Timestamptz,
    } -> (),
    "UPDATE due SET wake_at = due_at WHERE subject_id = ANY(?) AND lease IS NULL AND due_at <= ?"
}

/// Nobody was told after all: the next sweep finds these rows.
///
/// # Errors
/// When the query fails; then the rows are found [`REWAKE_AFTER`] later.
pub fn unwake(conn: &mut PgConnection, subjects: &[Uuid], now: DateTime<Utc>) -> QueryResult<()> {
    Unwake { subjects, now, _binds: std::marker::PhantomData }.execute(conn)?;
    Ok(())
}
