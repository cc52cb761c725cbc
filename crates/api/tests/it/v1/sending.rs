//! `POST /notifications/{sms,email}`: answers to the byte, and each row of the table of checks by its number.

use db::{
    service::{Limits, Permission},
    template::Template,
    user::{User, join, put},
};
use domain::{
    id::TemplateId,
    status::KeyType::{self, Normal, Team, Test},
};
use futures_util::future::join_all;
use hyper::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{id_of, no_result, refused, unknown_url, wrong};
use crate::{
    delivering::{providers, simulator},
    stage::{Stage, now, signed},
};

const TEAM_ONLY: &str = "Can’t send to this recipient using a team-only API key";
const TRIAL: &str = "Can’t send to this recipient when service is in trial mode – see \
                     https://www.notifications.service.gov.uk/trial-mode";

fn put_template(stage: &Stage, like: &Template, subject: Option<&str>, content: &str) -> TemplateId {
    let (subject, content) = (subject.map(Into::into), content.into());
    let template = Template { id: TemplateId::new(now()), subject, content, ..like.clone() };
    db::template::put(&mut stage.connect(), &template, "rosa@example.gov.uk", now()).unwrap();
    template.id
}

fn sms_template(stage: &Stage, content: &str) -> TemplateId {
    put_template(stage, &stage.sample.sms, None, content)
}

/// Ada works with the service; her number and address are written as people write them.
fn hire_ada(stage: &Stage) {
    let ada = User {
        id: Uuid::new_v4(),
        name: "Ada".into(),
        email_address: "Ada@Example.gov.uk".into(),
        mobile_number: Some("+44 7700 900777".into()),
    };
    let mut conn = stage.connect();
    put(&mut conn, &ada, now()).unwrap();
    join(&mut conn, ada.id, stage.service_id()).unwrap();
}

fn accepted(stage: &Stage) -> i64 {
    db::audit::audit(&mut stage.connect()).unwrap().accepted
}

#[tokio::test]
async fn a_text_is_accepted_and_answered_to_the_byte() {
    let stage = Stage::new();
    let answer = stage.send_2016(Normal, "sms", &stage.sms_2016(&json!({"zoo": 1, "job": "x"}))).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let id = id_of(&answer);
    let expected = format!(
        r#"{{"data":{{"notification":{{"id":"{id}"}},"body":"Hello Rosa, your permit is ready","template_version":1}}}}"#
    );
    assert_eq!(answer.body, expected.as_bytes());
    assert_eq!(answer.headers["content-type"], "application/json");

    let story = db::story::of(&mut stage.connect(), id).unwrap().unwrap();
    assert_eq!(story.notification.recipient, "+447700900855");
    assert_eq!(story.notification.key_type, Normal);
    assert!(story.due.is_some(), "it is due");
    assert!(db::audit::audit(&mut stage.connect()).unwrap().is_balanced());
}

#[tokio::test]
async fn an_email_is_accepted_and_answered_to_the_byte() {
    let stage = Stage::new();
    let answer = stage.send_2016(Normal, "email", &stage.email_2016(&json!({}))).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let id = id_of(&answer);
    let expected = format!(
        r##"{{"data":{{"notification":{{"id":"{id}"}},"body":"# Hello Rosa\n\nYour permit is ready.","template_version":1,"subject":"Permit for Rosa"}}}}"##
    );
    assert_eq!(answer.body, expected.as_bytes());
    let stored = db::notification::find(&mut stage.connect(), id).unwrap().unwrap();
    assert_eq!(stored.recipient, "Rosa@example.com", "as given");
}

#[tokio::test]
async fn what_v1_stores_is_delivered_like_anything_else() {
    let simulator = simulator().await;
    let stage = Stage::with(|_| {}, |config| providers(config, &simulator));
    for (channel, body) in [("sms", stage.sms_2016(&json!({}))), ("email", stage.email_2016(&json!({})))] {
        let id = id_of(&stage.send_2016(Normal, channel, &body).await);
        let answer = stage.deliver(id).await;
        assert_eq!(answer.status, 204, "{answer:?}");
        let sent = stage.get(&format!("/notifications/{id}")).await.json();
        assert_eq!(sent["data"]["notification"]["status"], "sending");
    }
    let sent: Vec<_> = simulator.messages().into_iter().map(|message| message.to).collect();
    assert_eq!(sent, ["rosa@example.com", "447700900855"], "newest first");
}

