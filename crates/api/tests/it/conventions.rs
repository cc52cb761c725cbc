//! What holds for every request: URLs, methods, headers, bodies, and a database that is away.

use std::time::Duration;

use hyper::Method;
use serde_json::json;
use testkit::eventually;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::stage::{LIMIT, Stage, bad_request, error};

#[tokio::test]
async fn unknown_url_needs_no_token() {
    let stage = Stage::new();
    let expected = (
        404,
        json!({"result": "error", "message": "The requested URL was not found on the server. If you entered the URL \
                manually please check your spelling and try again."}),
    );
    for path in ["/v2", "/v2/notifications/", "/v2/nothing", "//", "/v2/notifications/a/b", "/%ff"] {
        assert_eq!(stage.http().get(path, None).await.parts(), expected, "{path}");
    }
    for kind in ["fax", "smss", "5f0c1f6e-6a3e-4b0c-9a53-0d5f6f4c0a11"] {
        let answer = stage.http().post(&format!("/v2/notifications/{kind}"), None, "{}").await;
        assert_eq!(answer.parts(), expected, "{kind}");
    }
}

#[tokio::test]
async fn wrong_method_needs_no_token() {
    let stage = Stage::new();
    let expected =
        (405, json!({"result": "error", "message": "The method is not allowed for the requested URL."}));
    for (method, path, right) in [
        (Method::DELETE, "/v2/notifications/sms", "POST"),
        (Method::GET, "/v2/notifications/sms", "POST"),
        (Method::GET, "/v2/notifications/email", "POST"),
        (Method::GET, "/v2/notifications/letter", "POST"),
        (Method::POST, "/v2/notifications", "GET, HEAD"),
        (Method::PUT, "/_status", "GET, HEAD, POST"),
        (Method::GET, "/notifications/sms/mmg", "POST"),
        (Method::GET, "/deliver/notification/x", "POST"),
    ] {
        let answer = stage.http().call(method.clone(), path, None, "").await;
        assert_eq!(answer.parts(), expected, "{method} {path}");
        assert_eq!(answer.headers.get("allow").unwrap(), right, "{method} {path}");
    }
}

#[tokio::test]
async fn extra_headers_are_on_every_answer() {
    let stage = Stage::new();
    let ok = stage.send("sms", &stage.sms(&json!({}))).await;
    assert_eq!(ok.status, 201);
    let answers = [
        ok,
        stage.http().get("/_status?simple=1", None).await,
        stage.http().get("/nowhere", None).await,
        stage.http().get("/v2/notifications", None).await,
        stage.http().call(Method::DELETE, "/_status", None, "").await,
    ];
    for answer in answers {
        for (name, value) in [
            ("access-control-allow-origin", "*"),
            ("access-control-allow-headers", "Content-Type,Authorization"),
            ("access-control-allow-methods", "GET,PUT,POST,DELETE"),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "SAMEORIGIN"),
            ("x-permitted-cross-domain-policies", "none"),
            ("strict-transport-security", "max-age=31536000; includeSubDomains; preload"),
            ("cache-control", "no-store, no-cache, private, must-revalidate"),
            ("content-type", "application/json"),
        ] {
            assert_eq!(answer.headers.get(name).unwrap(), value, "{name} of {}", answer.status);
        }
    }
}

#[tokio::test]
async fn status_with_and_without_the_database() {
    let stage = Stage::new();
    let simple = stage.http().get("/_status?simple=1", None).await;
    assert_eq!(simple.parts(), (200, json!({"status": "ok"})));
    for (method, path) in [(Method::GET, "/_status"), (Method::POST, "/_status"), (Method::GET, "/")] {
        let answer = stage.http().call(method, path, None, "").await;
        let body = answer.json();
        assert_eq!((answer.status, &body["status"]), (200, &json!("ok")));
        let version = db::migrations::version(&mut stage.connect()).unwrap();
        assert_eq!(body["db_version"].as_str(), version.as_deref());
        assert!(body["git_commit"].is_string() && body["build_time"].is_string());
    }
}

