//! The databases that are measured: Pillarbox's own, and one beside it with the same schema for the floor.

use chrono::{DateTime, Utc};
use db::audit::Audit;
use diesel::{
    Connection, PgConnection, RunQueryDsl, connection::SimpleConnection, dsl::sql, select, sql_types,
};
use domain::{clock::Clock, id::ServiceId};
use uuid::Uuid;

use crate::{error::Error, stack::Stack, text::Account};

/// What stands in a database that the bench may empty.
const MARK: &str = "the_bench_may_empty_this_database";
const FLOOR: &str = "pillarbox_floor";

pub(crate) fn connect(url: &str) -> Result<PgConnection, Error> {
    Ok(db::connect(&db::Config { url: url.to_owned(), ..db::Config::default() })?)
}

/// The URL of the floor's database.
pub(crate) fn floor_url(url: &str) -> Result<String, Error> {
    let (server, _) = url.rsplit_once('/').ok_or_else(|| Error::Wrong("no database in its URL".into()))?;
    Ok(format!("{server}/{FLOOR}"))
}

/// Marks Pillarbox's database, and makes the floor's: the same migrations, the same partitions.
pub(crate) fn prepare(stack: &Stack) -> Result<(), Error> {
    let now = Clock::System.now();
    let mut conn = stack.database()?;
    if count(&mut conn, "SELECT count(*) FROM notifications")? > 0 {
        return Err(Error::Wrong("there are notifications in this database: it is not the bench's".into()));
    }
    db::partition::ensure(&mut conn, now)?;
    conn.batch_execute(&format!("CREATE TABLE IF NOT EXISTS {MARK} ()"))?;
    conn.batch_execute(&format!("DROP DATABASE IF EXISTS {FLOOR}"))?;
    conn.batch_execute(&format!("CREATE DATABASE {FLOOR}"))?;
    let mut floor = connect(&floor_url(stack.database_url())?)?;
    db::migrations::migrate(&mut floor).map_err(|error| Error::Wrong(format!("migrating: {error}")))?;
    db::partition::ensure(&mut floor, now)?;
    floor.batch_execute(&format!("CREATE TABLE {MARK} ()"))?;
    Ok(())
}

/// Takes everything away that a run leaves, and writes out what the cleaning dirtied, so that no run pays for another.
pub(crate) fn empty(conn: &mut PgConnection) -> Result<(), Error> {
    let marked = format!("SELECT count(*) FROM pg_class WHERE relname = '{MARK}'");
    if count(conn, &marked)? == 0 {
        return Err(Error::Wrong("this database is not the bench's: nothing was emptied".into()));
    }
    conn.batch_execute(
        "SET lock_timeout = '30s';
         TRUNCATE notifications, attempts, due, receipts, statistics, statistics_by_month, statistics_deltas, uncommon_statuses;
         CHECKPOINT",
    )?;
    Ok(())
}

/// The number that a query answers.
pub(crate) fn count(conn: &mut PgConnection, query: &str) -> Result<u64, Error> {
    let count: i64 = select(sql::<sql_types::BigInt>(&format!("({query})"))).get_result(conn)?;
    Ok(count.unsigned_abs())
}

/// A setting of the server.
pub(crate) fn setting(conn: &mut PgConnection, name: &str) -> Result<String, Error> {
    Ok(select(sql::<sql_types::Text>(&format!("current_setting('{name}')"))).get_result(conn)?)
}

/// The bench's account: the service, any of its keys, the template.
pub(crate) fn account(conn: &mut PgConnection, stack: &Stack, service: ServiceId) -> Result<Account, Error> {
    let key =
        sql::<sql_types::Uuid>(&format!("(SELECT id FROM api_keys WHERE service_id = '{service}' LIMIT 1)"));
    let key: Uuid = select(key).get_result(conn)?;
    Ok(Account { service, key: key.into(), template: stack.sms_template })
}

/// Stores a group of notifications as the API does.
pub(crate) fn store(
    conn: &mut PgConnection,
    group: &[db::intake::NewNotification],
) -> Result<Vec<db::intake::Stored>, Error> {
    Ok(conn.transaction(|conn| db::intake::store(conn, group))?)
}

/// Accepted = final + in flight, and exactly `expected` were accepted.
pub(crate) fn audit(conn: &mut PgConnection, expected: u64) -> Result<Audit, Error> {
    let audit = db::audit::audit(conn)?;
    if audit.is_balanced() && audit.accepted.unsigned_abs() == expected {
        Ok(audit)
    } else {
        Err(Error::Wrong(format!("{expected} were accepted, but the audit says {audit:?}")))
    }
}

/// The oldest notification from this one on that is not delivered yet. Nothing is looked at twice.
pub(crate) fn undelivered(conn: &mut PgConnection, from: Uuid) -> Result<Option<Uuid>, Error> {
    let oldest = sql::<sql_types::Nullable<sql_types::Uuid>>(&format!(
        "(SELECT id FROM notifications WHERE id >= '{from}' AND status <> 'delivered' ORDER BY id LIMIT 1)"
    ));
    Ok(select(oldest).get_result(conn)?)
}

/// When the first and the last provider call ended.
pub(crate) fn first_and_last_sent(conn: &mut PgConnection) -> Result<(DateTime<Utc>, DateTime<Utc>), Error> {
    let end =
        |which: &str| sql::<sql_types::Timestamptz>(&format!("(SELECT {which}(sent_at) FROM notifications)"));
    Ok(select((end("min"), end("max"))).get_result(conn)?)
}
