//! An attempt is over before its lease is, however slow the claim was.

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;
use delivery::{Delivery, Large};
use domain::{clock::Clock, notification::Outcome, retry::RetryPolicy, status::Channel};
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
        large: Large::default(),
        standings_every: delivery::STANDINGS_EVERY,
    }
}

/// And it burns no step of the ladder: it was not the provider's fault, nor its own.
#[tokio::test]
async fn what_would_leave_the_provider_no_time_is_given_back_and_not_sent() {
    let (simulator, providers) = world(|_| ()).await;
    let database = TestDatabase::new();
    let delivery = delivery(&database, providers);
    let now = delivery.clock.now();
    let sample = testkit::sample(&mut database.connect(), now);
    let new: Vec<_> = (0..2).map(|_| testkit::notification(&sample, Channel::Sms, now)).collect();
    let ids: Vec<_> = new.iter().map(|n| n.id.0).collect();
    db::intake::store(&mut database.connect(), &new).unwrap();
    let mut claimed = delivery.claim(ids).await.unwrap().claimed;

    // A quarter of the lease may pass before the call; half of it is the provider's, and the rest is kept for the settle.
    delivery.clock.advance(TimeDelta::milliseconds(14_999));
    let in_time = delivery.attempt(claimed.remove(0)).await;
    assert!(matches!(in_time.attempt.outcome, Outcome::HandedOver { .. }), "{in_time:?}");
    delivery.clock.advance(TimeDelta::milliseconds(1));
    let too_late = delivery.attempt(claimed.remove(0)).await;
    let Outcome::NotBegun { .. } = &too_late.attempt.outcome else { panic!("{too_late:?}") };
    assert_eq!(simulator.messages().len(), 1);

    let id = too_late.lease.subject();
    assert_eq!(delivery.settle(vec![in_time, too_late]).await, []);
    let audit = db::audit::audit(&mut database.connect()).unwrap();
    assert_eq!((audit.with_provider, audit.waiting, audit.is_balanced()), (1, 1, true));
    let story = db::story::of(&mut database.connect(), domain::id::NotificationId(id)).unwrap().unwrap();
    let due = story.due.unwrap();
    assert_eq!((story.attempts.len(), due.failures, due.leased), (0, 0, false));
    let wait = due.due_at - delivery.clock.now();
    assert!(wait >= TimeDelta::seconds(1) && wait <= TimeDelta::seconds(2), "{wait}");
}
