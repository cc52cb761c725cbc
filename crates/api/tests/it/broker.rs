//! Publishing follows the commit, and may fail.

use std::time::Duration;

use ::broker::Broker;
use domain::{clock::Clock, wakeup::Kind};
use futures_util::future::join_all;
use serde_json::json;
use testkit::eventually;

use crate::stage::{Api, LIMIT, Stage, config, id_of, now};

#[tokio::test]
async fn without_a_broker_the_answer_is_201_and_the_row_is_due_at_once() {
    let stage = Stage::new();
    let id = stage.accepted_sms().await;
    let due = db::due::find(&mut stage.connect(), id.0).unwrap().unwrap();
    assert!(due.wake_at <= now() && due.due_at <= now(), "the next sweep finds it: {due:?}");
    let swept = db::due::take(&mut stage.connect(), &Kind::DELIVERIES, now(), 10).unwrap();
    assert_eq!(swept.wake[0].subject, id.0);
}

#[tokio::test]
async fn with_a_broker_workers_are_woken_once() {
    let prefix = testkit::broker_prefix();
    let settings = ::broker::Config { url: testkit::amqp_url(), prefix, ..::broker::Config::default() };
    let outside = Broker::start(&settings, "test", Clock::System).unwrap();
    assert!(outside.connected_within(LIMIT).await);
    let stage = Stage::with(|_| {}, |config| config.broker = settings);
    eventually(LIMIT, "the API is connected", async || {
        let ready = stage.http().get("/readyz", None).await.json();
        (ready["checks"]["broker"] == "ok").then_some(())
    })
    .await;
    let sms = stage.accepted_sms().await;
    let email = id_of(&stage.send("email", &stage.email(&json!({}))).await);
    let body = json!({"CID": sms, "status": "3"}).to_string();
    assert_eq!(stage.post_receipt("/notifications/sms/mmg", body).await.status, 200);
    for kind in Kind::ALL {
        eventually(LIMIT, "a message waits", async || {
            (outside.depth(kind).await.unwrap() == 1).then_some(())
        })
        .await;
    }
    for id in [sms, email] {
        let due = db::due::find(&mut stage.connect(), id.0).unwrap().unwrap();
        assert!(due.wake_at > now() + Duration::from_secs(30), "the sweep waits: {due:?}");
    }
    outside.delete_all().await.unwrap();
    outside.close().await;
}

#[tokio::test]
async fn what_the_broker_does_not_confirm_is_left_to_the_sweep() {
    let prefix = testkit::broker_prefix();
    let settings = ::broker::Config { url: testkit::amqp_url(), prefix, ..::broker::Config::default() };
    let outside = Broker::start(&settings, "test", Clock::System).unwrap();
    assert!(outside.connected_within(LIMIT).await);
    // No time to confirm anything in.
    let impatient = ::broker::Config { publish_timeout: Duration::ZERO, ..settings };
    let stage = Stage::with(|_| {}, |config| config.broker = impatient);
    eventually(LIMIT, "the API is connected", async || {
        let ready = stage.http().get("/readyz", None).await.json();
        (ready["checks"]["broker"] == "ok").then_some(())
    })
    .await;
    let id = stage.accepted_sms().await;
    eventually(LIMIT, "the sweep may find it", async || {
        let due = db::due::find(&mut stage.connect(), id.0).unwrap().unwrap();
        (due.wake_at <= now()).then_some(())
    })
    .await;
    outside.delete_all().await.unwrap();
    outside.close().await;
}

#[tokio::test]
async fn two_instances_share_one_database() {
    let stage = Stage::new();
    let second = Api::start(config(&stage.database));
    let body = stage.sms(&json!({})).to_string();
    let token = stage.token(domain::status::KeyType::Normal);
    let sends = (0..40).map(|n| {
        let http = if n % 2 == 0 { stage.http() } else { &second.http };
        http.post("/v2/notifications/sms", Some(&token), body.clone())
    });
    let answers = join_all(sends).await;
    assert!(answers.iter().all(|answer| answer.status == 201));
    let audit = db::audit::audit(&mut stage.connect()).unwrap();
    assert_eq!((audit.accepted, audit.waiting, audit.is_balanced()), (40, 40, true));
    for answer in answers {
        let path = format!("/v2/notifications/{}", id_of(&answer));
        assert_eq!(second.http.get(&path, Some(&token)).await.status, 200);
    }
    second.stop().await;
}
