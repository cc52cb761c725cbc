//! How long things are kept: the internal API's section 2.5.

use hyper::Method;
use serde_json::json;
use uuid::Uuid;

use super::{id_of, invalid, no_result};
use crate::{internal::refused, stage::Stage};

#[tokio::test]
async fn it_is_created_listed_found_and_changed() {
    let stage = Stage::new();
    let own = stage.own("data-retention");
    assert_eq!(stage.internal_get(&own).await.parts(), (200, json!([])));
    let created = stage
        .internal_post(&own, &json!({"days_of_retention": 30, "notification_type": "sms", "more": 1}))
        .await;
    assert_eq!(created.status, 201, "{created:?}");
    let row = created.json()["result"].clone();
    assert_eq!(
        row,
        json!({"id": row["id"], "service_id": stage.service_id(), "service_name": "Parking permits",
            "notification_type": "sms", "days_of_retention": 30, "created_at": row["created_at"], "updated_at": null})
    );
    assert!(row["created_at"].as_str().unwrap().len() == 27);
    let by_id = format!("{own}/{}", id_of(&row));
    assert_eq!(stage.internal_get(&own).await.parts(), (200, json!([row])));
    assert_eq!(stage.internal_get(&format!("{own}/notification-type/sms")).await.parts(), (200, row.clone()));
    assert_eq!(stage.internal_get(&by_id).await.parts(), (200, row));

    let changed = stage.internal_post(&by_id, &json!({"days_of_retention": 3})).await;
    assert_eq!((changed.status, changed.body.len()), (204, 0));
    let row = stage.internal_get(&by_id).await.json();
    assert_eq!(row["days_of_retention"], 3);
    assert!(row["updated_at"].is_string());
}

#[tokio::test]
async fn what_is_not_said_is_an_empty_object() {
    let stage = Stage::new();
    for path in
        ["notification-type/email".to_owned(), "notification-type/letter".into(), Uuid::new_v4().to_string()]
    {
        let answer = stage.internal_get(&stage.own(&format!("data-retention/{path}"))).await;
        assert_eq!(answer.parts(), (200, json!({})), "{path}");
    }
    let answer = stage.internal_get(&stage.own("data-retention/notification-type/fax")).await;
    assert_eq!(answer.parts(), no_result());
}

#[tokio::test]
async fn service_already_has_data_retention() {
    let stage = Stage::new();
    let own = stage.own("data-retention");
    let (sms, email) = (
        json!({"days_of_retention": 30, "notification_type": "sms"}),
        json!({"days_of_retention": 30, "notification_type": "email"}),
    );
    let all = tokio::join!(
        stage.internal_post(&own, &sms),
        stage.internal_post(&own, &sms),
        stage.internal_post(&own, &email)
    );
    assert_eq!(all.2.status, 201);
    let mut statuses = [all.0.status, all.1.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 400]);
    assert_eq!(
        stage.internal_post(&own, &sms).await.parts(),
        refused(400, "Service already has data retention for sms notification type")
    );
    assert_eq!(stage.internal_get(&own).await.json().as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn an_unknown_retention_is_not_found_for_the_service() {
    let stage = Stage::new();
    let stranger = testkit::sample(&mut stage.connect(), crate::stage::now()).service.id;
    let theirs = format!("/service/{stranger}/data-retention");
    let body = json!({"days_of_retention": 30, "notification_type": "sms"});
    let row = stage.internal_post(&theirs, &body).await.json()["result"].clone();
    for id in [Uuid::new_v4(), id_of(&row)] {
        let answer = stage
            .internal_post(&stage.own(&format!("data-retention/{id}")), &json!({"days_of_retention": 3}))
            .await;
        let message = format!(
            "The service data retention for id: {id} was not found for service: {}",
            stage.service_id()
        );
        assert_eq!(answer.parts(), refused(404, message));
    }
    assert_eq!(stage.internal_get(&theirs).await.json(), json!([row]));
}

#[tokio::test]
async fn days_and_types_are_checked() {
    let stage = Stage::new();
    let own = stage.own("data-retention");
    for (body, message) in [
        (json!({"notification_type": "sms"}), "days_of_retention is a required property"),
        (json!({"days_of_retention": 3}), "notification_type is a required property"),
        (
            json!({"days_of_retention": "3", "notification_type": "sms"}),
            "days_of_retention 3 is not of type integer",
        ),
        (
            json!({"days_of_retention": 0, "notification_type": "sms"}),
            "days_of_retention 0 is less than the minimum of 1",
        ),
        (
            json!({"days_of_retention": 9_999_999_999_u64, "notification_type": "sms"}),
            "days_of_retention 9999999999 is greater than the maximum of 36500",
        ),
        (
            json!({"days_of_retention": 3, "notification_type": "fax"}),
            "notification_type fax is not one of [sms, letter, email]",
        ),
    ] {
        assert_eq!(stage.internal_post(&own, &body).await.parts(), invalid(message));
    }
    let by_id = format!("{own}/{}", Uuid::new_v4());
    assert_eq!(
        stage.internal_post(&by_id, &json!({})).await.parts(),
        invalid("days_of_retention is a required property")
    );
    let answer = stage.internal(Method::DELETE, &by_id, &json!(null)).await;
    assert_eq!((answer.status, answer.headers["allow"].to_str().unwrap()), (405, "GET, HEAD, POST"));
}
