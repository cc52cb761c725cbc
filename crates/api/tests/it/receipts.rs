//! Receipts: the answers of the contract, and that each is stored once and due.

use base64::{Engine, prelude::BASE64_STANDARD};
use hyper::Method;
use serde_json::json;
use testkit::eventually;

use crate::stage::{LIMIT, Stage, id_of};

fn waiting(stage: &Stage) -> i64 {
    db::audit::audit(&mut stage.connect()).unwrap().receipts_waiting
}

const SUCCESS: &str = r#"{"result":"success"}"#;

#[tokio::test]
async fn what_is_ours_is_stored_and_the_rest_is_answered_just_the_same() {
    let stage = Stage::new();
    let id = stage.accepted_sms().await.to_string();
    for reference in [uuid::Uuid::new_v4().to_string(), "x".into(), id, uuid::Uuid::new_v4().to_string()] {
        let body = json!({"CID": reference, "status": "3", "substatus": "5", "MSISDN": "447700900855"});
        let answer = stage.post_receipt("/notifications/sms/mmg", body.to_string()).await;
        assert_eq!((answer.status, answer.body), (200, SUCCESS.into()));
    }
    assert_eq!(waiting(&stage), 1);
}

#[tokio::test]
async fn mmg_without_its_fields() {
    let stage = Stage::new();
    let answer = stage.post_receipt("/notifications/sms/mmg", "{}").await;
    assert_eq!(
        (answer.status, answer.body),
        (
            400,
            r#"{"result":"error","message":["MMG callback failed: status missing","MMG callback failed: CID missing"]}"#
                .into()
        )
    );
    let answer = stage.post_receipt("/notifications/sms/mmg", "hello").await;
    assert_eq!(
        answer.parts(),
        (400, json!({"result": "error", "message": "MMG callback failed: invalid json"}))
    );
    assert_eq!(waiting(&stage), 0);
}

