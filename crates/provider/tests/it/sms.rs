//! Texts: the bytes of the contract, and every way in which a company can fail us.

use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

use domain::{provider::Standing, retry::SendFailure, status::ProviderId};
use provider::{Accepted, Config, Providers, SmsProvider, Text};

use crate::{
    AT_ONCE,
    http_server::{Act, HttpServer, answer},
    providers, standing,
};

const ID: &str = "6f2f8a0e-1f41-4c8d-8f0a-0b7f0a3c9f11";
const MMG_OK: &str = r#"{"Reference": 12345678}"#;
const FIRETEXT_OK: &str = r#"{"code":0,"data":[],"description":"SMS successfully queued","responseData":1}"#;

fn text() -> Text<'static> {
    Text {
        id: ID.parse().unwrap(),
        to: "447700900123",
        from: "QUEUE",
        body: "Queue: £5 & \"ŵ\"\nnow",
        international: false,
    }
}

fn config() -> Config {
    let mut config = Config::default();
    config.http.timeout = Duration::from_secs(5);
    config
}

fn mmg(url: &str) -> Config {
    let mut config = config();
    config.mmg.url = url.into();
    config.mmg.key = "c2VjcmV0 as it is".into();
    config
}

fn firetext(url: &str) -> Config {
    let mut config = config();
    config.firetext.url = url.into();
    config.firetext.key = "home key".into();
    config
}

async fn send(config: &Config, text: &Text<'_>) -> (Option<ProviderId>, Result<Accepted, SendFailure>) {
    let providers = providers(config);
    match providers.choose_sms(text.international) {
        Ok(provider) => (Some(provider.id()), provider.send(text).await),
        Err(failure) => (None, Err(failure)),
    }
}

async fn failure(config: &Config) -> SendFailure {
    send(config, &text()).await.1.unwrap_err()
}

const TAKEN: Result<Accepted, SendFailure> = Ok(Accepted { reference: None });

#[tokio::test]
async fn mmg_gets_the_bytes_of_the_contract() {
    let server = HttpServer::start(|_| answer("200 OK", "", MMG_OK));
    let mut config = mmg(&server.url());
    assert_eq!(send(&config, &text()).await, (Some(ProviderId::Mmg), TAKEN));
    config.mmg.receipt_url = "https://notify.example/notifications/sms/mmg".into();
    config.mmg.receipt_user = "user".into();
    config.mmg.receipt_password = "pass".into();
    assert_eq!(send(&config, &text()).await.1, TAKEN);

    let seen = server.seen();
    let body = r#"{"reqType":"BULK","MSISDN":"447700900123","msg":"Queue: £5 & \"ŵ\"\nnow","sender":"QUEUE","cid":"6f2f8a0e-1f41-4c8d-8f0a-0b7f0a3c9f11","multi":true}"#;
    assert_eq!(seen[0].body, body);
    assert_eq!(seen[0].line, "POST /send?v=1 HTTP/1.1");
    let mut headers = seen[0].headers.clone();
    headers.sort();
    assert_eq!(
        headers,
        [
            "authorization: Basic c2VjcmV0 as it is".to_owned(),
            format!("content-length: {}", body.len()),
            "content-type: application/json".to_owned(),
            format!("host: {}", server.address),
        ]
    );
    let told = r#""multi":true,"delurl":"https://user:pass@notify.example/notifications/sms/mmg"}"#;
    assert!(seen[1].body.ends_with(told), "{}", seen[1].body);
}

