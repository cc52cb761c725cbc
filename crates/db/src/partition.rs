//! The days of `notifications` and `attempts`: a partition for each, made ahead of time.
//!
//! The id is a UUIDv7, so a day is a range of ids. What falls outside every day lands in the default partition, so nothing
//! is ever refused; when its day is made later, those rows move there.

use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};
use diesel::{
    Connection, OptionalExtension, PgConnection, QueryResult, RunQueryDsl, connection::SimpleConnection,
    sql_types as sql,
};
use domain::id::lowest_v7;

use crate::statement::statement;

/// How many days ahead there is a partition.
pub const DAYS_AHEAD: u64 = 7;

/// A partitioned table, its key, and how its partitions are stored.
const TABLES: [(&str, &str, &str); 2] =
    [("notifications", "id", "WITH (fillfactor = 70)"), ("attempts", "notification_id", "")];

statement! {
    Exists {
        name: &'a str => sql::Text,
    } -> (sql::Bool,),
    "SELECT true FROM pg_class WHERE relname = ? AND relnamespace = current_schema()::regnamespace"
}

/// Makes the partitions of today and the days ahead that do not exist yet; their names.
///
/// # Errors
/// When a statement fails; days made before it stay.
pub fn ensure(conn: &mut PgConnection, now: DateTime<Utc>) -> QueryResult<Vec<String>> {
    let mut made = Vec::new();
    for ahead in 0..=DAYS_AHEAD {
        let Some(day) = now.date_naive().checked_add_days(Days::new(ahead)) else { continue };
        for (table, key, storage) in TABLES {
            let name = format!("{table}_{}", day.format("%Y%m%d"));
            let exists: Option<(bool,)> =
                Exists { name: &name, _binds: std::marker::PhantomData }.get_result(conn).optional()?;
            if exists.is_none() {
                conn.transaction(|conn| make(conn, table, key, storage, &name, day))?;
                made.push(name);
            }
        }
    }
    Ok(made)
}

fn make(
    conn: &mut PgConnection,
    table: &str,
    key: &str,
    storage: &str,
    name: &str,
    day: NaiveDate,
) -> QueryResult<()> {
    let midnight = |day: NaiveDate| lowest_v7(day.and_time(NaiveTime::MIN).and_utc());
    let (from, to) = (midnight(day), midnight(day.succ_opt().unwrap_or(day)));
    // Every name and id is ours. The lock is bounded: better no partition yet (the default takes the rows) than a queue of
    // accepted requests behind this statement.
    conn.batch_execute(&format!(
        "SET LOCAL lock_timeout = '2s';
         CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES) {storage};
         WITH moved AS (DELETE FROM {table}_default WHERE {key} >= '{from}' AND {key} < '{to}' RETURNING *)
         INSERT INTO {name} SELECT * FROM moved;
         ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ('{from}') TO ('{to}');"
    ))
}
