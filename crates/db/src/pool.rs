//! The one door between async code and synchronous queries.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use backoff::{ExponentialBackoff, backoff::Backoff};
use diesel::{
    Connection, PgConnection, QueryResult,
    r2d2::{ConnectionManager, CustomizeConnection, Pool, PooledConnection},
};
use serde::Deserialize;
use tokio::sync::Semaphore;

use crate::{
    database_tls,
    error::DbError,
    migrations::{self, SchemaMismatch},
    session::{self, Limits},
};

/// The section `database`.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// `postgres://user:password@host:port/name`; also taken from the plain `DATABASE_URL`. Unless it names an `sslmode`, one
    /// that leads to another machine requires TLS.
    pub url: String,
    /// Connections of this process, besides the one of each group writer.
    pub pool_size: u32,
    /// How long a query waits for its turn and a connection.
    #[serde(with = "humantime_serde")]
    pub acquire_timeout: Duration,
    /// How long Postgres works on one statement before it gives up.
    #[serde(with = "humantime_serde")]
    pub statement_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: "postgres://pillarbox@127.0.0.1:5432/pillarbox".into(),
            pool_size: 8,
            acquire_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(30),
        }
    }
}

/// What libpq is told beside the URL, in seconds and milliseconds: a host that went away without a word is noticed as soon as
/// Postgres notices the same of us. The URL's own settings win.
const PATIENCE: [(&str, u32); 5] = [
    ("connect_timeout", 5),
    ("keepalives_idle", session::KEEPALIVE_IDLE_SECONDS),
    ("keepalives_interval", session::KEEPALIVE_INTERVAL_SECONDS),
    ("keepalives_count", session::KEEPALIVE_COUNT),
    ("tcp_user_timeout", session::PEER_GONE_SECONDS * 1000),
];

impl Config {
    /// The URL as libpq gets it.
    fn address(&self) -> String {
        let mut url = self.url.clone();
        let mut say = |setting: &str| {
            let separator = if url.contains('?') { '&' } else { '?' };
            url.push_str(&format!("{separator}{setting}"));
        };
        for (setting, value) in PATIENCE {
            if !self.url.contains(&format!("{setting}=")) {
                say(&format!("{setting}={value}"));
            }
        }
        if database_tls::is_left_open(&self.url) {
            say("sslmode=require");
        }
        url
    }

    fn limits(&self) -> Limits {
        Limits { statement: self.statement_timeout, silence: Duration::ZERO }
    }

    /// What libpq says of a URL that it cannot read may repeat it, password included.
    fn without_password(&self, words: &str) -> String {
        let credentials = self.url.split_once("://").and_then(|(_, rest)| rest.rsplit_once('@'));
        match credentials.and_then(|(credentials, _)| credentials.split_once(':')) {
            Some((_, password)) if !password.is_empty() => words.replace(password, "…"),
            _ => words.to_owned(),
        }
    }
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The URL holds a password.
        f.debug_struct("Config").field("pool_size", &self.pool_size).finish_non_exhaustive()
    }
}

/// A database: cheap to clone, all clones share the pool.
#[derive(Clone)]
pub struct Db {
    pool: Pool<ConnectionManager<PgConnection>>,
    /// As many as connections: whoever waits, waits here and not on a blocking thread.
    permits: Arc<Semaphore>,
    config: Arc<Config>,
}

impl std::fmt::Debug for Db {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Db").field("free", &self.permits.available_permits()).finish_non_exhaustive()
    }
}

