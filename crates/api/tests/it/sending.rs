//! `POST /v2/notifications/{sms,email}`: answers to the byte, and each row of the table of checks by its number.

use db::service::{Permission, ReplyTo, SmsSender};
use domain::{
    id::{ReplyToId, SmsSenderId, TemplateId},
    status::{Channel, KeyType},
};
use serde_json::{Value, json};
use testkit::Sample;
use uuid::Uuid;

use crate::stage::{Stage, bad_request, error, id_of, now};

pub(crate) fn put_template(
    stage: &Stage,
    channel: Channel,
    subject: Option<&str>,
    content: &str,
) -> TemplateId {
    let id = TemplateId::new(now());
    let template = db::template::Template {
        id,
        service_id: stage.service_id(),
        channel,
        name: id.to_string(),
        version: 1,
        subject: subject.map(Into::into),
        content: content.into(),
        has_unsubscribe_link: false,
        archived: false,
    };
    db::template::put(&mut stage.connect(), &template, "rosa@example.gov.uk", now()).unwrap();
    id
}

fn accepted(stage: &Stage) -> i64 {
    db::audit::audit(&mut stage.connect()).unwrap().accepted
}

#[tokio::test]
async fn a_text_is_accepted_and_answered_to_the_byte() {
    let stage = Stage::new();
    let body = stage.sms(&json!({"reference": "order-17", "scheduled_for": null}));
    let answer = stage.send("sms", &body).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let (id, host) = (id_of(&answer), stage.http().address);
    let (service, template) = (stage.service_id(), stage.sample.sms.id);
    let expected = format!(
        r#"{{"id":"{id}","reference":"order-17","content":{{"body":"Hello Rosa, your permit is ready","from_number":"PILLARBOX"}},"uri":"http://{host}/v2/notifications/{id}","template":{{"id":"{template}","version":1,"uri":"http://{host}/services/{service}/templates/{template}"}},"scheduled_for":null}}"#
    );
    assert_eq!(answer.body, expected.as_bytes());

    let story = db::story::of(&mut stage.connect(), id).unwrap().unwrap();
    assert_eq!(story.notification.recipient, "07700 900855");
    assert_eq!(story.notification.client_reference.as_deref(), Some("order-17"));
    assert_eq!(story.notification.key_type, KeyType::Normal);
    assert!(story.due.is_some(), "it is due");
    assert!(db::audit::audit(&mut stage.connect()).unwrap().is_balanced());
}

#[tokio::test]
async fn an_email_is_accepted_and_answered_to_the_byte() {
    let stage = Stage::new();
    let answer = stage.send("email", &stage.email(&json!({}))).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let (id, host) = (id_of(&answer), stage.http().address);
    let (service, template) = (stage.service_id(), stage.sample.email.id);
    let expected = format!(
        r##"{{"id":"{id}","reference":null,"content":{{"from_email":"parking.permits@notify.localhost","subject":"Permit for Rosa","body":"# Hello Rosa\n\nYour permit is ready.","one_click_unsubscribe_url":null}},"uri":"http://{host}/v2/notifications/{id}","template":{{"id":"{template}","version":1,"uri":"http://{host}/services/{service}/templates/{template}"}},"scheduled_for":null,"sanitised_content":{{}}}}"##
    );
    assert_eq!(answer.body, expected.as_bytes());
}

