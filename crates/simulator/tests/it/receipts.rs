//! Receipts: whose bytes, to where, how often.

use std::net::SocketAddr;

use serde_json::{Value, json};
use simulator::{Options, Provider, Receipt, Simulator, scenario::Fate};
use tokio::net::TcpListener;

use crate::{
    catcher::Catcher,
    client::{firetext, mmg},
    eventually, start, start_with,
};

const REFERENCE: &str = "6f2f8a0e-1f41-4c8d-8f0a-0b7f0a3c9f11";

async fn settled(simulator: &Simulator) -> Receipt {
    eventually("the end of all receipts", || (simulator.receipts_waiting() == 0).then_some(())).await;
    simulator.messages()[0].receipt
}

/// The value of `name` in a form.
fn field(form: &str, name: &str) -> String {
    let fields: Vec<(String, String)> = serde_urlencoded::from_str(form).unwrap();
    fields.into_iter().find(|(key, _)| key == name).unwrap().1
}

#[tokio::test]
async fn mmg_posts_json_to_the_url_of_the_request() {
    let (simulator, catcher) = (start().await, Catcher::start().await);
    let url = format!("http://user:p%40ss@{}/notifications/sms/mmg", catcher.addr);
    let answer = mmg(&simulator, REFERENCE, "447700900123", Some(&url)).await.unwrap();
    let caught = &catcher.wait_for(1).await[0];
    assert_eq!(
        (caught.path.as_str(), caught.content_type.as_str()),
        ("/notifications/sms/mmg", "application/json")
    );
    assert_eq!(caught.authorization.as_deref(), Some("Basic dXNlcjpwQHNz"));
    let receipt: Value = serde_json::from_str(&caught.body).unwrap();
    let expected = format!(
        r#"{{"reference": "{}", "CID": "{REFERENCE}", "MSISDN": "447700900123", "status": "3", "substatus": "5", "deliverytime": {}}}"#,
        answer.json()["Reference"],
        receipt["deliverytime"]
    );
    assert_eq!(caught.body, expected);
    assert_eq!(receipt["deliverytime"].as_str().unwrap().len(), "2026-03-02 10:11:12".len());
    assert_eq!(settled(&simulator).await, Receipt::Posted { fate: Fate::Delivered, answered: 200, posts: 1 });
}

#[tokio::test]
async fn firetext_posts_a_form_to_the_configured_url() {
    let (simulator, catcher) = (start().await, Catcher::start().await);
    simulator.set_receipt_url(Provider::Firetext, Some(&catcher.url("/notifications/sms/firetext"))).unwrap();
    firetext(&simulator, REFERENCE, "447700900123", None).await.unwrap();
    let caught = &catcher.wait_for(1).await[0];
    assert_eq!(caught.path, "/notifications/sms/firetext");
    assert_eq!(
        (caught.content_type.as_str(), &caught.authorization),
        ("application/x-www-form-urlencoded", &None)
    );
    let time = field(&caught.body, "time").replace(' ', "+").replace(':', "%3A");
    let expected = format!("mobile=447700900123&status=0&code=000&time={time}&reference={REFERENCE}");
    assert_eq!(caught.body, expected);
}

#[tokio::test]
async fn failures_are_told_by_the_end_of_the_number() {
    let (simulator, catcher) = (start().await, Catcher::start().await);
    let url = catcher.url("/");
    for (to, status) in
        [("447700900002", "5"), ("447700900003", "4"), ("447700900014", "99"), ("447700900123", "3")]
    {
        let before = catcher.caught().len();
        mmg(&simulator, REFERENCE, to, Some(&url)).await.unwrap();
        let caught = catcher.wait_for(before + 1).await.pop().unwrap();
        assert_eq!(serde_json::from_str::<Value>(&caught.body).unwrap()["status"], status, "{to}");
    }
    firetext(&simulator, REFERENCE, "447700900002", Some(&url)).await.unwrap();
    let caught = catcher.wait_for(5).await.pop().unwrap();
    assert_eq!((field(&caught.body, "status"), field(&caught.body, "code")), ("1".into(), "101".into()));
}

#[tokio::test]
async fn firetext_is_pending_before_a_temporary_failure() {
    let (simulator, catcher) = (start().await, Catcher::start().await);
    firetext(&simulator, REFERENCE, "447700900003", Some(&catcher.url("/"))).await.unwrap();
    let caught = catcher.wait_for(2).await;
    let statuses: Vec<_> = caught.iter().map(|caught| field(&caught.body, "status")).collect();
    assert_eq!(statuses, ["2", "1"]);
    assert_eq!(
        settled(&simulator).await,
        Receipt::Posted { fate: Fate::TemporaryFailure, answered: 200, posts: 2 }
    );
}

#[tokio::test]
async fn a_receipt_may_come_twice_or_contradict_itself() {
    let (simulator, catcher) = (start().await, Catcher::start().await);
    mmg(&simulator, REFERENCE, "447700900009", Some(&catcher.url("/"))).await.unwrap();
    let caught = catcher.wait_for(2).await;
    assert_eq!(caught[0].body, caught[1].body);
    mmg(&simulator, REFERENCE, "447700900015", Some(&catcher.url("/"))).await.unwrap();
    let caught = catcher.wait_for(4).await;
    let statuses: Vec<_> = caught[2..]
        .iter()
        .map(|caught| serde_json::from_str::<Value>(&caught.body).unwrap()["status"].clone())
        .collect();
    assert_eq!(statuses, ["3", "5"]);
}

#[tokio::test]
async fn a_receipt_may_come_before_the_answer() {
    let (simulator, catcher) = (start().await, Catcher::start().await);
    mmg(&simulator, REFERENCE, "447700900010", Some(&catcher.url("/"))).await.unwrap();
    assert_eq!(catcher.caught().len(), 1);
}

