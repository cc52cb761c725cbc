//! A database, a broker prefix, a simulator, and workers between them, for one test.

use std::{sync::Arc, time::Duration};

use broker::Broker;
use db::{Db, intake::NewNotification};
use delivery::{Delivery, Large};
use delivery_worker::{Worker, WorkerConfig};
use domain::{
    clock::Clock,
    id::NotificationId,
    retry::RetryPolicy,
    status::Status,
    wakeup::{Kind, WakeUp},
};
use provider::Providers;
use service::{Context, health::Readiness, lifecycle::Tasks};
use simulator::{Options, Simulator};
use testkit::{Sample, TestDatabase, eventually};

pub(crate) const LIMIT: Duration = Duration::from_secs(30);

pub(crate) struct Stage {
    pub(crate) database: TestDatabase,
    pub(crate) db: Db,
    pub(crate) broker: Broker,
    pub(crate) simulator: Simulator,
    pub(crate) sample: Sample,
    pub(crate) clock: Clock,
    config: broker::Config,
}

/// A worker that can be stopped.
pub(crate) struct Running {
    tasks: Tasks,
}

impl Running {
    /// The soft stop, and everything in hand settled.
    pub(crate) async fn drain(self) {
        self.tasks.stop();
        self.tasks.drain().await;
        assert!(!self.tasks.failed());
    }
}

impl Stage {
    pub(crate) async fn new() -> Self {
        Self::with_ladder(vec![Duration::from_millis(100)]).await
    }

    /// `ladder`: how long unknown ids are put aside.
    pub(crate) async fn with_ladder(ladder: Vec<Duration>) -> Self {
        let database = TestDatabase::new();
        let clock = Clock::System;
        let config = broker::Config {
            url: testkit::amqp_url(),
            prefix: testkit::broker_prefix(),
            not_found_ladder: broker::NotFoundLadder::new(ladder),
            ..broker::Config::default()
        };
        let broker = Broker::start(&config, "test", clock.clone()).unwrap();
        drop(broker.publisher());
        assert!(broker.connected_within(LIMIT).await);
        let simulator = Simulator::start(Options { record_all: true, ..Options::default() }).await.unwrap();
        let sample = testkit::sample(&mut database.connect(), clock.now());
        Self { db: database.db(), database, broker, simulator, sample, clock, config }
    }

    pub(crate) fn worker(&self) -> Running {
        self.worker_with(WorkerConfig::default())
    }

    pub(crate) fn worker_with(&self, config: WorkerConfig) -> Running {
        let mut providers = provider::Config::default();
        providers.mmg.key = "key".into();
        providers.mmg.url = self.simulator.mmg_url();
        providers.firetext.key = "key".into();
        providers.firetext.url = self.simulator.firetext_url();
        providers.smtp.url = format!("smtp://{}", self.simulator.smtp_addr()).as_str().into();
        let providers = Providers::new(&providers, config.at_once()).unwrap();
        providers.stand(db::provider_details::standings(&mut self.database.connect()).unwrap());
        let broker = Broker::start(&self.config, "worker", self.clock.clone()).unwrap();
        let delivery = Delivery {
            db: self.database.db(),
            keyring: Arc::new(testkit::keyring()),
            providers: Arc::new(providers),
            policy: Arc::new(RetryPolicy::default()),
            clock: self.clock.clone(),
            lease: config.lease,
            large: Large::default(),
            standings_every: Duration::from_millis(50),
        };
        let worker = Worker {
            delivery,
            publisher: broker.publisher(),
            broker,
            config,
            forgotten_receipts: Arc::default(),
        };
        let tasks = Tasks::new();
        let context = Context { readiness: Readiness::new(tasks.stopping().clone()), tasks: tasks.clone() };
        delivery_worker::start(&worker, &context);
        Running { tasks }
    }

    pub(crate) async fn store(&self, new: Vec<NewNotification>) -> Vec<NotificationId> {
        let ids = new.iter().map(|n| n.id).collect();
        self.db.run("test.store", move |conn| db::intake::store(conn, &new).map(|_| ())).await.unwrap();
        ids
    }

    pub(crate) async fn wake(&self, kind: Kind, ids: &[NotificationId]) {
        let wake_ups = ids.iter().map(|id| WakeUp { kind, subject: id.0 }).collect();
        assert_eq!(self.broker.publisher().wake(wake_ups).await, []);
    }

    pub(crate) async fn status(&self, id: NotificationId) -> Status {
        let find = self.db.run("test.find", move |conn| db::notification::find(conn, id));
        find.await.unwrap().unwrap().status
    }

    pub(crate) async fn story(&self, id: NotificationId) -> db::story::Story {
        self.db.run("test.story", move |conn| db::story::of(conn, id)).await.unwrap().unwrap()
    }

    pub(crate) async fn eventually_all(&self, ids: &[NotificationId], status: Status) {
        eventually(LIMIT, &format!("all are {status}"), async || {
            for id in ids {
                if self.status(*id).await != status {
                    return None;
                }
            }
            Some(())
        })
        .await;
    }

    pub(crate) async fn balanced(&self) {
        let audit = self.db.run("test.audit", db::audit::audit).await.unwrap();
        assert!(audit.is_balanced(), "{audit:?}");
    }

    pub(crate) async fn end(self) {
        self.broker.delete_all().await.unwrap();
        self.broker.close().await;
        self.simulator.stop().await;
    }
}
