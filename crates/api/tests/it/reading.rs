//! `GET /v2/notifications/{id}` and `GET /v2/notifications`.

use std::collections::HashSet;

use domain::{id::NotificationId, status::KeyType};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::stage::{Stage, bad_request, error, id_of};

const NOT_FOUND: (u16, &str, &str) = (404, "NoResultFound", "No result found");

fn ids(list: &Value) -> Vec<NotificationId> {
    let notifications = list["notifications"].as_array().unwrap();
    notifications.iter().map(|n| n["id"].as_str().unwrap().parse().unwrap()).collect()
}

#[tokio::test]
async fn a_text_has_all_fields() {
    let stage = Stage::new();
    let answer = stage.send("sms", &stage.sms(&json!({"reference": "order-17"}))).await;
    let (id, template, host) = (id_of(&answer), stage.sample.sms.id, stage.http().address);
    let read = stage.get(&format!("/v2/notifications/{id}")).await;
    assert_eq!(read.status, 200, "{read:?}");
    let mut body = read.json();
    let created_at = body["created_at"].take();
    let created_at = created_at.as_str().unwrap();
    assert!(created_at.len() == 27 && created_at.ends_with('Z'), "{created_at}");
    assert_eq!(
        body,
        json!({
            "id": id, "reference": "order-17", "email_address": null, "phone_number": "07700 900855",
            "line_1": null, "line_2": null, "line_3": null, "line_4": null, "line_5": null, "line_6": null,
            "postcode": null, "type": "sms", "status": "created",
            "template": {
                "id": template, "version": 1, "uri": format!("http://{host}/v2/template/{template}/version/1")
            },
            "body": "Hello Rosa, your permit is ready", "subject": null,
            "created_at": null, "created_by_name": null, "sent_at": null, "completed_at": null,
            "scheduled_for": null, "postage": null, "one_click_unsubscribe_url": null,
            "is_cost_data_ready": false, "cost_in_pounds": null,
            "cost_details": {},
        })
    );
}

#[tokio::test]
async fn an_email_has_a_subject_and_costs_nothing() {
    let stage = Stage::new();
    let url = "https://example.com/u?a=1";
    let answer = stage.send("email", &stage.email(&json!({ "one_click_unsubscribe_url": url }))).await;
    assert_eq!(answer.json()["content"]["one_click_unsubscribe_url"], url);
    let body = stage.get(&format!("/v2/notifications/{}", id_of(&answer))).await.json();
    for (field, value) in [
        ("type", json!("email")),
        ("email_address", json!("Rosa@example.com")),
        ("phone_number", json!(null)),
        ("subject", json!("Permit for Rosa")),
        ("body", json!("# Hello Rosa\n\nYour permit is ready.")),
        ("one_click_unsubscribe_url", json!(url)),
        ("is_cost_data_ready", json!(true)),
        ("cost_in_pounds", json!(0.0)),
        ("cost_details", json!({})),
    ] {
        assert_eq!(body[field], value, "{field}");
    }
}

#[tokio::test]
async fn a_sent_text_has_times_and_a_price() {
    let stage = Stage::new();
    let id = stage.accepted_sms().await;
    stage.sql(
        "WITH gone AS (DELETE FROM due) UPDATE notifications SET status = 'delivered', sent_by = 'mmg', billable_units = 2,
         sent_at = '2026-03-02T09:15:01.00041Z', updated_at = '2026-03-02T09:15:06Z', rate_multiplier = 3",
    );
    let body = stage.get(&format!("/v2/notifications/{id}")).await.json();
    assert_eq!(body["status"], "delivered");
    assert_eq!(body["sent_at"], "2026-03-02T09:15:01.000410Z");
    assert_eq!(body["completed_at"], "2026-03-02T09:15:06.000000Z");
    assert_eq!(body["is_cost_data_ready"], true);
    assert!((body["cost_in_pounds"].as_f64().unwrap() - 0.1362).abs() < 1e-9);
    assert_eq!(body["cost_details"]["billable_sms_fragments"], 2);
}

