//! The scheduler against a real Postgres and a real RabbitMQ.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod received_texts;

use std::time::Duration;

use broker::Broker;
use chrono::TimeDelta;
use db::document::{Details, DocumentKey, NewDocument};
use domain::{
    clock::Clock,
    id::{DocumentId, NotificationId},
    status::{Channel, Status},
    wakeup::Kind,
};
use scheduler::{Scheduler, SchedulerConfig, release_due, retain, task::Left, time_out::TimeOut};
use testkit::{TestDatabase, eventually, notification};
use tokio_util::sync::CancellationToken;

const LIMIT: Duration = Duration::from_secs(30);

struct Stage {
    database: TestDatabase,
    scheduler: Scheduler,
}

impl Stage {
    async fn new(clock: Clock, config: SchedulerConfig) -> Self {
        let database = TestDatabase::new();
        let broker_config = broker::Config {
            url: testkit::amqp_url(),
            prefix: testkit::broker_prefix(),
            ..broker::Config::default()
        };
        let broker = Broker::start(&broker_config, "test", clock.clone()).unwrap();
        let publisher = broker.publisher();
        assert!(broker.connected_within(LIMIT).await);
        let scheduler = Scheduler { db: database.db(), broker, publisher, clock, config };
        Self { database, scheduler }
    }

    /// Rows that nobody was told of.
    fn store(&self, how_many: usize) -> Vec<NotificationId> {
        self.store_and(false, how_many)
    }

    /// Rows that whoever stored them is about to publish.
    fn store_and(&self, wake_follows: bool, how_many: usize) -> Vec<NotificationId> {
        let mut conn = self.database.connect();
        let now = self.scheduler.clock.now();
        let sample = testkit::sample(&mut conn, now);
        let mut new: Vec<_> = (0..how_many).map(|_| notification(&sample, Channel::Sms, now)).collect();
        new.iter_mut().for_each(|n| n.wake_follows = wake_follows);
        db::intake::store(&mut conn, &new).unwrap();
        new.iter().map(|n| n.id).collect()
    }

    /// Messages in the queue, which counts a moment after it confirms.
    async fn depth(&self, expected: u32) {
        eventually(LIMIT, &format!("{expected} messages"), async || {
            (self.scheduler.broker.depth(Kind::DeliverSms).await.ok()? == expected).then_some(())
        })
        .await;
    }

    async fn end(self) {
        self.scheduler.broker.delete_all().await.unwrap();
        self.scheduler.broker.close().await;
    }
}

/// A task's turn, however many pages it has.
async fn turn(mut task: impl AsyncFnMut() -> Result<Left, db::DbError>) {
    while task().await.unwrap() == Left::More {}
}

