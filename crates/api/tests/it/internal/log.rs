//! The notification log.

use domain::{id::NotificationId, status::KeyType};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{one_off::member, refused};
use crate::stage::{Stage, id_of};

fn path(stage: &Stage, rest: &str) -> String {
    format!("/service/{}/notifications{rest}", stage.service_id())
}

async fn ids(stage: &Stage, query: &str) -> Vec<NotificationId> {
    let answer = stage.internal_get(&path(stage, query)).await;
    assert_eq!(answer.status, 200, "{query}: {answer:?}");
    let shown = answer.json()["notifications"].as_array().unwrap().clone();
    shown.iter().map(|n| n["id"].as_str().unwrap().parse().unwrap()).collect()
}

async fn sent(stage: &Stage, key_type: KeyType, channel: &str, body: &Value) -> NotificationId {
    let answer = stage.send_as(key_type, channel, body).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    id_of(&answer)
}

/// What somebody sends by hand.
async fn one_off(stage: &Stage, person: Uuid) -> NotificationId {
    let body = json!({"template_id": stage.sample.sms.id, "to": "07700 900855", "created_by": person,
        "personalisation": {"name": "Rosa"}});
    let answer =
        stage.internal_post(&format!("/service/{}/send-notification", stage.service_id()), &body).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    id_of(&answer)
}

#[tokio::test]
async fn a_notification_has_exactly_the_keys_of_the_contract() {
    let stage = Stage::new();
    let id = sent(&stage, KeyType::Normal, "email", &stage.email(&json!({"reference": "Order 17"}))).await;
    let found = stage.internal_get(&path(&stage, &format!("/{id}"))).await;
    assert_eq!(found.status, 200);
    let found = found.json();
    let created_at = found["created_at"].as_str().unwrap();
    assert!(created_at.len() == 27 && created_at.ends_with('Z'), "{created_at}");
    let (service, template) = (stage.service_id(), &stage.sample.email);
    let shown_template = json!({
        "id": template.id,
        "service": service,
        "version": 1,
        "name": "Ready (email)",
        "template_type": "email",
        "content": template.content,
        "subject": "Permit for ((name))",
        "redact_personalisation": false,
        "is_precompiled_letter": false,
        "reply_to_text": null,
        "has_unsubscribe_link": false,
        "letter_attachment": null,
        "letter_languages": null,
        "letter_welsh_subject": null,
        "letter_welsh_content": null,
    });
    let mut expected = json!({
        "id": id,
        "to": "Rosa@example.com",
        "normalised_to": "rosa@example.com",
        "status": "created",
        "notification_type": "email",
        "created_at": created_at,
        "client_reference": "Order 17",
        "billable_units": 0,
        "personalisation": {"name": "Rosa"},
        "international": false,
        "rate_multiplier": 1,
        "reply_to_text": "desk@example.com",
        "service": service,
        "api_key": stage.sample.keys[0].0,
        "key_type": "normal",
        "key_name": "normal",
        "template": shown_template,
    });
    for nothing in [
        "sent_at",
        "updated_at",
        "sent_by",
        "reference",
        "phone_prefix",
        "postage",
        "document_download_count",
        "unsubscribe_link",
        "job",
        "job_row_number",
        "created_by",
    ] {
        expected[nothing] = Value::Null;
    }
    assert_eq!(found, expected);
    let listed = stage.internal_get(&path(&stage, "")).await;
    assert_eq!(listed.parts(), (200, json!({"notifications": [expected], "page_size": 50, "links": {}})));
}

#[tokio::test]
async fn the_template_is_that_of_the_version_used_and_what_is_redacted_is_empty() {
    let stage = Stage::new();
    let id = stage.accepted_sms().await;
    let changed = db::template::Template { content: "Bye ((name))".into(), ..stage.sample.sms.clone() };
    db::template::put(&mut stage.connect(), &changed, "rosa@example.gov.uk", crate::stage::now()).unwrap();
    let found = stage.internal_get(&path(&stage, &format!("/{id}"))).await.json();
    assert_eq!(found["template"]["version"], 1);
    assert_eq!(found["template"]["content"], "Hello ((name)), your permit is ready");
    stage.sql("UPDATE templates SET redact_personalisation = true");
    let found = stage.internal_get(&path(&stage, &format!("/{id}"))).await.json();
    assert_eq!(
        (&found["personalisation"], &found["template"]["redact_personalisation"]),
        (&json!({}), &json!(true))
    );
}