#[tokio::test]
async fn json_comes_in_any_encoding() {
    let stage = Stage::new();
    let text = json!({"CID": stage.accepted_sms().await, "status": "3"}).to_string();
    let with_mark = [b"\xef\xbb\xbf", text.as_bytes()].concat();
    let utf_16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for body in [with_mark, utf_16] {
        let answer = stage.post_receipt("/notifications/sms/mmg", body).await;
        assert_eq!((answer.status, answer.body), (200, SUCCESS.into()));
    }
    assert_eq!(waiting(&stage), 1, "both say the same");
    let answer = stage.post_receipt("/notifications/sms/mmg", &b"{\"CID\": \"\xff\"}"[..]).await;
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
    let answer = stage.post_receipt("/notifications/sms/firetext", body).await;
    assert_eq!((answer.status, answer.body), (200, SUCCESS.into()));
    assert_eq!(waiting(&stage), 1);
    let answer = stage.post_receipt("/notifications/sms/firetext", "status=0").await;
    assert_eq!(
        (answer.status, answer.body),
        (400, r#"{"result":"error","message":["Firetext callback failed: reference missing"]}"#.into())
    );
}

#[tokio::test]
async fn ses_is_believed_only_where_the_configuration_says_so() {
    for (is_believed, kind) in [(true, "notificationType"), (true, "eventType"), (false, "notificationType")]
    {
        let configure =
            |config: &mut api::Config| config.providers.smtp.accept_unsigned_receipts = is_believed;
        let stage = Stage::with(|_| {}, configure);
        let id = id_of(&stage.send("email", &stage.email(&json!({}))).await);
        let event = json!({kind: "Delivery", "mail": {"messageId": format!("{id}@notify.localhost")}});
        let body = json!({"Type": "Notification", "Message": event.to_string()}).to_string();
        let answer = stage.post_receipt("/notifications/email/ses", body).await;
        assert_eq!(answer.status, if is_believed { 200 } else { 400 }, "{answer:?}");
        assert_eq!(waiting(&stage), i64::from(is_believed));
    }
}

/// Its URL is for whoever runs the platform to open: nothing is fetched that a post names.
#[tokio::test]
async fn a_subscription_of_sns_is_read() {
    let stage = Stage::with(|_| {}, |config| config.providers.smtp.accept_unsigned_receipts = true);
    let post = async |url: &str| {
        let body = json!({"Type": "SubscriptionConfirmation", "MessageId": "1", "Token": "2336412f", "SubscribeURL": url,
            "TopicArn": "arn:aws:sns:eu-west-1:123456789012:receipts", "Message": "You have chosen to subscribe"});
        stage.post_receipt("/notifications/email/ses", body.to_string()).await
    };
    let url = "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=2336412f";
    let answer = post(url).await;
    assert_eq!((answer.status, answer.body), (200, SUCCESS.into()));
    let answer = post("http://169.254.169.254/latest/meta-data/").await;
    let message = "SES callback failed: subscription is not Amazon's";
    assert_eq!(answer.parts(), (400, json!({"result": "error", "message": message})));
    assert_eq!(waiting(&stage), 0);
}

#[tokio::test]
async fn the_same_receipt_twice_is_stored_once() {
    let stage = Stage::new();
    let id = stage.accepted_sms().await;
    let body = json!({"CID": id, "status": "3"}).to_string();
    for _ in 0..3 {
        let answer = stage.post_receipt("/notifications/sms/mmg", body.clone()).await;
        assert_eq!(answer.status, 200);
    }
    assert_eq!(waiting(&stage), 1);
}

#[tokio::test]
async fn a_receipt_is_due_at_once_while_the_broker_is_away() {
    let stage = Stage::new();
    let body = json!({"CID": stage.accepted_sms().await, "status": "3"}).to_string();
    assert_eq!(stage.post_receipt("/notifications/sms/mmg", body).await.status, 200);
    eventually(LIMIT, "the sweep finds it", async || {
        let kinds = [domain::wakeup::Kind::ApplyReceipt];
        let swept = db::due::take(&mut stage.connect(), &kinds, crate::stage::now(), 10).unwrap();
        (!swept.wake.is_empty()).then_some(())
    })
    .await;
}

const PATHS: [&str; 3] =
    ["/notifications/sms/mmg", "/notifications/sms/firetext", "/notifications/email/ses"];

#[tokio::test]
async fn nobody_posts_receipts_who_is_not_configured() {
    let stage = Stage::new();
    for path in PATHS {
        for wrong in [
            None,
            Some("receipts:hush"),
            Some("receipts:hush:husk"),
            Some(""),
            Some(":"),
            Some("mmg:hush:hush"),
        ] {
            let header = |given| ("authorization", format!("Basic {}", BASE64_STANDARD.encode(given)));
            let headers: Vec<_> = wrong.map(header).into_iter().collect();
            let answer = stage.http().send(Method::POST, path, &headers, "{}").await;
            assert_eq!(answer.status, 401, "{path} {wrong:?}");
            assert!(answer.headers["www-authenticate"].to_str().unwrap().starts_with("Basic"));
        }
        assert_eq!(stage.post_receipt(path, "{}").await.status, 400, "known, and to be told what is wrong");
    }
}

#[tokio::test]
async fn everybody_may_where_the_configuration_says_so_by_name() {
    let stage = Stage::with(
        |_| {},
        |config| {
            (config.api.receipt_user, config.api.receipt_password) = (String::new(), "".into());
            config.api.receipts_without_credentials = true;
        },
    );
    for path in PATHS {
        assert_eq!(stage.http().post(path, None, "{}").await.status, 400, "{path}");
    }
}

#[tokio::test]
async fn an_endless_receipt_is_refused() {
    let stage = Stage::new();
    let answer = stage.post_receipt("/notifications/sms/mmg", "x".repeat(300_000)).await;
    assert_eq!(
        answer.parts(),
        (
            413,
            json!({"result": "error", "message": "The data value transmitted exceeds the capacity limit."})
        )
    );
}
