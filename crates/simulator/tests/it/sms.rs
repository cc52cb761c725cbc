//! The send calls of MMG and Firetext.

use std::time::Duration;

use hyper::StatusCode;
use serde_json::{Value, json};
use simulator::{Options, Outcome, Provider, ReferenceCalls};
use tokio::time::timeout;

use crate::{
    client::{firetext, get, mmg, mmg_body, post, send},
    start, start_with,
};

const REFERENCE: &str = "6f2f8a0e-1f41-4c8d-8f0a-0b7f0a3c9f11";

#[tokio::test]
async fn mmg_takes_a_text() {
    let simulator = start().await;
    let answer = mmg(&simulator, REFERENCE, "447700900123", None).await.unwrap();
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.json()["Reference"].is_number(), "{}", answer.body);
    let message = &simulator.messages()[0];
    assert_eq!((message.provider, message.outcome), (Provider::Mmg, Outcome::Accepted));
    assert_eq!(
        (message.reference.as_str(), message.to.as_str(), message.from.as_str(), message.text.as_deref()),
        (REFERENCE, "447700900123", "QUEUE", Some("Queue: your turn"))
    );
    assert_eq!(simulator.accepted(REFERENCE), simulator.messages());
}

#[tokio::test]
async fn firetext_takes_a_text() {
    let simulator = start().await;
    let answer = firetext(&simulator, REFERENCE, "447700900123", None).await.unwrap();
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(
        answer.body,
        r#"{"code":0,"data":[],"description":"SMS successfully queued","responseData":1}"#
    );
    let message = &simulator.messages()[0];
    assert_eq!((message.provider, message.outcome), (Provider::Firetext, Outcome::Accepted));
    assert_eq!(message.text.as_deref(), Some("Queue: your turn & more"));
    assert_eq!((message.reference.as_str(), message.from.as_str()), (REFERENCE, "QUEUE"));
}

#[tokio::test]
async fn mmg_refuses_what_is_malformed() {
    let simulator = start().await;
    let mut bodies = vec![String::new(), "nonsense".to_owned(), "[]".to_owned(), "\u{1}".to_owned()];
    for field in ["reqType", "MSISDN", "msg", "sender", "cid", "multi"] {
        let mut body = mmg_body(REFERENCE, "447700900123", None);
        body.as_object_mut().unwrap().remove(field);
        bodies.push(body.to_string());
    }
    bodies.push(mmg_body(REFERENCE, "+447700900123", None).to_string());
    bodies.push(mmg_body("", "447700900123", None).to_string());
    let number = bodies.len() as u64;
    for body in bodies {
        let answer = post(&simulator, "/mmg", "application/json", body.clone()).await.unwrap();
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}");
        assert!(answer.json()["Error"].is_number() && answer.json()["Description"].is_string(), "{body}");
    }
    let as_text = mmg_body(REFERENCE, "447700900123", None).to_string();
    assert_eq!(
        post(&simulator, "/mmg", "text/plain", as_text).await.unwrap().status,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(simulator.counts().mmg.malformed, number + 1);
    assert_eq!(simulator.messages(), []);
}

#[tokio::test]
async fn firetext_refuses_what_is_malformed_with_200() {
    let simulator = start().await;
    let good = [("apiKey", "k"), ("from", "Q"), ("to", "447700900123"), ("message", "m"), ("reference", "r")];
    for (missing, code) in [("from", 3), ("to", 2), ("message", 5), ("reference", 5), ("apiKey", 1)] {
        let fields: Vec<_> = good.iter().filter(|(name, _)| *name != missing).collect();
        let body = serde_urlencoded::to_string(fields).unwrap();
        let answer = post(&simulator, "/firetext", "application/x-www-form-urlencoded", body).await.unwrap();
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(
            (&answer.json()["code"], &answer.json()["responseData"]),
            (&json!(code), &json!(0)),
            "{missing}"
        );
    }
    let answer = post(&simulator, "/firetext", "application/json", "{}").await.unwrap();
    assert_eq!(answer.json()["code"], 5);
    assert_eq!(simulator.messages(), []);
}

#[tokio::test]
async fn a_body_that_is_too_long_is_refused() {
    let simulator = start().await;
    let answer = post(&simulator, "/mmg", "application/json", vec![b' '; 1024 * 1024]).await;
    // The answer may be overtaken by the closing of a connection whose request was not read to its end.
    if let Ok(answer) = answer {
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    }
    assert_eq!(simulator.counts().mmg.malformed, 1);
}

#[tokio::test]
async fn keys_are_checked_when_there_are_any() {
    let keys = |key: &str| Options {
        mmg_key: Some(key.to_owned()),
        firetext_key: Some(key.replace("mmg", "firetext")),
        ..Options::default()
    };
    let right = start_with(keys("mmg-key")).await;
    assert_eq!(mmg(&right, REFERENCE, "447700900123", None).await.unwrap().status, StatusCode::OK);
    assert_eq!(firetext(&right, REFERENCE, "447700900123", None).await.unwrap().json()["code"], 0);
    let wrong = start_with(keys("another-key")).await;
    assert_eq!(mmg(&wrong, REFERENCE, "447700900123", None).await.unwrap().status, StatusCode::UNAUTHORIZED);
    assert_eq!(
        firetext(&wrong, REFERENCE, "447700900123", None).await.unwrap().body,
        r#"{"code":1,"data":[],"description":"Authentication error","responseData":0}"#
    );
    assert_eq!((wrong.counts().mmg.unauthorised, wrong.counts().firetext.unauthorised), (1, 1));
}

