//! What every connection is told first: how to plan, and how long anything on it may take.
//!
//! A peer that vanished (its power, its network) or stands still (frozen, swapped out) must not keep what it has locked. So it is
//! Postgres that ends its transaction, and a few seconds later the locks are free; a client's own time-outs end with the client.

use std::time::Duration;

use diesel::{Connection, PgConnection, QueryResult, connection::SimpleConnection};

/// Nobody keeps a transaction open while they do something else, so whoever does is gone. Short enough that others, who wait
/// for its locks, need not give up before it is over (`group_writer::LOCK_PATIENCE`).
pub(crate) const IDLE_IN_TRANSACTION: Duration = Duration::from_secs(5);
/// For a row, a table or an advisory lock. Who waits longer is told that the database cannot do it now.
pub(crate) const LOCK: Duration = Duration::from_secs(3);

/// A peer whose machine does not answer is given up by both ends after so many seconds: after 5 s of silence it is asked twice.
pub(crate) const PEER_GONE_SECONDS: u32 = 15;
pub(crate) const KEEPALIVE_IDLE_SECONDS: u32 = 5;
pub(crate) const KEEPALIVE_INTERVAL_SECONDS: u32 = 5;
pub(crate) const KEEPALIVE_COUNT: u32 = 2;

/// How long Postgres lets a session take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// For one statement; nought: for ever.
    pub(crate) statement: Duration,
    /// Without a question; nought: for ever.
    pub(crate) silence: Duration,
}

/// Tells a new connection, in one round trip.
pub(crate) fn prepare(conn: &mut PgConnection, limits: Limits) -> QueryResult<()> {
    conn.batch_execute(&format!(
        "SET statement_timeout = {statement};
         SET lock_timeout = {lock};
         SET idle_in_transaction_session_timeout = {in_transaction};
         SET idle_session_timeout = {silence};
         SET tcp_keepalives_idle = {KEEPALIVE_IDLE_SECONDS};
         SET tcp_keepalives_interval = {KEEPALIVE_INTERVAL_SECONDS};
         SET tcp_keepalives_count = {KEEPALIVE_COUNT};
         SET tcp_user_timeout = '{PEER_GONE_SECONDS}s';
         {PLANS}",
        statement = limits.statement.as_millis(),
        lock = LOCK.as_millis(),
        in_transaction = IDLE_IN_TRANSACTION.as_millis(),
        silence = limits.silence.as_millis(),
    ))
}

/// Statements are prepared once and run for ever: a generic plan saves planning a partitioned table each time. It may be made
/// while a table, or the partition of a day to come, is still empty and reading all of it looks cheapest; it would then read all
/// of it when it holds millions. What has no index to go by is read in sequence all the same; it then looks dear enough to be
/// compiled first, and none of ours gains by that.
const PLANS: &str = "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET jit = off;";

/// Work that legitimately takes longer than what callers wait for, and says so by being here.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Unhurried {
    /// Counts all that is stored, for an operator who asked for it.
    Audit,
    /// Moves the rows of a day to its partition.
    Partition,
}

impl Unhurried {
    const fn statement(self) -> Duration {
        match self {
            Self::Audit => Duration::from_secs(30 * 60),
            Self::Partition => Duration::from_secs(60),
        }
    }
}

/// One transaction with a time-out of its own.
pub(crate) fn unhurried<T>(
    conn: &mut PgConnection,
    what: Unhurried,
    work: impl FnOnce(&mut PgConnection) -> QueryResult<T>,
) -> QueryResult<T> {
    conn.transaction(|conn| {
        conn.batch_execute(&format!("SET LOCAL statement_timeout = {}", what.statement().as_millis()))?;
        work(conn)
    })
}
