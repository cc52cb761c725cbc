//! Receipts: the answers of the contract, and that each is stored once and due.

use base64::{Engine, prelude::BASE64_STANDARD};
use hyper::Method;
use serde_json::json;
use testkit::eventually;

use crate::stage::{LIMIT, Stage};

fn waiting(stage: &Stage) -> i64 {
    db::audit::audit(&mut stage.connect()).unwrap().receipts_waiting
}

const SUCCESS: &str = r#"{"result":"success"}"#;

#[tokio::test]
async fn mmg_is_stored_and_answered_even_without_a_notification() {
    let stage = Stage::new();
    let id = stage.accepted_sms().await;
    for (reference, stored) in [(id.to_string(), 1), (uuid::Uuid::new_v4().to_string(), 2), ("x".into(), 3)] {
        let body = json!({"CID": reference, "status": "3", "substatus": "5", "MSISDN": "447700900855"});
        let answer = stage.http().post("/notifications/sms/mmg", None, body.to_string()).await;
        assert_eq!((answer.status, answer.body), (200, SUCCESS.into()));
        assert_eq!(waiting(&stage), stored);
    }
}

#[tokio::test]
async fn mmg_without_its_fields() {
    let stage = Stage::new();
    let answer = stage.http().post("/notifications/sms/mmg", None, "{}").await;
    assert_eq!(
        (answer.status, answer.body),
        (
            400,
            r#"{"result":"error","message":["MMG callback failed: status missing","MMG callback failed: CID missing"]}"#
                .into()
        )
    );
    let answer = stage.http().post("/notifications/sms/mmg", None, "hello").await;
    assert_eq!(
        answer.parts(),
        (400, json!({"result": "error", "message": "MMG callback failed: invalid json"}))
    );
    assert_eq!(waiting(&stage), 0);
}

#[tokio::test]
async fn json_comes_in_any_encoding() {
    let stage = Stage::new();
    let text = json!({"CID": uuid::Uuid::new_v4(), "status": "3"}).to_string();
    let with_mark = [b"\xef\xbb\xbf", text.as_bytes()].concat();
    let utf_16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for body in [with_mark, utf_16] {
        let answer = stage.http().post("/notifications/sms/mmg", None, body).await;
        assert_eq!((answer.status, answer.body), (200, SUCCESS.into()));
    }
    assert_eq!(waiting(&stage), 1, "both say the same");
    let answer = stage.http().post("/notifications/sms/mmg", None, &b"{\"CID\": \"\xff\"}"[..]).await;
    assert_eq!(
        answer.parts(),
        (400, json!({"result": "error", "message": "MMG callback failed: invalid json"}))
    );
}

#[tokio::test]
async fn firetext_is_a_form() {
    let stage = Stage::new();
    let id = stage.accepted_sms().await;
    let body = format!("mobile=447700900855&status=1&code=101&reference={id}");
    let answer = stage.http().post("/notifications/sms/firetext", None, body).await;
    assert_eq!((answer.status, answer.body), (200, SUCCESS.into()));
    assert_eq!(waiting(&stage), 1);
    let answer = stage.http().post("/notifications/sms/firetext", None, "status=0").await;
    assert_eq!(
        (answer.status, answer.body),
        (400, r#"{"result":"error","message":["Firetext callback failed: reference missing"]}"#.into())
    );
}

#[tokio::test]
async fn ses_is_believed_only_where_the_configuration_says_so() {
    let event = json!({"notificationType": "Delivery", "mail": {"messageId": "x@notify.localhost"}});
    let body = json!({"Type": "Notification", "Message": event.to_string()}).to_string();
    let stage = Stage::with(|_| {}, |config| config.providers.smtp.accept_unsigned_receipts = true);
    let answer = stage.http().post("/notifications/email/ses", None, body.clone()).await;
    assert_eq!((answer.status, answer.body), (200, SUCCESS.into()));
    assert_eq!(waiting(&stage), 1);

    let stage = Stage::new();
    let answer = stage.http().post("/notifications/email/ses", None, body).await;
    assert_eq!(answer.status, 400);
    assert_eq!(waiting(&stage), 0);
}

#[tokio::test]
async fn the_same_receipt_twice_is_stored_once() {
    let stage = Stage::new();
    let id = stage.accepted_sms().await;
    let body = json!({"CID": id, "status": "3"}).to_string();
    for _ in 0..3 {
        let answer = stage.http().post("/notifications/sms/mmg", None, body.clone()).await;
        assert_eq!(answer.status, 200);
    }
    assert_eq!(waiting(&stage), 1);
}

#[tokio::test]
async fn a_receipt_is_due_at_once_while_the_broker_is_away() {
    let stage = Stage::new();
    let body = json!({"CID": "x", "status": "3"}).to_string();
    assert_eq!(stage.http().post("/notifications/sms/mmg", None, body).await.status, 200);
    eventually(LIMIT, "the sweep finds it", async || {
        let kinds = [domain::wakeup::Kind::ApplyReceipt];
        let swept = db::due::take(&mut stage.connect(), &kinds, crate::stage::now(), 10).unwrap();
        (!swept.wake.is_empty()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn basic_auth_where_it_is_configured() {
    let stage = Stage::with(
        |_| {},
        |config| {
            config.api.receipt_user = "mmg".into();
            config.api.receipt_password = "hush:hush".into();
        },
    );
    let body = json!({"CID": "x", "status": "3"}).to_string();
    let post = async |credentials: Option<&str>| {
        let headers: Vec<_> = credentials
            .map(|credentials| ("authorization", format!("Basic {}", BASE64_STANDARD.encode(credentials))))
            .into_iter()
            .collect();
        stage.http().send(Method::POST, "/notifications/sms/mmg", &headers, body.clone()).await
    };
    assert_eq!(post(Some("mmg:hush:hush")).await.status, 200);
    for wrong in [None, Some("mmg:hush"), Some("mmg:hush:husk"), Some(""), Some("firetext:hush:hush")] {
        let answer = post(wrong).await;
        assert_eq!(answer.status, 401, "{wrong:?}");
        assert!(answer.headers.get("www-authenticate").unwrap().to_str().unwrap().starts_with("Basic"));
    }
}

#[tokio::test]
async fn an_endless_receipt_is_refused() {
    let stage = Stage::new();
    let answer = stage.http().post("/notifications/sms/mmg", None, "x".repeat(300_000)).await;
    assert_eq!(
        answer.parts(),
        (
            413,
            json!({"result": "error", "message": "The data value transmitted exceeds the capacity limit."})
        )
    );
}
