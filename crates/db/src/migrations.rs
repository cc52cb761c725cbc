//! The schema's history, compiled in. Migrations only ever get added; each has a `down` that is tested.
//!
//! **Each says in its first line what it is to programs that do not know it**: `-- expanding` when they go on working (a new table,
//! a column with a default, an index), `-- breaking` when they do not; after a colon there may be a reason. Programs are
//! replaced one by one, and the schema before all of them, so a service works on a database that is one expanding migration
//! ahead of it. Which ones are expanding is noted in the database (`expanding_migrations`), before they are applied: the program that
//! must know has not got their files.
//!
//! **A migration waits for nobody long.** What waits for a lock that excludes others makes everybody wait who comes after it. So
//! it gives up soon, and is tried again after a pause ([`migrate_next`]).

use diesel::{
    PgConnection, QueryResult, RunQueryDsl,
    connection::SimpleConnection,
    migration::{Migration, MigrationSource},
    pg::Pg,
    sql_query, sql_types as sql,
};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../../migrations");

/// What a migration is to programs that do not know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Expanding,
    Breaking,
}

/// By folder, in order; None for those from before migrations said it. Made by `build.rs`.
pub const KINDS: &[(&str, Option<Kind>)] = include!(concat!(env!("OUT_DIR"), "/migration_kinds.rs"));

/// How long a migration waits for a lock, and others for what it waits for.
const LOCK_TIMEOUT: &str = "2s";

/// Why a service must not work on this database.
#[derive(Debug, thiserror::Error)]
pub enum SchemaMismatch {
    #[error("the database is {0} migrations behind this program: run `pillarboxctl migrate`")]
    Behind(usize),
    #[error(
        "the database has migration {0}, which this program does not know and which changes what it relies on: it is \
         older than the database"
    )]
    Ahead(String),
    #[error(
        "the database has {count} migrations that this program does not know, up to {newest}: it works on a database that \
         is one ahead, not more"
    )]
    FarAhead { count: usize, newest: String },
    #[error("the schema's version cannot be read: {0}")]
    Unreadable(String),
}

type MigrationResult<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Applies what is missing; the names of what was applied.
///
/// # Errors
/// When a migration fails; the ones before it stay.
pub fn migrate(conn: &mut PgConnection) -> MigrationResult<Vec<String>> {
    std::iter::from_fn(|| migrate_next(conn).transpose()).collect()
}

/// Applies the first that is missing; its version, or None when there is none.
///
/// # Errors
/// When it fails, as it does after two seconds in which somebody held what it needs. Then nothing has changed: it may be
/// tried again.
pub fn migrate_next(conn: &mut PgConnection) -> MigrationResult<Option<String>> {
    note_kinds(conn)?;
    let pending = conn.pending_migrations(MIGRATIONS)?;
    let Some(next) = pending.first() else { return Ok(None) };
    conn.batch_execute(&format!("SET lock_timeout = '{LOCK_TIMEOUT}'"))?;
    Ok(Some(conn.run_migration(next)?.to_string()))
}

/// Before any is applied, so that there is no moment at which it is applied and not noted.
fn note_kinds(conn: &mut PgConnection) -> QueryResult<()> {
    let expanding = KINDS.iter().filter(|(_, kind)| *kind == Some(Kind::Expanding));
    let expanding: Vec<String> = expanding.map(|(folder, _)| version_of(folder)).collect();
    if has_notes(conn)? {
        sql_query("INSERT INTO expanding_migrations SELECT unnest($1) ON CONFLICT DO NOTHING")
            .bind::<sql::Array<sql::Text>, _>(expanding)
            .execute(conn)?;
    }
    Ok(())
}

/// As diesel makes it of the folder's name.
fn version_of(folder: &str) -> String {
    folder.split('_').next().unwrap_or_default().replace('-', "")
}

fn has_notes(conn: &mut PgConnection) -> QueryResult<bool> {
    diesel::select(diesel::dsl::sql::<sql::Bool>("to_regclass('expanding_migrations') IS NOT NULL"))
        .get_result(conn)
}

fn is_expanding(conn: &mut PgConnection, version: &str) -> QueryResult<bool> {
    if !has_notes(conn)? {
        return Ok(false);
    }
    let noted =
        sql_query("SELECT FROM expanding_migrations WHERE version = $1").bind::<sql::Text, _>(version);
    Ok(noted.execute(conn)? > 0)
}

/// Takes everything back, newest first.
///
/// # Errors
/// When a `down` fails.
pub fn revert_all(conn: &mut PgConnection) -> MigrationResult<()> {
    conn.revert_all_migrations(MIGRATIONS)?;
    Ok(())
}

/// The newest migration that the database has.
///
/// # Errors
/// When it cannot be read.
pub fn version(conn: &mut PgConnection) -> QueryResult<Option<String>> {
    let applied = conn.applied_migrations().map_err(diesel::result::Error::QueryBuilderError)?;
    Ok(applied.first().map(ToString::to_string))
}

/// Services refuse to start on a schema that they do not know, but for one migration that leaves them at work.
///
/// # Errors
/// When the database lacks a migration of this program, or has others.
pub fn check(conn: &mut PgConnection) -> Result<(), SchemaMismatch> {
    let unreadable = |e: Box<dyn std::error::Error + Send + Sync>| SchemaMismatch::Unreadable(e.to_string());
    let known: Vec<Box<dyn Migration<Pg>>> = MIGRATIONS.migrations().map_err(unreadable)?;
    let known: Vec<String> = known.iter().map(|m| m.name().version().to_string()).collect();
    // The newest first.
    let applied: Vec<String> =
        conn.applied_migrations().map_err(unreadable)?.iter().map(ToString::to_string).collect();
    let unknown: Vec<&String> = applied.iter().filter(|version| !known.contains(version)).collect();
    match unknown.as_slice() {
        [] => {}
        [one]
            if is_expanding(conn, one).map_err(|error| SchemaMismatch::Unreadable(error.to_string()))? =>
        {
            tracing::info!(migration = one, "the database is one expanding migration ahead of this program");
        }
        [one] => return Err(SchemaMismatch::Ahead((*one).clone())),
        [newest, ..] => {
            return Err(SchemaMismatch::FarAhead { count: unknown.len(), newest: (*newest).clone() });
        }
    }
    match known.len() - (applied.len() - unknown.len()) {
        0 => Ok(()),
        behind => Err(SchemaMismatch::Behind(behind)),
    }
}
