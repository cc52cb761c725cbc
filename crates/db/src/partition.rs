//! The days of `notifications` and `attempts`: a partition for each, made ahead of time.
//!
//! The id is a UUIDv7, so a day is a range of ids. What falls outside every day lands in the default partition, so nothing
//! is ever refused; when its day is made later, those rows move there.

use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};
use diesel::{
    OptionalExtension, PgConnection, QueryResult, QueryableByName, RunQueryDsl, connection::SimpleConnection,
    sql_query, sql_types as sql,
};
use domain::id::lowest_v7;
use uuid::Uuid;

use crate::{
    session::{Unhurried, unhurried},
    statement::statement,
};

/// How many days ahead there is a partition.
pub const DAYS_AHEAD: u64 = 7;

/// Rows that move in one statement: well within its time-out, however many there are.
const PAGE: usize = 10_000;

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
                unhurried(conn, Unhurried::Partition, |conn| make(conn, table, key, storage, &name, day))?;
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
    // Every name and id is ours. The waits for locks are bounded: better no partition yet (the default takes the rows) than a
    // queue of accepted requests behind this. A writer, on the other hand, waits for us at the table: had it come as far as a
    // row that moves, it would find the row deleted and change nothing.
    conn.batch_execute(&format!(
        "SET LOCAL lock_timeout = '2s';
         CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES) {storage};
         LOCK TABLE {table}_default IN SHARE ROW EXCLUSIVE MODE;"
    ))?;
    move_rows(conn, (table, key), name, from, to)?;
    conn.batch_execute(&format!(
        "ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ('{from}') TO ('{to}');"
    ))
}

#[derive(QueryableByName)]
struct Moved {
    #[diesel(sql_type = sql::Nullable<sql::Uuid>)]
    last: Option<Uuid>,
}

fn move_rows(
    conn: &mut PgConnection,
    (table, key): (&str, &str),
    name: &str,
    from: Uuid,
    to: Uuid,
) -> QueryResult<()> {
    let mut rest = format!("{key} >= '{from}' AND {key} < '{to}'");
    loop {
        let page: Moved = sql_query(format!(
            "WITH page AS (SELECT {key} FROM {table}_default WHERE {rest} ORDER BY {key} LIMIT {PAGE}),
               moved AS (DELETE FROM {table}_default WHERE {key} IN (SELECT {key} FROM page) RETURNING *),
               stored AS (INSERT INTO {name} SELECT * FROM moved RETURNING {key})
             SELECT max({key}::text)::uuid AS last FROM stored"
        ))
        .get_result(conn)?;
        let Some(last) = page.last else { return Ok(()) };
        rest = format!("{key} > '{last}' AND {key} < '{to}'");
    }
}
