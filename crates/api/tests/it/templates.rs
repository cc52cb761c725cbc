//! Templates: one, a version, all, preview.

use domain::{id::TemplateId, status::Channel};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::stage::{Stage, bad_request, error, now};

fn put(stage: &Stage, id: TemplateId, channel: Channel, name: &str, content: &str) {
    let template = db::template::Template {
        id,
        service_id: stage.service_id(),
        channel,
        name: name.into(),
        version: 1,
        subject: (channel == Channel::Email).then(|| "Your ((thing))".into()),
        content: content.into(),
        has_unsubscribe_link: false,
        archived: false,
    };
    db::template::put(&mut stage.connect(), &template, "rosa@example.gov.uk", now()).unwrap();
}

#[tokio::test]
async fn one_template_has_all_fields() {
    let stage = Stage::new();
    let id = TemplateId::new(now());
    put(&stage, id, Channel::Email, "Permit ready", "Dear ((name)), your ((Thing))");
    let answer = stage.get(&format!("/v2/template/{id}")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let mut body = answer.json();
    assert_eq!(body["created_at"].take().as_str().map(str::len), Some(27));
    assert_eq!(
        body,
        json!({
            "id": id, "type": "email", "name": "Permit ready", "created_at": null, "updated_at": null,
            "created_by": "rosa@example.gov.uk", "version": 1, "body": "Dear ((name)), your ((Thing))",
            "subject": "Your ((thing))", "personalisation": {"thing": {"required": true}, "name": {"required": true}},
            "postage": null, "letter_contact_block": null,
        })
    );
}

#[tokio::test]
async fn every_version_can_be_read() {
    let stage = Stage::new();
    let id = TemplateId::new(now());
    put(&stage, id, Channel::Sms, "n", "one");
    put(&stage, id, Channel::Sms, "n", "two");
    for (path, version, content) in
        [("", 2, "two"), ("/version/1", 1, "one"), ("/version/2", 2, "two"), ("/version/0", 2, "two")]
    {
        let body = stage.get(&format!("/v2/template/{id}{path}")).await.json();
        assert_eq!((&body["version"], &body["body"]), (&json!(version), &json!(content)), "{path}");
        assert_eq!(body["updated_at"].is_null(), version == 1);
        assert_eq!(body["subject"], json!(null));
    }
    for path in ["/version/3", "/version/-1", "/version/99999999999", "/version/-99999999999"] {
        let answer = stage.get(&format!("/v2/template/{id}{path}")).await;
        assert_eq!(answer.parts(), error(404, "NoResultFound", "No result found"));
    }
    let answer = stage.get(&format!("/v2/template/{id}/version/x")).await;
    assert_eq!((answer.status, &answer.json()["result"]), (404, &json!("error")));
}

#[tokio::test]
async fn bad_unknown_hidden_and_archived() {
    let stage = Stage::new();
    let invalid = error(400, "ValidationError", "id is not a valid UUID");
    for path in ["x", "x/version/1"] {
        assert_eq!(stage.get(&format!("/v2/template/{path}")).await.parts(), invalid);
    }
    let missing = error(404, "NoResultFound", "No result found");
    let stranger = testkit::sample(&mut stage.connect(), now());
    for id in [Uuid::new_v4(), stranger.sms.id.0] {
        assert_eq!(stage.get(&format!("/v2/template/{id}")).await.parts(), missing);
        let token = stage.token(domain::status::KeyType::Normal);
        let path = format!("/v2/template/{id}/preview");
        assert_eq!(stage.http().post(&path, Some(&token), "{}").await.parts(), missing);
    }
    let id = stage.sample.sms.id;
    stage.sql("UPDATE templates SET archived_at = now()");
    assert_eq!(stage.get(&format!("/v2/template/{id}")).await.status, 200);
    stage.sql("UPDATE templates SET hidden = true");
    assert_eq!(stage.get(&format!("/v2/template/{id}")).await.parts(), missing);
}

#[tokio::test]
async fn the_list_is_by_name_and_then_by_type() {
    let stage = Stage::new();
    stage.sql("UPDATE templates SET archived_at = now()");
    for (name, channel) in
        [("b", Channel::Email), ("b", Channel::Sms), ("a", Channel::Email), ("c", Channel::Sms)]
    {
        put(&stage, TemplateId::new(now()), channel, name, "x");
    }
    let names = async |query: &str| -> Vec<String> {
        let list = stage.get(&format!("/v2/templates{query}")).await.json();
        let name = |t: &Value| format!("{} {}", t["name"].as_str().unwrap(), t["type"].as_str().unwrap());
        list["templates"].as_array().unwrap().iter().map(name).collect()
    };
    assert_eq!(names("").await, ["a email", "b sms", "b email", "c sms"]);
    assert_eq!(names("?type=sms").await, ["b sms", "c sms"]);
    assert_eq!(names("?type=letter").await, [""; 0]);
    let answer = stage.get("/v2/templates?type=foo").await;
    assert_eq!(answer.parts(), error(400, "ValidationError", "type foo is not one of [sms, email, letter]"));
    let answer = stage.get("/v2/templates?page=2").await;
    let message = "Additional properties are not allowed (page was unexpected)";
    assert_eq!(answer.parts(), error(400, "ValidationError", message));
}

#[tokio::test]
async fn a_preview_is_what_would_be_sent() {
    let stage = Stage::new();
    let (sms, email) = (stage.sample.sms.id, stage.sample.email.id);
    let token = stage.token(domain::status::KeyType::Normal);
    let preview = async |id: TemplateId, body: &str| {
        stage.http().post(&format!("/v2/template/{id}/preview"), Some(&token), body.to_owned()).await
    };
    let rosa = r#"{"personalisation": {"name": "Rosa"}, "unknown": 1}"#;
    assert_eq!(
        preview(sms, rosa).await.parts(),
        (
            200,
            json!({"id": sms, "type": "sms", "version": 1, "body": "Hello Rosa, your permit is ready", "html": null,
                   "subject": null, "postage": null})
        )
    );
    let body = preview(email, rosa).await.json();
    assert_eq!(body["subject"], "Permit for Rosa");
    assert_eq!(body["body"], "# Hello Rosa\n\nYour permit is ready.");
    assert!(body["html"].as_str().unwrap().starts_with("<h2 "), "{body}");
    for empty in ["", "{}"] {
        assert_eq!(preview(sms, empty).await.parts(), bad_request("Missing personalisation: name"));
    }
    assert_eq!(
        preview(sms, r#"{"personalisation": "x"}"#).await.parts(),
        error(400, "ValidationError", "personalisation x is not of type object")
    );
}

#[tokio::test]
async fn a_preview_tells_what_is_wrong_with_id_and_body_together() {
    let stage = Stage::new();
    let token = stage.token(domain::status::KeyType::Normal);
    let preview = async |id: &str, body: &str| {
        stage.http().post(&format!("/v2/template/{id}/preview"), Some(&token), body.to_owned()).await.parts()
    };
    let (no_id, no_object) = ("id is not a valid UUID", "personalisation None is not of type object");
    let both = json!({"status_code": 400, "errors": [
        {"error": "ValidationError", "message": no_id},
        {"error": "ValidationError", "message": no_object},
    ]});
    assert_eq!(preview("x", r#"{"personalisation": null}"#).await, (400, both));
    for body in ["", "{}", r#"{"personalisation": {"name": "Rosa"}}"#] {
        assert_eq!(preview("x", body).await, error(400, "ValidationError", no_id), "{body}");
    }
    // The id is the URL's, whatever the body says.
    let id = stage.sample.sms.id.to_string();
    let body = r#"{"id": "x", "personalisation": {"name": "Rosa"}}"#;
    assert_eq!(preview(&id, body).await.0, 200);
    assert_eq!(
        preview("x", &body.replace("\"x\"", &format!("\"{id}\""))).await,
        error(400, "ValidationError", no_id)
    );
    assert_eq!(preview("x", "{").await, bad_request("Invalid JSON supplied in POST data"));
}

#[tokio::test]
async fn a_preview_that_explodes_is_refused() {
    let stage = Stage::new();
    let token = stage.token(domain::status::KeyType::Normal);
    let long = TemplateId::new(now());
    put(&stage, long, Channel::Email, "n", &"((a)) ".repeat(1_000));
    let explosive = TemplateId::new(now());
    put(&stage, explosive, Channel::Email, "n", &"* - a\n".repeat(80_000));
    let text = TemplateId::new(now());
    put(&stage, text, Channel::Sms, "n", &"((a))".repeat(100));
    let body = json!({"personalisation": {"a": "x".repeat(100_001), "thing": "permit"}}).to_string();
    for (id, message) in [
        (
            long,
            "Your message is too long. Emails cannot be longer than 2000000 bytes. Your message is 100001999 bytes.",
        ),
        (explosive, "The message is longer than 10000000 bytes when rendered"),
        (
            text,
            "Your message is too long. Text messages cannot be longer than 918 characters. \
             Your message is 10000100 characters long.",
        ),
    ] {
        let answer =
            stage.http().post(&format!("/v2/template/{id}/preview"), Some(&token), body.clone()).await;
        assert_eq!(answer.parts(), bad_request(message));
    }
}
