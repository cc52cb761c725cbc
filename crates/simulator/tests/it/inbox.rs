//! The page and the same as JSON.

use http_body_util::Full;
use hyper::{Request, StatusCode};
use serde_json::{Value, json};
use simulator::{Options, Simulator};

use crate::{
    client::{firetext, get, mmg, mmg_body, post, send},
    start, start_with,
};

async fn text(simulator: &Simulator, content: &str) {
    let mut body = mmg_body("6f2f8a0e", "447700900123", None);
    body["msg"] = content.into();
    assert_eq!(
        post(simulator, "/mmg", "application/json", body.to_string()).await.unwrap().status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn the_page_shows_a_text_and_escapes_it() {
    let simulator = start().await;
    text(&simulator, "Hello <script>alert(1)</script> & \"goodbye\"").await;
    let page = get(&simulator, "/").await;
    assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
    assert!(page.headers["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
    assert!(page.body.contains("Hello &lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;goodbye&quot;"));
    assert!(!page.body.contains("<script>"));
    assert!(page.body.contains("447700900123"));
}

#[tokio::test]
async fn the_page_locks_a_mails_html_into_a_frame() {
    let simulator = start().await;
    let mail = "Subject: <b>Hi</b>\r\nContent-Type: text/html\r\n\r\n\"><script>alert(1)</script><p title='x'>Hello\r\n.\r\n";
    let talk =
        format!("EHLO a\r\nMAIL FROM:<q@n.example>\r\nRCPT TO:<ada@example.com>\r\nDATA\r\n{mail}QUIT\r\n");
    let mut stream = tokio::net::TcpStream::connect(simulator.smtp_addr()).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, talk.as_bytes()).await.unwrap();
    tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut Vec::new()).await.unwrap();
    let page = get(&simulator, "/").await.body;
    assert!(page.contains("&lt;b&gt;Hi&lt;/b&gt;"));
    let frame = "<iframe sandbox=\"\" srcdoc=\"&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;&lt;p title='x'&gt;Hello";
    assert!(page.contains(frame), "{page}");
}

#[tokio::test]
async fn the_page_works_without_scripts() {
    let simulator = start().await;
    let page = get(&simulator, "/").await.body;
    assert!(page.contains("<noscript><meta http-equiv=\"refresh\" content=\"5\"></noscript>"));
    assert!(page.contains("No messages yet."));
    assert!(page.contains("7700900002") && page.contains("perm-fail"), "the magic recipients are listed");
    let paused = get(&simulator, "/?refresh=off").await.body;
    assert!(!paused.contains("http-equiv") && !paused.contains("inbox.js"));
    assert_eq!(get(&simulator, "/inbox.css").await.headers["content-type"], "text/css; charset=utf-8");
    assert_eq!(get(&simulator, "/inbox.js").await.headers["content-type"], "text/javascript; charset=utf-8");
}

#[tokio::test]
async fn the_page_is_cut_into_pages() {
    let simulator = start().await;
    for number in 1..=60 {
        text(&simulator, &format!("number {number}!")).await;
    }
    let newest = get(&simulator, "/").await.body;
    assert!(newest.contains("number 60!") && newest.contains("number 11!") && !newest.contains("number 10!"));
    assert!(newest.contains("href=\"/?before=11\""));
    let oldest = get(&simulator, "/?before=11").await.body;
    assert!(
        oldest.contains("number 10!") && oldest.contains("number 1!") && !oldest.contains("Older messages")
    );
}

#[tokio::test]
async fn the_page_finds_a_recipient() {
    let simulator = start().await;
    mmg(&simulator, "a", "447700900123", None).await.unwrap();
    let found = get(&simulator, "/?to=07700+900123&reference=").await.body;
    assert!(found.contains("<article") && found.contains("value=\"07700 900123\""));
    let none = get(&simulator, "/?to=%22%3E%3Cscript%3E").await.body;
    assert!(none.contains("No message like that.") && !none.contains("\"><script>"));
}

#[tokio::test]
async fn messages_are_there_as_json() {
    let simulator = start().await;
    mmg(&simulator, "a", "447700900123", None).await.unwrap();
    firetext(&simulator, "b", "447700900124", None).await.unwrap();
    firetext(&simulator, "c", "447700900004", None).await.unwrap();
    let references = |messages: Value| -> Vec<String> {
        let all = messages.as_array().unwrap().iter();
        all.map(|message| message["reference"].as_str().unwrap().to_owned()).collect()
    };
    for (query, expected) in [
        ("", vec!["c", "b", "a"]),
        ("?to=447700900123", vec!["a"]),
        ("?reference=b", vec!["b"]),
        ("?limit=1", vec!["c"]),
        ("?to=447700900123&reference=b", vec![]),
    ] {
        let answer = get(&simulator, &format!("/messages.json{query}")).await;
        assert_eq!(references(answer.json()), expected, "{query}");
    }
    let mut first = get(&simulator, "/messages.json?reference=b").await.json()[0].clone();
    assert!(first["received_at"].as_str().unwrap().ends_with('Z'));
    first["received_at"] = Value::Null;
    assert_eq!(
        first,
        json!({"id": 2, "received_at": null, "provider": "firetext", "outcome": "accepted", "reference": "b",
            "to": "447700900124", "from": "QUEUE", "subject": null, "text": "Queue: your turn & more", "html": null,
            "receipt": {"state": "none"}})
    );
    assert_eq!(get(&simulator, "/messages.json?limit=x").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn counts_tell_outcomes_and_duplicates() {
    let simulator = start().await;
    for to in ["447700900123", "447700900123", "447700900004"] {
        mmg(&simulator, "a", to, None).await.unwrap();
    }
    let counts = get(&simulator, "/counts.json").await.json();
    assert_eq!(
        counts["mmg"],
        json!({"calls": 3, "accepted": 2, "refused": 1, "throttled": 0, "gibberish": 0, "malformed": 0,
            "unauthorised": 0, "dropped": 0})
    );
    assert_eq!((&counts["references"], &counts["duplicates"]), (&json!(1), &json!(1)));
    let forgetful = Simulator::start(Options::default()).await.unwrap();
    assert_eq!(get(&forgetful, "/counts.json").await.json()["duplicates"], Value::Null);
}

#[tokio::test]
async fn clearing_forgets_everything() {
    let simulator = start_with(Options::default()).await;
    mmg(&simulator, "a", "447700900123", None).await.unwrap();
    assert_eq!(post(&simulator, "/clear", "text/plain", "").await.unwrap().status, StatusCode::NO_CONTENT);
    assert_eq!(get(&simulator, "/messages.json").await.json(), json!([]));
    assert_eq!(simulator.counts().mmg.calls, 0);
    let uri = format!("{}clear", simulator.url());
    let request = Request::post(uri).header("accept", "text/html,*/*").body(Full::default()).unwrap();
    let answer = send(request).await.unwrap();
    assert_eq!((answer.status, &answer.headers["location"]), (StatusCode::SEE_OTHER, &"/".parse().unwrap()));
}
