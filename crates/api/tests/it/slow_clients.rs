//! Clients that send too much, or too slowly, on real sockets.

use std::time::Duration;

use domain::status::KeyType;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::stage::{LIMIT, Stage};

const SHORT: Duration = Duration::from_millis(300);

const TOO_LARGE: &str = r#"{"status_code":413,"errors":[{"error":"RequestEntityTooLarge","message":"The data value transmitted exceeds the capacity limit."}]}"#;

async fn connect(stage: &Stage) -> TcpStream {
    TcpStream::connect(stage.http().address).await.unwrap()
}

fn head(stage: &Stage, more: &str) -> String {
    let token = stage.token(KeyType::Normal);
    format!(
        "POST /v2/notifications/sms HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n{more}\r\n\r\n"
    )
}

/// What comes until the connection closes, which it does in good time. Whoever is still sending then may be cut off.
async fn answer(stream: &mut TcpStream) -> String {
    let mut received = Vec::new();
    let read = tokio::time::timeout(LIMIT, stream.read_to_end(&mut received)).await;
    let received = String::from_utf8(received).unwrap();
    assert!(read.is_ok(), "the connection is closed after {received:?}");
    received
}

#[tokio::test]
async fn a_body_over_the_limit_is_413_without_its_length_too() {
    let stage = Stage::with(|_| {}, |config| config.api.body_limit = 10_000);
    let mut stream = connect(&stage).await;
    stream.write_all(head(&stage, "Transfer-Encoding: chunked").as_bytes()).await.unwrap();
    // No chunk is too large by itself, and the last one is missing.
    for _ in 0..11 {
        let chunk = format!("3e8\r\n{}\r\n", " ".repeat(1_000));
        stream.write_all(chunk.as_bytes()).await.unwrap();
    }
    let answer = answer(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(answer.ends_with(TOO_LARGE), "{answer}");
}

#[tokio::test]
async fn a_caller_who_is_refused_and_never_ends_its_body_is_cut_off() {
    let stage = Stage::new();
    for more in
        ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nConnection: close", "Content-Length: 9"]
    {
        let mut stream = connect(&stage).await;
        let head = format!("POST /v2/notifications/sms HTTP/1.1\r\nHost: x\r\n{more}\r\n\r\n2\r\n{{}}\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let answer = answer(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 401"), "{more}: {answer}");
    }
}

#[tokio::test]
async fn after_a_whole_chunked_body_the_connection_serves_on() {
    let stage = Stage::with(|_| {}, |config| config.api.keep_alive = SHORT);
    let mut stream = connect(&stage).await;
    let request = format!("{}2\r\n{{}}\r\n0\r\n\r\n", head(&stage, "Transfer-Encoding: chunked"));
    for _ in 0..2 {
        stream.write_all(request.as_bytes()).await.unwrap();
    }
    let answer = answer(&mut stream).await;
    assert_eq!(answer.matches("HTTP/1.1 400").count(), 2, "{answer}");
}