fn standing_clock() -> Clock {
    Clock::manual(Clock::System.now())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sweep_publishes_what_is_due_once_and_again_when_nobody_comes() {
    let clock = standing_clock();
    let stage = Stage::new(clock.clone(), SchedulerConfig::default()).await;
    stage.store(4500);
    turn(async || release_due::run(&stage.scheduler).await).await;
    stage.depth(4500).await;
    turn(async || release_due::run(&stage.scheduler).await).await;
    stage.depth(4500).await;
    // The broker is wiped; a minute later all is there again.
    stage.scheduler.broker.purge().await.unwrap();
    clock.advance(TimeDelta::seconds(60));
    turn(async || release_due::run(&stage.scheduler).await).await;
    stage.depth(4500).await;
    stage.end().await;
}

/// An api that was killed between its commit and its publish costs seconds, not a minute; and what only waits in a backlog is
/// not published twice.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_dead_api_did_not_publish_is_found_in_seconds_unless_the_queue_has_a_backlog() {
    let clock = standing_clock();
    let stage = Stage::new(clock.clone(), SchedulerConfig::default()).await;
    let ids = stage.store_and(true, 50);
    let waiting = ids[..1].iter().map(|id| domain::wakeup::WakeUp { kind: Kind::DeliverSms, subject: id.0 });
    assert_eq!(stage.scheduler.publisher.wake(waiting.collect()).await, []);
    stage.depth(1).await;
    for _ in 0..3 {
        clock.advance(TimeDelta::seconds(10));
        release_due::run(&stage.scheduler).await.unwrap();
        stage.depth(1).await;
    }
    // The backlog is over, or the broker was wiped.
    stage.scheduler.broker.purge().await.unwrap();
    stage.depth(0).await;
    release_due::run(&stage.scheduler).await.unwrap();
    stage.depth(50).await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_just_stored_is_left_to_whoever_stored_it() {
    let clock = standing_clock();
    let stage = Stage::new(clock.clone(), SchedulerConfig::default()).await;
    stage.store_and(true, 10);
    clock.advance(TimeDelta::seconds(4));
    release_due::run(&stage.scheduler).await.unwrap();
    stage.store(1);
    release_due::run(&stage.scheduler).await.unwrap();
    stage.depth(1).await;
    clock.advance(TimeDelta::seconds(1));
    stage.scheduler.broker.purge().await.unwrap();
    stage.depth(0).await;
    release_due::run(&stage.scheduler).await.unwrap();
    stage.depth(10).await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_queue_is_not_added_to() {
    let config = SchedulerConfig { release_below: 100, ..SchedulerConfig::default() };
    let clock = standing_clock();
    let stage = Stage::new(clock.clone(), config).await;
    stage.store(150);
    turn(async || release_due::run(&stage.scheduler).await).await;
    stage.depth(150).await;
    clock.advance(TimeDelta::seconds(60));
    turn(async || release_due::run(&stage.scheduler).await).await;
    stage.depth(150).await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_run_the_tasks_once_and_the_second_takes_over() {
    let fast = SchedulerConfig { release_every: Duration::from_millis(50), ..SchedulerConfig::default() };
    let stage = Stage::new(Clock::System, fast).await;
    let (first, second) = (CancellationToken::new(), CancellationToken::new());
    let replica = |stop: &CancellationToken| {
        let (scheduler, database, stop) = (stage.scheduler.clone(), stage.database.config(), stop.clone());
        tokio::task::spawn_local(async move { scheduler::lead_or_wait(&scheduler, &database, &stop).await })
    };
    let run = async {
        let (one, other) = (replica(&first), replica(&second));
        stage.store(10);
        stage.depth(10).await;
        // Whichever leads: when it is told to stop, the other one goes on.
        first.cancel();
        one.await.unwrap();
        stage.store(10);
        stage.depth(20).await;
        second.cancel();
        other.await.unwrap();
    };
    tokio::task::LocalSet::new().run_until(run).await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn time_outs_are_found_turn_by_turn() {
    let clock = standing_clock();
    let stage = Stage::new(clock.clone(), SchedulerConfig::default()).await;
    let status = |id| db::notification::find(&mut stage.database.connect(), id).unwrap().unwrap().status;
    let mut time_out = TimeOut::default();
    let old = stage.store(1)[0];
    clock.advance(TimeDelta::days(1));
    let young = stage.store(1)[0];
    for (days, expected) in [
        (1, [Status::Created, Status::Created]),
        (2, [Status::TemporaryFailure, Status::Created]),
        (3, [Status::TemporaryFailure, Status::TemporaryFailure]),
    ] {
        clock.advance(TimeDelta::days(1) + TimeDelta::seconds(1));
        turn(async || time_out.run(&stage.scheduler).await).await;
        assert_eq!([status(old), status(young)], expected, "day {days}");
    }
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_deleted_when_their_time_is_over_and_not_before() {
    let clock = standing_clock();
    let stage = Stage::new(clock.clone(), SchedulerConfig::default()).await;
    let mut conn = stage.database.connect();
    let now = clock.now();
    let service = testkit::sample(&mut conn, now).service.id;
    let key = DocumentKey::random();
    let document = |weeks: i64| {
        let details = Details { filename: None, extension: "pdf".into(), confirmed_by: None };
        let times = (now, now + TimeDelta::weeks(weeks));
        NewDocument::sealed((service, DocumentId::new(now)), &key, &details, b"%PDF".to_vec(), times)
    };
    // More than fit on one page, and one that stays.
    let (short, long): (Vec<_>, _) = ((0..450).map(|_| document(1)).collect(), document(2));
    db::document::store(&mut conn, &short).unwrap();
    db::document::store(&mut conn, std::slice::from_ref(&long)).unwrap();
    let mut find = |new: &NewDocument| {
        let found = db::document::find(&mut conn, service, new.id(), now).unwrap();
        found.is_some()
    };
    clock.advance(TimeDelta::weeks(1) - TimeDelta::microseconds(1));
    turn(async || retain::run(&stage.scheduler).await).await;
    assert!(short.iter().all(&mut find));
    clock.advance(TimeDelta::microseconds(1));
    turn(async || retain::run(&stage.scheduler).await).await;
    assert!(!short.iter().any(&mut find));
    assert!(find(&long));
    stage.end().await;
}