#[tokio::test]
async fn personalisation_is_sealed_for_its_row() {
    let stage = Stage::new();
    let id = stage.accepted_sms().await;
    let stored = db::notification::find(&mut stage.connect(), id).unwrap().unwrap();
    let sealed = stored.personalisation.unwrap();
    assert!(!sealed.windows(4).any(|bytes| bytes == b"Rosa"));
    assert_eq!(testkit::keyring().open(id.0, &sealed).unwrap(), br#"{"name":"Rosa"}"#);
}

#[tokio::test]
async fn sanitised_content_is_told() {
    let stage = Stage::new();
    let body = stage.email(&json!({
        "personalisation": {"name": "see http://evil.example now"}, "sanitise_content_for": ["NAME"]
    }));
    let answer = stage.send("email", &body).await.json();
    assert_eq!(
        answer["sanitised_content"],
        json!({"name": {"unsanitised": "see http://evil.example now", "sanitised": "see  now"}})
    );
    assert_eq!(answer["content"]["subject"], "Permit for see now");
}

#[tokio::test]
async fn row_3_schema_errors_come_all_at_once() {
    let stage = Stage::new();
    let body = json!({"phone_number": "07700 900x", "reference": 1, "zoo": 1});
    let answer = stage.send("sms", &body).await;
    assert_eq!(
        answer.parts(),
        (
            400,
            json!({"status_code": 400, "errors": [
                {"error": "ValidationError", "message": "reference 1 is not of type string"},
                {"error": "ValidationError", "message": "phone_number Must not contain letters or symbols"},
                {"error": "ValidationError", "message": "template_id is a required property"},
                {"error": "ValidationError", "message": "Additional properties are not allowed (zoo was unexpected)"},
            ]})
        )
    );
}

#[tokio::test]
async fn row_4_service_without_the_permission() {
    let stage = Stage::with(|service| service.permissions = vec![Permission::Letter], |_| {});
    for (channel, body, text) in [
        ("sms", stage.sms(&json!({})), "Service is not allowed to send text messages"),
        ("email", stage.email(&json!({})), "Service is not allowed to send emails"),
        ("letter", json!({}), "Service is not allowed to send letters"),
    ] {
        assert_eq!(stage.send(channel, &body).await.parts(), bad_request(text));
    }
}

#[tokio::test]
async fn row_5_template_not_found() {
    let stage = Stage::new();
    let expected = bad_request("Template not found");
    let stranger = testkit::sample(&mut stage.connect(), now());
    for id in [TemplateId::new(now()), stranger.sms.id] {
        let body = stage.sms(&json!({ "template_id": id }));
        assert_eq!(stage.send("sms", &body).await.parts(), expected);
    }
    stage.sql("UPDATE templates SET hidden = true");
    assert_eq!(stage.send("sms", &stage.sms(&json!({}))).await.parts(), expected);
}

#[tokio::test]
async fn row_6_template_of_another_type() {
    let stage = Stage::new();
    let Sample { sms, email, .. } = &stage.sample;
    let body = stage.sms(&json!({ "template_id": email.id }));
    assert_eq!(
        stage.send("sms", &body).await.parts(),
        bad_request("email template is not suitable for sms notification")
    );
    let body = stage.email(&json!({ "template_id": sms.id }));
    assert_eq!(
        stage.send("email", &body).await.parts(),
        bad_request("sms template is not suitable for email notification")
    );
}

#[tokio::test]
async fn row_7_template_deleted() {
    let stage = Stage::new();
    stage.sql("UPDATE templates SET archived_at = now()");
    let answer = stage.send("sms", &stage.sms(&json!({}))).await;
    assert_eq!(answer.parts(), bad_request("Template has been deleted"));
}

#[tokio::test]
async fn row_8_missing_personalisation() {
    let stage = Stage::new();
    let id = put_template(
        &stage,
        Channel::Email,
        Some("((first name)) on ((Date))"),
        "((date)) at ((place)), ((First_Name))",
    );
    let body = stage.email(&json!({"template_id": id, "personalisation": {"place": null}}));
    assert_eq!(
        stage.send("email", &body).await.parts(),
        bad_request("Missing personalisation: first name, Date, place")
    );
    let body = stage.sms(&json!({ "personalisation": null }));
    assert_eq!(stage.send("sms", &body).await.parts(), bad_request("Missing personalisation: name"));
}

#[tokio::test]
async fn row_8_extra_personalisation_is_ignored() {
    let stage = Stage::new();
    let body = stage.sms(&json!({"personalisation": {"NAME": "Rosa", "more": [1, {"a": null}]}}));
    let answer = stage.send("sms", &body).await;
    assert_eq!(answer.json()["content"]["body"], "Hello Rosa, your permit is ready");
}

#[tokio::test]
async fn row_9_message_empty() {
    let stage = Stage::new();
    let sms = put_template(&stage, Channel::Sms, None, "((name))");
    let email = put_template(&stage, Channel::Email, Some("s"), "((name))");
    for nothing in ["", " ", "\u{200b}", "\u{feff}\u{2060}\n\u{200c}", "\u{a0}\u{180e}"] {
        let values = json!({ "name": nothing });
        for (channel, body) in [
            ("sms", stage.sms(&json!({"template_id": sms, "personalisation": values}))),
            ("email", stage.email(&json!({"template_id": email, "personalisation": values}))),
        ] {
            let refused = bad_request("Your message is empty.");
            assert_eq!(stage.send(channel, &body).await.parts(), refused, "{channel} {nothing:?}");
        }
    }
}

#[tokio::test]
async fn row_10_file_in_a_text() {
    let stage = Stage::new();
    let body = stage.sms(&json!({"personalisation": {"name": {"file": "aGk="}}}));
    assert_eq!(stage.send("sms", &body).await.parts(), bad_request("Can only send a file by email"));
}

#[tokio::test]
async fn row_11_sender_of_nobody() {
    let stage = Stage::new();
    let (id, service) = (Uuid::new_v4(), stage.service_id());
    let body = stage.sms(&json!({ "sms_sender_id": id }));
    assert_eq!(
        stage.send("sms", &body).await.parts(),
        bad_request(&format!("sms_sender_id {id} does not exist in database for service id {service}"))
    );
    let body = stage.email(&json!({ "email_reply_to_id": id }));
    assert_eq!(
        stage.send("email", &body).await.parts(),
        bad_request(&format!("email_reply_to_id {id} does not exist in database for service id {service}"))
    );
}

#[tokio::test]
async fn row_11_archived_sender() {
    let stage = Stage::new();
    let id = stage.sample.service.sms_senders[0].id;
    stage.sql("UPDATE sms_senders SET archived_at = now(), is_default = false");
    let answer = stage.send("sms", &stage.sms(&json!({ "sms_sender_id": id }))).await;
    assert_eq!(answer.status, 400, "{answer:?}");
    let answer = stage.send("sms", &stage.sms(&json!({}))).await.json();
    assert_eq!(answer["content"]["from_number"], "Pillarbox", "the platform's own");
}

#[tokio::test]
async fn row_11_the_sender_is_fixed_on_the_notification() {
    let sms = SmsSenderId::new(now());
    let reply_to = ReplyToId::new(now());
    let stage = Stage::with(
        |service| {
            service.sms_senders.push(SmsSender { id: sms, sender: "07700 900999".into(), is_default: false });
            service.reply_to_addresses.push(ReplyTo {
                id: reply_to,
                address: "other@example.com".into(),
                is_default: false,
            });
        },
        |_| {},
    );
    let sender = async |channel: &str, body: Value| {
        let answer = stage.send(channel, &body).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        let id = id_of(&answer).0;
        let keyring = testkit::keyring();
        let due = now() + chrono::TimeDelta::minutes(2);
        let lease = std::time::Duration::from_secs(1);
        let claims = db::delivery::claim(&mut stage.connect(), &keyring, &[id], due, lease).unwrap();
        (answer.json()["content"]["from_number"].clone(), claims.claimed[0].notification.sender.clone())
    };
    let default = sender("sms", stage.sms(&json!({}))).await;
    assert_eq!(default, (json!("PILLARBOX"), Some("PILLARBOX".into())));
    let chosen = sender("sms", stage.sms(&json!({ "sms_sender_id": sms }))).await;
    assert_eq!(chosen, (json!("447700900999"), Some("447700900999".into())));
    let default = sender("email", stage.email(&json!({}))).await;
    assert_eq!(default.1.as_deref(), Some("desk@example.com"));
    let chosen = sender("email", stage.email(&json!({ "email_reply_to_id": reply_to }))).await;
    assert_eq!(chosen.1.as_deref(), Some("other@example.com"));
}

const TEAM_ONLY: &str = "Can’t send to this recipient using a team-only API key";
const TRIAL: &str = "Can’t send to this recipient when service is in trial mode – see \
                     https://www.notifications.service.gov.uk/trial-mode";

#[tokio::test]
async fn row_12_team_key_reaches_the_guest_list_only() {
    let stage = Stage::new();
    for (channel, stranger, guest) in [
        ("sms", stage.sms(&json!({})), stage.sms(&json!({"phone_number": "+44 7700 900123"}))),
        (
            "email",
            stage.email(&json!({"email_address": "stranger@example.com"})),
            stage.email(&json!({"email_address": "ROSA@example.com"})),
        ),
    ] {
        let refused = stage.send_as(KeyType::Team, channel, &stranger).await;
        assert_eq!(refused.parts(), bad_request(TEAM_ONLY));
        assert_eq!(stage.send_as(KeyType::Team, channel, &guest).await.status, 201);
        assert_eq!(stage.send_as(KeyType::Test, channel, &stranger).await.status, 201);
    }
}

#[tokio::test]
async fn row_12_trial_service_reaches_the_guest_list_only() {
    let stage = Stage::with(|service| service.restricted = true, |_| {});
    let stranger = stage.sms(&json!({}));
    assert_eq!(stage.send("sms", &stranger).await.parts(), bad_request(TRIAL));
    let team = stage.send_as(KeyType::Team, "sms", &stranger).await;
    assert_eq!(team.parts(), bad_request(TEAM_ONLY));
    assert_eq!(stage.send_as(KeyType::Test, "sms", &stranger).await.status, 201);
    let guest = stage.sms(&json!({"phone_number": "07700 900123"}));
    assert_eq!(stage.send("sms", &guest).await.status, 201);
}

#[tokio::test]
async fn row_13_international_without_permission() {
    let stage = Stage::new();
    let body = stage.sms(&json!({"phone_number": "+33 6 12 34 56 78"}));
    let expected = bad_request("Cannot send to international mobile numbers");
    assert_eq!(stage.send("sms", &body).await.parts(), expected);
    let stage = Stage::with(|service| service.permissions.push(Permission::InternationalSms), |_| {});
    let body = stage.sms(&json!({"phone_number": "+33 6 12 34 56 78"}));
    assert_eq!(stage.send("sms", &body).await.status, 201);
}

#[tokio::test]
async fn row_14_landline_without_permission() {
    let stage = Stage::new();
    let body = stage.sms(&json!({"phone_number": "020 7946 0991"}));
    let expected = error(400, "InvalidPhoneError", "Not a UK mobile number");
    assert_eq!(stage.send("sms", &body).await.parts(), expected);
    let stage = Stage::with(|service| service.permissions.push(Permission::SmsToUkLandlines), |_| {});
    let body = stage.sms(&json!({"phone_number": "020 7946 0991"}));
    assert_eq!(stage.send("sms", &body).await.status, 201);
}

#[tokio::test]
async fn row_16_files_are_not_set_up() {
    let stage = Stage::with(|_| {}, |config| config.api.admin_url = "https://admin.example/".into());
    let service = stage.service_id();
    let body = stage.email(&json!({"personalisation": {"name": {"file": "aGk=", "filename": null}}}));
    assert_eq!(
        stage.send("email", &body).await.parts(),
        bad_request(&format!(
            "Send files by email has not been set up - add contact details for your service at \
             https://admin.example/services/{service}/service-settings/send-files-by-email"
        ))
    );
}

#[tokio::test]
async fn row_17_too_long() {
    let stage = Stage::new();
    let sms = put_template(&stage, Channel::Sms, None, "((name))");
    let of = |length: usize| {
        stage.sms(&json!({"template_id": sms, "personalisation": {"name": "x".repeat(length)}}))
    };
    assert_eq!(stage.send("sms", &of(918)).await.status, 201);
    assert_eq!(
        stage.send("sms", &of(919)).await.parts(),
        bad_request(
            "Your message is too long. Text messages cannot be longer than 918 characters. Your message is 919 \
             characters long."
        )
    );
    let email = put_template(&stage, Channel::Email, Some("s"), "((name))");
    let body =
        stage.email(&json!({"template_id": email, "personalisation": {"name": "é".repeat(1_000_001)}}));
    assert_eq!(
        stage.send("email", &body).await.parts(),
        bad_request(
            "Your message is too long. Emails cannot be longer than 2000000 bytes. Your message is 2000002 bytes."
        )
    );
}

#[tokio::test]
async fn the_checks_have_an_order() {
    let stage = Stage::with(|service| service.restricted = true, |_| {});
    let mut broken = stage.sms(&json!({
        "template_id": stage.sample.email.id, "personalisation": {}, "sms_sender_id": Uuid::new_v4(),
    }));
    for (repair, first_word) in [
        ("template_id", "email"),
        ("personalisation", "Missing"),
        ("sms_sender_id", "sms_sender_id"),
        ("phone_number", "Can’t"),
    ] {
        let answer = stage.send("sms", &broken).await.json();
        let message = answer["errors"][0]["message"].as_str().unwrap().to_owned();
        assert!(message.starts_with(first_word), "{message}");
        let good = stage.sms(&json!({"phone_number": "07700 900123"}));
        match good.get(repair) {
            Some(value) => broken[repair] = value.clone(),
            None => drop(broken.as_object_mut().unwrap().remove(repair)),
        }
    }
    assert_eq!(stage.send("sms", &broken).await.status, 201);
}

#[tokio::test]
async fn simulated_recipients_are_answered_and_not_stored() {
    let stage = Stage::new();
    for number in ["07700900000", "+44 7700 900111", "07700 900222"] {
        let answer = stage.send("sms", &stage.sms(&json!({ "phone_number": number }))).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        let read = stage.get(&format!("/v2/notifications/{}", id_of(&answer))).await;
        assert_eq!(read.parts(), error(404, "NoResultFound", "No result found"));
    }
    for number in ["", "-2", "-3"] {
        let address = format!("Simulate-delivered{number}@notifications.service.gov.uk");
        let answer = stage.send("email", &stage.email(&json!({ "email_address": address }))).await;
        assert_eq!(answer.status, 201, "{answer:?}");
    }
    assert_eq!(accepted(&stage), 0);
    let team = stage.send_as(KeyType::Team, "sms", &stage.sms(&json!({"phone_number": "07700900000"}))).await;
    assert_eq!(team.parts(), bad_request(TEAM_ONLY), "not exempt from the rules of keys");
}

#[tokio::test]
async fn refused_requests_store_nothing() {
    let stage = Stage::new();
    for change in [json!({"template_id": Uuid::new_v4()}), json!({"phone_number": "1"}), json!({"x": 1})] {
        assert_eq!(stage.send("sms", &stage.sms(&change)).await.status, 400);
    }
    assert_eq!(accepted(&stage), 0);
}

#[tokio::test]
async fn a_new_template_version_is_used_within_seconds() {
    let stage = Stage::new();
    let body = stage.sms(&json!({}));
    assert_eq!(stage.send("sms", &body).await.json()["template"]["version"], 1);
    let template = db::template::Template { content: "Bye ((name))".into(), ..stage.sample.sms.clone() };
    db::template::put(&mut stage.connect(), &template, "rosa@example.gov.uk", now()).unwrap();
    testkit::eventually(crate::stage::LIMIT, "version 2", async || {
        let answer = stage.send("sms", &body).await.json();
        (answer["template"]["version"] == 2 && answer["content"]["body"] == "Bye Rosa").then_some(())
    })
    .await;
}