#[tokio::test]
async fn the_text_is_that_of_the_version_it_was_accepted_with() {
    let stage = Stage::new();
    let id = stage.accepted_sms().await;
    let template = db::template::Template { content: "Bye".into(), ..stage.sample.sms.clone() };
    db::template::put(&mut stage.connect(), &template, "rosa@example.gov.uk", crate::stage::now()).unwrap();
    let body = stage.get(&format!("/v2/notifications/{id}")).await.json();
    assert_eq!(body["body"], "Hello Rosa, your permit is ready");
}

#[tokio::test]
async fn bad_id() {
    let stage = Stage::new();
    for id in ["x", "sms ", "5f0c", "%00"].map(|id| id.replace(' ', "%20")) {
        let answer = stage.get(&format!("/v2/notifications/{id}")).await;
        let expected = error(400, "ValidationError", "notification_id is not a valid UUID");
        assert_eq!(answer.parts(), expected, "{id}");
    }
}

#[tokio::test]
async fn unknown_or_of_another_service() {
    let stage = Stage::new();
    let id = stage.accepted_sms().await;
    let unknown = stage.get(&format!("/v2/notifications/{}", Uuid::new_v4())).await;
    let (status, class, message) = NOT_FOUND;
    assert_eq!(unknown.parts(), error(status, class, message));
    let stranger = testkit::sample(&mut stage.connect(), crate::stage::now());
    let token = crate::stage::token(&stranger.service.id.to_string(), &stranger.keys[0].2.to_string());
    let theirs = stage.http().get(&format!("/v2/notifications/{id}"), Some(&token)).await;
    assert_eq!(theirs.parts(), error(status, class, message));
}

