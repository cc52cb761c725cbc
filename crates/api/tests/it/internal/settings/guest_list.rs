//! The guest list: the internal API's section 7.

use domain::status::KeyType;
use hyper::Method;
use serde_json::{Value, json};
use testkit::eventually;

use super::invalid;
use crate::{
    http::Answer,
    internal::refused,
    stage::{LIMIT, Stage},
};

async fn put(stage: &Stage, list: &Value) -> Answer {
    stage.internal(Method::PUT, &stage.own("guest-list"), list).await
}

async fn shown(stage: &Stage) -> Value {
    let list = stage.internal_get(&stage.own("guest-list")).await;
    assert_eq!(list.status, 200, "{list:?}");
    list.json()
}

#[tokio::test]
async fn it_shows_what_was_put_and_replaces_all() {
    let stage = Stage::new();
    let list = json!({
        "email_addresses": ["Rosa@Example.com", "ada@example.com", "ada@example.com"],
        "phone_numbers": ["+33 6 12 34 56 78", "07700 900123", "447700900123"],
    });
    let answer = put(&stage, &list).await;
    assert_eq!((answer.status, answer.body.len()), (204, 0));
    assert_eq!(shown(&stage).await, list);
    let shorter = json!({"email_addresses": [], "phone_numbers": ["07700 900456"]});
    assert_eq!(put(&stage, &shorter).await.status, 204);
    assert_eq!(shown(&stage).await, shorter);
    let longer = json!({"email_addresses": [], "phone_numbers": vec!["07700 900456"; 12]});
    assert_eq!(put(&stage, &longer).await.status, 204, "the front end counts, not the API");
    assert_eq!(shown(&stage).await, longer);
}

#[tokio::test]
async fn a_bad_entry_is_named_and_the_old_list_kept() {
    let stage = Stage::new();
    let list = json!({"email_addresses": ["rosa@example.com"], "phone_numbers": []});
    assert_eq!(put(&stage, &list).await.status, 204);
    for (numbers, addresses, bad) in [
        (json!(["07700 900456", "12"]), json!([]), "12"),
        (json!(["rosa@example.com"]), json!([]), "rosa@example.com"),
        (json!(["07700 900456"]), json!(["07700 900456"]), "07700 900456"),
        (json!([]), json!(["ada@example.com", ""]), ""),
        (json!([7]), json!([]), "7"),
    ] {
        let answer = put(&stage, &json!({"email_addresses": addresses, "phone_numbers": numbers})).await;
        let message = format!("Invalid guest list: \"{bad}\" is not a valid email address or phone number");
        assert_eq!(answer.parts(), refused(400, message));
        assert_eq!(shown(&stage).await, list);
    }
}

#[tokio::test]
async fn both_lists_are_required() {
    let stage = Stage::new();
    let before = shown(&stage).await;
    assert_eq!(
        put(&stage, &json!({"phone_numbers": []})).await.parts(),
        invalid("email_addresses is a required property")
    );
    assert_eq!(
        put(&stage, &json!({"phone_numbers": "07700 900456", "email_addresses": []})).await.parts(),
        invalid("phone_numbers 07700 900456 is not of type array")
    );
    assert_eq!(shown(&stage).await, before);
}

#[tokio::test]
async fn whoever_is_on_it_is_reached_in_every_spelling() {
    let stage = Stage::new();
    let list = json!({"email_addresses": [], "phone_numbers": ["+44 7700 900855"]});
    assert_eq!(put(&stage, &list).await.status, 204);
    let reached = async || {
        let answer =
            stage.send_as(KeyType::Team, "sms", &stage.sms(&json!({"phone_number": "07700 900 855"}))).await;
        answer.status == 201
    };
    eventually(LIMIT, "the change takes effect", async || reached().await.then_some(())).await;
    assert_eq!(put(&stage, &json!({"email_addresses": [], "phone_numbers": []})).await.status, 204);
    eventually(LIMIT, "the change takes effect", async || (!reached().await).then_some(())).await;
}

#[tokio::test]
async fn two_at_once_leave_one_list() {
    let stage = Stage::new();
    let list =
        |n: usize| json!({"email_addresses": vec![format!("rosa{n}@example.com"); 5], "phone_numbers": []});
    let lists = [list(0), list(1), list(2), list(3)];
    let all = futures_util::future::join_all(lists.iter().map(|list| put(&stage, list))).await;
    assert!(all.iter().all(|answer| answer.status == 204), "{all:?}");
    assert!(lists.contains(&shown(&stage).await));
}