#[tokio::test]
async fn a_token_that_is_refused_is_told_under_token() {
    let stage = Stage::new();
    let body = stage.sms_2016(&json!({})).to_string();
    let none = stage.http().post("/notifications/sms", None, body.clone()).await;
    let text = "Unauthorized: authentication token must be provided";
    assert_eq!(none.parts(), refused(401, json!({ "token": [text] })));
    let stale = signed(
        &json!({"iss": stage.service_id(), "iat": now().timestamp() - 60}),
        &stage.secret(Normal).to_string(),
    );
    for path in ["/notifications/sms", "/notifications/email"] {
        let stale = stage.http().post(path, Some(&stale), body.clone()).await;
        let text = "Error: Your system clock must be accurate to within 30 seconds";
        assert_eq!(stale.parts(), refused(403, json!({ "token": [text] })));
    }
    for path in ["/notifications", "/notifications/2b9d5e1c-31f6-4a2e-9b0e-2d4f6c1e7a10"] {
        assert_eq!(stage.http().get(path, Some("a.b.c")).await.status, 403, "{path}");
    }
}

#[tokio::test]
async fn any_other_type_is_an_unknown_url() {
    let stage = Stage::new();
    for kind in ["letter", "fax", "statistics", "smss", "0c9b8a52-31f6-4a2e-9b0e-2d4f6c1e7a10"] {
        let answer = stage.send_2016(Normal, kind, &stage.sms_2016(&json!({}))).await;
        assert_eq!(answer.parts(), unknown_url(), "{kind}");
    }
}

#[tokio::test]
async fn receipts_keep_their_urls() {
    let stage = Stage::new();
    for path in ["/notifications/sms/mmg", "/notifications/sms/firetext"] {
        let answer = stage.post_receipt(path, "{}").await;
        assert_eq!(answer.status, 400, "{path}: {answer:?}");
        assert!(answer.json()["message"].to_string().contains("callback failed"), "{answer:?}");
    }
}

#[tokio::test]
async fn row_1_the_service_of_the_key_does_not_exist() {
    let stage = Stage::new();
    let token = crate::stage::token(&Uuid::new_v4().to_string(), "secret");
    let answer = stage.http().post("/notifications/sms", Some(&token), "{}").await;
    let text = "Invalid token: service not found";
    assert_eq!(answer.parts(), refused(403, json!({ "token": [text] })), "authentication finds out first");
}

#[tokio::test]
async fn row_2_a_body_that_does_not_parse() {
    let stage = Stage::new();
    for (body, expected) in [
        ("{", refused(400, json!("Invalid JSON supplied in POST data"))),
        ("[1]", wrong("_schema", "Invalid input type.")),
    ] {
        let answer = stage.http().post("/notifications/sms", Some(&stage.token(Normal)), body).await;
        assert_eq!(answer.parts(), expected);
    }
}

/// A service in trial mode that may send two messages of each kind a day, in which Ada works.
fn trial() -> Stage {
    let limits = Limits { sms: 2, email: 2, ..Limits::LIVE };
    let stage = Stage::with(
        |service| {
            service.restricted = true;
            service.limits = limits;
        },
        |_| {},
    );
    hire_ada(&stage);
    stage
}

#[tokio::test]
async fn row_3_daily_limit_of_a_trial_service_for_texts_and_emails_together() {
    let stage = trial();
    let sms = stage.sms_2016(&json!({"to": "07700900777"}));
    let email = stage.email_2016(&json!({"to": "ada@example.gov.uk"}));
    assert_eq!(stage.send_2016(Normal, "sms", &sms).await.status, 201);
    assert_eq!(stage.send_2016(Team, "email", &email).await.status, 201);
    let expected = refused(429, json!("Exceeded send limits (2) for today"));
    for (key_type, channel, body) in [(Normal, "sms", &sms), (Team, "sms", &sms), (Normal, "email", &email)] {
        let answer = stage.send_2016(key_type, channel, body).await;
        assert_eq!(answer.parts(), expected);
        assert!(answer.headers.contains_key("retry-after"));
    }
    let unknown = stage.sms_2016(&json!({"template": Uuid::new_v4()}));
    assert_eq!(stage.send_2016(Normal, "sms", &unknown).await.parts(), expected, "before row 5");
    let answer = stage.send_2016(Normal, "sms", &json!({})).await;
    assert_eq!(answer.status, 400, "but after row 4");
    assert_eq!(stage.send_2016(Test, "sms", &sms).await.status, 201, "test keys have no limit");
    assert_eq!(accepted(&stage), 3);
}

