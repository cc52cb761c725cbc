//! Inbound numbers and inbound messages: the internal API's section 11.

use chrono::{DateTime, TimeDelta, Utc};
use db::{inbound_number, received_text};
use domain::{
    id::{InboundNumberId, ServiceId},
    london,
    received_text::IncomingText,
    status::ProviderId,
};
use futures_util::future::join_all;
use serde_json::{Value, json};
use testkit::keyring;
use uuid::Uuid;

use super::{id_of, invalid, no_result};
use crate::{
    internal::refused,
    stage::{Stage, now},
};

const FIRST: &str = "07860000001";
const SECOND: &str = "07860000002";

fn add_number(stage: &Stage, number: &str) -> InboundNumberId {
    let id = InboundNumberId::new(now());
    assert!(inbound_number::add(&mut stage.connect(), id, number, ProviderId::Mmg, now()).unwrap());
    id
}

fn another_service(stage: &Stage) -> ServiceId {
    testkit::sample(&mut stage.connect(), now()).service.id
}

fn number_url(service: impl std::fmt::Display) -> String {
    format!("/inbound-number/service/{service}")
}

async fn number(stage: &Stage) -> Value {
    stage.internal_get(&number_url(stage.service_id())).await.json()["data"].clone()
}

async fn senders(stage: &Stage) -> Vec<(String, bool)> {
    let rows = stage.internal_get(&stage.own("sms-sender")).await.json();
    let row =
        |row: &Value| (row["sms_sender"].as_str().unwrap().to_owned(), row["is_default"].as_bool().unwrap());
    rows.as_array().unwrap().iter().map(row).collect()
}

async fn give(stage: &Stage) -> Value {
    let answer = stage.internal_post(&number_url(stage.service_id()), &json!({})).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()
}

/// One to the number of the service, which may receive it.
fn receive(stage: &Stage, from: &str, content: &str, at: DateTime<Utc>) {
    let text = IncomingText {
        provider: ProviderId::Mmg,
        notify_number: FIRST.into(),
        user_number: from.into(),
        content: content.into(),
        provider_reference: None,
        provider_date: None,
        identity: None,
    };
    let stored = received_text::store(&mut stage.connect(), &keyring(), &text, at).unwrap();
    assert_eq!(stored, received_text::Reception::Stored);
}

async fn with_number() -> Stage {
    let stage = Stage::with(|service| service.permissions.push(db::service::Permission::InboundSms), |_| {});
    add_number(&stage, FIRST);
    give(&stage).await;
    stage
}

