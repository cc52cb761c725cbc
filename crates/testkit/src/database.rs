//! A database per test, copied from a migrated template, dropped at the end.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use db::{Config, Db};
use diesel::{Connection, PgConnection, RunQueryDsl, sql_query};
use uuid::Uuid;

/// Held while the template is made, so that tests that start together make it once.
const TEMPLATE_LOCK: i64 = 0x0074_6573_746b_6974; // "testkit"

/// A database that lives as long as this value.
#[derive(Debug)]
pub struct TestDatabase {
    server: String,
    name: String,
}

impl Default for TestDatabase {
    fn default() -> Self {
        Self::new()
    }
}

impl TestDatabase {
    /// A fresh copy of the schema with today's partitions.
    ///
    /// # Panics
    /// When `TEST_DATABASE_URL` is not set or its server does not answer.
    #[must_use]
    pub fn new() -> Self {
        let database = Self::empty_name();
        let mut admin = database.admin();
        let template = make_template(&mut admin, &database.server);
        execute(&mut admin, &format!("CREATE DATABASE {} TEMPLATE {template}", database.name));
        database
    }

    /// A database without any schema.
    ///
    /// # Panics
    /// As [`Self::new`].
    #[must_use]
    pub fn empty() -> Self {
        let database = Self::empty_name();
        execute(&mut database.admin(), &format!("CREATE DATABASE {}", database.name));
        database
    }

    fn empty_name() -> Self {
        let server = std::env::var("TEST_DATABASE_URL")
            .expect("TEST_DATABASE_URL is set: run `scripts/test`, or source its environment");
        Self { server, name: format!("test_{}", Uuid::new_v4().simple()) }
    }

    fn admin(&self) -> PgConnection {
        PgConnection::establish(&self.server).expect("the server of TEST_DATABASE_URL answers")
    }

    #[must_use]
    pub fn url(&self) -> String {
        with_database(&self.server, &self.name)
    }

    /// How our services would be configured for it, with a small pool.
    #[must_use]
    pub fn config(&self) -> Config {
        Config {
            url: self.url(),
            pool_size: 4,
            acquire_timeout: Duration::from_secs(20),
            ..Config::default()
        }
    }

    #[must_use]
    pub fn db(&self) -> Db {
        Db::new(&self.config())
    }

    /// Changes the schema or the rows in a way that our own queries never would.
    ///
    /// # Panics
    /// When the database refuses.
    pub fn execute(&self, sql: &str) {
        execute(&mut self.connect(), sql);
    }

    /// A connection for plain queries.
    ///
    /// # Panics
    /// When the database does not answer.
    #[must_use]
    pub fn connect(&self) -> PgConnection {
        db::connect(&self.config()).expect("the test's database answers")
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if let Ok(mut admin) = PgConnection::establish(&self.server) {
            let _ =
                sql_query(format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name)).execute(&mut admin);
        }
    }
}

/// The template for this very schema; made by the first test that needs it.
fn make_template(admin: &mut PgConnection, server: &str) -> String {
    let name = format!("pillarbox_template_{:016x}", fingerprint());
    execute(admin, &format!("SELECT pg_advisory_lock({TEMPLATE_LOCK})"));
    let exists = sql_query(format!("SELECT 1 FROM pg_database WHERE datname = '{name}' AND datistemplate"))
        .execute(admin)
        .expect("pg_database can be read");
    if exists == 0 {
        // A half-made one, left by a test that was killed.
        execute(admin, &format!("DROP DATABASE IF EXISTS {name}"));
        execute(admin, &format!("CREATE DATABASE {name}"));
        {
            let mut conn =
                PgConnection::establish(&with_database(server, &name)).expect("the new template answers");
            db::migrations::migrate(&mut conn).expect("the migrations apply");
            db::partition::ensure(&mut conn, domain::clock::Clock::System.now())
                .expect("partitions can be made");
        }
        execute(admin, &format!("ALTER DATABASE {name} IS_TEMPLATE true"));
    }
    execute(admin, &format!("SELECT pg_advisory_unlock({TEMPLATE_LOCK})"));
    name
}

/// A number that changes whenever a migration is added or edited.
fn fingerprint() -> u64 {
    let mut hasher = DefaultHasher::new();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations");
    let entries = std::fs::read_dir(folder).expect("the workspace has migrations");
    let mut entries: Vec<_> = entries.map(|entry| entry.expect("a readable folder").path()).collect();
    entries.sort();
    for entry in entries {
        (entry.file_name(), std::fs::read(entry.join("up.sql")).ok()).hash(&mut hasher);
    }
    // Partitions are made for today.
    domain::clock::Clock::System.now().date_naive().hash(&mut hasher);
    hasher.finish()
}

fn execute(conn: &mut PgConnection, sql: &str) {
    sql_query(sql).execute(conn).unwrap_or_else(|e| panic!("{sql}: {e}"));
}

/// The same server, another database.
fn with_database(url: &str, name: &str) -> String {
    let (base, query) = url.split_once('?').map_or((url, None), |(base, query)| (base, Some(query)));
    let server = base.rsplit_once('/').map_or(base, |(server, _)| server);
    query.map_or_else(|| format!("{server}/{name}"), |query| format!("{server}/{name}?{query}"))
}