#[tokio::test]
async fn row_3_the_daily_limit_is_exact_whoever_comes_at_once() {
    let stage = trial();
    let sms = stage.sms_2016(&json!({"to": "07700900777"}));
    let email = stage.email_2016(&json!({"to": "ada@example.gov.uk"}));
    let answers = join_all((0..20).map(|n| {
        if n % 2 == 0 { stage.send_2016(Normal, "sms", &sms) } else { stage.send_2016(Team, "email", &email) }
    }));
    let answers = answers.await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 2);
    assert_eq!(answers.iter().filter(|answer| answer.status == 429).count(), 18);
    assert_eq!(accepted(&stage), 2);
}

#[tokio::test]
async fn row_3_what_v2_sent_counts_and_what_test_keys_sent_does_not() {
    let stage = trial();
    for _ in 0..3 {
        assert_eq!(stage.send_2016(Test, "sms", &stage.sms_2016(&json!({}))).await.status, 201);
    }
    let body = stage.sms(&json!({"phone_number": "07700900777"}));
    assert_eq!(stage.send("sms", &body).await.status, 201);
    assert_eq!(stage.send("sms", &body).await.status, 201);
    let email = stage.email_2016(&json!({"to": "ada@example.gov.uk"}));
    let answer = stage.send_2016(Normal, "email", &email).await;
    assert_eq!(answer.parts(), refused(429, json!("Exceeded send limits (2) for today")));
}

#[tokio::test]
async fn row_3_live_services_have_no_daily_limit_and_none_a_minute() {
    let none = Limits { rate: 0, sms: 0, email: 0, ..Limits::LIVE };
    let stage = Stage::with(|service| service.limits = none, |_| {});
    for _ in 0..3 {
        assert_eq!(stage.send_2016(Normal, "sms", &stage.sms_2016(&json!({}))).await.status, 201);
        assert_eq!(stage.send_2016(Normal, "email", &stage.email_2016(&json!({}))).await.status, 201);
    }
}

#[tokio::test]
async fn row_4_required_fields_are_missing() {
    let stage = Stage::new();
    let missing = "Missing data for required field.";
    for channel in ["sms", "email"] {
        let answer = stage.send_2016(Normal, channel, &json!({"personalisation": {}})).await;
        assert_eq!(answer.parts(), refused(400, json!({"to": [missing], "template": [missing]})));
    }
}

#[tokio::test]
async fn row_4_bad_phone() {
    let stage = Stage::new();
    for (to, text) in [
        ("07700 90085x", "Must not contain letters or symbols"),
        ("020 7946 0958", "Not a UK mobile number"),
        ("+33 6 12 34 56 78", "Not a UK mobile number"),
        ("07700 900 8555", "Too many digits"),
        ("07700 900 85", "Not enough digits"),
    ] {
        let answer = stage.send_2016(Normal, "sms", &stage.sms_2016(&json!({ "to": to }))).await;
        assert_eq!(answer.parts(), wrong("to", &format!("Invalid phone number: {text}")), "{to}");
    }
    assert_eq!(accepted(&stage), 0);
}

#[tokio::test]
async fn row_4_bad_email() {
    let stage = Stage::new();
    for to in ["rosa", "rosa@example", "rosa @example.com", "rosa@b@example.com"] {
        let answer = stage.send_2016(Normal, "email", &stage.email_2016(&json!({ "to": to }))).await;
        assert_eq!(answer.parts(), wrong("to", "Not a valid email address"), "{to}");
    }
}

#[tokio::test]
async fn row_4_wrong_json_type() {
    let stage = Stage::new();
    let answer = stage.send_2016(Normal, "sms", &json!({"to": 7, "template": 7, "personalisation": 7})).await;
    assert_eq!(
        answer.parts(),
        refused(
            400,
            json!({
                "to": ["Not a valid string."],
                "template": ["Not a valid string."],
                "personalisation": ["Not a valid mapping type."],
            })
        )
    );
}