#[tokio::test]
async fn some_numbers_are_refused_every_time() {
    let simulator = start().await;
    for (to, status) in [("447700900004", 500), ("447700900016", 503)] {
        for _ in 0..4 {
            let answer = mmg(&simulator, REFERENCE, to, None).await.unwrap();
            assert_eq!((answer.status.as_u16(), answer.json()["Error"].is_number()), (status, true));
            let answer = firetext(&simulator, REFERENCE, to, None).await.unwrap();
            assert_eq!(answer.status.as_u16(), status);
            assert_ne!(answer.json()["code"], 0);
        }
    }
    assert_eq!(simulator.reference_calls(REFERENCE), Some(ReferenceCalls { calls: 16, accepted: 0 }));
    assert_eq!(simulator.accepted(REFERENCE), []);
}

#[tokio::test]
async fn some_numbers_are_refused_at_first() {
    let simulator = start_with(Options { refusals: 3, ..Options::default() }).await;
    for reference in ["a", "b"] {
        let mut statuses = Vec::new();
        for _ in 0..5 {
            statuses.push(mmg(&simulator, reference, "447700900005", None).await.unwrap().status.as_u16());
        }
        assert_eq!(statuses, [500, 500, 500, 200, 200]);
        assert_eq!(simulator.reference_calls(reference), Some(ReferenceCalls { calls: 5, accepted: 2 }));
    }
    assert_eq!(simulator.counts().duplicates, Some(2));
}

#[tokio::test]
async fn a_throttled_number_is_told_when_to_come_back() {
    let simulator = start_with(Options { refusals: 1, ..Options::default() }).await;
    let first = firetext(&simulator, REFERENCE, "447700900006", None).await.unwrap();
    assert_eq!(
        (first.status, &first.headers["retry-after"]),
        (StatusCode::TOO_MANY_REQUESTS, &"1".parse().unwrap())
    );
    assert_eq!(simulator.messages()[0].outcome, Outcome::Throttled);
    let second = firetext(&simulator, REFERENCE, "447700900006", None).await.unwrap();
    assert_eq!(second.json()["code"], 0);
}

#[tokio::test]
async fn gibberish_is_a_success_without_json() {
    let simulator = start().await;
    let answer = mmg(&simulator, REFERENCE, "447700900007", None).await.unwrap();
    assert_eq!(answer.status, StatusCode::OK);
    assert!(serde_json::from_str::<Value>(&answer.body).is_err());
    assert_eq!(simulator.reference_calls(REFERENCE), Some(ReferenceCalls { calls: 1, accepted: 0 }));
}

#[tokio::test]
async fn too_late_is_later_than_the_caller_waits() {
    let simulator = start_with(Options { too_late_ms: 60_000, ..Options::default() }).await;
    let call = mmg(&simulator, REFERENCE, "447700900008", None);
    assert!(timeout(Duration::from_millis(100), call).await.is_err());
    assert_eq!(simulator.reference_calls(REFERENCE), Some(ReferenceCalls { calls: 1, accepted: 0 }));
    let quick = start_with(Options { too_late_ms: 1, ..Options::default() }).await;
    let answer = mmg(&quick, REFERENCE, "447700900008", None).await.unwrap();
    assert_eq!(answer.status, StatusCode::GATEWAY_TIMEOUT);
}

#[tokio::test]
async fn a_dropped_connection_accepts_nothing_but_a_lost_answer_does() {
    let simulator = start().await;
    assert!(mmg(&simulator, "dropped", "447700900012", None).await.is_err());
    assert!(mmg(&simulator, "lost", "447700900013", None).await.is_err());
    assert_eq!(simulator.reference_calls("dropped"), Some(ReferenceCalls { calls: 1, accepted: 0 }));
    assert_eq!(simulator.reference_calls("lost"), Some(ReferenceCalls { calls: 1, accepted: 1 }));
}

#[tokio::test]
async fn other_paths_and_methods_are_refused() {
    let simulator = start().await;
    assert_eq!(get(&simulator, "/nothing").await.status, StatusCode::NOT_FOUND);
    let answer = get(&simulator, "/mmg").await;
    assert_eq!(
        (answer.status, &answer.headers["allow"]),
        (StatusCode::METHOD_NOT_ALLOWED, &"POST".parse().unwrap())
    );
    assert_eq!(get(&simulator, "/healthz").await.body, "ok\n");
}

#[tokio::test]
async fn a_stopped_simulator_refuses_connections() {
    let simulator = start().await;
    let url = simulator.mmg_url();
    simulator.stop().await;
    let request = hyper::Request::post(url).body(http_body_util::Full::default()).unwrap();
    assert!(send(request).await.err().unwrap().is_connect());
}
