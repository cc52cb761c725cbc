//! One message that a person sends, without a key.

use db::service::{Limits, Permission};
use domain::status::Channel;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{missing, refused};
use crate::{
    http::Answer,
    sending::put_template,
    stage::{Stage, changed, id_of},
};

/// Somebody who works with the service.
pub(super) fn member(stage: &Stage, name: &str) -> Uuid {
    let id = Uuid::new_v4();
    let address = format!("{}@example.gov.uk", name.to_lowercase());
    stage.sql(&format!(
        "INSERT INTO users (id, name, email_address, created_at) VALUES ('{id}', '{name}', '{address}', now())"
    ));
    db::user::join(&mut stage.connect(), id, stage.service_id()).unwrap();
    id
}

async fn send(stage: &Stage, body: &Value) -> Answer {
    stage.internal_post(&format!("/service/{}/send-notification", stage.service_id()), body).await
}

/// A text to Rosa, with changes; null removes a field.
fn text(stage: &Stage, person: Uuid, change: &Value) -> Value {
    let body = json!({"template_id": stage.sample.sms.id, "to": " 07700 900855", "created_by": person,
        "personalisation": {"name": "Rosa"}});
    changed(body, change)
}

fn email(stage: &Stage, person: Uuid, change: &Value) -> Value {
    let body = json!({"template_id": stage.sample.email.id, "to": "Rosa@example.com", "created_by": person,
        "personalisation": {"name": "Rosa"}});
    changed(body, change)
}

#[tokio::test]
async fn it_is_stored_as_its_senders_and_shown_with_their_name() {
    let stage = Stage::new();
    let person = member(&stage, "Ada");
    for (body, to) in [
        (text(&stage, person, &json!({})), "07700 900855"),
        (email(&stage, person, &json!({})), "Rosa@example.com"),
    ] {
        let answer = send(&stage, &body).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        let id = id_of(&answer);
        assert_eq!(answer.json(), json!({"id": id}), "and nothing else");
        let public = stage.get(&format!("/v2/notifications/{id}")).await.json();
        assert_eq!(public["created_by_name"], "Ada");
        let shown =
            stage.internal_get(&format!("/service/{}/notifications/{id}", stage.service_id())).await.json();
        assert_eq!(
            (&shown["to"], &shown["key_type"], &shown["api_key"]),
            (&json!(to), &json!("normal"), &Value::Null)
        );
        assert_eq!(stage.deliver(id).await.status, 204);
    }
    let listed = stage.get("/v2/notifications").await.json();
    let names: Vec<&Value> =
        listed["notifications"].as_array().unwrap().iter().map(|n| &n["created_by_name"]).collect();
    assert_eq!(names, ["Ada", "Ada"], "a live key sees them");
    stage.accepted_sms().await;
    assert_eq!(
        stage.get("/v2/notifications").await.json()["notifications"][0]["created_by_name"],
        Value::Null
    );
    let v1 = stage.get("/notifications").await.json();
    assert_eq!((v1["total"].as_i64(), &v1["notifications"][1]["api_key"]), (Some(3), &Value::Null));
}

#[tokio::test]
async fn a_message_with_nothing_to_see_is_refused() {
    let stage = Stage::new();
    let person = member(&stage, "Ada");
    let sms = put_template(&stage, Channel::Sms, None, "((name))");
    let mail = put_template(&stage, Channel::Email, Some("s"), "((name))");
    let change =
        |template| json!({"template_id": template, "personalisation": {"name": "\u{200b}\u{feff} "}});
    for body in [text(&stage, person, &change(sms)), email(&stage, person, &change(mail))] {
        let answer = send(&stage, &body).await;
        assert_eq!((answer.status, &answer.json()["message"]), (400, &json!("Your message is empty.")));
    }
}

#[tokio::test]
async fn fields_that_are_missing_or_wrong() {
    let stage = Stage::new();
    let person = member(&stage, "Ada");
    for field in ["template_id", "to", "created_by"] {
        assert_eq!(send(&stage, &text(&stage, person, &json!({field: null}))).await.parts(), missing(field));
    }
    for (change, message) in [
        (json!({"template_id": "x"}), json!({"template_id": ["Not a valid UUID."]})),
        (json!({"to": 7}), json!({"to": ["Not a valid string."]})),
        (json!({"created_by": true}), json!({"created_by": ["Not a valid UUID."]})),
        (json!({"personalisation": "x"}), json!({"personalisation": ["Not a valid mapping type."]})),
        (json!({"sender_id": "x"}), json!({"sender_id": ["Not a valid UUID."]})),
    ] {
        assert_eq!(send(&stage, &text(&stage, person, &change)).await.parts(), refused(400, message));
    }
}

#[tokio::test]
async fn who_is_not_part_of_the_service_sends_nothing() {
    let stage = Stage::new();
    let stranger = Uuid::new_v4();
    stage.sql(&format!(
        "INSERT INTO users (id, name, email_address, created_at) VALUES ('{stranger}', 'Bob', 'bob@example.com', now())"
    ));
    let answer = send(&stage, &text(&stage, stranger, &json!({}))).await;
    let message = "Can’t create notification - Bob is not part of the \"Parking permits\" service";
    assert_eq!(answer.parts(), refused(400, message));
    let nobody = send(&stage, &text(&stage, Uuid::new_v4(), &json!({}))).await;
    assert_eq!(nobody.parts(), refused(404, "No result found"));
}

#[tokio::test]
async fn a_body_that_is_no_object_is_told_in_the_internal_form() {
    let stage = Stage::new();
    for body in [json!([1]), json!("text"), json!(5), json!(true)] {
        let expected = refused(400, json!({"_schema": ["Invalid input type."]}));
        assert_eq!(send(&stage, &body).await.parts(), expected, "{body}");
        for url in ["/user", "/service"] {
            assert_eq!(stage.internal_post(url, &body).await.parts(), expected, "{url} {body}");
        }
    }
}

