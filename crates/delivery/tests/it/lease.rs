//! An attempt is over before its lease is, however slow the claim was.

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;
use delivery::Delivery;
use domain::{
    clock::Clock,
    notification::Outcome,
    retry::{RetryPolicy, SendFailure},
    status::Channel,
};
use provider::Providers;
use testkit::TestDatabase;

use crate::world;

const LEASE: Duration = Duration::from_secs(60);

pub(crate) fn delivery(database: &TestDatabase, providers: Providers) -> Delivery {
    Delivery {
        db: database.db(),
        keyring: Arc::new(testkit::keyring()),
        providers: Arc::new(providers),
        policy: Arc::new(RetryPolicy::default()),
        clock: Clock::manual(Clock::System.now()),
        lease: LEASE,
        standings_every: delivery::STANDINGS_EVERY,
    }
}

#[tokio::test]
async fn what_is_claimed_too_late_to_be_settled_in_time_is_not_sent() {
    let (simulator, providers) = world(|_| ()).await;
    let database = TestDatabase::new();
    let delivery = delivery(&database, providers);
    let now = delivery.clock.now();
    let sample = testkit::sample(&mut database.connect(), now);
    let new: Vec<_> = (0..2).map(|_| testkit::notification(&sample, Channel::Sms, now)).collect();
    let ids: Vec<_> = new.iter().map(|n| n.id.0).collect();
    db::intake::store(&mut database.connect(), &new).unwrap();
    let mut claimed = delivery.claim(ids).await.unwrap().claimed;

    // A quarter of the lease is kept for the settle.
    delivery.clock.advance(TimeDelta::seconds(44));
    let in_time = delivery.attempt(claimed.remove(0)).await;
    assert!(matches!(in_time.attempt.outcome, Outcome::HandedOver { .. }), "{in_time:?}");
    delivery.clock.advance(TimeDelta::seconds(1));
    let too_late = delivery.attempt(claimed.remove(0)).await;
    let Outcome::Failed(SendFailure::Transient(_)) = &too_late.attempt.outcome else {
        panic!("{too_late:?}")
    };
    assert_eq!(simulator.messages().len(), 1);

    assert_eq!(delivery.settle(vec![in_time, too_late]).await, []);
    let audit = db::audit::audit(&mut database.connect()).unwrap();
    assert_eq!((audit.with_provider, audit.waiting, audit.is_balanced()), (1, 1, true));
}
