//! Limits and `Idempotency-Key`, through one replica and two.

use db::service::{Limits, Permission};
use diesel::connection::SimpleConnection;
use domain::{
    id::NotificationId,
    status::{Channel, KeyType},
};
use futures_util::future::join_all;
use hyper::Method;
use serde_json::{Value, json};

use crate::{
    http::{Answer, Http},
    stage::{Api, Stage, bad_request, config, error, id_of},
};

fn limited(limits: Limits) -> Stage {
    Stage::with(|service| service.limits = limits, |_| {})
}

fn accepted(stage: &Stage) -> i64 {
    db::audit::audit(&mut stage.connect()).unwrap().accepted
}

fn count(answers: &[Answer], status: u16) -> usize {
    answers.iter().filter(|answer| answer.status == status).count()
}

async fn post(stage: &Stage, http: &Http, key: &str, channel: &str, body: &Value) -> Answer {
    let token = format!("Bearer {}", stage.token(KeyType::Normal));
    let headers = [("authorization", token), ("idempotency-key", key.to_owned())];
    http.send(Method::POST, &format!("/v2/notifications/{channel}"), &headers, body.to_string()).await
}

#[tokio::test]
async fn row_1_requests_beyond_the_rate_limit_are_refused_even_if_their_body_is_wrong() {
    let stage = limited(Limits { rate: 3, ..Limits::NONE });
    // A bucket of two tokens lets one through.
    assert_eq!(stage.send("sms", &stage.sms(&json!({}))).await.status, 201);
    let message = "Exceeded rate limit for key type LIVE of 3 requests per 60 seconds";
    for body in ["{}", "not json", &stage.sms(&json!({})).to_string()] {
        let token = stage.token(KeyType::Normal);
        let answer = stage.http().post("/v2/notifications/email", Some(&token), body.to_owned()).await;
        assert_eq!(answer.parts(), error(429, "RateLimitError", message));
        let wait: u32 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((1..=40).contains(&wait), "two tokens take forty seconds, not {wait}");
    }
    for (key_type, word) in [(KeyType::Team, "TEAM"), (KeyType::Test, "TEST")] {
        let body = stage.sms(&json!({"phone_number": "07700900123"}));
        assert_eq!(stage.send_as(key_type, "sms", &body).await.status, 201, "a bucket of its own");
        let message = format!("Exceeded rate limit for key type {word} of 3 requests per 60 seconds");
        let answer = stage.send_as(key_type, "sms", &body).await;
        assert_eq!(answer.parts(), error(429, "RateLimitError", &message));
    }
    let path = format!("/v2/template/{}/preview", stage.sample.sms.id);
    let (token, values) = (stage.token(KeyType::Normal), r#"{"personalisation":{"name":"x"}}"#);
    let preview = stage.http().post(&path, Some(&token), values).await;
    assert_eq!(preview.status, 200, "only what sends is limited");
    assert_eq!(stage.get("/v2/notifications").await.status, 200);
}

#[tokio::test]
async fn row_1_letters_take_tokens_too() {
    let stage = limited(Limits { rate: 3, ..Limits::NONE });
    let answer = stage.send("letter", &json!({})).await;
    assert_eq!(answer.parts(), bad_request("Service is not allowed to send letters"));
    assert_eq!(stage.send("letter", &json!({})).await.status, 429);
}

#[tokio::test]
async fn row_2_the_daily_limit_of_each_channel_comes_before_the_body() {
    let stage = limited(Limits { sms: 1, email: 0, ..Limits::NONE });
    assert_eq!(stage.send("sms", &json!({})).await.status, 400, "a refused request counts for no day");
    assert_eq!(stage.send("sms", &stage.sms(&json!({}))).await.status, 201);
    for (channel, message) in [
        ("sms", "Exceeded send limits (sms: 1) for today"),
        ("email", "Exceeded send limits (email: 0) for today"),
    ] {
        let answer = stage.send(channel, &json!({"zoo": 1})).await;
        assert_eq!(answer.parts(), error(429, "TooManyRequestsError", message));
        let wait: u32 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((1..=86_400).contains(&wait), "until midnight, not {wait}");
    }
}

#[tokio::test]
async fn row_2_test_keys_never_count_and_in_trial_mode_have_the_live_limits() {
    let stage = limited(Limits { sms: 1, ..Limits::NONE });
    for _ in 0..3 {
        assert_eq!(stage.send_as(KeyType::Test, "sms", &stage.sms(&json!({}))).await.status, 201);
    }
    assert_eq!(stage.send("sms", &stage.sms(&json!({}))).await.status, 201, "nothing was used up");

    let trial = |service: &mut db::service::Service| {
        (service.restricted, service.limits) = (true, Limits { sms: 0, ..Limits::TRIAL });
    };
    let stage = Stage::with(trial, |_| {});
    assert_eq!(stage.send_as(KeyType::Test, "sms", &stage.sms(&json!({}))).await.status, 201);
    assert_eq!(stage.send("sms", &stage.sms(&json!({}))).await.status, 429);
}

#[tokio::test]
async fn row_15_texts_abroad_have_a_daily_limit_which_comes_after_the_rules_before_it() {
    let stage = Stage::with(
        |service| {
            service.permissions.push(Permission::InternationalSms);
            service.limits = Limits { international_sms: 1, ..Limits::NONE };
        },
        |_| {},
    );
    let abroad = stage.sms(&json!({"phone_number": "+1 202 555 0123"}));
    assert_eq!(stage.send("sms", &abroad).await.status, 201);
    let message = "Exceeded send limits (international_sms: 1) for today";
    assert_eq!(stage.send("sms", &abroad).await.parts(), error(429, "TooManyRequestsError", message));
    let unknown = stage.sms(&json!({"phone_number": "+1 202 555 0123", "template_id": uuid::Uuid::nil()}));
    assert_eq!(stage.send("sms", &unknown).await.parts(), bad_request("Template not found"));
    let long = json!({"phone_number": "+1 202 555 0123", "personalisation": {"name": "x".repeat(1000)}});
    assert_eq!(stage.send("sms", &stage.sms(&long)).await.status, 429, "row 17 comes after it");
    assert_eq!(stage.send("sms", &stage.sms(&json!({}))).await.status, 201, "44 is not abroad");
    let crown_dependency = stage.sms(&json!({"phone_number": "07797 700123"}));
    assert_eq!(stage.send("sms", &crown_dependency).await.status, 201, "nor is Jersey");
}

#[tokio::test]
async fn simulated_recipients_take_a_token_and_count_for_no_day() {
    let stage = limited(Limits { sms: 1, rate: 9, ..Limits::NONE });
    let simulated = stage.sms(&json!({"phone_number": "07700900000"}));
    for _ in 0..2 {
        assert_eq!(stage.send("sms", &simulated).await.status, 201);
    }
    assert_eq!(stage.send("sms", &stage.sms(&json!({}))).await.status, 201);
    assert_eq!(stage.send("sms", &simulated).await.status, 429);
    assert_eq!(accepted(&stage), 1);
}

#[tokio::test]
async fn a_service_that_somebody_else_holds_is_unavailable_for_now() {
    let stage = Stage::new();
    stage.accepted_sms().await;
    let mut holder = stage.connect();
    holder
        .batch_execute(
            "SET idle_in_transaction_session_timeout = 0; BEGIN; SELECT FROM service_usage FOR UPDATE",
        )
        .unwrap();
    let answer = stage.send("sms", &stage.sms(&json!({}))).await;
    assert_eq!(answer.status, 503);
    assert!(answer.headers.contains_key("retry-after"));
    holder.batch_execute("COMMIT").unwrap();
    assert_eq!(stage.send("sms", &stage.sms(&json!({}))).await.status, 201);
}

#[tokio::test]
async fn a_hundred_at_once_at_two_replicas_against_fifty_a_day_are_fifty() {
    let stage = limited(Limits { sms: 50, ..Limits::NONE });
    let replica = Api::start(config(&stage.database));
    let (body, token) = (stage.sms(&json!({})).to_string(), stage.token(KeyType::Normal));
    let calls = (0..100).map(|n| {
        let http = if n % 2 == 0 { stage.http() } else { &replica.http };
        http.post("/v2/notifications/sms", Some(&token), body.clone())
    });
    let answers = join_all(calls).await;
    assert_eq!((count(&answers, 201), count(&answers, 429)), (50, 50));
    assert_eq!(accepted(&stage), 50);
}

#[tokio::test]
async fn one_key_fifty_times_at_once_at_two_replicas_is_one_notification() {
    let stage = Stage::new();
    let replica = Api::start(config(&stage.database));
    let body = stage.sms(&json!({}));
    let calls = (0..50).map(|n| {
        let http = if n % 2 == 0 { stage.http() } else { &replica.http };
        post(&stage, http, "order-17", "sms", &body)
    });
    let answers = join_all(calls).await;
    let (created, in_flight) = (count(&answers, 201), count(&answers, 409));
    assert!(created >= 1 && created + in_flight == 50, "{created} and {in_flight} of 50");
    let first = answers.iter().find(|answer| answer.status == 201).unwrap();
    assert!(answers.iter().filter(|answer| answer.status == 201).all(|answer| answer.body == first.body));
    let message = "A request with this Idempotency-Key is still being worked on";
    for answer in answers.iter().filter(|answer| answer.status == 409) {
        assert_eq!(answer.parts(), error(409, "IdempotencyKeyError", message));
        assert_eq!(answer.headers["retry-after"], "1");
    }
    assert_eq!(accepted(&stage), 1);
    // And ever after, at either, also a replica that knew nothing of it.
    let another = Api::start(config(&stage.database));
    for http in [stage.http(), &replica.http, &another.http] {
        let again = post(&stage, http, "order-17", "sms", &body).await;
        assert_eq!((again.status, &again.body), (201, &first.body));
        assert_eq!(again.headers["idempotent-replayed"], "true");
        assert_eq!(again.headers["content-type"], "application/json");
    }
    assert_eq!(accepted(&stage), 1);
}

#[tokio::test]
async fn a_key_with_another_body_or_path_is_refused() {
    let stage = Stage::new();
    let first = post(&stage, stage.http(), "k", "sms", &stage.sms(&json!({}))).await;
    assert_eq!(first.status, 201, "{first:?}");
    assert!(!first.headers.contains_key("idempotent-replayed"));
    let message = "Idempotency-Key was used for another request within the last 24 hours";
    let other_body = post(&stage, stage.http(), "k", "sms", &stage.sms(&json!({"reference": "x"}))).await;
    assert_eq!(other_body.parts(), error(422, "IdempotencyKeyError", message));
    let other_path = post(&stage, stage.http(), "k", "email", &stage.sms(&json!({}))).await;
    assert_eq!(other_path.parts(), error(422, "IdempotencyKeyError", message));
    assert_eq!(accepted(&stage), 1);
}

#[tokio::test]
async fn a_refused_request_may_be_mended_and_made_again_with_its_key() {
    let stage = Stage::new();
    let wrong = post(&stage, stage.http(), "k", "email", &json!({})).await;
    assert_eq!(wrong.status, 400);
    assert_eq!(post(&stage, stage.http(), "k", "email", &stage.email(&json!({}))).await.status, 201);
    assert_eq!(accepted(&stage), 1);
}

#[tokio::test]
async fn the_same_answer_comes_back_for_a_simulated_recipient() {
    let stage = Stage::new();
    let body = stage.sms(&json!({"phone_number": "07700900111"}));
    let ids: Vec<NotificationId> = [
        id_of(&post(&stage, stage.http(), "k", "sms", &body).await),
        id_of(&post(&stage, stage.http(), "k", "sms", &body).await),
    ]
    .into();
    assert_eq!((ids[0], accepted(&stage)), (ids[1], 0));
}

#[tokio::test]
async fn a_key_that_is_no_key_is_told() {
    let stage = Stage::new();
    for key in [String::new(), "x".repeat(256), "caf\u{e9}".into()] {
        let answer = post(&stage, stage.http(), &key, "sms", &stage.sms(&json!({}))).await;
        assert_eq!(
            answer.parts(),
            bad_request("Idempotency-Key must be 1 to 255 characters of ASCII"),
            "{key}"
        );
    }
    let longest = post(&stage, stage.http(), &"x".repeat(255), "sms", &stage.sms(&json!({}))).await;
    assert_eq!(longest.status, 201);
}

#[tokio::test]
async fn two_keys_in_one_request_are_refused() {
    let stage = Stage::new();
    let token = format!("Bearer {}", stage.token(KeyType::Normal));
    let body = stage.sms(&json!({})).to_string();
    for keys in [["k", "k"], ["k", "other"], ["", "k"]] {
        let mut headers = vec![("authorization", token.clone())];
        headers.extend(keys.map(|key| ("idempotency-key", key.to_owned())));
        let answer = stage.http().send(Method::POST, "/v2/notifications/sms", &headers, body.clone()).await;
        assert_eq!(answer.parts(), bad_request("Idempotency-Key must be given once"), "{keys:?}");
    }
    assert_eq!(accepted(&stage), 0);
}

#[tokio::test]
async fn what_is_remembered_is_sealed() {
    let stage = Stage::new();
    let body = stage.sms(&json!({}));
    assert_eq!(post(&stage, stage.http(), "k", "sms", &body).await.status, 201);
    let clear = "SELECT count(*) FROM idempotency WHERE position('Rosa'::bytea IN answer) > 0";
    let count = diesel::dsl::sql::<diesel::sql_types::BigInt>(&format!("({clear})"));
    let count: i64 = diesel::RunQueryDsl::get_result(diesel::select(count), &mut stage.connect()).unwrap();
    assert_eq!(count, 0);
}

#[tokio::test]
async fn members_of_the_team_can_be_reached_in_trial_mode() {
    let stage = Stage::with(|service| service.restricted = true, |_| {});
    let user = db::user::User {
        id: uuid::Uuid::new_v4(),
        name: "Ada".into(),
        email_address: "Ada.Lovelace@example.com".into(),
        mobile_number: Some("07700 900456".into()),
    };
    let mut conn = stage.connect();
    db::user::put(&mut conn, &user, crate::stage::now()).unwrap();
    db::user::join(&mut conn, user.id, stage.service_id()).unwrap();
    let text = stage.sms(&json!({"phone_number": "+447700900456"}));
    let mail = stage.email(&json!({"email_address": "ada.lovelace@EXAMPLE.com"}));
    for key_type in [KeyType::Normal, KeyType::Team] {
        assert_eq!(stage.send_as(key_type, Channel::Sms.as_str(), &text).await.status, 201);
        assert_eq!(stage.send_as(key_type, Channel::Email.as_str(), &mail).await.status, 201);
    }
    let stranger = stage.sms(&json!({"phone_number": "07700900457"}));
    assert_eq!(stage.send("sms", &stranger).await.status, 400);
}
