//! What those may do who have not proved who they are: little, and to nobody else's cost.

use hyper::Method;
use serde_json::json;
use uuid::Uuid;

use crate::{
    http::Answer,
    stage::{ADMIN_SECRET, Stage, error, token},
};

const MESSAGE: &str = "Too many failed authentications from your address";

fn stage(configure: impl FnOnce(&mut api::Config)) -> Stage {
    Stage::with(
        |_| {},
        |config| {
            config.api.failed_authentications_per_minute = 3;
            configure(config);
        },
    )
}

/// With a token that is no good, from behind these.
async fn fail(stage: &Stage, path: &str, forwarded: Option<(&str, &str)>) -> Answer {
    let bad = token(&stage.service_id().to_string(), "wrong");
    let mut headers = vec![("authorization", format!("Bearer {bad}"))];
    headers.extend(forwarded.map(|(name, value)| (name, value.to_owned())));
    stage.http().send(Method::GET, path, &headers, "").await
}

#[tokio::test]
async fn failures_are_limited_by_address_and_never_lock_out_who_is_right() {
    let stage = stage(|_| {});
    for _ in 0..3 {
        assert_eq!(fail(&stage, "/v2/notifications", None).await.status, 403);
    }
    let refused = fail(&stage, "/v2/notifications", None).await;
    assert_eq!(refused.parts(), error(429, "RateLimitError", MESSAGE));
    let wait: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=20).contains(&wait), "{wait}");

    // In the form of each door, whatever fails, and however.
    let plain = (429, json!({"result": "error", "message": MESSAGE}));
    assert_eq!(fail(&stage, "/notifications", None).await.parts(), plain);
    assert_eq!(stage.http().get("/service", None).await.parts(), plain);
    assert_eq!(
        stage.http().post(&format!("/deliver/notification/{}", Uuid::new_v4()), None, "").await.parts(),
        plain
    );
    assert_eq!(stage.http().post("/notifications/sms/receive/mmg", None, "{}").await.parts(), plain);
    let unknown = token(&Uuid::new_v4().to_string(), "wrong");
    assert_eq!(stage.http().get("/v2/notifications", Some(&unknown)).await.status, 429);
    assert_eq!(fail(&stage, "/v2/notifications", Some(("x-forwarded-for", "192.0.2.1"))).await.status, 429);
    assert_eq!(fail(&stage, "/v2/notifications", Some(("forwarded", "for=192.0.2.1"))).await.status, 429);

    // From the same address: a service that was never seen before, and a client.
    assert_eq!(stage.send("sms", &stage.sms(&json!({}))).await.status, 201);
    let other = testkit::sample(&mut stage.connect(), crate::stage::now());
    let theirs = token(&other.service.id.to_string(), &other.keys[0].2.to_string());
    assert_eq!(stage.http().get("/v2/notifications", Some(&theirs)).await.status, 200);
    assert_eq!(stage.http().get("/service", Some(&token("notify-admin", ADMIN_SECRET))).await.status, 200);
    assert_eq!(
        fail(&stage, "/v2/notifications", None).await.status,
        429,
        "which changes nothing for the others"
    );
}

#[tokio::test]
async fn a_trusted_proxy_says_whose_failures_they_are() {
    let stage = stage(|config| config.api.trusted_proxies = "127.0.0.0/8".into());
    let attacker = Some(("x-forwarded-for", "198.51.100.66, 192.0.2.1"));
    for status in [403, 403, 403, 429] {
        assert_eq!(fail(&stage, "/v2/notifications", attacker).await.status, status);
    }
    // What the attacker writes himself makes no one else of him.
    let spoofed = Some(("x-forwarded-for", "203.0.113.9, 192.0.2.1"));
    assert_eq!(fail(&stage, "/v2/notifications", spoofed).await.status, 429);
    let neighbour = Some(("x-forwarded-for", "192.0.2.2"));
    assert_eq!(fail(&stage, "/v2/notifications", neighbour).await.status, 403);
}

#[tokio::test]
async fn a_flood_of_unknown_services_keeps_nobody_from_being_known() {
    let stage = stage(|_| {});
    let mut flood = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let http = stage.http().clone();
        flood.spawn(async move {
            for _ in 0..20 {
                let unknown = token(&Uuid::new_v4().to_string(), "wrong");
                let status = http.get("/v2/notifications", Some(&unknown)).await.status;
                assert!([403, 429].contains(&status), "{status}");
            }
        });
    }
    for _ in 0..10 {
        let other = testkit::sample(&mut stage.connect(), crate::stage::now());
        let theirs = token(&other.service.id.to_string(), &other.keys[0].2.to_string());
        assert_eq!(stage.http().get("/v2/notifications", Some(&theirs)).await.status, 200);
    }
    flood.join_all().await;
}

#[tokio::test]
async fn what_is_no_list_of_proxies_is_refused_at_the_start() {
    let stage = Stage::new();
    let mut config = crate::stage::config(&stage.database);
    config.api.trusted_proxies = "proxy.example".into();
    let mut api = crate::stage::Api::start(config);
    let ended = api.serving.join_next().await.unwrap().unwrap();
    assert!(ended.unwrap_err().to_string().starts_with("api.trusted_proxies"));
}
