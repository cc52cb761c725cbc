//! From a wake-up to a provider's yes, and everything that can come in between.

use std::time::Duration;

use delivery_worker::WorkerConfig;
use domain::{
    id::NotificationId,
    status::{Channel, KeyType, Status},
    wakeup::Kind,
};
use simulator::Provider;
use testkit::{eventually, notification};

use crate::stage::{LIMIT, Stage};

#[tokio::test(flavor = "multi_thread")]
async fn a_text_and_an_email_reach_their_providers() {
    let stage = Stage::new().await;
    let worker = stage.worker();
    let now = stage.clock.now();
    let sms = stage.store(vec![notification(&stage.sample, Channel::Sms, now)]).await;
    let email = stage.store(vec![notification(&stage.sample, Channel::Email, now)]).await;
    stage.wake(Kind::DeliverSms, &sms).await;
    stage.wake(Kind::DeliverEmail, &email).await;
    stage.eventually_all(&[sms[0], email[0]], Status::Sending).await;
    let messages = stage.simulator.messages();
    let text = messages.iter().find(|m| m.reference == sms[0].to_string()).unwrap();
    assert_eq!(text.text.as_deref().unwrap(), "Parking permits: Hello Rosa, your permit is ready");
    assert_eq!((text.to.as_str(), text.from.as_str()), ("447700900123", "PILLARBOX"));
    let mail = messages.iter().find(|m| m.subject.as_deref() == Some("Permit for Rosa")).unwrap();
    assert!(
        mail.text.as_deref().unwrap().contains("Hello Rosa")
            && mail.html.as_deref().unwrap().contains("Hello Rosa")
    );
    let story = stage.story(sms[0]).await;
    assert_eq!((story.attempts.len(), story.due.is_none()), (1, true));
    worker.drain().await;
    stage.balanced().await;
    stage.end().await;
}

/// Two workers, every message doubled, in any order: a claim is the only way to a provider.
#[tokio::test(flavor = "multi_thread")]
async fn two_workers_and_doubled_messages_call_each_provider_once() {
    let stage = Stage::new().await;
    let now = stage.clock.now();
    let new = (0..300).map(|_| notification(&stage.sample, Channel::Sms, now)).collect();
    let ids = stage.store(new).await;
    let workers = [stage.worker(), stage.worker()];
    stage.wake(Kind::DeliverSms, &ids).await;
    stage.wake(Kind::DeliverSms, &ids).await;
    stage.wake(Kind::DeliverEmail, &ids).await;
    stage.eventually_all(&ids, Status::Sending).await;
    for worker in workers {
        worker.drain().await;
    }
    for id in &ids {
        assert_eq!(stage.simulator.reference_calls(&id.to_string()).unwrap().calls, 1, "{id}");
    }
    stage.balanced().await;
    stage.end().await;
}

/// A settle that the database refuses for good would otherwise hold up its neighbours for ever, and be sent after every lease.
#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_that_cannot_be_stored_takes_no_neighbour_along() {
    let stage = Stage::new().await;
    let now = stage.clock.now();
    let new = (0..50).map(|_| notification(&stage.sample, Channel::Sms, now)).collect();
    let mut ids = stage.store(new).await;
    let poisoned = ids.swap_remove(20);
    let sql = format!("ALTER TABLE notifications ADD CHECK (id <> '{poisoned}' OR status <> 'sending')");
    stage.database.execute(&sql);
    let worker = stage.worker();
    stage.wake(Kind::DeliverSms, &ids).await;
    stage.wake(Kind::DeliverSms, &[poisoned]).await;
    stage.eventually_all(&ids, Status::Sending).await;
    stage.eventually_all(&[poisoned], Status::TechnicalFailure).await;
    worker.drain().await;
    stage.balanced().await;
    stage.end().await;
}

