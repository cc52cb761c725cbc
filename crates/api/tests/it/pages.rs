//! Pages of messages so large that no two of them should be in memory: they are written in pieces, and read as one.

use std::collections::BTreeMap;

use db::intake::NewNotification;
use domain::{
    id::NotificationId,
    status::{Channel, KeyType},
};
use serde_json::{Value, json};

use crate::{
    http::Answer,
    sending::put_template,
    stage::{ADMIN_SECRET, Stage, now, token},
};

const LARGE: usize = 400_000;

/// Of every size, large ones next to small ones, as they were stored before there were bounds: some with more than is shown.
fn stored(stage: &Stage) -> BTreeMap<NotificationId, usize> {
    let template = put_template(stage, Channel::Email, Some("s"), "((a))");
    let sizes = [0, LARGE, 10, 100_000, 20_000, LARGE, LARGE, 3, 16_000, 2 * LARGE];
    let new: Vec<(NewNotification, usize)> = sizes
        .into_iter()
        .map(|size| {
            let mut new = testkit::notification(&stage.sample, Channel::Email, now());
            new.template_id = template;
            let values = json!({"a": "x".repeat(size), "unused": "y".repeat(size)}).to_string();
            new.personalisation = Some(testkit::keyring().seal(new.id.0, values.as_bytes()));
            (new, size)
        })
        .collect();
    let sizes = new.iter().map(|(new, size)| (new.id, *size)).collect();
    let new: Vec<_> = new.into_iter().map(|(new, _)| new).collect();
    db::intake::store(&mut stage.connect(), &new).unwrap();
    sizes
}

/// By id, the size of what is shown.
fn shown(answer: &Answer, size: impl Fn(&Value) -> usize) -> BTreeMap<NotificationId, usize> {
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["content-type"], "application/json");
    assert!(
        !answer.headers.contains_key("content-length"),
        "nobody knows it when the first piece is written"
    );
    let page = answer.json();
    let notifications = page["notifications"].as_array().unwrap();
    let ids: Vec<&str> = notifications.iter().map(|one| one["id"].as_str().unwrap()).collect();
    assert!(ids.is_sorted_by(|a, b| a > b), "the newest first");
    notifications.iter().map(|one| (one["id"].as_str().unwrap().parse().unwrap(), size(one))).collect()
}

#[tokio::test]
async fn a_page_of_large_messages_comes_in_pieces_and_reads_as_one_through_every_door() {
    let stage = Stage::new();
    let sizes = stored(&stage);
    let body = |one: &Value| one["body"].as_str().unwrap().len();
    let v2 = stage.get("/v2/notifications").await;
    assert_eq!(shown(&v2, body), sizes);
    let oldest = sizes.keys().next().unwrap();
    assert!(v2.json()["links"]["next"].as_str().unwrap().ends_with(&format!("older_than={oldest}")));
    let v1 = stage.get("/notifications?page=1").await;
    assert_eq!(shown(&v1, body), sizes);
    assert_eq!((&v1.json()["total"], &v1.json()["page_size"]), (&json!(10), &json!(50)));
    let log = format!("/service/{}/notifications?page_size=250", stage.service_id());
    let log = stage.http().get(&log, Some(&token("notify-admin", ADMIN_SECRET))).await;
    assert_eq!(shown(&log, |one| one["personalisation"]["a"].as_str().unwrap().len()), sizes);
    let (id, size) = sizes.iter().next_back().unwrap();
    let one = stage.get(&format!("/v2/notifications/{id}")).await;
    assert_eq!((body(&one.json()), one.headers.contains_key("content-length")), (*size, true));
}

#[tokio::test]
async fn a_small_page_is_answered_as_a_whole() {
    let stage = Stage::new();
    stage.accepted_sms().await;
    for path in ["/v2/notifications", "/notifications"] {
        let answer = stage.get(path).await;
        assert!(answer.headers.contains_key("content-length"), "{path}");
        assert_eq!(answer.json()["notifications"].as_array().unwrap().len(), 1);
    }
    let none = stage.http().get("/v2/notifications", Some(&stage.token(KeyType::Team))).await;
    assert_eq!(none.json()["notifications"], json!([]));
}
