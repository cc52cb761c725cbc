//! One of several replicas works: a lock that Postgres lets go of when its holder's connection ends.

use std::time::Duration;

use diesel::{PgConnection, QueryResult, RunQueryDsl, sql_types as sql};

use crate::{
    error::DbError,
    pool::{self, Config},
    statement::statement,
};

/// Who does the periodic tasks.
pub const SCHEDULER: i64 = 0x7069_6c6c_6172; // "pillar"
/// Who changes the schema, or seeds: several may be started at once.
pub const MIGRATION: i64 = 0x6d69_6772_6174; // "migrat"

/// A held lock, with the connection that holds it.
pub struct Held {
    conn: PgConnection,
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Held").finish_non_exhaustive()
    }
}

statement! {
    TryLock {
        key: i64 => sql::BigInt,
    } -> (sql::Bool,),
    "SELECT pg_try_advisory_lock(?)"
}

statement! {
    StillHeld {
        key: i64 => sql::BigInt,
    } -> (sql::Bool,),
    "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()
       AND ((classid::bigint << 32) | objid::bigint) = ? AND granted)"
}

/// Takes the lock on a connection of its own; None when somebody else has it.
///
/// # Errors
/// When the database is away. Blocks: call it off the async threads.
pub fn try_hold(config: &Config, key: i64) -> Result<Option<Held>, DbError> {
    try_lock(pool::connect(config)?, key)
}

/// The same, for as long as its holder is heard of: a machine that vanishes, or stands still, for longer than `silence` without
/// a [`Held::check`] has lost it.
///
/// # Errors
/// As [`try_hold`].
pub fn try_hold_while_heard(config: &Config, key: i64, silence: Duration) -> Result<Option<Held>, DbError> {
    try_lock(pool::connect_while_heard(config, silence)?, key)
}

fn try_lock(mut conn: PgConnection, key: i64) -> Result<Option<Held>, DbError> {
    let (held,): (bool,) = TryLock { key, _binds: std::marker::PhantomData }
        .get_result(&mut conn)
        .map_err(|source| DbError::Query { query: "advisory_lock", source })?;
    Ok(held.then_some(Held { conn }))
}

impl Held {
    /// Whether the connection, and with it the lock, is still there. Blocks.
    ///
    /// # Errors
    /// When it is not.
    pub fn check(&mut self, key: i64) -> QueryResult<bool> {
        let (held,): (bool,) =
            StillHeld { key, _binds: std::marker::PhantomData }.get_result(&mut self.conn)?;
        Ok(held)
    }
}
