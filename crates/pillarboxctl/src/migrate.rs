//! `migrate`: brings the schema up to this program, and makes the partitions of the days ahead.

use std::time::Duration;

use clap::Args;
use db::Db;
use domain::clock::Clock;

use crate::{database, error::Error, humane, output::say, patience::patiently};

/// Bring the database to this program's schema; safe to run again, and by several at once
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// How long to wait for a database that is not up yet, for another migration to end, or for what others have locked
    #[arg(long, default_value = "30s", value_name = "DURATION", value_parser = humane::duration)]
    wait: Duration,
    /// Take every migration back instead, newest first; nothing is left
    #[arg(long, requires = "destroy_all_data")]
    revert_all: bool,
    /// Confirm that every service, key and notification of this database is to be lost
    #[arg(long, requires = "revert_all")]
    destroy_all_data: bool,
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), Error> {
    let mut config = database::settings()?.database;
    // A migration takes as long as it takes.
    config.statement_timeout = Duration::ZERO;
    let _lock = database::lock(&config, arguments.wait).await?;
    let db = Db::new(&config);
    if arguments.revert_all {
        db.run("migrate.revert_all", |conn| Ok(db::migrations::revert_all(conn)))
            .await?
            .map_err(Error::Reverting)?;
        return say("every migration taken back; the database is empty");
    }
    migrate(&db, arguments.wait).await?;
    make_partitions(&db, arguments.wait).await
}

async fn migrate(db: &Db, wait: Duration) -> Result<(), Error> {
    let mut applied = 0;
    // One by one, each for as long as somebody holds what it needs.
    while let Some(migration) = patiently(wait, async || {
        db.run("migrate", |conn| Ok(db::migrations::migrate_next(conn))).await?.map_err(Error::Migration)
    })
    .await?
    {
        say(&format!("applied {migration}"))?;
        applied += 1;
    }
    // A newer program may have been here before.
    db.run("schema.check", |conn| Ok(db::migrations::check(conn))).await??;
    let version = db.run("schema.version", db::migrations::version).await?;
    let version = version.unwrap_or_else(|| "nothing".into());
    match applied {
        0 => say(&format!("schema at {version}: nothing to do")),
        1 => say(&format!("schema at {version}: 1 migration applied")),
        n => say(&format!("schema at {version}: {n} migrations applied")),
    }
}

async fn make_partitions(db: &Db, wait: Duration) -> Result<(), Error> {
    // A scheduler may be making the same ones, or a long transaction hold the table.
    let made = patiently(wait, async || {
        let now = Clock::System.now();
        db.run("partition.ensure", move |conn| db::partition::ensure(conn, now))
            .await
            .map_err(Error::Partitions)
    })
    .await?;
    match made.as_slice() {
        [] => say("partitions: nothing to do"),
        [first, .., last] => say(&format!("partitions: {} made, {first} to {last}", made.len())),
        [one] => say(&format!("partitions: {one} made")),
    }
}
