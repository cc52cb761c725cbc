//! Senders and reply-to addresses: the internal API's section 10.

use futures_util::future::join_all;
use serde_json::{Value, json};
use testkit::eventually;
use uuid::Uuid;

use super::{id_of, invalid, no_result};
use crate::{
    http::Answer,
    internal::refused,
    stage::{LIMIT, Stage},
};

async fn add_address(stage: &Stage, address: &str, is_default: bool) -> Answer {
    let body = json!({"email_address": address, "is_default": is_default});
    stage.internal_post(&stage.own("email-reply-to"), &body).await
}

async fn add_sender(stage: &Stage, sender: &str, is_default: bool) -> Answer {
    let body = json!({"sms_sender": sender, "is_default": is_default});
    stage.internal_post(&stage.own("sms-sender"), &body).await
}

/// Text and whether it is the default, as listed.
async fn listed(stage: &Stage, path: &str, text: &str) -> Vec<(String, bool)> {
    let rows = stage.internal_get(&stage.own(path)).await.json();
    let row = |row: &Value| (row[text].as_str().unwrap().to_owned(), row["is_default"].as_bool().unwrap());
    rows.as_array().unwrap().iter().map(row).collect()
}

async fn addresses(stage: &Stage) -> Vec<(String, bool)> {
    listed(stage, "email-reply-to", "email_address").await
}

async fn senders(stage: &Stage) -> Vec<(String, bool)> {
    listed(stage, "sms-sender", "sms_sender").await
}

fn owned(expected: &[(&str, bool)]) -> Vec<(String, bool)> {
    expected.iter().map(|(text, is_default)| ((*text).to_owned(), *is_default)).collect()
}

#[tokio::test]
async fn addresses_are_added_changed_and_archived() {
    let stage = Stage::new();
    let added = add_address(&stage, "permits@example.com", false).await;
    assert_eq!(added.status, 201, "{added:?}");
    let row = added.json()["data"].clone();
    assert_eq!(
        row,
        json!({"id": row["id"], "service_id": stage.service_id(), "email_address": "permits@example.com",
            "is_default": false, "archived": false, "created_at": row["created_at"], "updated_at": null})
    );
    let by_id = stage.own(&format!("email-reply-to/{}", id_of(&row)));
    assert_eq!(stage.internal_get(&by_id).await.parts(), (200, row.clone()));
    let change = json!({"email_address": "help@example.com", "is_default": false});
    let changed = stage.internal_post(&by_id, &change).await;
    assert_eq!((changed.status, &changed.json()["data"]["email_address"]), (200, &json!("help@example.com")));
    assert!(changed.json()["data"]["updated_at"].is_string());
    assert_eq!(addresses(&stage).await, owned(&[("desk@example.com", true), ("help@example.com", false)]));
    let archived = stage.internal_post(&format!("{by_id}/archive"), &Value::Null).await;
    assert_eq!((archived.status, &archived.json()["data"]["archived"]), (200, &json!(true)));
    assert_eq!(stage.internal_get(&by_id).await.parts(), no_result());
    assert_eq!(stage.internal_post(&by_id, &change).await.parts(), no_result());
    assert_eq!(addresses(&stage).await, owned(&[("desk@example.com", true)]));
    assert_eq!(
        add_address(&stage, "help@example.com", false).await.status,
        201,
        "an archived one is no duplicate"
    );
}

#[tokio::test]
async fn the_list_has_the_default_first_and_then_the_newest() {
    let stage = Stage::new();
    for address in ["a@example.com", "b@example.com"] {
        assert_eq!(add_address(&stage, address, false).await.status, 201);
    }
    let listed = addresses(&stage).await;
    assert_eq!(
        listed,
        owned(&[("desk@example.com", true), ("b@example.com", false), ("a@example.com", false)])
    );
}

#[tokio::test]
async fn making_one_default_unsets_the_others() {
    let stage = Stage::new();
    let added = add_address(&stage, "a@example.com", true).await;
    assert_eq!(added.json()["data"]["is_default"], true);
    assert_eq!(addresses(&stage).await, owned(&[("a@example.com", true), ("desk@example.com", false)]));
    let desk = stage.sample.service.reply_to_addresses[0].id;
    let body = json!({"email_address": "desk@example.com", "is_default": true});
    let changed = stage.internal_post(&stage.own(&format!("email-reply-to/{desk}")), &body).await;
    assert_eq!(changed.json()["data"]["is_default"], true);
    assert_eq!(addresses(&stage).await, owned(&[("desk@example.com", true), ("a@example.com", false)]));
    assert_eq!(add_sender(&stage, "Permits", true).await.json()["is_default"], true);
    assert_eq!(senders(&stage).await, owned(&[("Permits", true), ("PILLARBOX", false)]));
}