#[tokio::test]
async fn a_body_over_the_limit_is_413_before_all_of_it_has_come() {
    let stage = Stage::with(|_| {}, |config| config.api.body_limit = 10_000);
    let mut stream = connect(&stage).await;
    stream.write_all(head(&stage, "Content-Length: 1000000000000").as_bytes()).await.unwrap();
    stream.write_all(&[b' '; 10_001]).await.unwrap();
    let answer = answer(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(answer.ends_with(TOO_LARGE), "{answer}");
}

#[tokio::test]
async fn a_slow_head_times_out() {
    let stage = Stage::with(|_| {}, |config| config.api.client_timeout = SHORT);
    for part in ["P", "POST /v2/notifications/sms HTTP/1.1\r\nHost: x\r\n"] {
        let mut stream = connect(&stage).await;
        stream.write_all(part.as_bytes()).await.unwrap();
        let answer = answer(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 408"), "{part:?}: {answer}");
    }
}

#[tokio::test]
async fn a_head_that_comes_in_drops_times_out() {
    let stage = Stage::with(|_| {}, |config| config.api.client_timeout = SHORT);
    let (mut incoming, mut outgoing) = connect(&stage).await.into_split();
    let drops = async {
        // Ends when the connection does.
        while outgoing.write_all(b"X-A: b\r\n").await.is_ok() {
            tokio::time::sleep(SHORT / 10).await;
        }
    };
    let answer = async {
        let mut received = Vec::new();
        incoming.read_to_end(&mut received).await.ok();
        String::from_utf8(received).unwrap()
    };
    let start = async { tokio::join!(drops, answer).1 };
    let answer = tokio::time::timeout(LIMIT, start).await.expect("the connection is closed");
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
}

#[tokio::test]
async fn a_body_that_comes_in_drops_times_out() {
    let stage = Stage::with(|_| {}, |config| config.api.client_timeout = SHORT);
    let (mut incoming, mut outgoing) = connect(&stage).await.into_split();
    outgoing.write_all(head(&stage, "Content-Length: 1000000").as_bytes()).await.unwrap();
    let drops = async {
        while outgoing.write_all(b" ").await.is_ok() {
            tokio::time::sleep(SHORT / 10).await;
        }
    };
    let answer = async {
        let mut received = vec![0; 12];
        incoming.read_exact(&mut received).await.unwrap();
        String::from_utf8(received).unwrap()
    };
    let first = async {
        tokio::select! {
            () = drops => panic!("closed without an answer"),
            answer = answer => answer,
        }
    };
    let answer = tokio::time::timeout(LIMIT, first).await.expect("an answer");
    assert_eq!(answer, "HTTP/1.1 408");
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let stage = Stage::with(|_| {}, |config| config.api.keep_alive = SHORT);
    let mut stream = connect(&stage).await;
    stream.write_all(b"GET /_status?simple=1 HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let answer = answer(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.ends_with(r#"{"status":"ok"}"#), "{answer}");
}

#[tokio::test]
async fn a_connection_on_which_nothing_comes_is_closed() {
    let stage = Stage::with(|_| {}, |config| config.api.client_timeout = SHORT);
    let mut stream = connect(&stage).await;
    let answer = answer(&mut stream).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
}

/// Only of one that begins before the first answer: actix (actix-http 3.20) waits without limit for the rest of a later one.
#[tokio::test]
async fn a_second_head_that_came_with_the_first_request_times_out() {
    let stage = Stage::with(
        |_| {},
        |config| {
            config.api.client_timeout = SHORT;
            config.api.keep_alive = SHORT;
        },
    );
    let mut stream = connect(&stage).await;
    stream.write_all(b"GET /_status?simple=1 HTTP/1.1\r\nHost: x\r\n\r\nGET /_status").await.unwrap();
    let answer = answer(&mut stream).await;
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 1, "{answer}");
}

/// docs/DIFFERENCES.md
#[tokio::test]
async fn a_line_that_ends_with_a_line_feed_alone_is_refused_and_in_bodies_it_is_content() {
    let stage = Stage::new();
    let asked = async |request: String| {
        let mut stream = connect(&stage).await;
        stream.write_all(request.as_bytes()).await.unwrap();
        answer(&mut stream).await
    };
    let whole =
        |more: &str, body: &str| format!("{}{body}", head(&stage, &format!("{more}\r\nConnection: close")));
    let (length, chunked) = (
        whole("Content-Length: 4", "{\n\n}"),
        whole("Transfer-Encoding: chunked", "2\r\n{\n\r\n1\r\n}\r\n0\r\n\r\n"),
    );
    for request in [&length, &chunked] {
        let answer = asked(request.clone()).await;
        assert!(answer.contains("template_id is a required property"), "{answer}");
    }
    let refused = [
        length.replacen("HTTP/1.1\r\n", "HTTP/1.1\n", 1),
        length.replacen("Host: x\r\n", "Host: x\n", 1),
        length.replacen("close\r\n\r\n", "close\r\n\n", 1),
        length.replacen("close\r\n\r\n", "close\n\r\n", 1),
        length.replacen("close\r\n\r\n", "close\n\n", 1),
        chunked.replacen("2\r\n{", "2\n{", 1),
        chunked.replacen("0\r\n", "0\n", 1),
        format!("\n{length}"),
    ];
    for request in refused {
        assert_ne!(request, length);
        assert_ne!(request, chunked);
        let answer = asked(request.clone()).await;
        assert!(
            answer.starts_with("HTTP/1.1 400") && !answer.contains("template_id"),
            "{request:?}: {answer}"
        );
    }
}