#[tokio::test]
async fn firetext_gets_the_form_of_the_contract() {
    let server = HttpServer::start(|_| answer("200 OK", "", FIRETEXT_OK));
    let mut config = firetext(&server.url());
    config.firetext.receipt_url = "https://notify.example/notifications/sms/firetext".into();
    config.firetext.receipt_user = "user".into();
    config.firetext.receipt_password = "pass".into();
    assert_eq!(send(&config, &text()).await, (Some(ProviderId::Firetext), TAKEN));
    let abroad = Text { to: "33612345678", international: true, ..text() };
    assert_eq!(send(&config, &abroad).await.1, TAKEN);
    config.firetext.international_key = "abroad".into();
    assert_eq!(send(&config, &abroad).await.1, TAKEN);

    let seen = server.seen();
    assert_eq!(
        seen[0].body,
        "apiKey=home+key&from=QUEUE&to=447700900123&message=Queue%3A+%C2%A35+%26+%22%C5%B5%22%0Anow\
         &reference=6f2f8a0e-1f41-4c8d-8f0a-0b7f0a3c9f11\
         &receipt=https%3A%2F%2Fuser%3Apass%40notify.example%2Fnotifications%2Fsms%2Ffiretext"
    );
    let mut headers = seen[0].headers.clone();
    headers.sort();
    assert_eq!(
        headers,
        [
            format!("content-length: {}", seen[0].body.len()),
            "content-type: application/x-www-form-urlencoded".to_owned(),
            format!("host: {}", server.address),
        ]
    );
    assert!(seen[1].body.starts_with("apiKey=home+key&from=QUEUE&to=33612345678&"), "{}", seen[1].body);
    assert!(seen[2].body.starts_with("apiKey=abroad&"), "{}", seen[2].body);
}

fn transient(text: &str) -> SendFailure {
    SendFailure::Transient(text.into())
}

/// It may have taken the text.
fn unanswered(text: &str) -> SendFailure {
    SendFailure::Unanswered(text.into())
}

#[tokio::test]
async fn every_bad_answer_of_mmg_says_what_is_next() {
    let throttled = |status: u16, seconds| SendFailure::Throttled {
        reason: format!("HTTP {status}"),
        after: Some(Duration::from_secs(seconds)),
    };
    let date = "date: Mon, 02 Mar 2026 10:00:00 GMT\r\nretry-after: Mon, 02 Mar 2026 10:02:00 GMT\r\n";
    for (status, headers, body, expected) in [
        ("200 OK", "", "<html>", unanswered("Invalid response JSON")),
        ("200 OK", "", "", unanswered("Invalid response JSON")),
        (
            "400 Bad Request",
            "",
            r#"{"Error": 206, "Description": "to 447700900123"}"#,
            transient("HTTP 400, error 206"),
        ),
        ("404 Not Found", "", "nothing here", transient("HTTP 404")),
        ("302 Found", "location: /elsewhere\r\n", "", transient("HTTP 302")),
        ("500 Internal Server Error", "retry-after: 7\r\n", "oops", transient("HTTP 500")),
        ("401 Unauthorized", "", "", SendFailure::Misconfigured("HTTP 401".into())),
        ("403 Forbidden", "", "", SendFailure::Misconfigured("HTTP 403".into())),
        ("429 Too Many Requests", "", "", SendFailure::Throttled { reason: "HTTP 429".into(), after: None }),
        ("429 Too Many Requests", "retry-after: 7\r\n", "", throttled(429, 7)),
        ("503 Service Unavailable", date, "", throttled(503, 120)),
    ] {
        let server = HttpServer::start(move |_| answer(status, headers, body));
        assert_eq!(failure(&mmg(&server.url())).await, expected, "{status} {headers} {body}");
        assert_eq!(server.seen().len(), 1, "{status}");
    }
    for status in ["200 OK", "201 Created", "202 Accepted"] {
        for body in ["{}", "[]", "null", r#"{"Error": 206}"#] {
            let server = HttpServer::start(move |_| answer(status, "", body));
            assert_eq!(send(&mmg(&server.url()), &text()).await.1, TAKEN, "{status} {body}");
        }
    }
}

