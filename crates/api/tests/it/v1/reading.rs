//! `GET /notifications/{id}` and `GET /notifications`.

use chrono::{NaiveTime, TimeDelta};
use domain::{
    id::NotificationId,
    status::{
        Channel,
        KeyType::{self, Normal, Team, Test},
    },
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{id_of, no_result, refused, unknown_url};
use crate::stage::{Stage, now};

fn ids(list: &Value) -> Vec<NotificationId> {
    let notifications = list["notifications"].as_array().unwrap_or_else(|| panic!("{list}"));
    notifications.iter().map(|n| n["id"].as_str().unwrap().parse().unwrap()).collect()
}

async fn sent(stage: &Stage, key_type: KeyType) -> NotificationId {
    id_of(&stage.send_2016(key_type, "sms", &stage.sms_2016(&json!({}))).await)
}

#[tokio::test]
async fn a_text_has_exactly_these_keys() {
    let stage = Stage::new();
    let id = sent(&stage, Normal).await;
    stage.sql(
        "WITH gone AS (DELETE FROM due) UPDATE notifications SET status = 'delivered', sent_by = 'mmg', billable_units = 1,
         created_at = '2016-09-22T13:01:25.120034Z', sent_at = '2016-09-22T13:01:26Z', updated_at = '2016-09-22T13:01:31Z'",
    );
    let (service, key, template) = (stage.service_id(), stage.sample.keys[0].0, stage.sample.sms.id);
    let read = stage.get(&format!("/notifications/{id}")).await;
    assert_eq!(
        read.parts(),
        (
            200,
            json!({"data": {"notification": {
                "id": id, "to": "+447700900855", "notification_type": "sms", "status": "delivered",
                "created_at": "2016-09-22T13:01:25.120034+00:00", "sent_at": "2016-09-22T13:01:26+00:00",
                "sent_by": "mmg", "updated_at": "2016-09-22T13:01:31+00:00", "reference": null, "billable_units": 1,
                "service": service, "api_key": key, "job": null, "job_row_number": null,
                "template": {"id": template, "name": "Ready (sms)", "template_type": "sms", "version": 1},
                "template_version": 1, "body": "Hello Rosa, your permit is ready", "content_char_count": 32,
            }}})
        )
    );
}

#[tokio::test]
async fn an_email_has_a_subject_and_the_providers_reference() {
    let stage = Stage::new();
    stage.sql("INSERT INTO users VALUES (gen_random_uuid(), 'Rosa', 'rosa@example.com', NULL, now())");
    stage.sql("INSERT INTO service_users SELECT s.id, u.id FROM services s, users u");
    let id = id_of(&stage.send_2016(Team, "email", &stage.email_2016(&json!({}))).await);
    stage.sql(
        "WITH gone AS (DELETE FROM due) UPDATE notifications SET status = 'sending', sent_by = 'smtp', sent_at = now(),
         updated_at = now(), provider_reference = 'ab@c'",
    );
    let read = stage.get_as(Team, &format!("/notifications/{id}")).await.json();
    let mut shown = read["data"]["notification"].clone();
    for (field, value) in [
        ("to", json!("Rosa@example.com")),
        ("notification_type", json!("email")),
        ("reference", json!("ab@c")),
        ("api_key", json!(stage.sample.keys[1].0)),
        ("body", json!("# Hello Rosa\n\nYour permit is ready.")),
        ("subject", json!("Permit for Rosa")),
        ("content_char_count", json!(null)),
    ] {
        assert_eq!(shown[field].take(), value, "{field}");
    }
    assert_eq!(shown.as_object().unwrap().len(), 19, "the keys of a text, and the subject");
}

#[tokio::test]
async fn a_new_text_has_no_times_but_one() {
    let stage = Stage::new();
    let id = sent(&stage, Normal).await;
    let shown = stage.get(&format!("/notifications/{id}")).await.json()["data"]["notification"].clone();
    assert_eq!(shown["status"], "created");
    for field in ["sent_at", "sent_by", "updated_at", "reference"] {
        assert_eq!(shown.get(field), Some(&Value::Null), "{field}");
    }
    assert!(shown["created_at"].as_str().unwrap().ends_with("+00:00"));
}

#[tokio::test]
async fn characters_are_counted_and_not_bytes() {
    let stage = Stage::new();
    let body = stage.sms_2016(&json!({"personalisation": {"name": "Zoë 😀"}}));
    let id = id_of(&stage.send_2016(Normal, "sms", &body).await);
    let shown = stage.get(&format!("/notifications/{id}")).await.json()["data"]["notification"].clone();
    assert_eq!(
        (&shown["body"], &shown["content_char_count"]),
        (&json!("Hello Zoë 😀, your permit is ready"), &json!(33))
    );
}

#[tokio::test]
async fn the_text_is_that_of_the_version_it_was_accepted_with() {
    let stage = Stage::new();
    let id = sent(&stage, Normal).await;
    let template =
        db::template::Template { content: "Bye".into(), name: "Renamed".into(), ..stage.sample.sms.clone() };
    db::template::put(&mut stage.connect(), &template, "rosa@example.gov.uk", now()).unwrap();
    let shown = stage.get(&format!("/notifications/{id}")).await.json()["data"]["notification"].clone();
    assert_eq!(shown["body"], "Hello Rosa, your permit is ready");
    assert_eq!((&shown["template_version"], &shown["template"]["version"]), (&json!(1), &json!(1)));
    assert_eq!(shown["template"]["name"], "Renamed", "versions have no names of their own");
}

#[tokio::test]
async fn what_is_not_a_uuid_is_another_url() {
    let stage = Stage::new();
    for path in [
        "/notifications/x",
        "/notifications/statistics?day=2016-09-22",
        "/notifications/0c9b8a5231f64a2e9b0e2d4f6c1e7a10",
        "/notifications/%7B0c9b8a52-31f6-4a2e-9b0e-2d4f6c1e7a10%7D",
        "/notifications/0c9b8a52-31f6-4a2e-9b0e-2d4f6c1e7a10/x",
        "/notifications/",
    ] {
        assert_eq!(stage.get(path).await.parts(), unknown_url(), "{path}");
    }
    for path in ["/notifications/sms", "/notifications/email"] {
        assert_eq!(stage.get(path).await.status, 405, "{path}");
    }
}

#[tokio::test]
async fn unknown_or_of_another_service_or_of_another_key_type() {
    let stage = Stage::new();
    let id = sent(&stage, Normal).await;
    let path = format!("/notifications/{id}");
    assert_eq!(stage.get(&path.to_uppercase().replace("/NOTIFICATIONS", "/notifications")).await.status, 200);
    assert_eq!(stage.get(&format!("/notifications/{}", Uuid::new_v4())).await.parts(), no_result());
    for key_type in [Team, Test] {
        assert_eq!(stage.get_as(key_type, &path).await.parts(), no_result(), "{key_type}");
        assert_eq!(stage.get_as(key_type, &format!("/v2{path}")).await.status, 200, "as today");
    }
    let stranger = testkit::sample(&mut stage.connect(), now());
    let token = crate::stage::token(&stranger.service.id.to_string(), &stranger.keys[0].2.to_string());
    assert_eq!(stage.http().get(&path, Some(&token)).await.parts(), no_result());
}

#[tokio::test]
async fn what_v2_sent_is_shown_too_and_sent_is_a_word_of_today() {
    let stage = Stage::new();
    let id = stage.accepted_sms().await;
    stage.sql(
        "WITH gone AS (DELETE FROM due) UPDATE notifications SET status = 'sent', international = true, sent_by = 'mmg',
         sent_at = now(), updated_at = now()",
    );
    let shown = stage.get(&format!("/notifications/{id}")).await.json()["data"]["notification"].clone();
    assert_eq!((&shown["to"], &shown["status"]), (&json!("07700 900855"), &json!("sending")));
    let list = async |query: &str| ids(&stage.get(&format!("/notifications?{query}")).await.json());
    assert_eq!((list("status=sending").await, list("status=sent").await), (vec![id], vec![]));
}

#[tokio::test]
async fn an_empty_list_is_a_page() {
    let stage = Stage::new();
    let expected = json!({"notifications": [], "page_size": 50, "total": 0, "links": {}});
    for query in ["", "?page=1", "?status=failed", "?template_type=letter", "?include_jobs=true"] {
        assert_eq!(
            stage.get(&format!("/notifications{query}")).await.parts(),
            (200, expected.clone()),
            "{query}"
        );
    }
}

#[tokio::test]
async fn the_list_is_newest_first_and_of_the_callers_key_type_also_with_include_jobs() {
    let stage = Stage::new();
    let first = sent(&stage, Normal).await;
    let second = id_of(&stage.send_2016(Normal, "email", &stage.email_2016(&json!({}))).await);
    let test = sent(&stage, Test).await;
    for flag in ["", "?include_jobs=true", "?include_jobs=0"] {
        for (key_type, expected) in [(Normal, vec![second, first]), (Team, vec![]), (Test, vec![test])] {
            let list = stage.get_as(key_type, &format!("/notifications{flag}")).await;
            assert_eq!(list.status, 200, "{list:?}");
            assert_eq!(ids(&list.json()), expected, "{key_type} {flag}");
            assert_eq!(list.json()["total"], expected.len());
        }
    }
    let one = stage.get(&format!("/notifications/{first}")).await.json();
    assert_eq!(stage.get("/notifications").await.json()["notifications"][1], one["data"]["notification"]);
}

#[tokio::test]
async fn filters_narrow_and_statuses_are_literal() {
    let stage = Stage::new();
    let sms = sent(&stage, Normal).await;
    let email = id_of(&stage.send_2016(Normal, "email", &stage.email_2016(&json!({}))).await);
    stage.sql(&format!(
        "WITH gone AS (DELETE FROM due WHERE subject_id = '{email}')
         UPDATE notifications SET status = 'permanent-failure', updated_at = now(), sent_at = now(),
         sent_by = 'smtp' WHERE id = '{email}'"
    ));
    for (query, expected) in [
        ("template_type=sms", vec![sms]),
        ("template_type=email&template_type=sms", vec![email, sms]),
        ("status=created", vec![sms]),
        ("status=created&status=permanent-failure", vec![email, sms]),
        ("status=failed", vec![]),
        ("status=accepted", vec![]),
        ("template_type=email&status=created", vec![]),
        ("reference=x&older_than=x", vec![email, sms]),
    ] {
        let list = stage.get(&format!("/notifications?{query}")).await.json();
        assert_eq!(ids(&list), expected, "{query}");
        assert_eq!(list["total"], expected.len(), "{query}");
    }
}

#[tokio::test]
async fn days_are_calendar_days() {
    let stage = Stage::new();
    let midnight = now().date_naive().and_time(NaiveTime::MIN).and_utc();
    let at = |time| {
        let row = testkit::notification(&stage.sample, Channel::Sms, time);
        let id = row.id;
        db::intake::store(&mut stage.connect(), &[row]).unwrap();
        id
    };
    let before = at(midnight - TimeDelta::days(1) - TimeDelta::milliseconds(1));
    let yesterday = at(midnight - TimeDelta::days(1));
    let today = at(midnight);
    for (days, expected) in [
        ("0", vec![today]),
        ("1", vec![today, yesterday]),
        ("2", vec![today, yesterday, before]),
        ("-1", vec![]),
    ] {
        // Midnight may have passed since.
        if now().date_naive() == midnight.date_naive() {
            let list = stage.get(&format!("/notifications?limit_days={days}")).await.json();
            assert_eq!(ids(&list), expected, "{days}");
        }
    }
    assert_eq!(ids(&stage.get("/notifications?limit_days=100000000000").await.json()).len(), 3);
}

#[tokio::test]
async fn pages_have_numbers_totals_and_links() {
    let stage = Stage::new();
    let rows: Vec<_> = (0..7).map(|_| testkit::notification(&stage.sample, Channel::Sms, now())).collect();
    db::intake::store(&mut stage.connect(), &rows).unwrap();
    sent(&stage, Test).await;
    let mut newest_first: Vec<_> = rows.iter().map(|row| row.id).collect();
    newest_first.sort_unstable_by(|a, b| b.cmp(a));
    let link = |page| format!("/notifications?page={page}&status=created&page_size=3");
    for (page, on_it, links) in [
        (1, 0..3, json!({"next": link(2), "last": link(3)})),
        (2, 3..6, json!({"prev": link(1), "next": link(3), "last": link(3)})),
        (3, 6..7, json!({"prev": link(2)})),
    ] {
        let list = stage.get(&link(page)).await.json();
        assert_eq!(ids(&list), newest_first[on_it]);
        assert_eq!((&list["page_size"], &list["total"]), (&json!(3), &json!(7)), "{page}");
        assert_eq!(list["links"], links, "{page}");
    }
    for beyond in ["4", "99999999999999999999"] {
        assert_eq!(
            stage.get(&format!("/notifications?page_size=3&page={beyond}")).await.parts(),
            no_result()
        );
    }
    let full = stage.get("/notifications?page_size=7").await.json();
    assert_eq!((&full["total"], &full["links"]), (&json!(7), &json!({})), "a full page may be the last one");
    assert_eq!(stage.get("/notifications?page_size=100000").await.json()["page_size"], 250);
}

#[tokio::test]
async fn a_query_that_breaks_rules_is_told_which() {
    let stage = Stage::new();
    for (query, message) in [
        ("page=x", json!({"page": ["Not a valid integer."]})),
        ("page=0", json!({"page": ["Not a positive integer"]})),
        ("page_size=1.5", json!({"page_size": ["Not a valid integer."]})),
        (
            "page_size=-1&page=",
            json!({"page_size": ["Not a positive integer"], "page": ["Not a valid integer."]}),
        ),
        ("limit_days=x", json!({"limit_days": ["Not a valid integer."]})),
        ("include_jobs=maybe", json!({"include_jobs": ["Not a valid boolean."]})),
    ] {
        assert_eq!(
            stage.get(&format!("/notifications?{query}")).await.parts(),
            refused(400, message),
            "{query}"
        );
    }
}

#[tokio::test]
async fn personalisation_that_does_not_open_hides_nothing_else() {
    let stage = Stage::new();
    let id = sent(&stage, Normal).await;
    stage.sql("UPDATE notifications SET personalisation = '\\x00'");
    let list = stage.get("/notifications").await;
    assert_eq!((list.status, ids(&list.json())), (200, vec![id]));
    assert_eq!(list.json()["notifications"][0]["body"], "Hello ((name)), your permit is ready");
}