#[tokio::test]
async fn business_errors_of_the_current_api_in_the_internal_envelope() {
    let stage = Stage::with(|service| service.permissions = vec![Permission::Sms], |_| {});
    let person = member(&stage, "Ada");
    for (change, message) in [
        (json!({"template_id": Uuid::new_v4()}), "Template not found"),
        (json!({"personalisation": null}), "Missing personalisation: name"),
        (json!({"to": "07700"}), "Not enough digits"),
        (json!({"to": "Rosa@example.com"}), "Must not contain letters or symbols"),
        (json!({"to": "+33612345678"}), "Cannot send to international mobile numbers"),
        (json!({"to": "020 7946 0958"}), "Not a UK mobile number"),
        (json!({"sender_id": Uuid::new_v4()}), "SMS sender not found"),
        (json!({"personalisation": {"name": {"file": "eA=="}}}), "Can only send a file with an API key"),
    ] {
        let answer = send(&stage, &text(&stage, person, &change)).await;
        assert_eq!(answer.parts(), refused(400, message), "{change}");
    }
    let long = json!({"personalisation": {"name": "x".repeat(1000)}});
    let answer = send(&stage, &text(&stage, person, &long)).await.json();
    assert!(
        answer["message"].as_str().unwrap().starts_with("Your message is too long. Text messages cannot")
    );
    let answer = send(&stage, &email(&stage, person, &json!({}))).await;
    assert_eq!(answer.parts(), refused(400, "Service is not allowed to send emails"));
}

#[tokio::test]
async fn an_archived_template_is_not_sent() {
    let stage = Stage::new();
    let person = member(&stage, "Ada");
    stage.sql("UPDATE templates SET archived_at = now()");
    let answer = send(&stage, &text(&stage, person, &json!({}))).await;
    assert_eq!(answer.parts(), refused(400, "Template has been deleted"));
}

#[tokio::test]
async fn an_email_goes_to_an_address_and_answers_to_one_of_the_services() {
    let stage = Stage::new();
    let person = member(&stage, "Ada");
    for (change, message) in [
        (json!({"to": "07700 900855"}), "Not a valid email address"),
        (json!({"sender_id": Uuid::new_v4()}), "Reply to email address not found"),
    ] {
        assert_eq!(send(&stage, &email(&stage, person, &change)).await.parts(), refused(400, message));
    }
    let own = stage.sample.service.reply_to_addresses[0].id;
    let answer = send(&stage, &email(&stage, person, &json!({"sender_id": own}))).await;
    assert_eq!(answer.status, 201);
    let shown = stage
        .internal_get(&format!("/service/{}/notifications/{}", stage.service_id(), id_of(&answer)))
        .await;
    assert_eq!(shown.json()["reply_to_text"], "desk@example.com");
    let sender = stage.sample.service.sms_senders[0].id;
    assert_eq!(send(&stage, &text(&stage, person, &json!({"sender_id": sender}))).await.status, 201);
}

#[tokio::test]
async fn in_trial_mode_members_are_reached_and_guests_are_not() {
    let stage = Stage::with(|service| service.restricted = true, |_| {});
    let person = member(&stage, "Ada");
    let trial = "Can’t send to this recipient when service is in trial mode – see \
                 https://www.notifications.service.gov.uk/trial-mode";
    // Both are on the guest list, and a key reaches them.
    let guest = json!({"phone_number": "07700 900123"});
    assert_eq!(stage.send("sms", &stage.sms(&guest)).await.status, 201);
    let answer = send(&stage, &text(&stage, person, &json!({"to": "07700 900123"}))).await;
    assert_eq!(answer.parts(), refused(400, trial));
    assert_eq!(send(&stage, &email(&stage, person, &json!({}))).await.parts(), refused(400, trial));
    let member = send(&stage, &email(&stage, person, &json!({"to": "Ada@example.gov.uk"}))).await;
    assert_eq!(member.status, 201, "{member:?}");
}

#[tokio::test]
async fn limits_of_the_day_count_and_that_of_the_minute_does_not() {
    let stage = Stage::with(|service| service.limits = Limits { rate: 0, sms: 2, ..Limits::NONE }, |_| {});
    let person = member(&stage, "Ada");
    for _ in 0..2 {
        assert_eq!(send(&stage, &text(&stage, person, &json!({}))).await.status, 201);
    }
    let answer = send(&stage, &text(&stage, person, &json!({}))).await;
    assert_eq!(answer.parts(), refused(429, "Exceeded send limits (sms: 2) for today"));
    assert_eq!(send(&stage, &email(&stage, person, &json!({}))).await.status, 201);
}

#[tokio::test]
async fn an_archived_service_sends_nothing() {
    let stage = Stage::with(|service| service.active = false, |_| {});
    let person = member(&stage, "Ada");
    let answer = send(&stage, &text(&stage, person, &json!({}))).await;
    assert_eq!(answer.parts(), refused(403, "Sending is not allowed: service is inactive"));
}

#[tokio::test]
async fn unknown_services_and_services_with_their_keys_are_turned_away() {
    let stage = Stage::new();
    let body = text(&stage, Uuid::new_v4(), &json!({}));
    let answer = stage.internal_post(&format!("/service/{}/send-notification", Uuid::new_v4()), &body).await;
    assert_eq!(answer.parts(), refused(404, "No result found"));
    let url = format!("/service/{}/send-notification", stage.service_id());
    let token = stage.token(domain::status::KeyType::Normal);
    assert_eq!(stage.http().post(&url, Some(&token), body.to_string()).await.status, 401);
}
