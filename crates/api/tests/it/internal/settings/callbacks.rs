//! Callbacks: the internal API's section 12.

use db::callback::CallbackType;
use diesel::{QueryableByName, RunQueryDsl, sql_query};
use hyper::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{id_of, invalid, no_result};
use crate::{
    http::Answer,
    internal::refused,
    stage::{Stage, changed},
};

const TOKEN: &str = "a-token-of-the-service";

fn body(change: &Value) -> Value {
    let body = json!({"url": "https://permits.example/told", "bearer_token": TOKEN, "updated_by_id": Uuid::nil(),
        "callback_type": "delivery_status"});
    changed(body, change)
}

async fn create(stage: &Stage, change: &Value) -> Answer {
    stage.internal_post(&stage.own("callback-api"), &body(change)).await
}

fn url(stage: &Stage, id: Uuid, of: &str) -> String {
    stage.own(&format!("callback-api/{id}?callback_type={of}"))
}

#[derive(QueryableByName)]
struct Sealed {
    #[diesel(sql_type = diesel::sql_types::Bytea)]
    bearer_token: Vec<u8>,
}

/// As it opens with the keys of the house.
fn token(stage: &Stage, id: Uuid) -> String {
    let sealed: Sealed = sql_query(format!("SELECT bearer_token FROM callbacks WHERE id = '{id}'"))
        .get_result(&mut stage.connect())
        .unwrap();
    assert!(!sealed.bearer_token.windows(TOKEN.len()).any(|bytes| bytes == TOKEN.as_bytes()));
    String::from_utf8(testkit::keyring().open(id, &sealed.bearer_token).unwrap()).unwrap()
}

#[tokio::test]
async fn each_type_is_created_shown_changed_and_deleted_and_no_answer_has_the_token() {
    let stage = Stage::new();
    for of in CallbackType::ALL.map(CallbackType::as_str) {
        let created = create(&stage, &json!({"callback_type": of})).await;
        assert_eq!(created.status, 201, "{created:?}");
        let row = created.json()["data"].clone();
        let id = id_of(&row);
        let same = |row: &Value| {
            json!({"id": id, "service_id": stage.service_id(), "url": "https://permits.example/told",
                "updated_by_id": Uuid::nil(), "created_at": row["created_at"], "updated_at": null})
        };
        assert_eq!(row, same(&row));
        let shown = stage.internal_get(&url(&stage, id, of)).await;
        assert_eq!(shown.parts(), (200, json!({"data": row})));
        assert_eq!(token(&stage, id), TOKEN);

        let by = Uuid::new_v4();
        let changed = stage
            .internal_post(
                &stage.own(&format!("callback-api/{id}")),
                &json!({"updated_by_id": by, "callback_type": of,
                "url": "https://permits.example/new"}),
            )
            .await;
        assert_eq!(changed.status, 200, "{changed:?}");
        let row = changed.json()["data"].clone();
        assert_eq!((&row["url"], &row["updated_by_id"]), (&json!("https://permits.example/new"), &json!(by)));
        assert!(row["updated_at"].is_string());
        assert_eq!(token(&stage, id), TOKEN, "what is not named stays");
        let new_token = json!({"updated_by_id": by, "callback_type": of, "bearer_token": "another-token"});
        stage.internal_post(&stage.own(&format!("callback-api/{id}")), &new_token).await;
        assert_eq!(token(&stage, id), "another-token");

        let deleted = stage.internal(Method::DELETE, &url(&stage, id, of), &Value::Null).await;
        assert_eq!((deleted.status, deleted.body.len()), (204, 0));
        assert_eq!(stage.internal_get(&url(&stage, id, of)).await.parts(), no_result());
    }
}

#[tokio::test]
async fn a_second_callback_of_a_type_is_refused() {
    let stage = Stage::new();
    assert_eq!(create(&stage, &json!({})).await.status, 201);
    assert_eq!(create(&stage, &json!({"callback_type": "complaint"})).await.status, 201);
    let second = create(&stage, &json!({"url": "https://elsewhere.example"})).await;
    assert_eq!(second.parts(), refused(400, "Service already has a callback for delivery_status"));
}

#[tokio::test]
async fn url_is_not_a_valid_https_url() {
    let stage = Stage::new();
    for bad in ["http://permits.example", "permits.example", "", "ftp://permits.example", "https://a b"] {
        assert_eq!(
            create(&stage, &json!({"url": bad})).await.parts(),
            invalid("url is not a valid https url"),
            "{bad}"
        );
    }
    let id = id_of(&create(&stage, &json!({})).await.json()["data"]);
    let change = json!({"updated_by_id": Uuid::nil(), "callback_type": "delivery_status", "url": "http://permits.example"});
    let answer = stage.internal_post(&stage.own(&format!("callback-api/{id}")), &change).await;
    assert_eq!(answer.parts(), invalid("url is not a valid https url"));
}