#[tokio::test]
async fn a_service_without_the_permission_cannot_go_around_it() {
    let stage = Stage::with(|service| service.permissions = vec![Permission::Email], |_| {});
    let answer = stage.send_2016(Normal, "sms", &stage.sms_2016(&json!({}))).await;
    assert_eq!(answer.parts(), refused(400, json!("Service is not allowed to send text messages")));
    assert_eq!(stage.send_2016(Normal, "email", &stage.email_2016(&json!({}))).await.status, 201);
}

#[tokio::test]
async fn row_5_template_does_not_belong_to_the_service() {
    let stage = Stage::new();
    let stranger = testkit::sample(&mut stage.connect(), now());
    for template in [json!(stranger.sms.id), json!(Uuid::new_v4()), json!("no id"), json!("")] {
        let answer = stage.send_2016(Normal, "sms", &stage.sms_2016(&json!({ "template": template }))).await;
        assert_eq!(answer.parts(), no_result(), "{template}");
    }
}

#[tokio::test]
async fn row_6_template_archived() {
    let stage = Stage::new();
    stage.sql("UPDATE templates SET archived_at = now()");
    for (channel, body) in [("sms", stage.sms_2016(&json!({}))), ("email", stage.email_2016(&json!({})))] {
        let answer = stage.send_2016(Normal, channel, &body).await;
        assert_eq!(answer.parts(), wrong("template", "Template has been deleted"));
    }
}

#[tokio::test]
async fn a_template_of_the_other_type_is_refused() {
    let stage = Stage::new();
    let body = stage.sms_2016(&json!({"template": stage.sample.email.id}));
    let text = "email template is not suitable for sms notification";
    assert_eq!(stage.send_2016(Normal, "sms", &body).await.parts(), wrong("template", text));
    let body = stage.email_2016(&json!({"template": stage.sample.sms.id}));
    let text = "sms template is not suitable for email notification";
    assert_eq!(stage.send_2016(Normal, "email", &body).await.parts(), wrong("template", text));
}

#[tokio::test]
async fn row_7_placeholders_without_a_value() {
    let stage = Stage::new();
    let id = put_template(&stage, &stage.sample.email, Some("((name))"), "((date)) ((place)) ((name))");
    for (personalisation, missing) in
        [(json!({"place": "Leeds"}), "name, date"), (json!({"place": null, "name": ""}), "date, place")]
    {
        let body = stage.email_2016(&json!({"template": id, "personalisation": personalisation}));
        let answer = stage.send_2016(Normal, "email", &body).await;
        assert_eq!(answer.parts(), wrong("template", &format!("Missing personalisation: {missing}")));
    }
    let body = stage.sms_2016(&json!({"personalisation": null}));
    let answer = stage.send_2016(Normal, "sms", &body).await;
    assert_eq!(answer.parts(), wrong("template", "Missing personalisation: name"));
}

#[tokio::test]
async fn row_8_values_without_a_placeholder() {
    let stage = Stage::new();
    let body = stage.sms_2016(&json!({"personalisation": {"name": "Rosa", "foo": 1, "bar": null}}));
    let answer = stage.send_2016(Normal, "sms", &body).await;
    assert_eq!(answer.parts(), wrong("template", "Personalisation not needed for template: bar, foo"));
    let id = put_template(&stage, &stage.sample.email, Some("((subject))"), "((body))");
    let body = stage
        .email_2016(&json!({"template": id, "personalisation": {"subject": "a", "body": "b", "foo": "c"}}));
    let answer = stage.send_2016(Normal, "email", &body).await;
    assert_eq!(answer.parts(), wrong("template", "Personalisation not needed for template: foo"));
}

#[tokio::test]
async fn row_9_texts_have_495_bytes_at_most_without_the_prefix() {
    let stage = Stage::new();
    let id = sms_template(&stage, "((name))");
    for (name, is_sent) in
        [("x".repeat(495), true), ("x".repeat(496), false), ("é".repeat(247), true), ("é".repeat(248), false)]
    {
        let body = stage.sms_2016(&json!({"template": id, "personalisation": {"name": name}}));
        let answer = stage.send_2016(Normal, "sms", &body).await;
        if is_sent {
            assert_eq!(answer.status, 201, "{answer:?}");
        } else {
            let text = "Content has a character count greater than the limit of 495";
            assert_eq!(answer.parts(), wrong("content", text));
        }
    }
    let body = stage.email_2016(&json!({"personalisation": {"name": "x".repeat(5000)}}));
    assert_eq!(stage.send_2016(Normal, "email", &body).await.status, 201, "e-mails may be long");
    let id = sms_template(&stage, &"((name))".repeat(10_000));
    let body = stage.sms_2016(&json!({"template": id, "personalisation": {"name": "x".repeat(1_000_000)}}));
    assert_eq!(stage.send_2016(Normal, "sms", &body).await.status, 400, "ten gigabytes are never written");
}