#[tokio::test]
async fn include_jobs_and_test_keys_and_one_offs() {
    let stage = Stage::new();
    let person = member(&stage, "Ada");
    let mut sent_by = Vec::new();
    for key_type in [KeyType::Normal, KeyType::Team, KeyType::Test] {
        sent_by
            .push(sent(&stage, key_type, "sms", &stage.sms(&json!({"phone_number": "07700 900123"}))).await);
    }
    let by_person = one_off(&stage, person).await;
    let [normal, team, test] = sent_by[..] else { panic!("three") };
    for (query, expected) in [
        ("", vec![by_person, team, normal]),
        ("?include_jobs=True&include_one_off=True", vec![by_person, team, normal]),
        ("?include_from_test_key=True", vec![by_person, test, team, normal]),
        ("?include_jobs=False", vec![team, normal]),
        ("?include_jobs=False&include_from_test_key=True", vec![test, team, normal]),
        ("?include_jobs=true", vec![team, normal]),
        ("?include_one_off=False", vec![team, normal]),
        ("?include_one_off=False&include_from_test_key=true", vec![team, normal]),
    ] {
        assert_eq!(ids(&stage, query).await, expected, "{query}");
    }
    let shown = stage.internal_get(&path(&stage, &format!("/{by_person}"))).await.json();
    assert_eq!(
        shown["created_by"],
        json!({"id": person, "name": "Ada", "email_address": "ada@example.gov.uk"})
    );
    assert_eq!(
        (&shown["api_key"], &shown["key_name"], &shown["key_type"]),
        (&json!(null), &json!(null), &json!("normal"))
    );
}

#[tokio::test]
async fn it_is_narrowed_by_type_status_and_alias_and_by_days() {
    let stage = Stage::new();
    let text = stage.accepted_sms().await;
    let failed = stage.accepted_sms().await;
    stage.sql(&format!(
        "UPDATE notifications SET status = 'temporary-failure', updated_at = now(), sent_by = 'mmg' WHERE id = '{failed}'"
    ));
    stage.sql(&format!("DELETE FROM due WHERE subject_id = '{failed}'"));
    let email = sent(&stage, KeyType::Normal, "email", &stage.email(&json!({}))).await;
    for (query, expected) in [
        ("?template_type=sms", vec![failed, text]),
        ("?template_type=sms&template_type=email", vec![email, failed, text]),
        ("?template_type=letter", vec![]),
        ("?status=failed", vec![failed]),
        ("?status=created", vec![email, text]),
        ("?status=failed&status=accepted&template_type=sms", vec![failed, text]),
        ("?status=temporary-failure&status=created", vec![email, failed, text]),
        ("?status=delivered", vec![]),
        ("?status=cancelled", vec![]),
        ("?limit_days=0", vec![email, failed, text]),
        ("?limit_days=99999999999", vec![email, failed, text]),
        ("?to=07700%20900", vec![failed, text]),
        ("?to=ROSA@&format_for_csv=True", vec![email]),
    ] {
        assert_eq!(ids(&stage, query).await, expected, "{query}");
    }
    let body = json!({"status": ["failed", "created"], "template_type": "sms", "page_size": 1});
    let answer = stage.internal_post(&path(&stage, ""), &body).await.json();
    assert_eq!(answer["notifications"][0]["id"], json!(failed));
    assert_eq!((&answer["page_size"], &answer["links"]), (&json!(1), &json!({"next": true})));
}

#[tokio::test]
async fn pages_by_number_and_by_cursor() {
    let stage = Stage::new();
    let mut all = Vec::new();
    for _ in 0..5 {
        all.insert(0, stage.accepted_sms().await);
    }
    for (page, links) in
        [(1, json!({"next": true})), (2, json!({"prev": true, "next": true})), (3, json!({"prev": true}))]
    {
        let query = format!("?page_size=2&page={page}");
        assert_eq!(ids(&stage, &query).await, all[(page - 1) * 2..5.min(page * 2)]);
        assert_eq!(stage.internal_get(&path(&stage, &query)).await.json()["links"], links, "{page}");
        let without = stage.internal_get(&path(&stage, &format!("{query}&count_pages=False"))).await.json();
        assert_eq!(without["links"], json!({}));
    }
    assert_eq!(ids(&stage, &format!("?page_size=2&older_than={}", all[1])).await, all[2..4]);
    assert_eq!(ids(&stage, "?page_size=100000").await, all);
    assert_eq!(stage.internal_get(&path(&stage, "?page_size=100000")).await.json()["page_size"], 250);
}

#[tokio::test]
async fn a_page_past_the_end_is_404() {
    let stage = Stage::new();
    assert_eq!(ids(&stage, "?page=1").await, []);
    stage.accepted_sms().await;
    for page in ["2", "1000000", "99999999999999999999"] {
        let answer = stage.internal_get(&path(&stage, &format!("?page={page}"))).await;
        assert_eq!(answer.parts(), refused(404, "No result found"), "{page}");
    }
}

