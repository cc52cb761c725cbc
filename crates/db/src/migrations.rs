//! The schema's history, compiled in. Migrations only ever get added; each has a `down` that is tested.

use diesel::{
    PgConnection,
    migration::{Migration, MigrationSource},
    pg::Pg,
};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../../migrations");

/// Why a service must not work on this database.
#[derive(Debug, thiserror::Error)]
pub enum SchemaMismatch {
    #[error("the database is {0} migrations behind this program: run `pillarboxctl migrate`")]
    Behind(usize),
    #[error(
        "the database has migration {0}, which this program does not know: it is older than the database"
    )]
    Ahead(String),
    #[error("the schema's version cannot be read: {0}")]
    Unreadable(String),
}

type MigrationResult<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Applies what is missing; the names of what was applied.
///
/// # Errors
/// When a migration fails; the ones before it stay.
pub fn migrate(conn: &mut PgConnection) -> MigrationResult<Vec<String>> {
    Ok(conn.run_pending_migrations(MIGRATIONS)?.iter().map(ToString::to_string).collect())
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
pub fn version(conn: &mut PgConnection) -> MigrationResult<Option<String>> {
    Ok(conn.applied_migrations()?.first().map(ToString::to_string))
}

/// Services refuse to start on a schema that they do not know.
///
/// # Errors
/// When the database has more or fewer migrations than this program.
pub fn check(conn: &mut PgConnection) -> Result<(), SchemaMismatch> {
    let unreadable = |e: Box<dyn std::error::Error + Send + Sync>| SchemaMismatch::Unreadable(e.to_string());
    let known: Vec<Box<dyn Migration<Pg>>> = MIGRATIONS.migrations().map_err(unreadable)?;
    let known: Vec<String> = known.iter().map(|m| m.name().version().to_string()).collect();
    let applied: Vec<String> =
        conn.applied_migrations().map_err(unreadable)?.iter().map(ToString::to_string).collect();
    if let Some(unknown) = applied.iter().find(|version| !known.contains(version)) {
        return Err(SchemaMismatch::Ahead(unknown.clone()));
    }
    match known.len() - applied.len() {
        0 => Ok(()),
        behind => Err(SchemaMismatch::Behind(behind)),
    }
}
