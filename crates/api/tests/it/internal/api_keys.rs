//! API keys: made, listed, revoked.

use std::time::Duration;

use domain::status::KeyType;
use futures_util::future::join_all;
use serde_json::{Value, json};
use testkit::eventually;
use uuid::Uuid;

use super::{missing, refused};
use crate::{
    http::Http,
    stage::{Api, Stage, changed, config, now, token},
};

/// What is promised.
const SOON: Duration = Duration::from_secs(2);

fn person(stage: &Stage) -> Uuid {
    let id = Uuid::new_v4();
    stage.sql(&format!(
        "INSERT INTO users (id, name, email_address, created_at) VALUES ('{id}', 'Ada', '{id}@example.gov.uk', now())"
    ));
    id
}

fn path(stage: &Stage, rest: &str) -> String {
    format!("/service/{}/api-key{rest}", stage.service_id())
}

fn key(by: Uuid, change: &Value) -> Value {
    changed(json!({"name": "Night batch", "created_by": by, "key_type": "normal"}), change)
}

async fn secret(stage: &Stage, body: &Value) -> String {
    let answer = stage.internal_post(&path(stage, ""), body).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()["data"].as_str().unwrap().to_owned()
}

async fn listed(stage: &Stage) -> Vec<Value> {
    let answer = stage.internal_get(&path(stage, "s")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["apiKeys"].as_array().unwrap().clone()
}

/// The key with this name.
async fn found(stage: &Stage, name: &str) -> Value {
    listed(stage).await.into_iter().find(|key| key["name"] == name).unwrap()
}

async fn revoke(stage: &Stage, id: &str, body: &Value) -> (u16, Value) {
    stage.internal_post(&path(stage, &format!("/revoke/{id}")), body).await.parts()
}

async fn status(http: &Http, stage: &Stage, secret: &str) -> u16 {
    http.get("/v2/templates", Some(&token(&stage.service_id().to_string(), secret))).await.status
}

#[tokio::test]
async fn a_new_key_opens_and_its_secret_is_shown_once() {
    let stage = Stage::new();
    let ada = person(&stage);
    for key_type in KeyType::ALL {
        let name = format!("A {key_type} key");
        let secret = secret(&stage, &key(ada, &json!({"name": name, "key_type": key_type}))).await;
        assert_eq!(secret.parse::<Uuid>().unwrap().to_string(), secret);
        eventually(SOON, "the key opens, though others were looked up before", async || {
            (status(stage.http(), &stage, &secret).await == 200).then_some(())
        })
        .await;
        let shown = found(&stage, &name).await;
        let expected = json!({
            "id": shown["id"],
            "name": name,
            "key_type": key_type,
            "expiry_date": null,
            "created_at": shown["created_at"],
            "updated_at": null,
            "created_by": ada,
        });
        assert_eq!(shown, expected);
        let one = stage.internal_get(&path(&stage, &format!("s/{}", shown["id"].as_str().unwrap()))).await;
        assert_eq!(one.parts(), (200, json!({"apiKeys": [expected]})));
    }
}

#[tokio::test]
async fn missing_fields_of_a_new_key() {
    let stage = Stage::new();
    let ada = person(&stage);
    for field in ["name", "created_by", "key_type"] {
        let answer = stage.internal_post(&path(&stage, ""), &key(ada, &json!({ field: null }))).await;
        assert_eq!(answer.parts(), missing(field));
    }
}

#[tokio::test]
async fn values_that_no_key_has() {
    let stage = Stage::new();
    let ada = person(&stage);
    for (field, value, message) in [
        ("name", json!(5), "Not a valid string."),
        ("name", json!(" "), "Field may not be blank."),
        ("name", json!("é".repeat(256)), "Longer than maximum length 255."),
        ("key_type", json!("live"), "Must be one of: normal, team, test."),
        ("created_by", json!("ada"), "Not a valid UUID."),
        ("created_by", json!(Uuid::new_v4()), "User not found"),
    ] {
        let answer = stage.internal_post(&path(&stage, ""), &key(ada, &json!({ field: value }))).await;
        assert_eq!(answer.parts(), refused(400, json!({ field: [message] })));
    }
    secret(&stage, &key(ada, &json!({"name": "é".repeat(255)}))).await;
}

#[tokio::test]
async fn a_live_key_of_the_same_name() {
    let stage = Stage::new();
    let ada = person(&stage);
    let bodies = vec![key(ada, &json!({})); 8];
    let path = path(&stage, "");
    let answers = join_all(bodies.iter().map(|body| stage.internal_post(&path, body))).await;
    let mut refusals: Vec<(u16, Value)> = answers.iter().map(|answer| answer.parts()).collect();
    refusals.retain(|(status, _)| *status != 201);
    let expected = refused(400, json!({"name": ["Duplicate API key name 'Night batch'"]}));
    assert_eq!(refusals, vec![expected; 7], "one of eight at once is made");
    let id = found(&stage, "Night batch").await["id"].as_str().unwrap().to_owned();
    assert_eq!(revoke(&stage, &id, &Value::Null).await, (202, Value::Null));
    secret(&stage, &key(ada, &json!({}))).await;
}

#[tokio::test]
async fn the_list_has_live_keys_and_those_revoked_within_7_days() {
    let stage = Stage::new();
    stage.sql("UPDATE api_keys SET created_at = now() - interval '20 days'");
    stage.sql("UPDATE api_keys SET revoked_at = now() - interval '8 days' WHERE key_type = 'team'");
    stage.sql("UPDATE api_keys SET revoked_at = now() - interval '6 days' WHERE key_type = 'test'");
    let mut names: Vec<String> = listed(&stage).await.iter().map(|key| key["name"].to_string()).collect();
    names.sort_unstable();
    assert_eq!(names, ["\"normal\"", "\"test\""]);
}

#[tokio::test]
async fn revoked_or_foreign_keys_are_told_by_the_services_id() {
    let stage = Stage::new();
    let other = testkit::sample(&mut stage.connect(), now());
    let revoked = stage.sample.keys[1].0;
    assert_eq!(revoke(&stage, &revoked.to_string(), &json!({})).await, (202, Value::Null));
    let expected = refused(404, format!("API key not found for id: {}", stage.service_id()));
    for id in [revoked.0, other.keys[0].0.0, Uuid::new_v4()] {
        assert_eq!(stage.internal_get(&path(&stage, &format!("s/{id}"))).await.parts(), expected);
    }
}

#[tokio::test]
async fn unknown_services_and_keys() {
    let stage = Stage::new();
    let ada = person(&stage);
    let other = testkit::sample(&mut stage.connect(), now());
    let no_result = refused(404, "No result found");
    let of_nobody = format!("/service/{}/api-key", Uuid::new_v4());
    assert_eq!(stage.internal_post(&of_nobody, &key(ada, &json!({}))).await.parts(), no_result);
    assert_eq!(stage.internal_get(&format!("{of_nobody}s")).await.parts(), no_result);
    for id in [other.keys[0].0.0, Uuid::new_v4()] {
        assert_eq!(revoke(&stage, &id.to_string(), &Value::Null).await, no_result);
    }
    assert_eq!(status(stage.http(), &stage, &stage.secret(KeyType::Normal).to_string()).await, 200);
    for rest in ["s/x", "/revoke/x"] {
        let method = if rest == "s/x" { hyper::Method::GET } else { hyper::Method::POST };
        let (status, body) = stage.internal(method, &path(&stage, rest), &Value::Null).await.parts();
        let message = body["message"].as_str().unwrap_or_default();
        assert!(status == 404 && message.starts_with("The requested URL was not found"), "{rest}: {body}");
    }
}

#[tokio::test]
async fn revoking_takes_nothing_but_created_by() {
    let stage = Stage::new();
    let id = stage.sample.keys[0].0.to_string();
    for (body, message) in [
        (json!({"reason": "x"}), "Additional properties are not allowed (reason was unexpected)"),
        (json!({"created_by": "ada"}), "created_by is not a valid UUID"),
    ] {
        let expected =
            json!({"status_code": 400, "errors": [{"error": "ValidationError", "message": message}]});
        assert_eq!(revoke(&stage, &id, &body).await, (400, expected));
    }
    assert_eq!(found(&stage, "normal").await["expiry_date"], Value::Null);
}

#[tokio::test]
async fn a_key_is_revoked_once() {
    let stage = Stage::new();
    let id = stage.sample.keys[0].0.to_string();
    assert_eq!(revoke(&stage, &id, &Value::Null).await, (202, Value::Null));
    let first = found(&stage, "normal").await;
    assert!(first["expiry_date"].is_string() && first["expiry_date"] == first["updated_at"], "{first}");
    assert_eq!(revoke(&stage, &id, &Value::Null).await, (202, Value::Null));
    assert_eq!(found(&stage, "normal").await, first);
}

#[tokio::test]
async fn the_history_tells_who_and_never_the_secret() {
    let stage = Stage::new();
    let (ada, ben) = (person(&stage), person(&stage));
    let secret = secret(&stage, &key(ada, &json!({}))).await;
    let shown = found(&stage, "Night batch").await;
    let id: Uuid = shown["id"].as_str().unwrap().parse().unwrap();
    assert_eq!(revoke(&stage, &id.to_string(), &json!({"created_by": ben})).await.0, 202);
    let kind = db::history::Kind::ApiKey;
    let history = db::history::of_service(&mut stage.connect(), kind, stage.service_id()).unwrap();
    let mut history = history.into_iter().filter(|version| version.subject_id == id);
    let (made, revoked) = (history.next().unwrap(), history.next().unwrap());
    assert!(history.next().is_none());
    assert_eq!((made.version, made.changed_by), (1, Some(ada)));
    assert_eq!((revoked.version, revoked.changed_by), (2, Some(ben)));
    let state = json!({
        "id": id,
        "service_id": stage.service_id(),
        "name": "Night batch",
        "key_type": "normal",
        "expiry_date": null,
        "created_at": shown["created_at"],
        "updated_at": null,
        "created_by_id": ada,
    });
    assert_eq!(made.state, state);
    assert!(revoked.state["expiry_date"].is_string());
    assert!(!format!("{made:?}{revoked:?}").contains(&secret));
}

#[tokio::test]
async fn a_revoked_key_opens_no_replica_after_two_seconds() {
    let stage = Stage::new();
    let second = Api::start(config(&stage.database));
    let (secret, id) = (stage.secret(KeyType::Normal).to_string(), stage.sample.keys[0].0.to_string());
    for http in [stage.http(), &second.http] {
        assert_eq!(status(http, &stage, &secret).await, 200, "both know it now");
    }
    assert_eq!(revoke(&stage, &id, &Value::Null).await, (202, Value::Null));
    eventually(SOON, "both replicas refuse the key", async || {
        let refusals =
            [status(stage.http(), &stage, &secret).await, status(&second.http, &stage, &secret).await];
        (refusals == [403, 403]).then_some(())
    })
    .await;
    second.stop().await;
}