#[tokio::test]
async fn page_numbers_that_are_none() {
    let stage = Stage::new();
    for (query, errors) in [
        ("?page=0", json!({"page": ["Not a positive integer"]})),
        ("?page=x", json!({"page": ["Not a valid integer."]})),
        ("?page_size=-1", json!({"page_size": ["Not a positive integer"]})),
        ("?page_size=", json!({"page_size": ["Not a valid integer."]})),
        ("?limit_days=week", json!({"limit_days": ["Not a valid integer."]})),
        ("?older_than=x", json!({"older_than": ["Not a valid UUID."]})),
    ] {
        assert_eq!(stage.internal_get(&path(&stage, query)).await.parts(), refused(400, errors), "{query}");
    }
    let body = json!({"page": [0]});
    let answer = stage.internal_post(&path(&stage, ""), &body).await;
    assert_eq!(answer.parts(), refused(400, json!({"page": ["Not a positive integer"]})));
}

#[tokio::test]
async fn what_is_unknown_is_no_result_and_what_is_no_id_is_no_url() {
    let stage = Stage::new();
    let nothing = Uuid::new_v4();
    let other = Stage::new();
    let foreign = other.accepted_sms().await;
    for unknown in [nothing.to_string(), foreign.to_string()] {
        let answer = stage.internal_get(&path(&stage, &format!("/{unknown}"))).await;
        assert_eq!(answer.parts(), refused(404, "No result found"));
    }
    for tail in ["", "/csv"] {
        let answer = stage.internal_get(&format!("/service/{nothing}/notifications{tail}")).await;
        assert_eq!(answer.parts(), refused(404, "No result found"));
    }
    for url in [path(&stage, "/1234"), "/service/1234/notifications".into()] {
        let answer = stage.internal_get(&url).await;
        assert_eq!(answer.status, 404);
        assert!(answer.json()["message"].as_str().unwrap().starts_with("The requested URL was not found"));
    }
}

#[tokio::test]
async fn only_internal_clients_read_the_log() {
    let stage = Stage::new();
    for url in [path(&stage, ""), path(&stage, "/csv"), path(&stage, &format!("/{}", Uuid::new_v4()))] {
        assert_eq!(stage.get(&url).await.status, 401, "a service's own key does not open {url}");
    }
}

#[tokio::test]
async fn rows_of_a_file_have_labels_and_times_of_london() {
    let stage = Stage::new();
    let person = member(&stage, "Ada");
    let by_key = sent(&stage, KeyType::Normal, "sms", &stage.sms(&json!({"reference": "r"}))).await;
    sent(&stage, KeyType::Test, "sms", &stage.sms(&json!({}))).await;
    let by_person = one_off(&stage, person).await;
    stage.sql(&format!(
        "UPDATE notifications SET status = 'permanent-failure', updated_at = now(), sent_by = 'mmg',
           created_at = '2026-06-01T12:00:00.5Z' WHERE id = '{by_key}'"
    ));
    stage.sql("UPDATE notifications SET created_at = '2026-12-01T12:00:00Z' WHERE created_by IS NOT NULL");
    let row = |id, reference: &str, status: &str, at: &str| {
        json!({"id": id, "row_number": "", "recipient": "07700 900855", "client_reference": reference,
            "template_name": "Ready (sms)", "template_type": "sms", "job_name": "", "status": status, "created_at": at,
            "created_by_name": null, "created_by_email_address": null, "api_key_name": null})
    };
    let mut first = row(by_person, "", "Sending", "2026-12-01 12:00:00");
    first["created_by_name"] = "Ada".into();
    first["created_by_email_address"] = "ada@example.gov.uk".into();
    let mut second = row(by_key, "r", "Phone number doesn\u{2019}t exist", "2026-06-01 13:00:00");
    second["api_key_name"] = "normal".into();
    let answer =
        stage.internal_get(&path(&stage, "/csv?include_jobs=False&include_from_test_key=True")).await;
    assert_eq!(answer.parts(), (200, json!({"notifications": [first, second], "page_size": 50})));
    let next = stage.internal_get(&path(&stage, &format!("/csv?older_than={by_person}&page_size=10"))).await;
    assert_eq!(next.parts(), (200, json!({"notifications": [second], "page_size": 10})));
}

#[tokio::test]
async fn pages_beyond_the_numbered_ones_are_read_by_cursor() {
    let stage = Stage::new();
    let model = stage.accepted_sms().await;
    // The ids go on from the model's.
    stage.sql(&format!(
        "INSERT INTO notifications (id, service_id, channel, key_type, template_id, template_version, recipient,
           normalised_recipient, created_at)
         SELECT (substr(id::text, 1, 24) || lpad(to_hex(n), 12, '0'))::uuid, service_id, channel, key_type, template_id,
           template_version, recipient, normalised_recipient, created_at
         FROM notifications, generate_series(1, 10050) n WHERE id = '{model}'"
    ));
    assert_eq!(stage.internal_get(&path(&stage, "?page=200")).await.status, 200);
    let answer = stage.internal_get(&path(&stage, "?page=201")).await;
    let message = "Only the first 10000 notifications have pages, use older_than";
    assert_eq!(answer.parts(), refused(400, json!({"page": [message]})));
    let answer = stage.internal_get(&path(&stage, "?page=201&status=delivered")).await;
    assert_eq!(answer.parts(), refused(404, "No result found"), "there are not so many");
}