#[tokio::test]
async fn health_requires_the_database_and_mentions_the_broker() {
    let stage = Stage::new();
    assert_eq!(stage.http().get("/healthz", None).await.parts(), (200, json!({"status": "alive"})));
    let ready = stage.http().get("/readyz", None).await;
    assert_eq!(
        ready.parts(),
        (200, json!({"status": "ready", "checks": {"database": "ok", "broker": "failed"}}))
    );
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let stage = Stage::new();
    let answer = stage.http().call(Method::HEAD, "/_status?simple=1", None, "").await;
    assert_eq!((answer.status, answer.body.len()), (200, 0));
}

#[tokio::test]
async fn the_body_is_json_whatever_the_content_type() {
    let stage = Stage::new();
    let token = stage.token(domain::status::KeyType::Normal);
    let body = stage.sms(&json!({})).to_string();
    let utf_16: Vec<u8> = body.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for content_type in ["application/json", "text/plain", "application/x-www-form-urlencoded", "nonsense"] {
        let headers =
            [("authorization", format!("Bearer {token}")), ("content-type", content_type.to_owned())];
        for body in [body.clone().into_bytes(), utf_16.clone()] {
            let answer = stage.http().send(Method::POST, "/v2/notifications/sms", &headers, body).await;
            assert_eq!(answer.status, 201, "{content_type}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn body_not_json_at_all() {
    let stage = Stage::new();
    let token = stage.token(domain::status::KeyType::Normal);
    for body in ["", "{", "phone_number=07700900855", "\u{0}"] {
        let answer = stage.http().post("/v2/notifications/sms", Some(&token), body.to_owned()).await;
        assert_eq!(answer.parts(), bad_request("Invalid JSON supplied in POST data"), "{body}");
    }
    let lone_surrogate = r#"{"reference": "\ud83d"}"#;
    let answer = stage.http().post("/v2/notifications/sms", Some(&token), lone_surrogate).await;
    assert_eq!(answer.parts(), bad_request("Invalid JSON supplied in POST data"));
    let answer = stage.send("sms", &stage.sms(&json!({"personalisation": {"name": "a\u{0}b"}}))).await;
    assert_eq!(answer.parts(), bad_request("Text must not contain NUL characters"));
}

#[tokio::test]
async fn an_empty_json_value_is_an_empty_object() {
    let stage = Stage::new();
    let token = stage.token(domain::status::KeyType::Normal);
    for body in ["null", "[]", "0", "{}"] {
        let answer = stage.http().post("/v2/notifications/sms", Some(&token), body).await;
        assert_eq!(
            answer.parts(),
            (
                400,
                json!({"status_code": 400, "errors": [
                    {"error": "ValidationError", "message": "phone_number is a required property"},
                    {"error": "ValidationError", "message": "template_id is a required property"},
                ]})
            ),
            "{body}"
        );
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_413() {
    let stage = Stage::with(|_| {}, |config| config.api.body_limit = 10_000);
    let token = stage.token(domain::status::KeyType::Normal);
    let expected =
        error(413, "RequestEntityTooLarge", "The data value transmitted exceeds the capacity limit.");
    let answer = stage.http().post("/v2/notifications/sms", Some(&token), "x".repeat(10_001)).await;
    assert_eq!(answer.parts(), expected);
    let answer = stage.http().post("/v2/notifications/sms", Some(&token), " ".repeat(10_000)).await;
    assert_eq!(answer.status, 400, "not too large");
}

#[tokio::test]
async fn a_body_that_came_compressed_is_415() {
    let stage = Stage::new();
    let send = async |path: &str, authorization: &str, codings: &[&str], more: &str, body: String| {
        let mut stream = TcpStream::connect(stage.http().address).await.unwrap();
        let codings: String =
            codings.iter().map(|coding| format!("Content-Encoding: {coding}\r\n")).collect();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: {authorization}\r\n{codings}{more}\r\n\r\n"
        );
        stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        let mut answer = String::new();
        let read = tokio::time::timeout(LIMIT, stream.read_to_string(&mut answer)).await;
        assert!(read.is_ok(), "the connection is closed");
        answer
    };
    let (sms, token) = (
        stage.sms(&json!({})).to_string(),
        format!("Bearer {}", stage.token(domain::status::KeyType::Normal)),
    );
    let (path, length) = ("/v2/notifications/sms", format!("Content-Length: {}", sms.len()));
    let chunked = format!("{:x}\r\n{sms}\r\n0\r\n\r\n", sms.len());
    let refused = r#"{"status_code":415,"errors":[{"error":"UnsupportedMediaType","message":"Content-Encoding must be identity"}]}"#;
    for codings in [&["gzip"][..], &["identity, gzip"], &["identity", "br"], &["x"]] {
        for (more, body) in [(length.as_str(), &sms), ("Transfer-Encoding: chunked", &chunked)] {
            let answer = send(path, &token, codings, more, body.clone()).await;
            assert!(answer.starts_with("HTTP/1.1 415"), "{codings:?}: {answer}");
            assert!(answer.ends_with(refused), "{codings:?}: {answer}");
            assert!(answer.to_lowercase().contains("accept-encoding: identity"), "{codings:?}: {answer}");
        }
    }
    for codings in [&["identity"][..], &["Identity", ""]] {
        let answer = send(path, &token, codings, &length, sms.clone()).await;
        assert!(answer.starts_with("HTTP/1.1 201"), "{codings:?}: {answer}");
    }
    let admin = format!("Bearer {}", crate::stage::token("notify-admin", crate::stage::ADMIN_SECRET));
    let answer = send("/service", &admin, &["gzip"], "Content-Length: 2", "{}".into()).await;
    assert!(
        answer.ends_with(r#"{"result":"error","message":"Content-Encoding must be identity"}"#),
        "{answer}"
    );
    let provider = crate::stage::provider_authorization();
    let answer = send("/notifications/sms/mmg", &provider, &["gzip"], "Content-Length: 2", "{}".into()).await;
    assert!(answer.starts_with("HTTP/1.1 415"), "{answer}");
    // Who calls comes first, and what is not there cannot be compressed.
    assert!(send(path, "Bearer x", &["gzip"], &length, sms.clone()).await.starts_with("HTTP/1.1 403"));
    assert!(send("/nowhere", &token, &["gzip"], &length, sms).await.starts_with("HTTP/1.1 404"));
}

/// Sends the head of a request and the first byte of its body, and answers what comes until the connection closes.
async fn unfinished(stage: &Stage) -> String {
    let token = stage.token(domain::status::KeyType::Normal);
    let mut stream = TcpStream::connect(stage.http().address).await.unwrap();
    let head = format!(
        "POST /v2/notifications/sms HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: 10\r\n\r\n{{"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = tokio::time::timeout(LIMIT, stream.read_to_string(&mut answer)).await;
    assert!(read.is_ok(), "the connection is closed");
    answer
}

#[tokio::test]
async fn a_slow_body_times_out() {
    let stage = Stage::with(|_| {}, |config| config.api.client_timeout = Duration::from_millis(300));
    let answer = unfinished(&stage).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains(r#""error":"RequestTimeout""#), "{answer}");
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_504() {
    let stage = Stage::with(|_| {}, |config| config.api.request_timeout = Duration::from_millis(300));
    let answer = unfinished(&stage).await;
    assert!(answer.starts_with("HTTP/1.1 504"), "{answer}");
    assert!(answer.ends_with(r#"{"result":"error","message":"Timeout serving request"}"#), "{answer}");
    assert!(answer.to_lowercase().contains("x-frame-options: sameorigin"), "{answer}");
}

#[tokio::test]
async fn without_the_database_callers_are_told_to_come_back() {
    let stage = Stage::with(|_| {}, |config| config.database.acquire_timeout = Duration::from_millis(300));
    let body = stage.sms(&json!({}));
    assert_eq!(stage.send("sms", &body).await.status, 201);
    let Stage { api, sample, database } = stage;
    drop(database);
    let secret = sample.keys[0].2.to_string();
    let token = crate::stage::token(&sample.service.id.to_string(), &secret);
    let path = "/v2/notifications/sms";
    // What is still remembered is not looked up, and what is not is: both come to the same.
    let answer = eventually(LIMIT, "the database is missed", async || {
        let answer = api.http.post(path, Some(&token), body.to_string()).await;
        (answer.status != 201).then_some(answer)
    })
    .await;
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.headers.contains_key("retry-after"));
    let body = answer.json();
    assert_eq!(body["status_code"], 503);
    assert_eq!(body["errors"][0]["error"], "ServiceUnavailable");
    assert_eq!(api.http.get("/readyz", None).await.status, 503);
    assert_eq!(api.http.get("/healthz", None).await.status, 200);
    assert_eq!(api.http.get("/_status?simple=1", None).await.status, 200);
}
