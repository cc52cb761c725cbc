//! What services read keeps nobody else waiting, and has limits.

use std::time::Duration;

use diesel::{PgConnection, QueryableByName, RunQueryDsl, sql_query, sql_types::BigInt};
use domain::status::KeyType;
use serde_json::{Value, json};
use testkit::eventually;
use tokio::{io::AsyncWriteExt, net::TcpStream, task::JoinSet};

use crate::stage::{LIMIT, Stage, error};

/// What takes longer than any test waits.
const SLOW: &str = "/v2/received-text-messages";

/// To list the stage's received texts takes Postgres a minute.
fn slow_stage(configure: impl FnOnce(&mut api::Config)) -> Stage {
    let stage = Stage::with(
        |_| {},
        |config| {
            config.api.reads.statement_timeout = Duration::from_secs(60);
            configure(config);
        },
    );
    stage.sql(&format!(
        "INSERT INTO received_texts (id, service_id, notify_number, user_number, content, provider, created_at)
         VALUES (gen_random_uuid(), '{}', '07860000001', '447700900123', '\\x00', 'mmg', now())",
        stage.service_id()
    ));
    stage.sql("ALTER TABLE received_texts RENAME TO texts");
    stage.sql("CREATE VIEW received_texts AS SELECT * FROM texts WHERE pg_sleep(60) IS NOT NULL");
    stage
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// Slow statements that Postgres is working on.
fn working(conn: &mut PgConnection) -> i64 {
    let sql = "SELECT count(*) FROM pg_stat_activity
               WHERE datname = current_database() AND wait_event = 'PgSleep' AND state = 'active'";
    sql_query(sql).get_result::<Count>(conn).unwrap().count
}

async fn await_working(stage: &Stage, number: i64) {
    let mut conn = stage.connect();
    eventually(LIMIT, &format!("{number} slow statements"), async || {
        (working(&mut conn) == number).then_some(())
    })
    .await;
}

#[tokio::test]
async fn slow_reads_of_one_service_keep_nobody_waiting() {
    let stage = slow_stage(|config| config.api.reads.longest_wait = Duration::from_secs(1));
    let other = testkit::sample(&mut stage.connect(), crate::stage::now());
    let (http, token) = (stage.http().clone(), stage.token(KeyType::Normal));
    let mut slow = JoinSet::new();
    for _ in 0..24 {
        let (http, token) = (http.clone(), token.clone());
        slow.spawn(async move { http.get(SLOW, Some(&token)).await });
    }
    await_working(&stage, 2).await;

    // Those that were not first have waited long enough, and the two still work.
    for _ in 0..22 {
        let refused = slow.join_next().await.unwrap().unwrap();
        let message = "Too many requests of your service are reading at the same time";
        assert_eq!(refused.parts(), error(429, "RateLimitError", message));
        assert!(refused.headers.contains_key("retry-after"));
    }
    await_working(&stage, 2).await;
    let v1 = stage.get("/notifications").await;
    let message = "Too many requests of your service are reading at the same time";
    assert_eq!(v1.parts(), (429, json!({"result": "error", "message": message})));

    // Whoever sends, is looked up, or reads for another service has not noticed.
    assert_eq!(stage.send("sms", &stage.sms(&json!({}))).await.status, 201);
    assert_eq!(stage.http().get("/readyz", None).await.status, 200);
    assert_eq!(stage.internal_get("/service").await.status, 200);
    let theirs = crate::stage::token(&other.service.id.to_string(), &other.keys[0].2.to_string());
    assert_eq!(stage.http().get("/v2/notifications", Some(&theirs)).await.status, 200);
}

#[tokio::test]
async fn a_service_with_many_readers_waits_for_itself() {
    let stage = slow_stage(|config| config.api.reads.waiting = 3);
    let (http, token) = (stage.http().clone(), stage.token(KeyType::Normal));
    let mut slow = JoinSet::new();
    for _ in 0..2 {
        let (http, token) = (http.clone(), token.clone());
        slow.spawn(async move { http.get(SLOW, Some(&token)).await });
    }
    await_working(&stage, 2).await;
    let mut waiting = JoinSet::new();
    for _ in 0..4 {
        let (http, token) = (http.clone(), token.clone());
        waiting.spawn(async move { http.get("/v2/templates", Some(&token)).await.status });
    }
    assert_eq!(waiting.join_next().await.unwrap().unwrap(), 429, "one too many, at once");
    stage.sql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'");
    assert_eq!(waiting.join_all().await, [200; 3], "the others were only late");
}

#[tokio::test]
async fn who_hangs_up_frees_what_he_held() {
    let stage = slow_stage(|config| config.api.reads.connections = 2);
    let request = format!(
        "GET {SLOW} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n",
        stage.token(KeyType::Normal)
    );
    let mut callers = Vec::new();
    for _ in 0..4 {
        let mut caller = TcpStream::connect(stage.http().address).await.unwrap();
        caller.write_all(request.as_bytes()).await.unwrap();
        callers.push(caller);
    }
    await_working(&stage, 2).await;
    drop(callers);
    await_working(&stage, 0).await;
    // Both places, and both connections, serve the next ones.
    let (a, b) = tokio::join!(stage.get("/v2/templates"), stage.get("/v2/notifications"));
    assert_eq!((a.status, b.status), (200, 200));
}

#[tokio::test]
async fn a_read_that_takes_too_long_is_ended() {
    let stage = slow_stage(|config| config.api.reads.statement_timeout = Duration::from_millis(300));
    let answer = stage.get(SLOW).await;
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.headers.contains_key("retry-after"));
    assert_eq!(working(&mut stage.connect()), 0);
}