/// Nobody knows what came of it. It is sent again, but neither at once nor for ever.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_dead_worker_held_goes_back_to_wait_one_step_further() {
    let stage = Stage::new().await;
    let ids = stage.store(vec![notification(&stage.sample, Channel::Sms, stage.clock.now())]).await;
    // As the worker left it, when its lease is over.
    stage.database.execute("UPDATE due SET lease = gen_random_uuid()");
    let worker = stage.worker();
    stage.wake(Kind::DeliverSms, &ids).await;
    let due = eventually(LIMIT, "taken over and put back", async || {
        stage.story(ids[0]).await.due.filter(|due| !due.leased)
    })
    .await;
    let story = stage.story(ids[0]).await;
    assert_eq!((due.failures, story.attempts.len(), story.attempts[0].provider.is_none()), (1, 1, true));
    let wait = (due.due_at - story.attempts[0].at).num_seconds();
    assert!((10..20).contains(&wait), "{wait}");
    assert_eq!(stage.simulator.messages().len(), 0);
    worker.drain().await;
    stage.balanced().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_down_means_a_retry_and_loses_nothing() {
    let stage = Stage::new().await;
    stage.simulator.behave_all(|behaviour| behaviour.outage = true);
    let worker = stage.worker();
    let now = stage.clock.now();
    let ids = stage.store(vec![notification(&stage.sample, Channel::Sms, now)]).await;
    stage.wake(Kind::DeliverSms, &ids).await;
    eventually(LIMIT, "one attempt failed", async || {
        (stage.story(ids[0]).await.attempts.len() == 1).then_some(())
    })
    .await;
    let story = stage.story(ids[0]).await;
    assert_eq!(story.notification.status, Status::Created);
    let due = story.due.unwrap();
    assert_eq!((due.failures, due.leased), (1, false));
    let wait = due.due_at - story.attempts[0].at;
    assert_eq!(wait.num_seconds(), 10, "the first step of the ladder");
    worker.drain().await;
    stage.balanced().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_without_a_row_climbs_the_ladder_and_is_parked() {
    let stage = Stage::with_ladder(vec![Duration::from_millis(50), Duration::from_millis(100)]).await;
    let worker = stage.worker();
    let unknown = NotificationId::new(stage.clock.now());
    stage.wake(Kind::DeliverSms, &[unknown]).await;
    eventually(LIMIT, "parked", async || (stage.broker.parked_depth().await.ok()? == 1).then_some(())).await;
    worker.drain().await;
    stage.end().await;
}

/// A team publishes the id before its commit is visible.
#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_is_published_before_its_commit_is_delivered_after_it() {
    let stage = Stage::with_ladder(vec![Duration::from_millis(50); 100]).await;
    let worker = stage.worker();
    let new = notification(&stage.sample, Channel::Email, stage.clock.now());
    stage.wake(Kind::DeliverEmail, &[new.id]).await;
    eventually(LIMIT, "taken", async || {
        (stage.broker.depth(Kind::DeliverEmail).await.ok()? == 0).then_some(())
    })
    .await;
    let ids = stage.store(vec![new]).await;
    stage.eventually_all(&ids, Status::Sending).await;
    worker.drain().await;
    stage.end().await;
}

