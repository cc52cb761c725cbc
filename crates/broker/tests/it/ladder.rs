//! Ids that are not in the database, and bodies that are no ids.

use std::{collections::BTreeMap, time::Duration};

use broker::ParkReason;
use domain::{
    clock::Clock,
    wakeup::{Kind, WakeUp},
};
use lapin::{message::Delivery, types::AMQPValue};
use tokio::time::Instant;

use crate::{Outsider, config, consumer, end, eventually, handful, start, wake_ups};

fn headers(delivery: &Delivery) -> BTreeMap<String, String> {
    let table = delivery.properties.headers().as_ref().unwrap();
    table
        .inner()
        .iter()
        .map(|(name, value)| match value {
            AMQPValue::LongString(text) => (name.to_string(), text.to_string()),
            AMQPValue::LongLongInt(number) => (name.to_string(), number.to_string()),
            other => panic!("{name}: {other:?}"),
        })
        .collect()
}

#[tokio::test]
async fn an_unknown_id_takes_every_step_and_is_parked() {
    let config = config();
    let before = Clock::System.now();
    let broker = start(&config).await;
    let outsider = Outsider::new().await;
    // Published by the queue's name: it must still find back by its routing key.
    let wanted = wake_ups(Kind::DeliverEmail, 1)[0];
    let queue = broker.queue_name(Kind::DeliverEmail);
    outsider.publish("", &queue, wanted.subject.to_string().as_bytes()).await;

    let mut consumer = consumer(&broker, Kind::DeliverEmail, 10);
    let mut since = Instant::now();
    for (tries, delay) in [(0, 0), (1, 50), (2, 70), (3, 90)] {
        let mut handful = handful(&mut consumer, 10).await;
        let incoming = handful.pop().unwrap();
        assert!(handful.is_empty());
        assert_eq!((incoming.wake_up(), incoming.not_found_tries()), (Some(wanted), tries));
        assert!(since.elapsed() >= Duration::from_millis(delay), "{tries}: after {:?}", since.elapsed());
        since = Instant::now();
        incoming.not_found().await;
    }
    eventually("it is parked", async || broker.parked_depth().await.unwrap() == 1).await;
    assert_eq!(broker.depth(Kind::DeliverEmail).await.unwrap(), 0);

    let parked = outsider.get(&broker.parked_queue_name()).await;
    assert_eq!(parked.data, wanted.subject.to_string().as_bytes());
    assert_eq!(*parked.properties.delivery_mode(), Some(2));
    let headers = headers(&parked);
    assert_eq!(headers["parked-reason"], "unknown id");
    assert_eq!(headers["parked-from"], queue);
    assert_eq!(headers["not-found-tries"], "3");
    let (first, last) = (headers["first-seen"].as_str(), headers["parked-at"].as_str());
    assert!(before.to_rfc3339().as_str() <= first && first < last, "{before:?} {headers:?}");
    end(broker).await;
}

#[tokio::test]
async fn steps_of_different_kinds_do_not_mix() {
    let broker = start(&config()).await;
    let both = [wake_ups(Kind::DeliverSms, 1), wake_ups(Kind::ApplyReceipt, 1)].concat();
    assert_eq!(broker.publisher().wake(both.clone()).await, []);
    for wanted in &both {
        let mut consumer = consumer(&broker, wanted.kind, 10);
        for incoming in handful(&mut consumer, 10).await {
            incoming.not_found().await;
        }
    }
    for wanted in &both {
        let mut consumer = consumer(&broker, wanted.kind, 10);
        for incoming in handful(&mut consumer, 10).await {
            assert_eq!((incoming.wake_up(), incoming.not_found_tries()), (Some(*wanted), 1));
            incoming.ack().await;
        }
    }
    end(broker).await;
}

#[tokio::test]
async fn a_body_that_is_no_id_is_parked_as_it_came() {
    let broker = start(&config()).await;
    let outsider = Outsider::new().await;
    let body = b"{\"notification\": \xff}";
    outsider.publish("", &broker.queue_name(Kind::DeliverSms), body).await;
    let mut consumer = consumer(&broker, Kind::DeliverSms, 10);
    let incoming = handful(&mut consumer, 10).await.pop().unwrap();
    assert_eq!(incoming.wake_up(), None::<WakeUp>);
    incoming.park(ParkReason::MalformedBody).await;

    let parked = outsider.get(&broker.parked_queue_name()).await;
    assert_eq!(parked.data, body);
    let headers = headers(&parked);
    assert_eq!(headers["parked-reason"], "malformed body");
    assert_eq!(headers["parked-from"], broker.queue_name(Kind::DeliverSms));
    assert_eq!(headers["not-found-tries"], "0");
    assert_eq!(broker.depth(Kind::DeliverSms).await.unwrap(), 0);
    end(broker).await;
}