#[tokio::test]
async fn url_is_of_a_host_that_is_not_our_own() {
    let stage = Stage::new();
    let id = id_of(&create(&stage, &json!({})).await.json()["data"]);
    let change =
        |url: &str| json!({"updated_by_id": Uuid::nil(), "callback_type": "delivery_status", "url": url});
    let own = stage.own(&format!("callback-api/{id}"));
    for bad in [
        "https://localhost/",
        "https://2130706433/",
        "https://169.254.169.254/latest",
        "https://10.0.0.1:8443",
    ] {
        let refused = invalid("url is not the url of a public host");
        let new = create(&stage, &json!({"callback_type": "complaint", "url": bad})).await;
        assert_eq!(new.parts(), refused, "{bad}");
        assert_eq!(stage.internal_post(&own, &change(bad)).await.parts(), refused, "{bad}");
    }
    for bad in ["https://user:hush@permits.example", "https://permits.example:0", "https:///told"] {
        let refused = invalid("url is not a valid https url");
        assert_eq!(stage.internal_post(&own, &change(bad)).await.parts(), refused, "{bad}");
    }
    let stage = Stage::with(|_| {}, |config| config.api.private_callbacks = true);
    assert_eq!(create(&stage, &json!({"url": "https://localhost:8443/"})).await.status, 201);
}

#[tokio::test]
async fn bearer_token_is_too_short() {
    let stage = Stage::new();
    let answer = create(&stage, &json!({"bearer_token": "123456789"})).await;
    assert_eq!(answer.parts(), invalid("bearer_token 123456789 is too short"));
    assert_eq!(
        create(&stage, &json!({"bearer_token": "ééééééééé"})).await.status,
        400,
        "characters, not bytes"
    );
    assert_eq!(create(&stage, &json!({"bearer_token": "1234567890"})).await.status, 201);
}

#[tokio::test]
async fn what_is_missing_or_of_another_type_is_named() {
    let stage = Stage::new();
    for field in ["url", "bearer_token", "updated_by_id", "callback_type"] {
        let answer = create(&stage, &json!({field: null})).await;
        assert_eq!(answer.parts(), invalid(&format!("{field} is a required property")));
    }
    let answer = create(&stage, &json!({"updated_by_id": "rosa"})).await;
    assert_eq!(answer.parts(), invalid("updated_by_id is not a valid UUID"));
    let answer = create(&stage, &json!({"callback_type": "fax"})).await;
    let types = "[delivery_status, complaint, returned_letter, inbound_sms]";
    assert_eq!(answer.parts(), invalid(&format!("callback_type fax is not one of {types}")));
    let id = id_of(&create(&stage, &json!({})).await.json()["data"]);
    let answer = stage
        .internal_post(&stage.own(&format!("callback-api/{id}")), &json!({"callback_type": "complaint"}))
        .await;
    assert_eq!(answer.parts(), invalid("updated_by_id is a required property"));
}

#[tokio::test]
async fn deleting_an_unknown_callback_is_named_by_its_type() {
    let stage = Stage::new();
    for (of, message) in [
        ("inbound_sms", "Service inbound API not found"),
        ("delivery_status", "Service delivery receipt API not found"),
        ("returned_letter", "Service returned letter API not found"),
        ("complaint", "No result found"),
        ("fax", "No result found"),
    ] {
        let answer = stage.internal(Method::DELETE, &url(&stage, Uuid::new_v4(), of), &Value::Null).await;
        assert_eq!(answer.parts(), refused(404, message), "{of}");
    }
    let without = stage.own(&format!("callback-api/{}", Uuid::new_v4()));
    assert_eq!(stage.internal(Method::DELETE, &without, &Value::Null).await.parts(), no_result());
}

#[tokio::test]
async fn reading_or_changing_an_unknown_callback_is_no_result_found() {
    let stage = Stage::new();
    let id = id_of(&create(&stage, &json!({})).await.json()["data"]);
    let stranger = testkit::sample(&mut stage.connect(), crate::stage::now()).service.id;
    let change = |of: &str| json!({"updated_by_id": Uuid::nil(), "callback_type": of});
    for (service, id, of) in [
        (stage.service_id(), Uuid::new_v4(), "delivery_status"),
        (stage.service_id(), id, "complaint"),
        (stranger, id, "delivery_status"),
    ] {
        let path = format!("/service/{service}/callback-api/{id}");
        assert_eq!(stage.internal_get(&format!("{path}?callback_type={of}")).await.parts(), no_result());
        assert_eq!(stage.internal_post(&path, &change(of)).await.parts(), no_result());
        assert_eq!(
            stage.internal(Method::DELETE, &format!("{path}?callback_type={of}"), &Value::Null).await.status,
            404
        );
    }
    assert_eq!(stage.internal_get(&url(&stage, id, "delivery_status")).await.status, 200);
}