/// The soft stop: what is with a provider is waited for and written down; what is not yet taken stays in the queue.
#[tokio::test(flavor = "multi_thread")]
async fn a_drain_finishes_what_is_in_hand() {
    let stage = Stage::new().await;
    stage.simulator.behave_all(|behaviour| behaviour.latency_ms = 500);
    let now = stage.clock.now();
    let ids = stage.store((0..50).map(|_| notification(&stage.sample, Channel::Sms, now)).collect()).await;
    let worker = stage.worker_with(WorkerConfig { sms_in_flight: 20, ..WorkerConfig::default() });
    stage.wake(Kind::DeliverSms, &ids).await;
    eventually(LIMIT, "calls under way", async || {
        let mut leased = 0;
        for id in &ids {
            leased += usize::from(stage.story(*id).await.due.is_some_and(|due| due.leased));
        }
        (leased >= 20).then_some(())
    })
    .await;
    worker.drain().await;
    let (mut sending, mut waiting) = (0, 0);
    for id in &ids {
        match stage.status(*id).await {
            Status::Sending => sending += 1,
            Status::Created => {
                waiting += 1;
                assert!(!stage.story(*id).await.due.unwrap().leased, "nothing is left half done");
            }
            other => panic!("{other}"),
        }
    }
    assert!(sending >= 20 && waiting > 0, "{sending} sent, {waiting} waiting");
    let rest = stage.worker();
    stage.eventually_all(&ids, Status::Sending).await;
    rest.drain().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_keys_message_never_reaches_a_provider_and_ends_delivered() {
    let stage = Stage::new().await;
    let worker = stage.worker();
    let mut new = notification(&stage.sample, Channel::Sms, stage.clock.now());
    new.key_type = KeyType::Test;
    let mut fails = notification(&stage.sample, Channel::Email, stage.clock.now());
    fails.key_type = KeyType::Test;
    fails.recipient = "perm-fail@simulator.notify".into();
    let ids = stage.store(vec![new, fails]).await;
    stage.wake(Kind::DeliverSms, &ids[..1]).await;
    stage.wake(Kind::DeliverEmail, &ids[1..]).await;
    stage.eventually_all(&ids[..1], Status::Delivered).await;
    stage.eventually_all(&ids[1..], Status::PermanentFailure).await;
    assert_eq!(stage.simulator.messages().len(), 0);
    worker.drain().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_switched_off_takes_no_new_message_at_any_worker() {
    let stage = Stage::new().await;
    let workers = [stage.worker(), stage.worker()];
    // Sixty-four at a time: with both switched on, one in 2^64 handfuls goes to one of them alone.
    let senders = async || {
        let now = stage.clock.now();
        let new = (0..64).map(|_| notification(&stage.sample, Channel::Sms, now)).collect();
        let ids = stage.store(new).await;
        stage.wake(Kind::DeliverSms, &ids).await;
        stage.eventually_all(&ids, Status::Sending).await;
        let sent_by = ids.iter().map(|id| stage.simulator.accepted(&id.to_string())[0].provider.name());
        sent_by.collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(senders().await, ["firetext", "mmg"].into());
    stage.database.execute("UPDATE providers SET active = false WHERE identifier = 'mmg'");
    eventually(LIMIT, "the workers know", async || (senders().await == ["firetext"].into()).then_some(()))
        .await;
    for _ in 0..3 {
        assert_eq!(senders().await, ["firetext"].into());
    }
    stage.database.execute("UPDATE providers SET active = identifier <> 'firetext'");
    eventually(LIMIT, "the workers know", async || (senders().await == ["mmg"].into()).then_some(())).await;
    for worker in workers {
        worker.drain().await;
    }
    stage.balanced().await;
    stage.end().await;
}

/// Its places are its own: it has none of the other's, nor all that a worker may take from the queue.
#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_hangs_takes_the_healthy_one_along_with_nothing() {
    let stage = Stage::new().await;
    stage.simulator.behave(Provider::Mmg, |mmg| mmg.latency_ms = 600_000);
    let worker = stage.worker_with(WorkerConfig { sms_in_flight: 5, ..WorkerConfig::default() });
    let now = stage.clock.now();
    let ids = stage.store((0..200).map(|_| notification(&stage.sample, Channel::Sms, now)).collect()).await;
    stage.wake(Kind::DeliverSms, &ids).await;
    // MMG holds five of them until they time out; one pool of places would be full of it, time after time.
    eventually(LIMIT, "the others are with Firetext", async || {
        let firetext = stage.simulator.messages().iter().filter(|m| m.provider == Provider::Firetext).count();
        (firetext >= 150).then_some(())
    })
    .await;
    stage.simulator.behave(Provider::Mmg, |mmg| mmg.latency_ms = 0);
    drop(worker);
    stage.end().await;
}

/// One answer 429 is for all: the rest of the backlog does not knock at every second, and burns no step.
#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_throttles_is_left_alone_by_the_whole_backlog() {
    let stage = Stage::new().await;
    stage.database.execute("UPDATE providers SET active = identifier <> 'firetext'");
    let worker = stage.worker_with(WorkerConfig { sms_in_flight: 4, ..WorkerConfig::default() });
    let now = stage.clock.now();
    let mut new: Vec<_> = (0..100).map(|_| notification(&stage.sample, Channel::Sms, now)).collect();
    for first in &mut new[..4] {
        // The number that is throttled at first.
        first.normalised_recipient = "447700900006".into();
    }
    let ids = stage.store(new).await;
    stage.wake(Kind::DeliverSms, &ids[..4]).await;
    eventually(LIMIT, "throttled", async || (stage.simulator.counts().mmg.throttled > 0).then_some(())).await;
    stage.wake(Kind::DeliverSms, &ids[4..]).await;
    stage.eventually_all(&ids[4..], Status::Sending).await;
    let throttled = stage.simulator.counts().mmg.throttled;
    assert!(throttled <= 4, "{throttled}");
    for id in &ids[..4] {
        let due = stage.story(*id).await.due;
        assert!(due.is_none_or(|due| due.failures == 0), "no step of the ladder");
    }
    worker.drain().await;
    stage.balanced().await;
    stage.end().await;
}

/// More than there is room for: they come again, without a step of the ladder, and small ones do not wait for them.
#[tokio::test(flavor = "multi_thread")]
async fn large_mails_are_delivered_once_and_small_ones_do_not_wait_for_them() {
    let stage = Stage::new().await;
    let worker = stage.worker();
    let now = stage.clock.now();
    // What the template does not use is loaded, too.
    let values = serde_json::json!({ "name": "Rosa", "unused": "x".repeat(1_000_000) });
    let body = serde_json::to_vec(&values).unwrap();
    let mut large: Vec<_> = (0..24).map(|_| notification(&stage.sample, Channel::Email, now)).collect();
    for mail in &mut large {
        mail.personalisation = Some(testkit::keyring().seal(mail.id.0, &body));
    }
    let large = stage.store(large).await;
    let small =
        stage.store((0..20).map(|_| notification(&stage.sample, Channel::Email, now)).collect()).await;
    stage.wake(Kind::DeliverEmail, &large).await;
    stage.wake(Kind::DeliverEmail, &small).await;
    stage.eventually_all(&small, Status::Sending).await;
    let waiting = async |ids: &[NotificationId]| {
        let mut waiting = Vec::new();
        for id in ids {
            match stage.story(*id).await.due {
                Some(due) if !due.leased => waiting.push((*id, due.failures)),
                _ => {}
            }
        }
        waiting
    };
    let given_back = waiting(&large).await;
    assert!(
        !given_back.is_empty() && given_back.iter().all(|(_, failures)| *failures == 0),
        "{given_back:?}"
    );
    // The scheduler's part.
    eventually(LIMIT * 4, "all are delivered", async || {
        let again: Vec<_> = waiting(&large).await.into_iter().map(|(id, _)| id).collect();
        stage.wake(Kind::DeliverEmail, &again).await;
        for id in &large {
            if stage.status(*id).await != Status::Sending {
                return None;
            }
        }
        Some(())
    })
    .await;
    worker.drain().await;
    for id in large.iter().chain(&small) {
        assert_eq!(
            stage.simulator.reference_calls(&format!("{id}@notify.localhost")).unwrap().calls,
            1,
            "{id}"
        );
    }
    stage.balanced().await;
    stage.end().await;
}