fn contents(answer: &Value) -> Vec<&str> {
    answer["data"].as_array().unwrap().iter().map(|text| text["content"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn numbers_are_listed_with_their_services_and_free_ones_apart() {
    let stage = Stage::new();
    let (first, second) = (add_number(&stage, FIRST), add_number(&stage, SECOND));
    give(&stage).await;
    let all = stage.internal_get("/inbound-number").await.json();
    let (one, two) = (&all["data"][0], &all["data"][1]);
    assert_eq!(
        all,
        json!({"data": [
            {"id": first, "number": FIRST, "provider": "mmg", "active": true, "created_at": one["created_at"],
             "service": {"id": stage.service_id(), "name": "Parking permits"}, "updated_at": one["updated_at"]},
            {"id": second, "number": SECOND, "provider": "mmg", "active": true, "created_at": two["created_at"],
             "service": null, "updated_at": null},
        ]})
    );
    assert!(one["updated_at"].is_string());
    assert_eq!(stage.internal_get("/inbound-number/available").await.json(), json!({"data": [two]}));
    assert_eq!(number(&stage).await, *one);
    let other = number_url(another_service(&stage));
    assert_eq!(stage.internal_get(&other).await.parts(), (200, json!({"data": {}})));
}

#[tokio::test]
async fn a_number_takes_the_place_of_the_only_sender() {
    let stage = Stage::new();
    let id = add_number(&stage, FIRST);
    let only = stage.sample.service.sms_senders[0].id;
    let row = give(&stage).await;
    assert_eq!((&row["id"], &row["sms_sender"]), (&json!(only), &json!(FIRST)));
    assert_eq!((&row["inbound_number_id"], &row["is_default"]), (&json!(id), &json!(true)));
    assert_eq!(senders(&stage).await, [(FIRST.to_owned(), true)]);
    assert_eq!(
        give(&stage).await,
        stage.internal_get(&stage.own("sms-sender")).await.json()[0],
        "again: the same"
    );
}

#[tokio::test]
async fn a_number_comes_beside_several_senders_as_the_default() {
    let stage = Stage::new();
    add_number(&stage, FIRST);
    stage
        .internal_post(&stage.own("sms-sender"), &json!({"sms_sender": "Permits", "is_default": false}))
        .await;
    let row = give(&stage).await;
    assert_eq!(row["is_default"], true);
    let senders = senders(&stage).await;
    assert_eq!(senders[0], (FIRST.to_owned(), true));
    assert_eq!((senders.len(), senders[1].1, senders[2].1), (3, false, false));
}

#[tokio::test]
async fn a_number_is_asked_for_by_id_or_any_is_given() {
    let stage = Stage::new();
    let (_, second) = (add_number(&stage, FIRST), add_number(&stage, SECOND));
    let url = number_url(stage.service_id());
    let answer = stage.internal_post(&url, &json!({"inbound_number_id": second})).await;
    assert_eq!((answer.status, &answer.json()["sms_sender"]), (201, &json!(SECOND)));
    let others = [another_service(&stage), another_service(&stage)];
    let answers = join_all(others.iter().map(|other| {
        let url = number_url(other);
        let stage = &stage;
        async move { stage.internal_post(&url, &Value::Null).await }
    }))
    .await;
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 400], "one was free: {answers:?}");
}

#[tokio::test]
async fn no_inbound_number_is_available() {
    let stage = Stage::new();
    let url = number_url(stage.service_id());
    assert_eq!(
        stage.internal_post(&url, &json!({})).await.parts(),
        refused(400, "No inbound number is available")
    );
    let taken = add_number(&stage, FIRST);
    assert_eq!(stage.internal_post(&number_url(another_service(&stage)), &json!({})).await.status, 201);
    for id in [taken.0, Uuid::new_v4()] {
        let answer = stage.internal_post(&url, &json!({"inbound_number_id": id})).await;
        assert_eq!(answer.parts(), refused(400, format!("Inbound number {id} is not available")));
    }
    let answer = stage.internal_post(&url, &json!({"inbound_number_id": "x"})).await;
    assert_eq!(answer.parts(), invalid("inbound_number_id is not a valid UUID"));
    assert_eq!(senders(&stage).await, [("PILLARBOX".to_owned(), true)]);
}

#[tokio::test]
async fn a_service_has_one_number() {
    let stage = Stage::new();
    add_number(&stage, FIRST);
    give(&stage).await;
    let second = add_number(&stage, SECOND);
    let answer =
        stage.internal_post(&number_url(stage.service_id()), &json!({"inbound_number_id": second})).await;
    assert_eq!(answer.parts(), refused(400, "Service already has an inbound number"));
}

#[tokio::test]
async fn a_sender_with_a_number_is_that_number() {
    let stage = Stage::new();
    let id = add_number(&stage, FIRST);
    let body = json!({"sms_sender": "ignored", "is_default": false, "inbound_number_id": id});
    let answer = stage.internal_post(&stage.own("sms-sender"), &body).await;
    assert_eq!((answer.status, &answer.json()["sms_sender"]), (201, &json!(FIRST)));
    assert_eq!(senders(&stage).await, [(FIRST.to_owned(), true)], "the only sender stays the default");
    assert_eq!(number(&stage).await["id"], json!(id));
}

#[tokio::test]
async fn the_text_of_a_number_is_not_changed_and_not_archived() {
    let stage = Stage::new();
    add_number(&stage, FIRST);
    let sender = id_of(&give(&stage).await);
    let by_id = stage.own(&format!("sms-sender/{sender}"));
    let change = |text: &str| json!({"sms_sender": text, "is_default": true});
    let message = format!("You can not change the inbound number for service {}", stage.service_id());
    assert_eq!(stage.internal_post(&by_id, &change("Permits")).await.parts(), refused(400, message));
    assert_eq!(stage.internal_post(&by_id, &change(FIRST)).await.status, 200);
    let archived = stage.internal_post(&format!("{by_id}/archive"), &Value::Null).await;
    assert_eq!(archived.parts(), refused(400, "You cannot delete an inbound number"));
}

#[tokio::test]
async fn a_number_that_is_off_receives_nothing_and_can_be_on_again() {
    let stage = with_number().await;
    let off = stage.internal_post(&format!("{}/off", number_url(stage.service_id())), &Value::Null).await;
    assert_eq!((off.status, off.body.len()), (204, 0));
    assert_eq!(number(&stage).await["active"], false);
    assert_eq!(
        stage.internal_get("/inbound-number/available").await.json(),
        json!({"data": []}),
        "it is not free"
    );
    give(&stage).await;
    assert_eq!(number(&stage).await["active"], true);
    receive(&stage, "447700900123", "back", now());
}

#[tokio::test]
async fn a_number_that_is_given_up_is_free_or_archived() {
    for (archive, free) in [(json!({"archive": false}), 1), (json!({"archive": true}), 0), (json!({}), 1)] {
        let stage = with_number().await;
        receive(&stage, "447700900123", "kept", now());
        let answer = stage.internal_post(&stage.own("inbound-sms/remove"), &archive).await;
        assert_eq!(answer.parts(), (200, json!({})), "{archive}");
        assert_eq!(number(&stage).await, json!({}));
        let available = stage.internal_get("/inbound-number/available").await.json();
        assert_eq!(available["data"].as_array().unwrap().len(), free, "{archive}");
        assert_eq!(senders(&stage).await, [("Pillarbox".to_owned(), true)], "the platform's sender");
        let texts = stage.internal_post(&stage.own("inbound-sms"), &json!({})).await.json();
        assert_eq!(contents(&texts), ["kept"]);
        assert_eq!(
            stage.internal_post(&stage.own("inbound-sms/remove"), &archive).await.status,
            200,
            "again"
        );
    }
}

#[tokio::test]
async fn another_sender_becomes_the_default_when_the_number_goes() {
    let stage = Stage::new();
    add_number(&stage, FIRST);
    stage
        .internal_post(&stage.own("sms-sender"), &json!({"sms_sender": "Permits", "is_default": false}))
        .await;
    give(&stage).await;
    stage.internal_post(&stage.own("inbound-sms/remove"), &json!({"archive": false})).await;
    assert_eq!(senders(&stage).await, [("Permits".to_owned(), true), ("PILLARBOX".to_owned(), false)]);
    let wrong = stage.internal_post(&stage.own("inbound-sms/remove"), &json!({"archive": "yes"})).await;
    assert_eq!(wrong.parts(), invalid("archive yes is not of type boolean"));
}

#[tokio::test]
async fn messages_are_those_within_retention_newest_first() {
    let stage = with_number().await;
    let midnight = |days| london::midnight_days_ago(now(), days);
    receive(&stage, "447700900123", "too old", midnight(7) - TimeDelta::seconds(1));
    receive(&stage, "447700900123", "seven days", midnight(7) + TimeDelta::seconds(1));
    receive(&stage, "33612345678", "today", now());
    let own = stage.own("inbound-sms");
    let texts = stage.internal_post(&own, &json!({})).await.json();
    assert_eq!(contents(&texts), ["today", "seven days"]);
    let text = &texts["data"][0];
    assert_eq!(
        *text,
        json!({"id": text["id"], "created_at": text["created_at"], "service_id": stage.service_id(),
            "notify_number": FIRST, "user_number": "33612345678", "content": "today"})
    );
    let answer = stage.internal_get(&format!("{own}/{}", id_of(text))).await;
    assert_eq!(answer.parts(), (200, text.clone()));
    for (days, expected) in [(8, &["today", "seven days", "too old"][..]), (3, &["today"])] {
        let retention = json!({"days_of_retention": days, "notification_type": "sms"});
        stage.sql("DELETE FROM data_retention");
        assert_eq!(stage.internal_post(&stage.own("data-retention"), &retention).await.status, 201);
        assert_eq!(contents(&stage.internal_post(&own, &Value::Null).await.json()), expected, "{days}");
    }
}

#[tokio::test]
async fn messages_of_one_person_are_found_in_every_spelling() {
    let stage = with_number().await;
    receive(&stage, "447700900123", "hers", now());
    receive(&stage, "BANK", "its", now());
    for (number, expected) in [
        ("07700 900123", &["hers"][..]),
        ("+447700900123", &["hers"]),
        ("BANK", &["its"]),
        ("07700 900456", &[]),
        ("", &["its", "hers"]),
    ] {
        let answer =
            stage.internal_post(&stage.own("inbound-sms"), &json!({"phone_number": number})).await.json();
        assert_eq!(contents(&answer), expected, "{number}");
    }
    let answer = stage.internal_post(&stage.own("inbound-sms"), &json!({"phone_number": 5})).await;
    assert_eq!(answer.parts(), invalid("phone_number 5 is not of type string"));
}

#[tokio::test]
async fn the_newest_message_of_each_person_comes_by_pages_of_50() {
    let stage = with_number().await;
    let start = now() - TimeDelta::hours(1);
    for n in 0..60 {
        let from = format!("4477009{n:05}");
        receive(&stage, &from, &format!("first {n}"), start + TimeDelta::seconds(n));
        receive(&stage, &from, &format!("second {n}"), start + TimeDelta::seconds(n + 600));
    }
    let page = async |query: &str| {
        let answer = stage.internal_get(&stage.own(&format!("inbound-sms/most-recent{query}"))).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    };
    let expected = |from: i32, to: i32| (to..from).rev().map(|n| format!("second {n}")).collect::<Vec<_>>();
    let (first, second, third) = (page("").await, page("?page=2").await, page("?page=3").await);
    assert_eq!(
        (contents(&first), &first["has_next"]),
        (expected(60, 10).iter().map(String::as_str).collect(), &json!(true))
    );
    assert_eq!(
        (contents(&second), &second["has_next"]),
        (expected(10, 0).iter().map(String::as_str).collect(), &json!(false))
    );
    assert_eq!(third, json!({"data": [], "has_next": false}));
    assert_eq!(page(&format!("?page={}", i64::MAX)).await["data"], json!([]));
    for (bad, message) in [("0", "Not a positive integer"), ("x", "Not a valid integer.")] {
        let answer = stage.internal_get(&stage.own(&format!("inbound-sms/most-recent?page={bad}"))).await;
        assert_eq!(answer.parts(), refused(400, json!({"page": [message]})));
    }
}

#[tokio::test]
async fn the_summary_is_of_seven_days_whatever_the_retention() {
    let stage = with_number().await;
    let summary = stage.own("inbound-sms/summary");
    assert_eq!(stage.internal_get(&summary).await.parts(), (200, json!({"count": 0, "most_recent": null})));
    let at: DateTime<Utc> = now() - TimeDelta::minutes(5);
    receive(&stage, "447700900123", "old", now() - TimeDelta::days(9));
    receive(&stage, "447700900123", "new", at);
    stage
        .internal_post(
            &stage.own("data-retention"),
            &json!({"days_of_retention": 30, "notification_type": "sms"}),
        )
        .await;
    let shown = stage.internal_get(&summary).await.json();
    let recent = shown["most_recent"].as_str().unwrap();
    assert_eq!(shown["count"], 1);
    assert!(
        !recent.ends_with('Z') && recent.starts_with(&at.format("%Y-%m-%dT%H:%M:%S").to_string()),
        "{recent}"
    );
}

#[tokio::test]
async fn inbound_not_found() {
    let stage = Stage::new();
    let usage = stage.own("inbound-sms/most-recent-usage");
    assert_eq!(stage.internal_get(&usage).await.parts(), (404, json!({"message": "inbound not found"})));
    add_number(&stage, FIRST);
    give(&stage).await;
    assert_eq!(stage.internal_get(&usage).await.parts(), (200, json!({"most_recent_date": null})));
    stage.sql("INSERT INTO service_permissions SELECT id, 'inbound_sms' FROM services");
    receive(&stage, "447700900123", "hello", now());
    let newest =
        stage.internal_post(&stage.own("inbound-sms"), &json!({})).await.json()["data"][0]["created_at"]
            .clone();
    assert_eq!(stage.internal_get(&usage).await.parts(), (200, json!({"most_recent_date": newest})));
}

#[tokio::test]
async fn another_services_message_is_no_result_found() {
    let stage = with_number().await;
    receive(&stage, "447700900123", "private", now());
    let id = id_of(&stage.internal_post(&stage.own("inbound-sms"), &json!({})).await.json()["data"][0]);
    let other = another_service(&stage);
    assert_eq!(stage.internal_get(&format!("/service/{other}/inbound-sms/{id}")).await.parts(), no_result());
    assert_eq!(
        stage.internal_get(&stage.own(&format!("inbound-sms/{}", Uuid::new_v4()))).await.parts(),
        no_result()
    );
}
