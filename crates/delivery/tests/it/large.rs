//! Large messages take turns; small ones of others are not held up by them, and nobody loses anything.

use chrono::TimeDelta;
use db::intake::NewNotification;
use delivery::Delivery;
use domain::{
    notification::{Notification, Outcome},
    status::Channel,
    template::Personalisation,
};
use serde_json::{Value, json};
use testkit::{Sample, TestDatabase};

use crate::{email, lease::delivery, message, now, send, text, world};

/// Words, so that it renders like any other mail.
fn long(bytes: usize) -> String {
    "Permit for a car. ".repeat(bytes / 18)
}

fn with_name(notification: Notification, name: &Value) -> Notification {
    let values = json!({ "name": name });
    Notification {
        personalisation: Personalisation::new(values.as_object().unwrap().clone()),
        ..notification
    }
}

fn stored(sample: &Sample, channel: Channel, name: &str, delivery: &Delivery) -> NewNotification {
    let mut new = testkit::notification(sample, channel, delivery.clock.now());
    let values = serde_json::to_vec(&json!({ "name": name })).unwrap();
    new.personalisation = Some(delivery.keyring.seal(new.id.0, &values));
    new
}

#[tokio::test]
async fn a_large_mail_arrives_whole() {
    let (simulator, providers) = world(|_| ()).await;
    let notification = with_name(email(), &long(200_000).into());
    let attempt = send(&providers, &notification).await;
    assert!(matches!(attempt.outcome, Outcome::HandedOver { .. }), "{attempt:?}");
    let text = simulator.messages()[0].text.clone().unwrap();
    assert!(text.len() > 199_000, "{}", text.len());
}

#[tokio::test]
async fn a_text_made_of_much_has_its_units_and_arrives() {
    let (simulator, providers) = world(|_| ()).await;
    let mut notification = with_name(text(), &"Ada".into());
    notification.content = format!("Hello ((name)){}", " ".repeat(100_000));
    let attempt = send(&providers, &notification).await;
    assert!(matches!(attempt.outcome, Outcome::HandedOver { .. }), "{attempt:?}");
    assert_eq!((attempt.billable_units, simulator.messages().len()), (1, 1));
}

/// What is claimed is loaded; so what is too much for now must not be.
#[tokio::test]
async fn more_large_messages_than_there_is_room_for_are_not_loaded_and_come_again() {
    let (_simulator, providers) = world(|_| ()).await;
    let database = TestDatabase::new();
    let delivery = delivery(&database, providers);
    let mut conn = database.connect();
    let sample = testkit::sample(&mut conn, delivery.clock.now());
    let large = long(1_000_000);
    let mut new: Vec<_> = (0..30).map(|_| stored(&sample, Channel::Email, &large, &delivery)).collect();
    let small = stored(&sample, Channel::Sms, "Rosa", &delivery);
    let small_id = small.id.0;
    new.push(small);
    let ids: Vec<_> = new.iter().map(|n| n.id.0).collect();
    db::intake::store(&mut conn, &new).unwrap();

    let claims = delivery.claim(ids.clone()).await.unwrap();
    assert_eq!((claims.claimed.len(), claims.ended.len()), (17, 14), "16 MiB, and what is small");
    assert!(claims.claimed.iter().any(|claimed| claimed.lease.subject() == small_id));
    assert!(claims.ended.iter().all(|s| matches!(s.attempt.outcome, Outcome::NotBegun { .. })));
    delivery.settle(claims.ended).await;
    let none = delivery.claim(ids.clone()).await.unwrap();
    assert_eq!((none.claimed.len(), none.ended.len()), (0, 0), "not at once");

    // The others are done with.
    drop(claims.claimed);
    delivery.clock.advance(TimeDelta::seconds(5));
    let claims = delivery.claim(ids).await.unwrap();
    assert_eq!((claims.claimed.len(), claims.ended.len()), (14, 0), "no step of the ladder, and none lost");
    assert!(claims.claimed.iter().all(|claimed| claimed.lease.failures() == 0 && !claimed.lease.lapsed()));
}

/// It is small as it is stored, and large when it is filled.
#[tokio::test]
async fn what_grows_when_it_is_filled_takes_turns_too() {
    let (simulator, providers) = world(|_| ()).await;
    let notification =
        Notification { content: "((name)) ".repeat(50), ..with_name(email(), &long(6000).into()) };
    let attempt = send(&providers, &notification).await;
    assert!(matches!(attempt.outcome, Outcome::HandedOver { .. }), "{attempt:?}");
    assert!(simulator.messages()[0].text.as_ref().unwrap().len() > 250_000);
}

#[tokio::test]
async fn a_message_that_waits_too_long_for_its_turn_is_given_back() {
    let (simulator, providers) = world(|_| ()).await;
    let clock = domain::clock::Clock::manual(now());
    let time = delivery::Time { begin_by: now(), over_by: now() + TimeDelta::hours(1), clock };
    let notification = with_name(email(), &long(100_000).into());
    let attempt = delivery::send(&providers, &delivery::Large::default(), message(notification), &time).await;
    assert!(matches!(attempt.outcome, Outcome::NotBegun { .. }), "{attempt:?}");
    assert_eq!((attempt.provider, simulator.messages().len()), (None, 0));
}