#[tokio::test]
async fn a_lost_answer_is_followed_by_a_receipt() {
    let (simulator, catcher) = (start().await, Catcher::start().await);
    assert!(firetext(&simulator, REFERENCE, "447700900013", Some(&catcher.url("/"))).await.is_err());
    assert_eq!(field(&catcher.wait_for(1).await[0].body, "reference"), REFERENCE);
}

#[tokio::test]
async fn some_messages_never_get_a_receipt() {
    let (simulator, catcher) = (start().await, Catcher::start().await);
    let url = catcher.url("/");
    mmg(&simulator, "never", "447700900011", Some(&url)).await.unwrap();
    mmg(&simulator, "nowhere", "447700900123", None).await.unwrap();
    mmg(&simulator, "tls", "447700900123", Some("https://notify.example/receipts")).await.unwrap();
    simulator.behave(Provider::Mmg, |mmg| mmg.receipts = false);
    mmg(&simulator, "switched off", "447700900123", Some(&url)).await.unwrap();
    // One that does get its receipt, so that the others' would have been posted by then.
    firetext(&simulator, "last", "447700900123", Some(&url)).await.unwrap();
    assert_eq!(settled(&simulator).await, Receipt::Posted { fate: Fate::Delivered, answered: 200, posts: 1 });
    assert_eq!(catcher.caught().len(), 1);
    assert!(simulator.messages()[1..].iter().all(|message| message.receipt == Receipt::None));
}

#[tokio::test]
async fn a_receipt_is_posted_again_when_its_endpoint_fails() {
    let (simulator, catcher) = (start().await, Catcher::start().await);
    catcher.answer_next(&[500, 503, 429]);
    mmg(&simulator, REFERENCE, "447700900123", Some(&catcher.url("/"))).await.unwrap();
    let caught = catcher.wait_for(4).await;
    assert!(caught.iter().all(|one| one.body == caught[0].body), "a repeated receipt is the same receipt");
    assert_eq!(settled(&simulator).await, Receipt::Posted { fate: Fate::Delivered, answered: 200, posts: 1 });
    assert_eq!((simulator.counts().receipts.retried, simulator.counts().receipts.posted), (3, 1));
}

#[tokio::test]
async fn a_receipt_waits_for_its_endpoint_to_come_up() {
    let simulator = start_with(Options { receipt_retries: 100, ..Options::default() }).await;
    // A port that is surely free, because it was just ours.
    let addr: SocketAddr = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    mmg(&simulator, REFERENCE, "447700900123", Some(&format!("http://{addr}/"))).await.unwrap();
    eventually("a failed attempt", || (simulator.counts().receipts.retried > 0).then_some(())).await;
    assert!(matches!(simulator.messages()[0].receipt, Receipt::Retrying { fate: Fate::Delivered, .. }));
    let catcher = Catcher::start_at(addr).await;
    catcher.wait_for(1).await;
    assert!(matches!(settled(&simulator).await, Receipt::Posted { .. }));
}

#[tokio::test]
async fn a_receipt_is_given_up_when_refused_or_tried_too_often() {
    let simulator = start_with(Options { receipt_retries: 2, ..Options::default() }).await;
    let catcher = Catcher::start().await;
    catcher.answer_next(&[400]);
    mmg(&simulator, REFERENCE, "447700900123", Some(&catcher.url("/"))).await.unwrap();
    assert_eq!(settled(&simulator).await, Receipt::Lost);
    assert_eq!(catcher.caught().len(), 1);
    catcher.answer_next(&[500, 500, 500]);
    mmg(&simulator, REFERENCE, "447700900123", Some(&catcher.url("/"))).await.unwrap();
    assert_eq!(settled(&simulator).await, Receipt::Lost);
    assert_eq!((catcher.caught().len(), simulator.counts().receipts.lost), (4, 2));
}

#[tokio::test]
async fn too_many_waiting_receipts_are_lost_and_counted() {
    let simulator = start_with(Options { receipt_backlog: 2, ..Options::default() }).await;
    simulator.behave_all(|provider| provider.receipt_delay_ms = 3_600_000);
    for reference in ["a", "b", "c"] {
        mmg(&simulator, reference, "447700900123", Some("http://127.0.0.1:9/")).await.unwrap();
    }
    let states: Vec<_> = simulator.messages().iter().map(|message| message.receipt).collect();
    assert_eq!(states, [Receipt::Lost, Receipt::Waiting, Receipt::Waiting]);
    assert_eq!((simulator.receipts_waiting(), simulator.counts().receipts.lost), (2, 1));
}

#[tokio::test]
async fn receipts_keep_their_connections() {
    let simulator = start_with(Options { receipts_at_once: 2, ..Options::default() }).await;
    let catcher = Catcher::start().await;
    for number in 0..50 {
        mmg(&simulator, &number.to_string(), "447700900123", Some(&catcher.url("/"))).await.unwrap();
    }
    let caught = catcher.wait_for(50).await;
    let connections = caught.iter().map(|one| one.connection).max();
    // Each of the two may open one more while the other's is not back yet.
    assert!(connections <= Some(4), "{connections:?} connections for 50 receipts");
}

#[tokio::test]
async fn the_page_of_counts_knows_the_waiting_ones() {
    let simulator = start().await;
    simulator.behave_all(|provider| provider.receipt_delay_ms = 3_600_000);
    mmg(&simulator, REFERENCE, "447700900123", Some("http://127.0.0.1:9/")).await.unwrap();
    let counts = crate::client::get(&simulator, "/counts.json").await.json();
    assert_eq!(counts["receipts"], json!({"posted": 0, "retried": 0, "lost": 0, "waiting": 1}));
}