#[tokio::test]
async fn reads_are_counted_by_key_and_sends_are_not() {
    let stage = Stage::with(|_| {}, |config| config.api.reads.per_minute = 5);
    let paths =
        ["/v2/notifications", "/v2/templates", "/notifications", SLOW, "/v2/notifications?status=created"];
    for path in paths {
        assert_eq!(stage.get(path).await.status, 200, "{path}");
    }
    let refused = stage.get("/v2/notifications").await;
    let message = "Exceeded rate limit of 5 reads per 60 seconds with this key";
    assert_eq!(refused.parts(), error(429, "RateLimitError", message));
    let wait: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=12).contains(&wait), "{wait}");
    let refused = stage.get("/notifications").await;
    assert_eq!(refused.parts(), (429, json!({"result": "error", "message": message})));
    let preview = format!("/v2/template/{}/preview", stage.sample.sms.id);
    let values = json!({"personalisation": {"name": "Rosa"}}).to_string();
    let token = stage.token(KeyType::Normal);
    assert_eq!(stage.http().post(&preview, Some(&token), values).await.status, 429, "a preview reads, too");

    assert_eq!(stage.send("sms", &stage.sms(&json!({}))).await.status, 201);
    let team = stage.token(KeyType::Team);
    assert_eq!(stage.http().get("/v2/notifications", Some(&team)).await.status, 200, "another key");
}

async fn ids(stage: &Stage, path: &str) -> Vec<Value> {
    let list = stage.get(path).await;
    assert_eq!(list.status, 200, "{list:?}");
    list.json()["notifications"].as_array().unwrap().iter().map(|n| n["id"].clone()).collect()
}

/// Wherever a status is looked for, both public lists find the same.
#[tokio::test]
async fn both_apis_list_every_status_wherever_it_is_found() {
    let stage = Stage::new();
    let mut sent = Vec::new();
    for _ in 0..6 {
        sent.push(json!(stage.accepted_sms().await));
    }
    for (id, status) in
        sent.iter().zip(["permanent-failure", "temporary-failure", "delivered", "sending", "pending"])
    {
        stage.sql(&format!(
            "UPDATE notifications SET status = '{status}', sent_by = 'mmg', sent_at = now(), updated_at = now()
             WHERE id = '{}'",
            id.as_str().unwrap()
        ));
        stage.sql(&format!("DELETE FROM due WHERE subject_id = '{}'", id.as_str().unwrap()));
    }
    let of = |positions: &[usize]| positions.iter().map(|n| sent[*n].clone()).collect::<Vec<_>>();
    for (query, found) in [
        ("", vec![5, 4, 3, 2, 1, 0]),
        ("?status=permanent-failure", vec![0]),
        ("?status=permanent-failure&status=temporary-failure", vec![1, 0]),
        ("?status=created", vec![5]),
        ("?status=pending&status=created", vec![5, 4]),
        ("?status=delivered", vec![2]),
        ("?status=sending&status=permanent-failure", vec![3, 0]),
        ("?status=technical-failure", vec![]),
        ("?status=permanent-failure&template_type=email", vec![]),
    ] {
        assert_eq!(ids(&stage, &format!("/v2/notifications{query}")).await, of(&found), "v2 {query}");
        assert_eq!(ids(&stage, &format!("/notifications{query}")).await, of(&found), "v1 {query}");
        let total = stage.get(&format!("/notifications{query}")).await.json()["total"].clone();
        assert_eq!(total, found.len(), "{query}");
    }
    let cursor = format!("/v2/notifications?status=failed&older_than={}", sent[1].as_str().unwrap());
    assert_eq!(ids(&stage, &cursor).await, of(&[0]));
    let second = "/notifications?status=permanent-failure&status=temporary-failure&page=2&page_size=1";
    assert_eq!(ids(&stage, second).await, of(&[0]));
    assert_eq!(stage.get("/notifications?page=1000000000").await.status, 404);
}
