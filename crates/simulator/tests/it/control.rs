//! Changing the behaviour while the simulator runs.

use std::time::{Duration, Instant};

use hyper::StatusCode;
use serde_json::{Value, json};
use simulator::{Behaviour, Options, Provider};

use crate::{
    client::{firetext, get, mmg, post},
    eventually, start, start_with,
};

#[tokio::test]
async fn control_shows_and_changes() {
    let simulator = start().await;
    let before = get(&simulator, "/control").await.json();
    let usual = json!({"latency_ms": 0, "takes_first": false, "error_rate": 0.0, "outage": false, "receipts": true,
        "receipt_delay_ms": 1, "receipt_jitter_ms": 0});
    assert_eq!(before, json!({"mmg": usual, "firetext": usual, "email": usual}));
    let change = json!({"receipt_jitter_ms": 5, "mmg": {"outage": true, "latency_ms": 3}});
    let after = post(&simulator, "/control", "application/json", change.to_string()).await.unwrap();
    assert_eq!(after.status, StatusCode::OK);
    assert_eq!(after.json(), get(&simulator, "/control").await.json());
    assert_eq!(
        (&after.json()["mmg"]["outage"], &after.json()["email"]["outage"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(simulator.behaviour(Provider::Email).receipt_jitter_ms, 5);
}

#[tokio::test]
async fn control_refuses_nonsense() {
    let simulator = start().await;
    for body in ["", "{", r#"{"latencyms": 1}"#, r#"{"error_rate": 2}"#, r#"{"latency_ms": -1}"#] {
        let answer = post(&simulator, "/control", "application/json", body).await.unwrap();
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}");
        assert!(answer.json()["error"].is_string(), "{body}");
    }
}

#[tokio::test]
async fn an_outage_ends_as_it_began() {
    let simulator = start().await;
    simulator.behave(Provider::Mmg, |mmg| mmg.outage = true);
    assert!(mmg(&simulator, "a", "447700900123", None).await.is_err());
    assert_eq!(firetext(&simulator, "b", "447700900123", None).await.unwrap().status, StatusCode::OK);
    simulator.behave(Provider::Mmg, |mmg| mmg.outage = false);
    assert_eq!(mmg(&simulator, "a", "447700900123", None).await.unwrap().status, StatusCode::OK);
    let calls = simulator.counts().mmg;
    assert_eq!((calls.calls, calls.dropped, calls.accepted), (2, 1, 1));
}

#[tokio::test]
async fn errors_come_at_their_rate() {
    let simulator = start().await;
    simulator.behave_all(|provider| provider.error_rate = 1.0);
    let answer = firetext(&simulator, "a", "447700900123", None).await.unwrap();
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    simulator.behave_all(|provider| provider.error_rate = 0.5);
    for _ in 0..200 {
        mmg(&simulator, "a", "447700900123", None).await.unwrap();
    }
    // Outside of this once in 10^20 runs.
    let refused = simulator.counts().mmg.refused;
    assert!((30..=170).contains(&refused), "{refused} of 200");
}

#[tokio::test]
async fn latency_holds_the_answer_back() {
    let latency = Behaviour { latency_ms: 80, ..Behaviour::default() };
    let simulator = start_with(Options { behaviour: latency, ..Options::default() }).await;
    let start = Instant::now();
    mmg(&simulator, "a", "447700900123", None).await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(80));
}

#[tokio::test]
async fn a_caller_that_hangs_up_has_sent_what_is_taken_first() {
    let simulator = start().await;
    simulator.behave_all(|provider| provider.latency_ms = 60_000);
    simulator.behave(Provider::Mmg, |mmg| mmg.takes_first = true);
    for (call, calls) in [("mmg", 1), ("firetext", 2)] {
        let answer = async {
            match call {
                "mmg" => mmg(&simulator, "a", "447700900123", None).await,
                _ => firetext(&simulator, "b", "447700900123", None).await,
            }
        };
        let under_way = || {
            let counts = simulator.counts();
            (counts.mmg.accepted + counts.firetext.calls == calls).then_some(())
        };
        tokio::select! {
            _ = answer => panic!("{call} answered before its latency was over"),
            () = eventually("the call", under_way) => {}
        }
    }
    let counts = simulator.counts();
    assert_eq!((counts.mmg.calls, counts.mmg.accepted), (1, 1));
    assert_eq!((counts.firetext.calls, counts.firetext.accepted), (1, 0));
}

#[tokio::test]
async fn numbers_beyond_reason_break_nothing() {
    let simulator = start().await;
    let body = format!(r#"{{"receipt_delay_ms": {0}, "receipt_jitter_ms": {0}}}"#, u64::MAX);
    assert_eq!(post(&simulator, "/control", "application/json", body).await.unwrap().status, StatusCode::OK);
    let answer = mmg(&simulator, "a", "447700900123", Some("http://127.0.0.1:9/")).await.unwrap();
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(simulator.receipts_waiting(), 1);
    let shown: Value = get(&simulator, "/control").await.json();
    assert_eq!(shown["mmg"]["receipt_delay_ms"], u64::MAX);
}
