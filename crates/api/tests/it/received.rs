//! Texts that people send: the providers' endpoints (provider protocols, section 7) and `GET /v2/received-text-messages`
//! (public API, section 13).

use std::time::Duration;

use base64::{Engine, prelude::BASE64_STANDARD};
use db::{
    inbound_number,
    received_text::{self, Reception},
};
use diesel::{Connection, PgConnection, RunQueryDsl, sql_query};
use domain::{
    id::{InboundNumberId, ReceivedTextId, ServiceId},
    received_text::IncomingText,
    status::{KeyType, ProviderId},
};
use hyper::Method;
use serde_json::{Value, json};
use testkit::{TestDatabase, eventually, keyring};
use uuid::Uuid;

use crate::{
    http::{Answer, Http},
    stage::{LIMIT, Stage, changed, error, now},
};

const OURS: &str = "07860000001";
const MMG: &str = "/notifications/sms/receive/mmg";
const FIRETEXT: &str = "/notifications/sms/receive/firetext";

fn allow(config: &mut api::Config) {
    config.api.inbound_mmg_users = "mmg, mmg-2".into();
    config.api.inbound_mmg_passwords = "old,new".into();
    config.api.inbound_firetext_passwords = "fire,text".into();
}

/// A service with a number, and providers that may post.
fn stage() -> Stage {
    let stage = Stage::with(|_| {}, allow);
    give_number(&stage.database, OURS, stage.service_id());
    stage
}

fn give_number(database: &TestDatabase, number: &str, service: ServiceId) {
    let (mut conn, id) = (database.connect(), InboundNumberId::new(now()));
    assert!(inbound_number::add(&mut conn, id, number, ProviderId::Mmg, now()).unwrap());
    assert!(inbound_number::assign(&mut conn, number, service, now()).unwrap());
}

async fn post(http: &Http, path: &str, credentials: Option<&str>, body: impl Into<Vec<u8>>) -> Answer {
    let authorization =
        credentials.map(|given| ("authorization", format!("Basic {}", BASE64_STANDARD.encode(given))));
    http.send(Method::POST, path, authorization.as_slice(), body.into()).await
}

/// The contract's example, with changes.
async fn mmg(stage: &Stage, change: &Value) -> Answer {
    let body = json!({"MSISDN": "447700900123", "Number": "447860000001", "Message": "Yes+please%21", "ID": "mmg-991",
        "DateRecieved": "2026-03-02+10%3A11%3A12"});
    post(stage.http(), MMG, Some("mmg:old"), changed(body, change).to_string()).await
}

async fn firetext(stage: &Stage, message: &str, time: &str) -> Answer {
    let form =
        [("source", "447700900123"), ("destination", "447860000001"), ("message", message), ("time", time)];
    post(stage.http(), FIRETEXT, Some("notify:text"), serde_urlencoded::to_string(form).unwrap()).await
}

async fn received(stage: &Stage) -> Vec<Value> {
    let list = stage.get("/v2/received-text-messages").await;
    assert_eq!(list.status, 200, "{list:?}");
    list.json()["received_text_messages"].as_array().unwrap().clone()
}

async fn contents(stage: &Stage) -> Vec<String> {
    received(stage).await.iter().map(|text| text["content"].as_str().unwrap().to_owned()).collect()
}

