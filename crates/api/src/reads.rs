//! What services read, so that nobody's reading is everybody's waiting.
//!
//! Reads have connections of their own, which nothing that sends or authenticates needs, and statements on them end early. Each
//! service has two at a time; what comes meanwhile waits, but neither in any number nor for ever. A place is held until Postgres
//! is done with it: whoever hangs up frees it by cancelling the statement, and not before.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use actix_web::HttpRequest;
use db::{Db, PgConnection, QueryResult, cancel::CancellableDb};
use domain::id::{ApiKeyId, ServiceId};
use serde::Deserialize;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::{
    App,
    auth::{self, By, Caller},
    buckets::Buckets,
    error::Problem,
};

/// The section `api.reads`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReadsConfig {
    /// Connections for all services together.
    pub connections: u32,
    /// Reads of one service at a time.
    pub at_once: usize,
    /// Reads of one service that wait for the others; the next is refused.
    pub waiting: usize,
    /// How long one waits before it is refused.
    #[serde(with = "humantime_serde")]
    pub longest_wait: Duration,
    /// How long Postgres works on one statement of a read.
    #[serde(with = "humantime_serde")]
    pub statement_timeout: Duration,
    /// Reads a minute with one key, in each process; 0 is no limit. As many as a service may send by default.
    pub per_minute: u32,
}

impl Default for ReadsConfig {
    fn default() -> Self {
        Self {
            connections: 4,
            at_once: 2,
            waiting: 100,
            longest_wait: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(5),
            per_minute: 3000,
        }
    }
}

/// Services whose places are kept though none is taken.
const IDLE_PLACES: usize = 1000;

pub(crate) struct Reads {
    db: CancellableDb,
    places: Mutex<HashMap<ServiceId, Arc<Places>>>,
    by_key: Buckets<ApiKeyId>,
    config: ReadsConfig,
}

struct Places {
    /// Those who read and those who wait.
    all: Arc<Semaphore>,
    reading: Arc<Semaphore>,
}

/// Held for as long as a read lasts.
struct Place {
    _reading: OwnedSemaphorePermit,
    _any: OwnedSemaphorePermit,
}

impl Reads {
    /// `canceller` has connections when those for reads are all taken.
    pub(crate) fn new(config: &ReadsConfig, database: &db::Config, canceller: Db) -> Self {
        let reading = db::Config {
            pool_size: config.connections.max(1),
            statement_timeout: config.statement_timeout,
            ..database.clone()
        };
        Self {
            db: CancellableDb::new(Db::new(&reading), canceller),
            places: Mutex::default(),
            by_key: Buckets::new(config.per_minute),
            config: config.clone(),
        }
    }

    /// Runs one read of this service when it is its turn.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        service: ServiceId,
        query: &'static str,
        work: impl FnOnce(&mut PgConnection) -> QueryResult<T> + Send + 'static,
    ) -> Result<T, Problem> {
        let place = self.place(service).await?;
        let read = self.db.run(query, move |conn| {
            // The thread holds it, not the caller.
            let _place = place;
            work(conn)
        });
        Ok(read.await?)
    }

    async fn place(&self, service: ServiceId) -> Result<Place, Problem> {
        let places = self.places_of(service);
        let any = Arc::clone(&places.all).try_acquire_owned().map_err(|_| Problem::TooManyReads)?;
        let turn = timeout(self.config.longest_wait, Arc::clone(&places.reading).acquire_owned());
        match turn.await {
            Ok(Ok(reading)) => Ok(Place { _reading: reading, _any: any }),
            Ok(Err(_)) | Err(_) => Err(Problem::TooManyReads),
        }
    }

    fn places_of(&self, service: ServiceId) -> Arc<Places> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if places.len() >= IDLE_PLACES {
            let all = self.all();
            places.retain(|_, places| places.all.available_permits() < all || Arc::strong_count(places) > 1);
        }
        let new = || Places {
            all: Arc::new(Semaphore::new(self.all())),
            reading: Arc::new(Semaphore::new(self.config.at_once.max(1))),
        };
        Arc::clone(places.entry(service).or_insert_with(|| Arc::new(new())))
    }

    fn all(&self) -> usize {
        self.config.at_once.max(1) + self.config.waiting
    }
}

/// The service that asks to read something, unless its key has asked too often.
pub(crate) async fn caller(app: &App, request: &HttpRequest) -> Result<Caller, Problem> {
    let caller = auth::service(app, request).await?;
    if let By::Key(key) = caller.by {
        app.reads.by_key.take(key).map_err(|wait| Problem::TooManyReadsWithKey {
            per_minute: app.reads.config.per_minute,
            retry_after: wait,
        })?;
    }
    Ok(caller)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn reads(config: &ReadsConfig) -> Reads {
        let database = db::Config { url: "postgres://127.0.0.1:1/nowhere".into(), ..db::Config::default() };
        Reads::new(config, &database, Db::new(&database))
    }

    fn service(number: u128) -> ServiceId {
        ServiceId(Uuid::from_u128(number))
    }

    #[tokio::test(start_paused = true)]
    async fn two_read_some_wait_for_a_while_and_the_rest_is_refused() {
        let reads = reads(&ReadsConfig { waiting: 1, ..ReadsConfig::default() });
        let (first, second) =
            (reads.place(service(1)).await.unwrap(), reads.place(service(1)).await.unwrap());
        let waits = async {
            let refused = tokio::join!(reads.place(service(1)), reads.place(service(1)));
            assert!(matches!(refused, (Err(Problem::TooManyReads), Err(Problem::TooManyReads))));
        };
        let started = tokio::time::Instant::now();
        waits.await;
        assert_eq!(started.elapsed(), reads.config.longest_wait, "one of them waited");
        assert!(reads.place(service(2)).await.is_ok(), "another service's places are its own");
        drop(first);
        assert!(reads.place(service(1)).await.is_ok());
        drop(second);
    }

    #[tokio::test]
    async fn places_of_many_services_are_forgotten_but_those_that_are_taken() {
        let reads = reads(&ReadsConfig { at_once: 1, waiting: 0, ..ReadsConfig::default() });
        let taken = reads.place(service(0)).await.unwrap();
        for number in 1..3 * IDLE_PLACES as u128 {
            drop(reads.place(service(number)).await.unwrap());
        }
        assert!(reads.places.lock().unwrap().len() <= IDLE_PLACES);
        assert!(reads.place(service(0)).await.is_err(), "still taken");
        drop(taken);
        assert!(reads.place(service(0)).await.is_ok());
    }
}
