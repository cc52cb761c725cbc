//! Providers: weights, activation, history.

use chrono::{DateTime, Utc};
use hyper::Method;
use serde_json::{Value, json};
use testkit::eventually;
use uuid::Uuid;

use crate::{
    delivering::{providers, simulator},
    http::Answer,
    internal::refused,
    stage::{LIMIT, Stage},
};

const MMG: &str = "/provider-details/2f0a4c5e-98a1-4d7b-8f5b-3d0a6a3f5c01";
const FIRETEXT: &str = "/provider-details/2f0a4c5e-98a1-4d7b-8f5b-3d0a6a3f5c02";

/// Every key that the contract lists, and no other.
const KEYS: [&str; 11] = [
    "active",
    "created_by_name",
    "current_month_billable_sms",
    "display_name",
    "id",
    "identifier",
    "notification_type",
    "priority",
    "reason",
    "supports_international",
    "updated_at",
];

fn keys(row: &Value) -> Vec<&str> {
    let mut keys: Vec<_> = row.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

fn row(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["provider_details"].clone()
}

#[tokio::test]
async fn a_fresh_platform_has_them_at_their_resting_points_by_type_then_priority() {
    let stage = Stage::new();
    let list = row(&stage.internal_get("/provider-details").await);
    let told: Vec<_> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            assert_eq!(keys(row), KEYS);
            assert_eq!((&row["updated_at"], &row["reason"]), (&json!(null), &json!(null)));
            json!([
                row["notification_type"],
                row["priority"],
                row["identifier"],
                row["display_name"],
                row["active"],
                row["supports_international"],
                row["current_month_billable_sms"],
            ])
        })
        .collect();
    assert_eq!(
        told,
        [
            json!(["email", 100, "smtp", "SMTP", true, false, 0]),
            json!(["sms", 49, "firetext", "Firetext", true, false, 0]),
            json!(["sms", 51, "mmg", "MMG", true, true, 0]),
        ]
    );
    let versions = stage.internal_get(&format!("{MMG}/versions")).await.json();
    assert_eq!(versions["data"][0]["version"], json!(1));
}