fn is_ok(answer: &Answer) -> bool {
    (answer.status, &*answer.body) == (200, br#"{"status":"ok"}"#)
}

#[tokio::test]
async fn a_text_by_mmg_is_stored_and_read_with_exactly_six_keys() {
    let stage = stage();
    let answer = mmg(&stage, &json!({})).await;
    assert!(is_ok(&answer), "{answer:?}");
    assert_eq!(answer.headers["content-type"], "application/json");
    let list = stage.get("/v2/received-text-messages").await.json();
    let text = &list["received_text_messages"][0];
    let (id, created_at) = (text["id"].as_str().unwrap(), text["created_at"].as_str().unwrap());
    assert!(created_at.len() == 27 && created_at.ends_with('Z'), "{created_at}");
    let url = format!("http://{}/v2/received-text-messages", stage.http().address);
    assert_eq!(
        list,
        json!({
            "received_text_messages": [{
                "id": id, "created_at": created_at, "service_id": stage.service_id(), "notify_number": OURS,
                "user_number": "447700900123", "content": "Yes please!",
            }],
            "links": {"current": url, "next": format!("{url}?older_than={id}")},
        })
    );
}

#[tokio::test]
async fn a_text_by_firetext_is_taken_as_received() {
    let stage = stage();
    assert!(is_ok(&firetext(&stage, r"100% of a+b\n is %41", "2026-03-02 10:11:12").await));
    let texts = received(&stage).await;
    assert_eq!(texts[0]["content"], r"100% of a+b\n is %41");
    assert_eq!(texts[0]["notify_number"], OURS);
}

#[tokio::test]
async fn mmg_text_plus_percent_and_backslash_are_decoded() {
    let stage = stage();
    for (id, message) in
        [("1", "a+b%2Bc"), ("2", r"it\u2019s\n%F0%9F%98%80"), ("3", r"50% \q \ud83d\ude00"), ("4", "")]
    {
        assert!(is_ok(&mmg(&stage, &json!({"ID": id, "Message": message})).await));
    }
    assert_eq!(contents(&stage).await, ["", "50% \\q 😀", "it’s\n😀", "a b+c"]);
}

#[tokio::test]
async fn sender_is_normalised_when_it_is_a_number_else_kept() {
    let stage = stage();
    for (id, sender) in [("1", "07700 900123"), ("2", "+33 6 12 34 56 78"), ("3", "BANK"), ("4", "60060")] {
        assert!(is_ok(&mmg(&stage, &json!({"ID": id, "MSISDN": sender})).await));
    }
    let senders: Vec<Value> = received(&stage).await.iter().map(|text| text["user_number"].clone()).collect();
    assert_eq!(senders, ["60060", "BANK", "33612345678", "447700900123"]);
}

#[tokio::test]
async fn date_reference_and_provider_are_stored() {
    let stage = stage();
    mmg(&stage, &json!({})).await;
    mmg(&stage, &json!({"ID": "no date", "DateRecieved": null})).await;
    mmg(&stage, &json!({"ID": "bad date", "DateRecieved": "soon"})).await;
    stage.sql(
        "DO $$ BEGIN
           ASSERT (SELECT provider_date FROM received_texts WHERE provider_reference = 'mmg-991') = '2026-03-02T10:11:12Z';
           ASSERT (SELECT provider_date FROM received_texts WHERE provider_reference = 'no date') IS NULL;
           ASSERT (SELECT provider_date = created_at OR provider_date BETWEEN created_at - interval '1 minute' AND created_at
                   FROM received_texts WHERE provider_reference = 'bad date');
           ASSERT (SELECT count(*) FROM received_texts WHERE provider = 'mmg') = 3;
         END $$",
    );
}

#[tokio::test]
async fn unknown_number_is_answered_as_each_provider_expects() {
    let stage = stage();
    let answer = mmg(&stage, &json!({"Number": "40604"})).await;
    assert_eq!((answer.status, &*answer.body), (200, &b"RECEIVED"[..]));
    assert!(answer.headers["content-type"].to_str().unwrap().starts_with("text/"));
    let body = "source=447700900123&destination=40604&message=x&time=2026-03-02+10%3A11%3A12";
    assert!(is_ok(&post(stage.http(), FIRETEXT, Some("notify:fire"), body).await));
    assert_eq!(contents(&stage).await, [""; 0]);
}

#[tokio::test]
async fn no_inbound_sms_permission_is_answered_as_an_unknown_number() {
    let stage = stage();
    stage.sql("DELETE FROM service_permissions WHERE permission = 'inbound_sms'");
    let answer = mmg(&stage, &json!({})).await;
    assert_eq!((answer.status, &*answer.body), (200, &b"RECEIVED"[..]));
    assert!(is_ok(&firetext(&stage, "x", "2026-03-02 10:11:12").await));
    assert_eq!(contents(&stage).await, [""; 0]);
}

#[tokio::test]
async fn no_credentials_is_401_with_bearer() {
    let stage = stage();
    for path in [MMG, FIRETEXT] {
        let answer = post(stage.http(), path, None, "{}").await;
        assert_eq!(
            (answer.status, &*answer.body),
            (
                401,
                &br#"{"result":"error","message":"Unauthorized: authentication token must be provided"}"#[..]
            )
        );
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
    }
}

#[tokio::test]
async fn wrong_credentials_is_403() {
    let stage = stage();
    for (path, credentials) in [
        (MMG, "mmg:fire"),
        (MMG, "mmg:"),
        (MMG, ":old"),
        (MMG, "mmg,mmg-2:old"),
        (MMG, "notify:old"),
        (FIRETEXT, "notify:old"),
        (FIRETEXT, "mmg:fire"),
    ] {
        let answer = post(stage.http(), path, Some(credentials), "{}").await;
        assert_eq!(
            (answer.status, &*answer.body),
            (403, &br#"{"result":"error","message":"Forbidden: invalid authentication token provided"}"#[..]),
            "{credentials}"
        );
    }
    let bearer = [("authorization", "Bearer x".to_owned())];
    assert_eq!(stage.http().send(Method::POST, MMG, &bearer, "{}").await.status, 403);
    for good in ["mmg:old", "mmg-2:new", "mmg:new"] {
        assert_eq!(post(stage.http(), MMG, Some(good), "{}").await.status, 400, "{good}");
    }
}

#[tokio::test]
async fn where_nobody_is_configured_nobody_may_post() {
    let stage = Stage::new();
    for path in [MMG, FIRETEXT] {
        for credentials in [None, Some("notify:"), Some(":"), Some("mmg:old")] {
            assert_eq!(
                post(stage.http(), path, credentials, "{}").await.status,
                403,
                "{path} {credentials:?}"
            );
        }
    }
}

#[tokio::test]
async fn everybody_may_post_where_the_configuration_says_so_by_name() {
    let stage = Stage::with(|_| {}, |config| config.api.inbound_without_credentials = true);
    give_number(&stage.database, OURS, stage.service_id());
    let body = json!({"MSISDN": "447700900123", "Number": "447860000001", "Message": "Yes", "ID": "mmg-991"});
    assert!(is_ok(&post(stage.http(), MMG, None, body.to_string()).await));
    assert_eq!(contents(&stage).await, ["Yes"]);
}

#[tokio::test]
async fn fields_that_are_missing_are_named_and_nothing_panics() {
    let stage = stage();
    let answer = mmg(&stage, &json!({"MSISDN": null, "Message": null})).await;
    let missing = ["MMG callback failed: MSISDN missing", "MMG callback failed: Message missing"];
    assert_eq!(answer.parts(), (400, json!({"result": "error", "message": missing})));
    for body in [&b""[..], b"{", b"null", b"[]", b"\xff\xfe", br#"{"Message": "\ud800"}"#, b"MSISDN=1"] {
        assert_eq!(post(stage.http(), MMG, Some("mmg:old"), body).await.status, 400, "{body:?}");
        assert_eq!(post(stage.http(), FIRETEXT, Some("notify:fire"), body).await.status, 400, "{body:?}");
    }
    let odd = json!({"ID": "\u{0}\n", "MSISDN": "\u{0}", "Message": "a\\x00\u{0}%00", "DateRecieved": "-9999-01-01 00:00:00"});
    assert!(is_ok(&mmg(&stage, &odd).await));
    assert_eq!(contents(&stage).await, ["a\0\0\0"]);
}

#[tokio::test]
async fn an_endless_text_is_refused() {
    let stage = stage();
    let answer = mmg(&stage, &json!({"Message": "x".repeat(70_000)})).await;
    assert_eq!(answer.status, 413, "{answer:?}");
    assert!(is_ok(&mmg(&stage, &json!({"Message": "%F0%9F%98%80".repeat(1600)})).await));
    assert_eq!(contents(&stage).await, ["😀".repeat(1600)]);
}

#[tokio::test]
async fn the_same_text_by_mmg_is_stored_once() {
    let stage = stage();
    for _ in 0..3 {
        assert!(is_ok(&mmg(&stage, &json!({})).await));
    }
    assert!(is_ok(&mmg(&stage, &json!({"ID": "mmg-992"})).await));
    assert_eq!(contents(&stage).await.len(), 2);
}

#[tokio::test]
async fn the_same_text_by_firetext_is_stored_once() {
    let stage = stage();
    for (message, time) in [("a", "10:11:12"), ("a", "10:11:12"), ("b", "10:11:12"), ("a", "10:11:13")] {
        assert!(is_ok(&firetext(&stage, message, &format!("2026-03-02 {time}")).await));
    }
    assert_eq!(contents(&stage).await, ["a", "b", "a"]);
}

/// As the server's administrator.
fn administer(sql: &str) {
    let mut admin = PgConnection::establish(&std::env::var("TEST_DATABASE_URL").unwrap()).unwrap();
    sql_query(sql).execute(&mut admin).unwrap();
}

#[tokio::test]
async fn a_database_that_is_away_is_503_and_the_next_try_is_stored() {
    let stage = Stage::with(
        |_| {},
        |config| {
            allow(config);
            config.database.acquire_timeout = Duration::from_millis(300);
        },
    );
    give_number(&stage.database, OURS, stage.service_id());
    assert!(is_ok(&mmg(&stage, &json!({"ID": "before"})).await));
    let url = stage.database.url();
    let name = url.rsplit('/').next().unwrap().split('?').next().unwrap();
    administer(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false"));
    administer(&format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"));
    for path in [MMG, FIRETEXT] {
        let answer = match path {
            MMG => mmg(&stage, &json!({})).await,
            _ => firetext(&stage, "x", "2026-03-02 10:11:12").await,
        };
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(answer.headers.contains_key("retry-after"));
    }
    administer(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true"));
    // As the provider would.
    eventually(LIMIT, "a try succeeds", async || {
        let answer = mmg(&stage, &json!({})).await;
        if answer.status == 503 {
            return None;
        }
        assert!(is_ok(&answer), "{answer:?}");
        Some(())
    })
    .await;
    assert_eq!(contents(&stage).await, ["Yes please!", "Yes please!"]);
}

#[tokio::test]
async fn a_failure_of_ours_is_never_answered_with_200() {
    let stage = stage();
    stage.sql("ALTER TABLE received_texts RENAME TO elsewhere");
    assert_eq!(mmg(&stage, &json!({})).await.status, 500);
    stage.sql("ALTER TABLE elsewhere RENAME TO received_texts");
    assert!(is_ok(&mmg(&stage, &json!({})).await));
    assert_eq!(contents(&stage).await, ["Yes please!"]);
}

#[tokio::test]
async fn every_key_type_may_read_and_nobody_without_a_key() {
    let stage = stage();
    mmg(&stage, &json!({})).await;
    for key_type in [KeyType::Normal, KeyType::Team, KeyType::Test] {
        let list = stage.http().get("/v2/received-text-messages", Some(&stage.token(key_type))).await;
        assert_eq!(list.json()["received_text_messages"].as_array().unwrap().len(), 1, "{key_type}");
    }
    assert_eq!(stage.http().get("/v2/received-text-messages", None).await.status, 401);
}

#[tokio::test]
async fn a_service_reads_only_its_own() {
    let stage = stage();
    mmg(&stage, &json!({})).await;
    let stranger = testkit::sample(&mut stage.connect(), now());
    let token = crate::stage::token(&stranger.service.id.to_string(), &stranger.keys[0].2.to_string());
    let list = stage.http().get("/v2/received-text-messages", Some(&token)).await;
    assert_eq!(list.json()["received_text_messages"], json!([]));
}

#[tokio::test]
async fn older_than_is_not_a_valid_uuid() {
    let stage = stage();
    for value in ["x", "", "5f0c", "%00", "-1"] {
        let answer = stage.get(&format!("/v2/received-text-messages?older_than={value}")).await;
        assert_eq!(
            answer.parts(),
            error(400, "ValidationError", "older_than is not a valid UUID"),
            "{value}"
        );
    }
    let id = Uuid::new_v4();
    let first_counts = stage.get(&format!("/v2/received-text-messages?older_than={id}&older_than=x")).await;
    assert_eq!(first_counts.status, 200);
}

#[tokio::test]
async fn other_parameters_are_rejected() {
    let stage = stage();
    for (query, names) in
        [("page=2", "page was"), ("status=sent&a=1", "a, status were"), ("Older_than=x", "Older_than was")]
    {
        let answer = stage.get(&format!("/v2/received-text-messages?{query}")).await;
        let message = format!("Additional properties are not allowed ({names} unexpected)");
        assert_eq!(answer.parts(), error(400, "ValidationError", &message), "{query}");
    }
    let both = stage.get("/v2/received-text-messages?page=1&older_than=x").await.json();
    let messages: Vec<&str> =
        both["errors"].as_array().unwrap().iter().map(|e| e["message"].as_str().unwrap()).collect();
    assert_eq!(
        messages,
        ["older_than is not a valid UUID", "Additional properties are not allowed (page was unexpected)"]
    );
}

#[tokio::test]
async fn current_never_has_the_cursor_and_an_empty_page_no_next() {
    let stage = stage();
    let url = format!("http://{}/v2/received-text-messages", stage.http().address);
    let empty = json!({"received_text_messages": [], "links": {"current": url}});
    assert_eq!(stage.get("/v2/received-text-messages").await.parts(), (200, empty.clone()));
    mmg(&stage, &json!({})).await;
    let list = stage.get("/v2/received-text-messages").await.json();
    let next = list["links"]["next"].as_str().unwrap();
    let after_it = stage.get(next.split_once(&stage.http().address.to_string()).unwrap().1).await;
    assert_eq!(after_it.parts(), (200, empty.clone()));
    let unknown = stage.get(&format!("/v2/received-text-messages?older_than={}", Uuid::new_v4())).await;
    assert_eq!(unknown.parts(), (200, empty));
}

#[tokio::test]
async fn pages_of_250_newest_first_are_followed_to_the_end() {
    let stage = stage();
    let text = |n: i32| IncomingText {
        provider: ProviderId::Mmg,
        notify_number: OURS.into(),
        user_number: "447700900123".into(),
        content: n.to_string(),
        provider_reference: None,
        provider_date: None,
        identity: None,
    };
    let mut conn = stage.connect();
    for n in 0..503 {
        let at = now() + chrono::TimeDelta::milliseconds(n.into());
        let stored = received_text::store(&mut conn, &keyring(), &text(n), at).unwrap();
        assert_eq!(stored, Reception::Stored);
    }
    let (mut path, mut sizes, mut all) = ("/v2/received-text-messages".to_owned(), Vec::new(), Vec::new());
    loop {
        let page = stage.get(&path).await.json();
        let texts = page["received_text_messages"].as_array().unwrap();
        sizes.push(texts.len());
        all.extend(texts.iter().map(|text| text["content"].as_str().unwrap().parse::<i32>().unwrap()));
        let Some(next) = page["links"]["next"].as_str() else { break };
        path = next.split_once(&stage.http().address.to_string()).unwrap().1.to_owned();
    }
    assert_eq!(sizes, [250, 250, 3, 0]);
    assert_eq!(all, (0..503).rev().collect::<Vec<_>>());
}

#[tokio::test]
async fn a_content_that_does_not_open_hides_nothing_else() {
    let stage = stage();
    mmg(&stage, &json!({})).await;
    mmg(&stage, &json!({"ID": "2"})).await;
    stage.sql("UPDATE received_texts SET content = '\\x0001' WHERE provider_reference = '2'");
    assert_eq!(contents(&stage).await, ["", "Yes please!"]);
    let ids: Vec<ReceivedTextId> =
        received(&stage).await.iter().map(|text| text["id"].as_str().unwrap().parse().unwrap()).collect();
    assert!(ids[0] > ids[1]);
}

#[tokio::test]
async fn wrong_methods_say_which_are_right() {
    let stage = stage();
    assert_eq!(stage.get(MMG).await.status, 405);
    let answer = stage.http().post("/v2/received-text-messages", None, "{}").await;
    assert_eq!((answer.status, answer.headers["allow"].to_str().unwrap()), (405, "GET, HEAD"));
}