#[tokio::test]
async fn by_id_any_key_type_may_read() {
    let stage = Stage::new();
    let id = stage.accepted_sms().await;
    for key_type in [KeyType::Team, KeyType::Test] {
        let path = format!("/v2/notifications/{{{}}}", id.0.simple());
        let answer = stage
            .http()
            .get(&path.replace('{', "%7B").replace('}', "%7D"), Some(&stage.token(key_type)))
            .await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}

#[tokio::test]
async fn the_list_is_newest_first_and_of_the_callers_key_type() {
    let stage = Stage::new();
    let first = stage.accepted_sms().await;
    let second = id_of(&stage.send("email", &stage.email(&json!({}))).await);
    let test = id_of(&stage.send_as(KeyType::Test, "sms", &stage.sms(&json!({}))).await);
    let host = stage.http().address;
    let list = stage.get("/v2/notifications").await;
    assert_eq!(list.status, 200, "{list:?}");
    assert_eq!(ids(&list.json()), [second, first]);
    assert_eq!(
        list.json()["links"],
        json!({
            "current": format!("http://{host}/v2/notifications"),
            "next": format!("http://{host}/v2/notifications?older_than={first}"),
        })
    );
    let list =
        stage.http().get("/v2/notifications?include_jobs=true", Some(&stage.token(KeyType::Test))).await;
    assert_eq!(ids(&list.json()), [test]);
    assert_eq!(list.json()["notifications"][0]["body"], "Hello Rosa, your permit is ready");
}

#[tokio::test]
async fn an_empty_page_has_no_next() {
    let stage = Stage::new();
    let host = stage.http().address;
    for query in ["?status=delivered", "?status=cancelled", "?template_type=letter"] {
        let list = stage.get(&format!("/v2/notifications{query}")).await;
        assert_eq!(
            list.parts(),
            (
                200,
                json!({"notifications": [], "links": {"current": format!("http://{host}/v2/notifications{query}")}})
            )
        );
    }
}

#[tokio::test]
async fn filters_narrow() {
    let stage = Stage::new();
    let sms = id_of(&stage.send("sms", &stage.sms(&json!({"reference": "a b"}))).await);
    let email = id_of(&stage.send("email", &stage.email(&json!({}))).await);
    stage.sql(&format!(
        "WITH gone AS (DELETE FROM due WHERE subject_id = '{email}')
         UPDATE notifications SET status = 'permanent-failure', updated_at = now(), sent_at = now(),
         sent_by = 'smtp' WHERE id = '{email}'"
    ));
    for (query, expected) in [
        ("template_type=sms", vec![sms]),
        ("template_type=email&template_type=sms", vec![email, sms]),
        ("status=created", vec![sms]),
        ("status=accepted", vec![sms]),
        ("status=failed", vec![email]),
        ("status=failed&status=sending", vec![email]),
        ("status=received", vec![]),
        ("reference=a+b", vec![sms]),
        ("reference=a", vec![]),
        ("template_type=email&status=created", vec![]),
    ] {
        let list = stage.get(&format!("/v2/notifications?{query}")).await;
        assert_eq!(ids(&list.json()), expected, "{query}");
    }
}

#[tokio::test]
async fn pages_are_followed_to_the_end() {
    let stage = Stage::new();
    let mut conn = stage.connect();
    let rows: Vec<_> = (0..260)
        .map(|_| testkit::notification(&stage.sample, domain::status::Channel::Sms, crate::stage::now()))
        .collect();
    let mut expected: HashSet<_> = rows.iter().map(|row| row.id).collect();
    db::intake::store(&mut conn, &rows).unwrap();
    let mut path = "/v2/notifications?status=created".to_owned();
    let mut sizes = Vec::new();
    loop {
        let list = stage.get(&path).await.json();
        let page = ids(&list);
        sizes.push(page.len());
        assert!(page.is_sorted_by(|a, b| a > b), "newest first");
        assert!(page.iter().all(|id| expected.remove(id)), "each once");
        let Some(next) = list["links"]["next"].as_str() else { break };
        let query = next.split_once('?').unwrap().1;
        assert!(query.starts_with("older_than="), "{query}");
        path = format!("/v2/notifications?{query}");
    }
    assert_eq!((sizes, expected.len()), (vec![250, 10, 0], 0));
}

#[tokio::test]
async fn an_unknown_cursor_gives_an_empty_list() {
    let stage = Stage::new();
    stage.accepted_sms().await;
    let list = stage.get(&format!("/v2/notifications?older_than={}", Uuid::max())).await;
    assert_eq!((list.status, ids(&list.json())), (200, vec![]));
}

#[tokio::test]
async fn a_query_that_breaks_rules_is_told_which() {
    let stage = Stage::new();
    let answer = stage
        .get("/v2/notifications?template_type=fax&older_than=1&include_jobs=no&page=2&status=lost")
        .await;
    let messages: Vec<Value> = answer.json()["errors"]
        .as_array()
        .unwrap()
        .iter()
        .inspect(|error| assert_eq!(error["error"], "ValidationError"))
        .map(|error| error["message"].clone())
        .collect();
    assert_eq!(answer.status, 400);
    assert_eq!(
        messages,
        [
            "status lost is not one of [cancelled, created, sending, sent, delivered, pending, failed, technical-failure, \
             temporary-failure, permanent-failure, pending-virus-check, validation-failed, virus-scan-failed, \
             returned-letter, accepted, received]",
            "template_type fax is not one of [sms, email, letter]",
            "older_than is not a valid UUID",
            "include_jobs no is not one of [true, True]",
            "Additional properties are not allowed (page was unexpected)",
        ]
    );
}

#[tokio::test]
async fn personalisation_that_does_not_open_hides_nothing_else() {
    let stage = Stage::new();
    let id = stage.accepted_sms().await;
    stage.sql("UPDATE notifications SET personalisation = '\\x00'");
    let body = stage.get(&format!("/v2/notifications/{id}")).await;
    assert_eq!(body.status, 200, "{body:?}");
}

#[tokio::test]
async fn notification_is_not_a_letter() {
    let stage = Stage::new();
    let id = stage.accepted_sms().await;
    let answer = stage.get(&format!("/v2/notifications/{id}/pdf")).await;
    assert_eq!(answer.parts(), bad_request("Notification is not a letter"));
    let unknown = stage.get(&format!("/v2/notifications/{}/pdf", uuid::Uuid::new_v4())).await;
    assert_eq!(unknown.parts(), error(404, "NoResultFound", "No result found"));
    let wrong = stage.get("/v2/notifications/1/pdf").await;
    assert_eq!(wrong.parts(), error(400, "ValidationError", "notification_id is not a valid UUID"));
}