#[tokio::test]
async fn every_bad_answer_of_firetext_says_what_is_next() {
    for (status, body, expected) in [
        ("200 OK", r#"{"code":1,"description":"Authentication error"}"#, transient("Firetext code 1")),
        ("200 OK", r#"{"code":"0"}"#, unanswered("Firetext gave no code")),
        ("200 OK", "{}", unanswered("Firetext gave no code")),
        ("200 OK", "[]", unanswered("Firetext gave no code")),
        ("200 OK", "OK", unanswered("Invalid response JSON")),
        ("500 Internal Server Error", FIRETEXT_OK, transient("HTTP 500, error 0")),
        ("502 Bad Gateway", "", unanswered("HTTP 502")),
    ] {
        let server = HttpServer::start(move |_| answer(status, "", body));
        assert_eq!(failure(&firetext(&server.url())).await, expected, "{status} {body}");
    }
}

#[tokio::test]
async fn a_call_that_may_have_arrived_is_never_made_twice() {
    let cut = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"Refer".as_bytes().to_vec();
    let garbage = b"220 relay.example ESMTP\r\n".to_vec();
    for act in [Act::WriteAndClose(vec![]), Act::WriteAndClose(cut), Act::WriteAndClose(garbage)] {
        let server = HttpServer::start(move |_| act.clone());
        assert!(matches!(failure(&mmg(&server.url())).await, SendFailure::Unanswered(_)));
        assert_eq!(server.seen().len(), 1);
    }
    // A kept connection that breaks during the second call.
    let server =
        HttpServer::start(|n| if n == 0 { answer("200 OK", "", "{}") } else { Act::WriteAndClose(vec![]) });
    let providers = providers(&mmg(&server.url()));
    let provider = providers.choose_sms(false).unwrap();
    assert_eq!(provider.send(&text()).await, TAKEN);
    assert!(matches!(provider.send(&text()).await, Err(SendFailure::Unanswered(_))));
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn silence_ends_in_a_time_out() {
    let endless = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{".to_vec();
    for (act, said) in [
        (Act::Hang, "no answer within 200ms"),
        (Act::Write(endless), "broken answer: no answer within 200ms"),
    ] {
        let server = HttpServer::start(move |_| act.clone());
        let mut config = mmg(&server.url());
        config.http.timeout = Duration::from_millis(200);
        assert_eq!(failure(&config).await, unanswered(said));
        assert_eq!(server.seen().len(), 1);
    }
}

/// The time-out of the wire contract is for each read.
#[tokio::test]
async fn an_answer_that_comes_in_pieces_is_waited_for() {
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}".to_vec();
    let server = HttpServer::start(move |_| Act::WriteSlowly(answer.clone(), Duration::from_millis(50)));
    let mut config = mmg(&server.url());
    config.http.timeout = Duration::from_secs(1);
    let providers = providers(&config);
    let started = Instant::now();
    assert_eq!(providers.choose_sms(false).unwrap().send(&text()).await, TAKEN);
    assert!(started.elapsed() > config.http.timeout, "or it shows nothing");
}

/// A connection that rested for nearly as long has not used up the time of the next call.
#[tokio::test]
async fn the_time_that_a_connection_rests_is_not_the_next_answers() {
    let late = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}".to_vec();
    let server = HttpServer::start(move |n| match n {
        0 => answer("200 OK", "", "{}"),
        _ => Act::WriteLater(late.clone(), Duration::from_secs(1)),
    });
    let mut config = mmg(&server.url());
    config.http.timeout = Duration::from_secs(2);
    let providers = providers(&config);
    let provider = providers.choose_sms(false).unwrap();
    assert_eq!(provider.send(&text()).await, TAKEN);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(provider.send(&text()).await, TAKEN);
    assert!(server.seen().iter().all(|seen| seen.connection == 0), "on one connection");
}

#[tokio::test]
async fn nobody_there_is_transient() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let failure = failure(&mmg(&format!("http://{free}/"))).await;
    assert!(matches!(&failure, SendFailure::Transient(text) if text.contains("refused")), "{failure}");
    // No root certificate signed this server, and it speaks no TLS: the call fails, nothing else does.
    let server = HttpServer::start(|_| answer("200 OK", "", "{}"));
    let failure = self::failure(&mmg(&format!("https://{}/", server.address))).await;
    assert!(matches!(&failure, SendFailure::Transient(_)), "{failure}");
}

#[tokio::test]
async fn a_huge_answer_is_not_read_to_its_end() {
    let huge = format!("[{}0]", "0,".repeat(5_000_000));
    let body = huge.clone();
    let server = HttpServer::start(move |_| answer("200 OK", "", &body));
    let failed = failure(&mmg(&server.url())).await;
    assert!(
        matches!(&failed, SendFailure::Unanswered(text) if text.starts_with("broken answer")),
        "{failed}"
    );
    let server = HttpServer::start(move |_| answer("429 Slow down", "retry-after: 9\r\n", &huge));
    assert!(matches!(failure(&mmg(&server.url())).await, SendFailure::Throttled { .. }));
}

#[tokio::test]
async fn many_calls_at_once_share_few_connections_later() {
    let server = HttpServer::start(|_| answer("200 OK", "", "{}"));
    let providers = providers(&mmg(&server.url()));
    let mut results = Vec::new();
    for _ in 0..5 {
        let text = text();
        let calls = (0..100).map(|_| async { providers.choose_sms(false).unwrap().send(&text).await });
        results.extend(futures_util::future::join_all(calls).await);
    }
    assert!(results.iter().all(|result| *result == TAKEN));
    let connections = server.seen().iter().map(|seen| seen.connection).max().unwrap() + 1;
    assert!(connections <= 250, "500 calls, 100 at a time, took {connections} connections");
}

const NO_SMS: &str = "No active sms providers";

fn none<T>(text: &str) -> Result<T, SendFailure> {
    Err(SendFailure::Misconfigured(text.into()))
}

/// Both companies, of which nobody takes part yet.
fn both() -> Providers {
    let mut config = mmg("http://127.0.0.1:1/");
    config.firetext = firetext("http://127.0.0.1:1/").firetext;
    Providers::new(&config, AT_ONCE).unwrap()
}

#[test]
fn texts_abroad_go_only_by_those_that_serve_other_countries() {
    let providers = both();
    let at_home = Standing { international: false, ..standing(ProviderId::Firetext, 100) };
    providers.stand(vec![standing(ProviderId::Mmg, 0), at_home]);
    let draw = |abroad| providers.choose_sms(abroad).map(SmsProvider::id);
    for _ in 0..20 {
        assert_eq!((draw(false), draw(true)), (Ok(ProviderId::Firetext), Ok(ProviderId::Mmg)));
    }
    providers.stand(vec![at_home]);
    assert_eq!((draw(false), draw(true)), (Ok(ProviderId::Firetext), none(NO_SMS)));
}

#[test]
fn who_takes_part_can_change_at_any_time() {
    let providers = both();
    let draw = || providers.choose_sms(false).map(SmsProvider::id);
    assert_eq!(draw(), none(NO_SMS), "before anybody said how they stand");
    let inactive = |provider| Standing { active: false, ..standing(provider, 100) };
    providers.stand(vec![standing(ProviderId::Mmg, 0), inactive(ProviderId::Firetext)]);
    assert_eq!(draw(), Ok(ProviderId::Mmg), "alone, whatever its weight");
    providers.stand(vec![inactive(ProviderId::Mmg), standing(ProviderId::Firetext, 1)]);
    assert_eq!(draw(), Ok(ProviderId::Firetext));
    providers.stand(vec![standing(ProviderId::Mmg, 0), standing(ProviderId::Firetext, 0)]);
    assert_eq!(draw(), none(NO_SMS), "several that weigh nothing");
    providers.stand(vec![inactive(ProviderId::Mmg), inactive(ProviderId::Firetext)]);
    assert_eq!(draw(), none(NO_SMS));
}

#[test]
fn who_is_active_but_not_configured_is_no_candidate() {
    let providers = Providers::new(&mmg("http://127.0.0.1:1/"), AT_ONCE).unwrap();
    let everybody = [(ProviderId::Mmg, 1), (ProviderId::Firetext, 99), (ProviderId::Smtp, 100)];
    providers.stand(everybody.map(|(provider, weight)| standing(provider, weight)).to_vec());
    for _ in 0..20 {
        assert_eq!(providers.choose_sms(false).unwrap().id(), ProviderId::Mmg);
    }
    assert_eq!(
        providers.choose_email().unwrap_err(),
        SendFailure::Misconfigured("No active email providers".into())
    );
}