#[tokio::test]
async fn a_message_with_nothing_to_see_is_refused() {
    let stage = Stage::new();
    let text = sms_template(&stage, "((name))");
    let email = put_template(&stage, &stage.sample.email, Some("s"), "((name))");
    for nothing in ["", "\u{200b}", "\u{feff}\u{200d} \n"] {
        let body = stage.sms_2016(&json!({"template": text, "personalisation": {"name": nothing}}));
        let answer = stage.send_2016(Normal, "sms", &body).await;
        assert_eq!(answer.parts(), wrong("content", "Your message is empty."));
        let body = stage.email_2016(&json!({"template": email, "personalisation": {"name": nothing}}));
        let answer = stage.send_2016(Normal, "email", &body).await;
        assert_eq!(answer.parts(), wrong("content", "Your message is empty."));
    }
}

#[tokio::test]
async fn an_email_of_more_than_two_megabytes_is_refused() {
    let stage = Stage::new();
    let body = stage.email_2016(&json!({"personalisation": {"name": "x".repeat(2_000_000)}}));
    let answer = stage.send_2016(Normal, "email", &body).await;
    let text = "Content has a character count greater than the limit of 2000000";
    assert_eq!(answer.parts(), wrong("content", text));
}

/// Who may be reached with a key: a stranger, the guest (who is none here), Ada by text, Ada by e-mail.
async fn reached(stage: &Stage, key_type: KeyType) -> Vec<Value> {
    let mut answers = Vec::new();
    for (channel, to) in [
        ("sms", "07700900855"),
        ("sms", "07700900123"),
        ("sms", "07700900777"),
        ("email", "ADA@example.gov.uk"),
    ] {
        let body = match channel {
            "sms" => stage.sms_2016(&json!({ "to": to })),
            _ => stage.email_2016(&json!({ "to": to })),
        };
        let answer = stage.send_2016(key_type, channel, &body).await;
        answers.push(if answer.status == 201 {
            json!(201)
        } else {
            answer.json()["message"]["to"][0].clone()
        });
    }
    answers
}

#[tokio::test]
async fn row_10_team_keys_reach_team_members_only_and_no_guests() {
    let stage = Stage::new();
    hire_ada(&stage);
    assert_eq!(reached(&stage, Team).await, [json!(TEAM_ONLY), json!(TEAM_ONLY), json!(201), json!(201)]);
    assert_eq!(reached(&stage, Normal).await, [201, 201, 201, 201]);
    assert_eq!(reached(&stage, Test).await, [201, 201, 201, 201]);
}

#[tokio::test]
async fn row_10_services_in_trial_mode_reach_team_members_only_and_no_guests() {
    let stage = Stage::with(|service| service.restricted = true, |_| {});
    hire_ada(&stage);
    assert_eq!(reached(&stage, Normal).await, [json!(TRIAL), json!(TRIAL), json!(201), json!(201)]);
    assert_eq!(reached(&stage, Team).await, [json!(TEAM_ONLY), json!(TEAM_ONLY), json!(201), json!(201)]);
    assert_eq!(
        reached(&stage, Test).await,
        [201, 201, 201, 201],
        "test keys reach anyone, as they reach no one"
    );
}

#[tokio::test]
async fn row_11_a_broker_that_is_away_costs_nothing() {
    // The stage has no broker: the row stays, and the sweep publishes.
    let stage = Stage::new();
    let answer = stage.send_2016(Normal, "sms", &stage.sms_2016(&json!({}))).await;
    assert_eq!((answer.status, accepted(&stage)), (201, 1));
}