#[tokio::test]
async fn an_update_is_told_and_kept_with_who_and_why() {
    let stage = Stage::new();
    let rosa = stage.person("Rosa").await;
    let changes = [
        json!({"priority": 0, "reason": "slow today", "created_by": rosa}),
        json!({"active": false}),
        json!({"active": true, "priority": 100, "reason": null}),
        json!({}),
    ];
    for change in &changes {
        let told = row(&stage.internal_post(MMG, change).await);
        assert_eq!(keys(&told), KEYS);
        let read = row(&stage.internal_get(MMG).await);
        assert_eq!(told, read);
        assert_eq!(told["reason"], change["reason"], "of the last change");
        assert_eq!(
            told["created_by_name"],
            if change["created_by"].is_null() { Value::Null } else { json!("Rosa") }
        );
        let updated_at = told["updated_at"].as_str().unwrap();
        assert_eq!(
            (updated_at.len(), updated_at.ends_with('Z')),
            ("2016-09-22T13:01:25.000000Z".len(), true)
        );
    }
    // By whom the front end acts, when the body does not say.
    let answer = stage.internal_as(Some(&rosa), Method::POST, MMG, &json!({"priority": 60})).await;
    assert_eq!(row(&answer)["created_by_name"], json!("Rosa"));

    let versions = stage.internal_get(&format!("{MMG}/versions")).await.json();
    let versions = versions["data"].as_array().unwrap().clone();
    let told: Vec<_> = versions
        .iter()
        .map(|v| {
            assert_eq!(keys(v), keys(&versions[0]), "the first version as well");
            json!([
                v["version"],
                v["priority"],
                v["active"],
                v["reason"],
                v["created_by"]["name"],
                v["created_by_name"]
            ])
        })
        .collect();
    assert_eq!(
        told,
        [
            json!([6, 60, true, null, "Rosa", "Rosa"]),
            json!([5, 100, true, null, null, null]),
            json!([4, 100, true, null, null, null]),
            json!([3, 0, false, null, null, null]),
            json!([2, 0, true, "slow today", "Rosa", "Rosa"]),
            json!([1, 51, true, null, null, null]),
        ]
    );
    assert_eq!(versions[0]["identifier"], json!("mmg"));
    let other = stage.internal_get(&format!("{FIRETEXT}/versions")).await.json();
    assert_eq!(other["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn times_in_the_list_are_dates_of_http() {
    let stage = Stage::new();
    row(&stage.internal_post(MMG, &json!({"priority": 1})).await);
    let list = row(&stage.internal_get("/provider-details").await);
    // First among the texts' by its priority now.
    let (text, identifier) = (list[1]["updated_at"].as_str().unwrap(), &list[1]["identifier"]);
    assert_eq!((identifier, text.ends_with(" GMT")), (&json!("mmg"), true), "{text}");
    let time: DateTime<Utc> = DateTime::parse_from_rfc2822(text).unwrap().into();
    assert!((crate::stage::now() - time).num_minutes() < 5, "{text}");
}

#[tokio::test]
async fn at_most_a_hundred_versions_newest_first() {
    let stage = Stage::new();
    for _ in 0..101 {
        row(&stage.internal_post(MMG, &json!({})).await);
    }
    let versions = stage.internal_get(&format!("{MMG}/versions")).await.json();
    let numbers: Vec<_> =
        versions["data"].as_array().unwrap().iter().map(|v| v["version"].as_i64().unwrap()).collect();
    assert_eq!(numbers, (3..=102).rev().collect::<Vec<_>>());
}

#[tokio::test]
async fn updates_at_once_each_get_a_version() {
    let stage = Stage::new();
    let bodies: Vec<_> = (0..20).map(|priority| json!({ "priority": priority })).collect();
    let answers = futures_util::future::join_all(bodies.iter().map(|body| stage.internal_post(MMG, body)));
    assert!(answers.await.iter().all(|answer| answer.status == 200));
    let versions = stage.internal_get(&format!("{MMG}/versions")).await.json();
    let numbers: Vec<_> =
        versions["data"].as_array().unwrap().iter().map(|v| v["version"].as_i64().unwrap()).collect();
    assert_eq!(numbers, (1..=21).rev().collect::<Vec<_>>());
    assert_eq!(versions["data"][0]["priority"], row(&stage.internal_get(MMG).await)["priority"]);
}

#[tokio::test]
async fn what_is_not_permitted_to_be_updated() {
    let stage = Stage::new();
    for name in
        ["identifier", "id", "display_name", "notification_type", "supports_international", "nonsense"]
    {
        let answer = stage.internal_post(MMG, &json!({ name: "x", "priority": 3 })).await;
        assert_eq!(answer.parts(), refused(400, json!({ name: ["Not permitted to be updated"] })));
    }
    assert_eq!(row(&stage.internal_get(MMG).await)["priority"], json!(51));
}

#[tokio::test]
async fn values_of_another_type_or_out_of_range() {
    let stage = Stage::new();
    let range = "Must be greater than or equal to 0 and less than or equal to 100.";
    for (name, value, message) in [
        ("priority", json!("51"), "Not a valid integer."),
        ("priority", json!(5.5), "Not a valid integer."),
        ("priority", json!(null), "Field may not be null."),
        ("priority", json!(-1), range),
        ("priority", json!(101), range),
        ("priority", json!(70_000), range),
        ("active", json!("true"), "Not a valid boolean."),
        ("active", json!(null), "Field may not be null."),
        ("reason", json!(5), "Not a valid string."),
        ("created_by", json!("Rosa"), "Not a valid UUID."),
    ] {
        let answer = stage.internal_post(MMG, &json!({ name: value })).await;
        assert_eq!(answer.parts(), refused(400, json!({ name: [message] })), "{name} {value}");
    }
    let answer = stage.internal_post(MMG, &json!([1])).await;
    assert_eq!(answer.parts(), refused(400, json!({"_schema": ["Invalid input type."]})));
    let versions = stage.internal_get(&format!("{MMG}/versions")).await.json();
    assert_eq!(versions["data"].as_array().unwrap().len(), 1, "nothing changed");
}

#[tokio::test]
async fn no_such_provider_and_no_such_person() {
    let stage = Stage::new();
    let unknown = Uuid::new_v4();
    let none = refused(404, "No result found");
    for path in [format!("/provider-details/{unknown}"), format!("/provider-details/{unknown}/versions")] {
        assert_eq!(stage.internal_get(&path).await.parts(), none, "{path}");
    }
    let path = format!("/provider-details/{unknown}");
    assert_eq!(stage.internal_post(&path, &json!({"active": false})).await.parts(), none);
    assert_eq!(stage.internal_post(MMG, &json!({"created_by": unknown})).await.parts(), none);
    let answer = stage.internal_get("/provider-details/mmg").await;
    assert_eq!(answer.status, 404);
    assert!(answer.json()["message"].as_str().unwrap().starts_with("The requested URL"), "{answer:?}");
}

#[tokio::test]
async fn a_key_of_a_service_is_not_enough() {
    let stage = Stage::new();
    for path in ["/provider-details", MMG, &format!("{MMG}/versions")] {
        assert_eq!(stage.get(path).await.status, 401, "{path}");
    }
    let token = stage.token(domain::status::KeyType::Normal);
    let answer = stage.http().post(MMG, Some(&token), json!({"active": false}).to_string()).await;
    assert_eq!(answer.status, 401);
}

#[tokio::test]
async fn this_months_texts_are_counted_by_provider_without_those_of_test_keys_and_months_before() {
    let stage = Stage::new();
    let service = stage.service_id();
    let day = domain::london::day(crate::stage::now());
    for (date, channel, key_type, provider, units) in [
        ("date_trunc('month', day)::date", "sms", "normal", "mmg", 3),
        ("day", "sms", "team", "mmg", 4),
        ("day", "sms", "test", "mmg", 100),
        ("(date_trunc('month', day) - interval '1 day')::date", "sms", "normal", "mmg", 1000),
        ("day", "sms", "normal", "firetext", 5),
    ] {
        stage.sql(&format!(
            "INSERT INTO statistics (service_id, day, template_id, channel, key_type, status, provider, count, billable_units)
             SELECT '{service}', {date}, gen_random_uuid(), '{channel}', '{key_type}', 'delivered', '{provider}', 1, {units}
             FROM (VALUES ('{day}'::date)) AS t (day)"
        ));
    }
    let list = row(&stage.internal_get("/provider-details").await);
    let told = [0, 1, 2].map(|i| list[i]["current_month_billable_sms"].as_i64().unwrap());
    assert_eq!(told, [0, 5, 7]);
    assert_eq!(row(&stage.internal_get(MMG).await)["current_month_billable_sms"], json!(7));
}

#[tokio::test]
async fn a_provider_that_is_switched_off_here_delivers_no_more() {
    let simulator = simulator().await;
    let stage = Stage::with(
        |_| {},
        |config| {
            providers(config, &simulator);
            config.providers.firetext.url = simulator.firetext_url();
            config.providers.firetext.key = "simulated".into();
        },
    );
    let senders = async || {
        let mut senders = std::collections::BTreeSet::new();
        for _ in 0..20 {
            let id = stage.accepted_sms().await;
            assert_eq!(stage.deliver(id).await.status, 204);
            senders.insert(simulator.accepted(&id.to_string())[0].provider.name());
        }
        senders
    };
    row(&stage.internal_post(MMG, &json!({"active": false, "reason": "outage"})).await);
    eventually(LIMIT, "the API delivers by the other alone", async || {
        (senders().await == ["firetext"].into()).then_some(())
    })
    .await;
    assert_eq!(senders().await, ["firetext"].into());
    row(&stage.internal_post(MMG, &json!({"active": true})).await);
    row(&stage.internal_post(FIRETEXT, &json!({"active": false})).await);
    eventually(LIMIT, "and now by the first", async || (senders().await == ["mmg"].into()).then_some(()))
        .await;
}
