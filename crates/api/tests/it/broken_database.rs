//! What callers and strangers learn when the database is broken: nothing of it.

use diesel::{Connection, PgConnection, RunQueryDsl, sql_query};
use hyper::Method;
use regex::Regex;
use testkit::eventually;
use uuid::Uuid;

use crate::{
    openapi::operations,
    stage::{ADMIN_SECRET, LIMIT, Stage, now, token},
};

const NOBODY: &str = "019a2f3c-9d41-7a10-8c55-2f6b1e0d9a11";

/// Every documented operation, and what is told without a token.
async fn every_call(stage: &Stage) -> Vec<(Method, String, bool)> {
    let in_path = Regex::new(r"\{(\w+)\}").unwrap();
    // Not the one that calls: one of these archives it.
    let other = testkit::sample(&mut stage.connect(), now()).service.id.to_string();
    let fill = |name: &regex::Captures<'_>| match &name[1] {
        "version" => "1".to_owned(),
        "type" => "sms".to_owned(),
        "service" => other.clone(),
        _ => NOBODY.to_owned(),
    };
    let mut calls = Vec::new();
    for (document, internal) in [("/openapi.json", false), ("/internal/openapi.json", true)] {
        let document = stage.http().get(document, None).await.json();
        for (path, method, _) in operations(&document) {
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            calls.push((method, in_path.replace_all(&path, fill).into_owned(), internal));
        }
    }
    let page = format!("/d/{}/{}?key={}", Uuid::new_v4(), Uuid::new_v4(), "A".repeat(43));
    for path in [page.as_str(), "/readyz", "/"] {
        calls.push((Method::GET, path.to_owned(), false));
    }
    let receipt = "/notifications/sms/mmg";
    calls.push((Method::POST, receipt.to_owned(), false));
    calls
}

/// Answers of all of them; every one that failed is one of ours, and in no words but ours.
async fn assert_nothing_is_told(
    stage: &Stage,
    calls: &[(Method, String, bool)],
    secrets: &[String],
) -> usize {
    let mut failed = 0;
    let of_service = token(&stage.service_id().to_string(), &stage.sample.keys[0].2.to_string());
    for (method, url, internal) in calls {
        let token = if *internal { token("notify-admin", ADMIN_SECRET) } else { of_service.clone() };
        let body = if url.contains("mmg") {
            format!(r#"{{"CID": "{NOBODY}", "status": "3"}}"#)
        } else {
            stage.sms(&serde_json::json!({})).to_string()
        };
        let answer = stage.http().call(method.clone(), url, Some(&token), body).await;
        failed += usize::from(answer.status >= 500);
        let text = format!("{:?} {}", answer.headers, String::from_utf8_lossy(&answer.body)).to_lowercase();
        let words = [
            "postgres", "sql", "relation", "fatal", "column", "libpq", "socket", "os error", "amqp", "lapin",
        ];
        for word in words.iter().copied().chain(secrets.iter().map(String::as_str)) {
            let is_documentation = url.contains("openapi") || url.contains("docs");
            assert!(is_documentation || !text.contains(word), "{method} {url} says {word:?}: {answer:?}");
        }
    }
    failed
}

#[tokio::test]
async fn no_answer_says_what_the_database_said() {
    let stage = Stage::with(
        |_| {},
        |config| {
            config.database.acquire_timeout = std::time::Duration::from_millis(50);
        },
    );
    let calls = every_call(&stage).await;
    // Statements that fail: what they read is gone.
    let tables =
        "notifications, due, receipts, templates, template_versions, documents, users, statistics, callbacks";
    stage.sql(&format!("DROP TABLE {tables} CASCADE"));
    assert!(assert_nothing_is_told(&stage, &calls, &[]).await > 30);

    // A server that refuses: the database is gone.
    let url = stage.database.url();
    let name = url.rsplit_once('/').unwrap().1.split('?').next().unwrap().to_owned();
    let mut elsewhere = PgConnection::establish(&url.replace(&name, "postgres")).unwrap();
    sql_query(format!("DROP DATABASE {name} WITH (FORCE)")).execute(&mut elsewhere).unwrap();
    eventually(LIMIT, "the database is missed", async || {
        (stage.http().get("/readyz", None).await.status == 503).then_some(())
    })
    .await;
    assert!(assert_nothing_is_told(&stage, &calls, &[name]).await > 30);
    let ready = stage.http().get("/readyz", None).await;
    assert_eq!(
        ready.parts(),
        (
            503,
            serde_json::json!({"status": "not ready", "checks": {"database": "failed", "broker": "failed"}})
        )
    );
}