#[tokio::test]
async fn many_made_default_at_once_leave_one() {
    let stage = Stage::new();
    let names: Vec<String> = (0..8).map(|n| format!("Permits {n}")).collect();
    let answers = join_all(names.iter().map(|name| add_sender(&stage, name, true))).await;
    assert!(answers.iter().all(|answer| answer.status == 201), "{answers:?}");
    let updates = answers.iter().map(|answer| async {
        let row = answer.json();
        let body = json!({"sms_sender": row["sms_sender"], "is_default": true});
        stage.internal_post(&stage.own(&format!("sms-sender/{}", id_of(&row))), &body).await.status
    });
    assert_eq!(join_all(updates).await, [200; 8]);
    let senders = senders(&stage).await;
    assert_eq!((senders.len(), senders.iter().filter(|(_, is_default)| *is_default).count()), (9, 1));
}

#[tokio::test]
async fn a_duplicate_address_is_a_conflict() {
    let stage = Stage::new();
    let conflict = refused(409, "‘desk@example.com’ is already a reply-to email address for this service.");
    assert_eq!(add_address(&stage, "desk@example.com", false).await.parts(), conflict);
    let verify =
        stage.internal_post(&stage.own("email-reply-to/verify"), &json!({"email": "desk@example.com"})).await;
    assert_eq!(verify.parts(), conflict);
    let other = id_of(&add_address(&stage, "a@example.com", false).await.json()["data"]);
    let body = json!({"email_address": "desk@example.com", "is_default": false});
    let changed = stage.internal_post(&stage.own(&format!("email-reply-to/{other}")), &body).await;
    assert_eq!(changed.parts(), conflict);
    let answers = join_all((0..4).map(|_| add_address(&stage, "b@example.com", false))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1, "{answers:?}");
}

#[tokio::test]
async fn you_must_have_one_address_as_the_default() {
    let stage = Stage::new();
    let refusal = refused(400, "You must have at least one reply to email address as the default.");
    let desk = stage.sample.service.reply_to_addresses[0].id;
    let body = json!({"email_address": "desk@example.com", "is_default": false});
    let changed = stage.internal_post(&stage.own(&format!("email-reply-to/{desk}")), &body).await;
    assert_eq!(changed.parts(), refusal);
    stage.sql("DELETE FROM reply_to_addresses");
    assert_eq!(add_address(&stage, "a@example.com", false).await.parts(), refusal);
    assert_eq!(add_address(&stage, "a@example.com", true).await.status, 201);
}

#[tokio::test]
async fn you_cannot_delete_a_default_address() {
    let stage = Stage::new();
    let desk = stage.sample.service.reply_to_addresses[0].id;
    let answer =
        stage.internal_post(&stage.own(&format!("email-reply-to/{desk}/archive")), &Value::Null).await;
    assert_eq!(answer.parts(), refused(400, "You cannot delete a default email reply to address"));
}

#[tokio::test]
async fn what_is_wrong_with_an_address_is_told_as_of_a_schema() {
    let stage = Stage::new();
    let own = stage.own("email-reply-to");
    for (body, message) in [
        (json!({"is_default": true}), "email_address is a required property"),
        (json!({"email_address": "a@example.com"}), "is_default is a required property"),
        (json!({"email_address": "a", "is_default": true}), "email_address Not a valid email address"),
        (json!({"email_address": "a@example.com", "is_default": 1}), "is_default 1 is not of type boolean"),
    ] {
        assert_eq!(stage.internal_post(&own, &body).await.parts(), invalid(message));
    }
}

#[tokio::test]
async fn what_is_wrong_with_an_address_to_verify_is_told_by_field() {
    let stage = Stage::new();
    let verify = stage.own("email-reply-to/verify");
    for (body, message) in [
        (json!({}), "Missing data for required field."),
        (json!({"email": null}), "Field may not be null."),
        (json!({"email": 5}), "Not a valid string."),
        (json!({"email": "a"}), "Not a valid email address"),
    ] {
        let answer = stage.internal_post(&verify, &body).await;
        assert_eq!(answer.parts(), refused(400, json!({ "email": [message] })), "{body}");
    }
    let nowhere = format!("/service/{}/email-reply-to/verify", Uuid::new_v4());
    assert_eq!(stage.internal_post(&nowhere, &json!({"email": "a@example.com"})).await.parts(), no_result());
}

#[tokio::test]
async fn the_test_email_is_the_platforms_and_in_none_of_the_teams_figures() {
    // Nothing could be sent by the service itself.
    let limits = db::service::Limits { email: 0, rate: 0, ..db::service::Limits::LIVE };
    let stage = Stage::with(|service| (service.restricted, service.limits) = (true, limits), |_| {});
    let platform = "/service/d6aa2c68-a2d9-4437-ab19-3ae8eb202553";
    let figures = async || {
        let mut read = Vec::new();
        for tail in ["notifications", "statistics?today_only=True", "template", "notifications/count"] {
            read.push(stage.internal_get(&stage.own(tail)).await.json());
        }
        read
    };
    let before = figures().await;
    for address in ["new@example.com", "Other@example.com", "new@example.com"] {
        let answer =
            stage.internal_post(&stage.own("email-reply-to/verify"), &json!({"email": address})).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        let id = id_of(&answer.json()["data"]);
        assert_eq!(answer.json(), json!({"data": {"id": id}}));
        let message = stage.internal_get(&format!("{platform}/notifications/{id}")).await.json();
        for (key, value) in [
            ("to", json!(address)),
            ("status", json!("created")),
            ("key_type", json!("normal")),
            ("api_key", Value::Null),
            ("created_by", Value::Null),
            ("personalisation", json!({})),
        ] {
            assert_eq!(message[key], value, "{key}");
        }
        assert_eq!(message["template"]["id"], "a42f1d17-9404-46d5-a647-d013bdfca3e1");
        assert_eq!(message["template"]["redact_personalisation"], true);
        assert_eq!(stage.get(&format!("/v2/notifications/{id}")).await.status, 404, "it is not the team's");
        stage.sql(&format!(
            "DO $$ BEGIN ASSERT (SELECT count(*) FROM due WHERE subject_id = '{id}') = 1; END $$"
        ));
    }
    assert_eq!(figures().await, before);
    let service = stage.internal_get(platform).await.json()["data"].clone();
    assert_eq!((&service["count_as_live"], &service["restricted"]), (&json!(false), &json!(false)));
}