impl Db {
    /// Makes the pool. Connections are made when they are needed, so this succeeds while the database is still away.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        if database_tls::is_left_open(&config.url) {
            tracing::info!(
                "database.url names no sslmode, and the host is not this machine: TLS is required. In a network that you \
                 trust, say sslmode=disable"
            );
        }
        let pool = Pool::builder()
            .max_size(config.pool_size)
            .min_idle(Some(0))
            .connection_timeout(config.acquire_timeout)
            .connection_customizer(Box::new(Session(config.limits())))
            .build_unchecked(ConnectionManager::new(config.address()));
        let permits = Arc::new(Semaphore::new(config.pool_size as usize));
        Self { pool, permits, config: Arc::new(config.clone()) }
    }

    /// Makes the pool, waits for as long as the database is away, and checks that its schema is ours.
    ///
    /// # Errors
    /// When it is not.
    pub async fn open(config: &Config) -> Result<Self, SchemaMismatch> {
        let db = Self::new(config);
        let mut pauses = ExponentialBackoff {
            initial_interval: Duration::from_millis(200),
            max_interval: Duration::from_secs(5),
            max_elapsed_time: None,
            ..ExponentialBackoff::default()
        };
        loop {
            match db.run("schema.check", |conn| Ok(migrations::check(conn))).await {
                Ok(checked) => return checked.map(|()| db),
                Err(error) => {
                    tracing::warn!(%error, "waiting for the database");
                    tokio::time::sleep(pauses.next_backoff().unwrap_or(pauses.max_interval)).await;
                }
            }
        }
    }

    /// A connection for a thread that may wait for one.
    pub(crate) fn connection(&self) -> Result<PooledConnection<ConnectionManager<PgConnection>>, DbError> {
        let connection = self.pool.get();
        connection.map_err(|e| DbError::Unavailable(self.config.without_password(&e.to_string())))
    }

    /// Runs one piece of work on a connection, off the async threads. `query` names it in errors, spans and metrics.
    ///
    /// # Errors
    /// When no connection is free in time, or the query fails.
    #[tracing::instrument(level = "debug", skip(self, work))]
    pub async fn run<T: Send + 'static>(
        &self,
        query: &'static str,
        work: impl FnOnce(&mut PgConnection) -> QueryResult<T> + Send + 'static,
    ) -> Result<T, DbError> {
        let permit =
            tokio::time::timeout(self.config.acquire_timeout, Arc::clone(&self.permits).acquire_owned())
                .await
                .map_err(|_| DbError::Unavailable(format!("{query} waited too long for its turn")))?
                .map_err(|_| DbError::Unavailable("shut down".into()))?;
        let db = self.clone();
        tokio::task::spawn_blocking(move || {
            // Held by the blocking thread: a caller that went away does not free a connection still in use.
            let _permit = permit;
            let mut conn = db.connection()?;
            let started = Instant::now();
            work(&mut conn).map_err(|source| DbError::query(query, source, started.elapsed()))
        })
        .await
        .map_err(|_| DbError::Panicked(query))?
    }
}

/// Tells a pooled connection what it is told first.
#[derive(Debug)]
struct Session(Limits);

impl CustomizeConnection<PgConnection, diesel::r2d2::Error> for Session {
    fn on_acquire(&self, conn: &mut PgConnection) -> Result<(), diesel::r2d2::Error> {
        session::prepare(conn, self.0).map_err(diesel::r2d2::Error::QueryError)
    }
}

/// A connection of one's own: group writers, advisory locks.
///
/// # Errors
/// When the database is away.
pub fn connect(config: &Config) -> Result<PgConnection, DbError> {
    establish(config, config.limits())
}

/// The same, for somebody who must be heard of: Postgres ends it after so long without a question.
pub(crate) fn connect_while_heard(config: &Config, silence: Duration) -> Result<PgConnection, DbError> {
    establish(config, Limits { silence, ..config.limits() })
}

fn establish(config: &Config, limits: Limits) -> Result<PgConnection, DbError> {
    let mut conn = PgConnection::establish(&config.address())
        .map_err(|e| DbError::Unavailable(config.without_password(&e.to_string())))?;
    session::prepare(&mut conn, limits).map_err(|source| DbError::Query { query: "session", source })?;
    Ok(conn)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(url: &str) -> Config {
        Config { url: url.into(), acquire_timeout: Duration::from_secs(1), ..Config::default() }
    }

    #[test]
    fn libpq_is_told_to_be_impatient_unless_the_url_says_otherwise() {
        let address = config("postgres://u:p@h/db?connect_timeout=60").address();
        assert!(
            address.starts_with("postgres://u:p@h/db?connect_timeout=60&keepalives_idle=5&"),
            "{address}"
        );
        assert_eq!(address.matches("connect_timeout").count(), 1);
        assert!(config("postgres://h/db").address().starts_with("postgres://h/db?connect_timeout=5&"));
    }

    #[test]
    fn no_error_shows_the_password() {
        for url in ["postgres://u:hush@127.0.0.1:port/db", "postgres://u:hush@127.0.0.1:1/db"] {
            let refused = connect(&config(url)).map(|_| ()).unwrap_err().to_string();
            assert!(!refused.contains("hush"), "{refused}");
        }
        assert!(!format!("{:?}", config("postgres://u:hush@h/db")).contains("hush"));
    }
}