#[tokio::test]
async fn the_checks_have_an_order() {
    let stage = Stage::with(|service| service.restricted = true, |_| {});
    let long = sms_template(&stage, &format!("((name)){}", "x".repeat(500)));
    hire_ada(&stage);
    let mut body = json!({"template": Uuid::new_v4(), "to": "1", "personalisation": {"foo": 1}});
    for (repair, value, expected) in [
        ("to", json!("07700900855"), wrong("to", "Invalid phone number: Not a UK mobile number")),
        ("template", json!(long), no_result()),
        (
            "personalisation",
            json!({"name": "", "foo": 1}),
            wrong("template", "Missing personalisation: name"),
        ),
        (
            "personalisation",
            json!({"name": ""}),
            wrong("template", "Personalisation not needed for template: foo"),
        ),
        (
            "template",
            json!(stage.sample.sms.id),
            wrong("content", "Content has a character count greater than the limit of 495"),
        ),
        ("to", json!("07700900777"), wrong("to", TRIAL)),
    ] {
        assert_eq!(stage.send_2016(Normal, "sms", &body).await.parts(), expected);
        body[repair] = value;
    }
    assert_eq!(stage.send_2016(Normal, "sms", &body).await.status, 201);
}

#[tokio::test]
async fn an_idempotency_key_means_nothing() {
    let stage = Stage::new();
    let headers = [
        ("authorization", format!("Bearer {}", stage.token(Normal))),
        ("idempotency-key", "once".to_owned()),
    ];
    let body = stage.sms_2016(&json!({})).to_string();
    for _ in 0..2 {
        let answer = stage.http().send(Method::POST, "/notifications/sms", &headers, body.clone()).await;
        assert_eq!(answer.status, 201, "{answer:?}");
    }
    assert_eq!(accepted(&stage), 2);
}

#[tokio::test]
async fn html_tags_are_stripped_from_values() {
    let stage = Stage::new();
    let values = json!({"personalisation": {"name": "<b>Rosa</b> & <i>Bert</i> <3"}});
    let answer = stage.send_2016(Normal, "sms", &stage.sms_2016(&values)).await;
    assert_eq!(answer.json()["data"]["body"], "Hello Rosa & Bert <3, your permit is ready");
    let stored = db::notification::find(&mut stage.connect(), id_of(&answer)).unwrap().unwrap();
    let sealed = stored.personalisation.unwrap();
    let opened = testkit::keyring().open(stored.id.0, &sealed).unwrap();
    assert_eq!(opened, br#"{"name":"Rosa & Bert <3"}"#, "what is answered is what is sent");
    let answer = stage.send_2016(Normal, "email", &stage.email_2016(&values)).await;
    assert_eq!(answer.json()["data"]["subject"], "Permit for Rosa & Bert <3");
}

#[tokio::test]
async fn simulated_recipients_are_answered_and_not_stored() {
    let stage = Stage::new();
    for to in ["07700900000", "+44 7700 900111", "(07700) 900-222"] {
        let answer = stage.send_2016(Normal, "sms", &stage.sms_2016(&json!({ "to": to }))).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        let read = stage.get(&format!("/notifications/{}", id_of(&answer))).await;
        assert_eq!(read.parts(), no_result());
    }
    for name in ["delivered", "permanent-failure", "temporary-failure"] {
        let to = format!("simulate-{name}@notifications.service.gov.uk");
        let answer = stage.send_2016(Normal, "email", &stage.email_2016(&json!({ "to": to }))).await;
        assert_eq!(answer.status, 201, "{answer:?}");
    }
    assert_eq!(accepted(&stage), 0);
    let team = stage.send_2016(Team, "sms", &stage.sms_2016(&json!({"to": "07700900000"}))).await;
    assert_eq!(team.parts(), wrong("to", TEAM_ONLY), "not exempt from the rules of keys");
}

#[tokio::test]
async fn the_same_text_costs_the_same_through_either_api() {
    let stage = Stage::new();
    for to in ["07700900855", "07797 292290"] {
        let of_2016 = stage.send_2016(Normal, "sms", &stage.sms_2016(&json!({ "to": to }))).await;
        let of_today = stage.send("sms", &stage.sms(&json!({ "phone_number": to }))).await;
        let find = |id| db::notification::find(&mut stage.connect(), id).unwrap().unwrap().rate_multiplier;
        assert_eq!(find(id_of(&of_2016)), find(crate::stage::id_of(&of_today)), "{to}");
    }
}
