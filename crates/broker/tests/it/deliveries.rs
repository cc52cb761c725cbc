//! The way of a message while all is well.

use std::{collections::BTreeSet, time::Duration};

use broker::{Broker, BrokerError, Config, Incoming};
use domain::{
    clock::Clock,
    wakeup::{Kind, WakeUp},
};
use tokio::time::timeout;
use uuid::Uuid;

use crate::{LIMIT, Outsider, config, consumer, end, eventually, handful, start, take_all, wake_ups};

#[tokio::test]
async fn what_is_published_is_consumed_by_kind_and_gone_after_the_ack() {
    let broker = start(&config()).await;
    let publisher = broker.publisher();
    let sms = wake_ups(Kind::DeliverSms, 120);
    let email = wake_ups(Kind::DeliverEmail, 3);
    let receipt = wake_ups(Kind::ApplyReceipt, 1);
    assert_eq!(publisher.wake([sms.clone(), email.clone(), receipt.clone()].concat()).await, []);
    assert_eq!(broker.depth(Kind::DeliverSms).await.unwrap(), 120);

    take_all(&mut consumer(&broker, Kind::DeliverSms, 50), &sms).await;
    take_all(&mut consumer(&broker, Kind::DeliverEmail, 50), &email).await;
    take_all(&mut consumer(&broker, Kind::ApplyReceipt, 50), &receipt).await;
    for kind in Kind::ALL {
        eventually("all queues are empty", async || broker.depth(kind).await.unwrap() == 0).await;
    }
    end(broker).await;
}

#[tokio::test]
async fn a_handful_is_what_is_there_and_never_more_than_asked_for() {
    let broker = start(&config()).await;
    let wanted = wake_ups(Kind::DeliverSms, 10);
    assert_eq!(broker.publisher().wake(wanted).await, []);
    let mut consumer = consumer(&broker, Kind::DeliverSms, 6);
    let mut taken = Vec::new();
    while taken.len() < 6 {
        let handful = handful(&mut consumer, 4).await;
        assert!(handful.len() <= 4);
        taken.extend(handful);
    }
    // No more than the prefetch is under way, so nothing comes before something is answered.
    assert!(timeout(Duration::from_millis(200), consumer.next_handful(4)).await.is_err());
    Incoming::ack_all(taken).await;
    let mut rest = Vec::new();
    while rest.len() < 4 {
        rest.extend(handful(&mut consumer, 4).await);
    }
    Incoming::ack_all(rest).await;
    end(broker).await;
}

#[tokio::test]
async fn many_batches_at_once_are_all_confirmed() {
    let broker = start(&config()).await;
    let publisher = broker.publisher();
    let batches: Vec<_> = (0..40).map(|_| wake_ups(Kind::DeliverSms, 60)).collect();
    let left =
        futures_util::future::join_all(batches.iter().map(|batch| publisher.wake(batch.clone()))).await;
    assert!(left.iter().all(Vec::is_empty), "{left:?}");
    assert_eq!(broker.depth(Kind::DeliverSms).await.unwrap(), 40 * 60);
    assert_eq!(publisher.wake(wake_ups(Kind::DeliverEmail, 2500)).await, [], "more than one window");
    broker.purge().await.unwrap();
    assert_eq!(broker.depth(Kind::DeliverSms).await.unwrap(), 0);
    end(broker).await;
}

#[tokio::test]
async fn other_teams_publish_by_the_contract() {
    let config = config();
    let broker = start(&config).await;
    let outsider = Outsider::new().await;
    let ids: Vec<_> = (0..3).map(|_| Uuid::new_v4()).collect();
    outsider.publish("", &format!("{}.deliver.sms", config.prefix), ids[0].to_string().as_bytes()).await;
    outsider.publish(&config.prefix, "deliver.sms", format!(" {}\n", ids[1]).as_bytes()).await;
    outsider.publish("", &broker.queue_name(Kind::DeliverSms), ids[2].simple().to_string().as_bytes()).await;
    let expected: Vec<_> =
        ids.into_iter().map(|subject| WakeUp { kind: Kind::DeliverSms, subject }).collect();
    take_all(&mut consumer(&broker, Kind::DeliverSms, 10), &expected).await;
    end(broker).await;
}

#[tokio::test]
async fn what_is_requeued_comes_again() {
    let broker = start(&config()).await;
    let wanted = wake_ups(Kind::DeliverSms, 5);
    assert_eq!(broker.publisher().wake(wanted.clone()).await, []);
    let mut consumer = consumer(&broker, Kind::DeliverSms, 5);
    let mut taken = Vec::new();
    while taken.len() < 5 {
        taken.extend(handful(&mut consumer, 5).await);
    }
    Incoming::requeue_all(taken).await;
    take_all(&mut consumer, &wanted).await;
    end(broker).await;
}

#[tokio::test]
async fn stopping_gives_back_what_was_not_handed_out_and_lets_the_rest_be_answered() {
    let broker = start(&config()).await;
    let wanted = wake_ups(Kind::DeliverSms, 10);
    assert_eq!(broker.publisher().wake(wanted).await, []);
    let mut stopped = consumer(&broker, Kind::DeliverSms, 10);
    let mut in_hand = handful(&mut stopped, 3).await;
    while in_hand.len() < 3 {
        let missing = 3 - in_hand.len();
        in_hand.extend(handful(&mut stopped, missing).await);
    }
    let done: BTreeSet<_> = in_hand.iter().map(|incoming| incoming.wake_up().unwrap()).collect();
    eventually("the rest is prefetched", async || broker.depth(Kind::DeliverSms).await.unwrap() == 0).await;

    stopped.stop();
    assert!(stopped.next_handful(10).await.is_none());
    assert!(stopped.next_handful(10).await.is_none(), "and stays stopped");
    eventually("the rest is back", async || broker.depth(Kind::DeliverSms).await.unwrap() == 7).await;
    Incoming::ack_all(in_hand).await;

    let mut other = consumer(&broker, Kind::DeliverSms, 20);
    let mut rest = Vec::new();
    while rest.len() < 7 {
        rest.extend(handful(&mut other, 20).await);
    }
    assert!(
        rest.iter().all(|incoming| !done.contains(&incoming.wake_up().unwrap())),
        "what was acked is gone"
    );
    Incoming::ack_all(rest).await;
    assert_eq!(broker.depth(Kind::DeliverSms).await.unwrap(), 0);
    end(broker).await;
}

#[tokio::test]
async fn a_consumer_that_waits_is_stopped_at_once() {
    let broker = start(&config()).await;
    let stopping = tokio_util::sync::CancellationToken::new();
    let mut waiting = broker.consumer(Kind::DeliverSms, 10, &stopping);
    let (taken, ()) = tokio::join!(timeout(LIMIT, waiting.next_handful(10)), async { stopping.cancel() });
    assert!(taken.unwrap().is_none());
    end(broker).await;
}

#[tokio::test]
async fn a_configuration_that_cannot_be_right_is_refused() {
    let start = |config: Config| Broker::start(&config, "test", Clock::System).map(drop);
    let refused = start(Config { url: "http://user:hunter2@127.0.0.1".into(), ..config() }).unwrap_err();
    assert!(matches!(refused, BrokerError::Url) && !refused.to_string().contains("hunter2"), "{refused}");
    assert!(matches!(start(Config { prefix: "a b".into(), ..config() }), Err(BrokerError::Prefix)));
}