#[tokio::test]
async fn senders_are_added_changed_and_archived_unwrapped() {
    let stage = Stage::new();
    let added = add_sender(&stage, "Permits", false).await;
    assert_eq!(added.status, 201, "{added:?}");
    let row = added.json();
    assert_eq!(
        row,
        json!({"id": row["id"], "sms_sender": "Permits", "service_id": stage.service_id(), "is_default": false,
            "archived": false, "inbound_number_id": null, "created_at": row["created_at"], "updated_at": null})
    );
    let by_id = stage.own(&format!("sms-sender/{}", id_of(&row)));
    assert_eq!(stage.internal_get(&by_id).await.parts(), (200, row.clone()));
    let changed = stage.internal_post(&by_id, &json!({"sms_sender": "Parking", "is_default": false})).await;
    assert_eq!((changed.status, &changed.json()["sms_sender"]), (200, &json!("Parking")));
    assert_eq!(senders(&stage).await, owned(&[("PILLARBOX", true), ("Parking", false)]));
    let archived = stage.internal_post(&format!("{by_id}/archive"), &Value::Null).await;
    assert_eq!((archived.status, &archived.json()["archived"]), (200, &json!(true)));
    assert_eq!(stage.internal_get(&by_id).await.parts(), no_result());
}

#[tokio::test]
async fn leaving_no_default_sender_is_refused() {
    let stage = Stage::new();
    let refusal = refused(400, "You must have at least one SMS sender as the default.");
    let own = stage.sample.service.sms_senders[0].id;
    let body = json!({"sms_sender": "PILLARBOX", "is_default": false});
    let changed = stage.internal_post(&stage.own(&format!("sms-sender/{own}")), &body).await;
    assert_eq!(changed.parts(), refusal);
    stage.sql("DELETE FROM sms_senders");
    assert_eq!(add_sender(&stage, "Permits", false).await.parts(), refusal);
}

#[tokio::test]
async fn you_cannot_delete_a_default_sender() {
    let stage = Stage::new();
    let own = stage.sample.service.sms_senders[0].id;
    let answer = stage.internal_post(&stage.own(&format!("sms-sender/{own}/archive")), &Value::Null).await;
    assert_eq!(answer.parts(), refused(400, "You cannot delete a default sms sender"));
}

#[tokio::test]
async fn a_sender_longer_than_its_column_is_no_result_found() {
    let stage = Stage::new();
    assert_eq!(add_sender(&stage, "Pillarbox 12", false).await.parts(), no_result());
    assert_eq!(add_sender(&stage, "Pillarbox 1", false).await.status, 201);
    assert_eq!(add_sender(&stage, " ", false).await.parts(), invalid("sms_sender   is too short"));
}

#[tokio::test]
async fn another_services_sender_is_no_result_found() {
    let stage = Stage::new();
    let stranger = testkit::sample(&mut stage.connect(), crate::stage::now()).service;
    let (sender, address) = (stranger.sms_senders[0].id, stranger.reply_to_addresses[0].id);
    let body = json!({"sms_sender": "X", "is_default": true, "email_address": "a@example.com"});
    for path in [format!("sms-sender/{sender}"), format!("email-reply-to/{address}")] {
        let path = stage.own(&path);
        assert_eq!(stage.internal_get(&path).await.parts(), no_result());
        assert_eq!(stage.internal_post(&path, &body).await.parts(), no_result());
        assert_eq!(stage.internal_post(&format!("{path}/archive"), &Value::Null).await.parts(), no_result());
    }
    assert_eq!(senders(&stage).await, owned(&[("PILLARBOX", true)]), "nothing of ours changed either");
}

#[tokio::test]
async fn the_new_default_is_what_texts_come_from() {
    let stage = Stage::new();
    stage.accepted_sms().await;
    let added = add_sender(&stage, "Permits", true).await.json();
    assert_ne!(id_of(&added), Uuid::nil());
    eventually(LIMIT, "the change takes effect", async || {
        let answer = stage.send("sms", &stage.sms(&json!({}))).await.json();
        (answer["content"]["from_number"] == "Permits").then_some(())
    })
    .await;
}
