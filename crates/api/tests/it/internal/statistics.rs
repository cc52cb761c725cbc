//! Figures: dashboards, template usage, platform.

use chrono::{Datelike, TimeDelta};
use domain::{
    london,
    status::{Channel, KeyType, Status},
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    internal::refused,
    stage::{Stage, now},
};

/// Notifications as they lie in the table: all of a key type and channel, one for each status.
fn store(stage: &Stage, channel: Channel, key_type: KeyType, statuses: &[Status], age: TimeDelta) {
    let mut conn = stage.connect();
    for status in statuses {
        let mut new = testkit::notification(&stage.sample, channel, now() - age);
        new.key_type = key_type;
        let id = new.id;
        db::intake::store(&mut conn, &[new]).unwrap();
        if *status != Status::Created {
            let provider = if channel == Channel::Sms { "mmg" } else { "smtp" };
            let international = *status == Status::Sent;
            stage.sql(&format!(
                "UPDATE notifications SET status = '{status}', updated_at = created_at, sent_by = '{provider}',
                   international = {international}, billable_units = 2 WHERE id = '{id}'"
            ));
        }
    }
}

/// Some of everything: today and three days ago, and as much from the test key, which counts nowhere.
fn stage() -> Stage {
    let stage = Stage::new();
    let (today, before) = (TimeDelta::zero(), TimeDelta::days(3));
    for key_type in [KeyType::Normal, KeyType::Test] {
        store(
            &stage,
            Channel::Sms,
            key_type,
            &[Status::Created, Status::Sent, Status::Delivered, Status::TechnicalFailure],
            today,
        );
        store(&stage, Channel::Email, key_type, &[Status::Delivered, Status::Sending], before);
    }
    store(
        &stage,
        Channel::Email,
        KeyType::Team,
        &[Status::PermanentFailure, Status::TemporaryFailure],
        before,
    );
    // What is folded and what is not are one.
    db::statistics::fold(&mut stage.connect(), 10_000).unwrap();
    store(&stage, Channel::Sms, KeyType::Team, &[Status::Delivered], today);
    stage
}

async fn read(stage: &Stage, path: &str) -> Value {
    let answer = stage.internal_get(&path.replace("{s}", &stage.service_id().to_string())).await;
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    answer.json()
}

async fn is_refused(stage: &Stage, path: &str, expected: (u16, Value)) {
    let answer = stage.internal_get(&path.replace("{s}", &stage.service_id().to_string())).await;
    assert_eq!(answer.parts(), expected, "{path}");
}

fn counts(requested: i64, delivered: i64, failed: i64) -> Value {
    json!({ "requested": requested, "delivered": delivered, "failed": failed })
}

#[tokio::test]
async fn a_services_statistics_are_todays_or_a_weeks_and_never_of_test_keys() {
    let stage = stage();
    let (none, today) = (counts(0, 0, 0), counts(5, 3, 1));
    let week = json!({ "data": { "sms": today, "email": counts(4, 1, 2), "letter": none } });
    let only_today = json!({ "data": { "sms": today, "email": none, "letter": none } });
    for (path, expected) in [
        ("/service/{s}/statistics", &week),
        ("/service/{s}/statistics?today_only=true", &week),
        ("/service/{s}/statistics?limit_days=3", &week),
        ("/service/{s}/statistics?limit_days=2", &only_today),
        ("/service/{s}/statistics?limit_days=-1", &only_today),
        ("/service/{s}/statistics?today_only=True&limit_days=7", &only_today),
    ] {
        assert_eq!(read(&stage, path).await, *expected, "{path}");
    }
    let detailed = read(&stage, "/service/{s}?detailed=True").await;
    assert_eq!(detailed["data"]["statistics"], week["data"]);
    assert_eq!(detailed["data"]["id"], json!(stage.service_id()), "the service is all there");
    let detailed = read(&stage, "/service/{s}?detailed=True&today_only=True").await;
    assert_eq!(detailed["data"]["statistics"], only_today["data"]);
    assert!(read(&stage, "/service/{s}").await["data"]["statistics"].is_null());
}

#[tokio::test]
async fn the_detailed_list_has_every_service_and_test_keys_unless_told_otherwise() {
    let stage = stage();
    let mut idle = stage.sample.service.clone();
    idle.id = domain::id::ServiceId(Uuid::nil());
    idle.name = "Idle".into();
    idle.active = false;
    idle.email_local_part = "idle".into();
    (idle.sms_senders, idle.reply_to_addresses) = (Vec::new(), Vec::new());
    db::service::put(&mut stage.connect(), &idle, "2016-09-22T13:01:25.5Z".parse().unwrap()).unwrap();

    // The platform's is among them.
    let of = |list: &Value, id: Uuid| -> Value {
        let all = list["data"].as_array().unwrap();
        all.iter().find(|service| service["id"] == json!(id)).unwrap().clone()
    };
    let sample = stage.service_id().0;
    let list = read(&stage, "/service?detailed=True").await;
    let none = counts(0, 0, 0);
    assert_eq!(
        of(&list, Uuid::nil()),
        json!({
            "id": Uuid::nil(), "name": "Idle", "notification_type": null, "restricted": idle.restricted,
            "active": false, "created_at": "Thu, 22 Sep 2016 13:01:25 GMT",
            "statistics": { "sms": none, "email": none, "letter": none },
        })
    );
    assert_eq!(of(&list, sample)["notification_type"], "sms");
    assert_eq!(of(&list, sample)["statistics"]["sms"], counts(9, 5, 2));
    assert_eq!(list["data"].as_array().unwrap().len(), 3);

    let list = read(&stage, "/service?detailed=True&only_active=True&include_from_test_key=False").await;
    assert_eq!(list["data"].as_array().unwrap().len(), 2);
    assert_eq!(of(&list, sample)["statistics"]["sms"], counts(5, 3, 1));

    let day = london::day(now() - TimeDelta::days(3));
    let list = read(&stage, &format!("/service?detailed=True&start_date={day}&end_date={day}")).await;
    assert_eq!(of(&list, sample)["notification_type"], "email");
    assert_eq!(of(&list, sample)["statistics"]["email"], counts(6, 2, 2));
    assert_eq!(of(&list, sample)["statistics"]["sms"], none);
}

/// The year of April to March that a day is in.
fn financial_year(day: chrono::NaiveDate) -> i32 {
    if day.month() < 4 { day.year() - 1 } else { day.year() }
}

#[tokio::test]
async fn monthly_figures_have_twelve_months_from_april() {
    let stage = Stage::new();
    store(&stage, Channel::Sms, KeyType::Normal, &[Status::Delivered, Status::Delivered], TimeDelta::zero());
    store(&stage, Channel::Email, KeyType::Test, &[Status::Delivered], TimeDelta::zero());
    db::statistics::fold(&mut stage.connect(), 10_000).unwrap();
    store(&stage, Channel::Sms, KeyType::Team, &[Status::Created], TimeDelta::zero());
    let today = london::day(now());
    let year = financial_year(today);
    let data =
        read(&stage, &format!("/service/{{s}}/notifications/monthly?year={year}")).await["data"].take();
    let data = data.as_object().unwrap();
    let months: Vec<&str> = data.keys().map(String::as_str).collect();
    assert_eq!((months.len(), months[0]), (12, format!("{year}-04").as_str()));
    assert_eq!(months[11], format!("{}-03", year + 1));
    let this = today.format("%Y-%m").to_string();
    for (month, figures) in data {
        let sms = if *month == this { json!({ "delivered": 2, "created": 1 }) } else { json!({}) };
        assert_eq!(*figures, json!({ "sms": sms, "email": {}, "letter": {} }), "{month}");
    }
}

#[tokio::test]
async fn template_usage_is_by_month_and_name_without_test_keys() {
    let stage = Stage::new();
    store(&stage, Channel::Sms, KeyType::Normal, &[Status::Delivered, Status::Created], TimeDelta::zero());
    store(&stage, Channel::Email, KeyType::Test, &[Status::Delivered], TimeDelta::zero());
    let today = london::day(now());
    let year = financial_year(today);
    let usage =
        read(&stage, &format!("/service/{{s}}/notifications/templates_usage/monthly?year={year}")).await;
    let template = &stage.sample.sms;
    assert_eq!(
        usage,
        json!({ "stats": [{
            "template_id": template.id, "name": template.name, "type": "sms", "month": today.month(),
            "year": today.year(), "count": 2, "is_precompiled_letter": false,
        }] })
    );
    let before =
        read(&stage, &format!("/service/{{s}}/notifications/templates_usage/monthly?year={}", year - 1))
            .await;
    assert_eq!(before, json!({ "stats": [] }));
}

#[tokio::test]
async fn year_must_be_a_number() {
    let stage = Stage::new();
    for path in ["monthly", "templates_usage/monthly"] {
        for query in
            ["", "?year=", "?year=foo", "?year=2026.5", "?year=0", "?year=9999", "?year=99999999999999999999"]
        {
            let path = format!("/service/{{s}}/notifications/{path}{query}");
            is_refused(&stage, &path, refused(400, "Year must be a number")).await;
        }
    }
}

#[tokio::test]
async fn notifications_are_counted_by_days_and_type() {
    let stage = stage();
    for (query, expected) in [
        ("", 9),
        ("?limit_days=0", 5),
        ("?limit_days=7", 9),
        ("?limit_days=99999999999999", 9),
        ("?template_type=sms", 5),
        ("?template_type=email", 4),
        ("?template_type=email&limit_days=1", 0),
        ("?template_type=letter", 0),
    ] {
        let answer = read(&stage, &format!("/service/{{s}}/notifications/count{query}")).await;
        assert_eq!(answer, json!({ "notifications_sent_count": expected }), "{query}");
    }
    let path = "/service/{s}/notifications/count";
    is_refused(&stage, &format!("{path}?template_type=pigeon"), refused(404, "No result found")).await;
    let message = json!({ "limit_days": ["x is not an integer"] });
    is_refused(&stage, &format!("{path}?limit_days=x"), refused(400, message)).await;
}

#[tokio::test]
async fn template_statistics_are_by_status_without_test_keys() {
    let stage = stage();
    let row = |template: &db::template::Template, status: &str, count: i64| {
        json!({
            "count": count, "template_id": template.id, "template_name": template.name,
            "template_type": template.channel, "is_precompiled_letter": false, "status": status,
        })
    };
    let (sms, email) = (&stage.sample.sms, &stage.sample.email);
    let of_sms = [("created", 1), ("sent", 1), ("delivered", 2), ("technical-failure", 1)]
        .map(|(s, n)| row(sms, s, n));
    let of_email = [("sending", 1), ("delivered", 1), ("temporary-failure", 1), ("permanent-failure", 1)]
        .map(|(s, n)| row(email, s, n));
    let mut all = [of_sms.to_vec(), of_email.to_vec()];
    all.sort_by_key(|rows| rows[0]["template_name"].as_str().unwrap().to_owned());
    let week = read(&stage, "/service/{s}/template-statistics?whole_days=7").await;
    assert_eq!(week, json!({ "data": all.concat() }));
    for query in ["whole_days=0", "limit_days=2"] {
        let today = read(&stage, &format!("/service/{{s}}/template-statistics?{query}")).await;
        assert_eq!(today, json!({ "data": of_sms }));
    }
}

#[tokio::test]
async fn whole_days_is_an_integer_between_0_and_7() {
    let stage = Stage::new();
    for (query, message) in [
        ("whole_days=x", "x is not an integer"),
        ("limit_days=blurk", "blurk is not an integer"),
        ("whole_days=", " is not an integer"),
        ("", " is not an integer"),
        ("whole_days=8", "whole_days must be between 0 and 7"),
        ("whole_days=-1", "whole_days must be between 0 and 7"),
    ] {
        let path = format!("/service/{{s}}/template-statistics?{query}");
        is_refused(&stage, &path, refused(400, json!({ "whole_days": [message] }))).await;
    }
}

#[tokio::test]
async fn when_a_template_was_last_used_does_not_count_test_keys() {
    let stage = Stage::new();
    let last_used = format!("/service/{{s}}/template-statistics/last-used/{}", stage.sample.sms.id);
    let most_recent = "/service/{s}/template-statistics/most-recently-used";
    store(&stage, Channel::Sms, KeyType::Test, &[Status::Created, Status::Delivered], TimeDelta::zero());
    assert_eq!(read(&stage, &last_used).await, json!({ "last_date_used": null }));
    assert_eq!(read(&stage, most_recent).await, json!({ "data": null }));

    let mut conn = stage.connect();
    let times = [TimeDelta::days(400), TimeDelta::days(2), TimeDelta::days(40)].map(|age| now() - age);
    for (at, time) in times.into_iter().enumerate() {
        let new = testkit::notification(&stage.sample, Channel::Sms, time);
        db::intake::store(&mut conn, &[new]).unwrap();
        if at == 0 {
            assert_eq!(
                read(&stage, &last_used).await,
                json!({ "last_date_used": null }),
                "a year back at most"
            );
            assert_eq!(read(&stage, most_recent).await, json!({ "data": null }));
            db::statistics::fold(&mut conn, 10_000).unwrap();
        }
    }
    store(&stage, Channel::Email, KeyType::Team, &[Status::Created], TimeDelta::days(3));
    let time = times[1].format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string();
    assert_eq!(read(&stage, &last_used).await, json!({ "last_date_used": time }));
    let template = &stage.sample.sms;
    let expected = json!({
        "template_id": template.id, "template_name": template.name, "template_type": "sms", "last_date_used": time,
    });
    assert_eq!(read(&stage, most_recent).await, json!({ "data": expected }));
    is_refused(
        &stage,
        &format!("/service/{{s}}/template-statistics/last-used/{}", Uuid::nil()),
        refused(404, "No result found"),
    )
    .await;
}

#[tokio::test]
async fn providers_have_what_they_carried_without_test_keys() {
    let stage = stage();
    let of = |provider: &str, channel: &str, (requested, delivered, failed): (i64, i64, i64), units: i64| {
        json!({ "provider": provider, "notification_type": channel, "requested": requested,
            "delivered": delivered, "failed": failed, "billable_units": units })
    };
    let idle = of("firetext", "sms", (0, 0, 0), 0);
    let mmg = of("mmg", "sms", (4, 3, 1), 8);
    let week = json!({ "data": [mmg, idle, of("smtp", "email", (4, 1, 2), 8)] });
    let today = json!({ "data": [mmg, idle, of("smtp", "email", (0, 0, 0), 0)] });
    assert_eq!(read(&stage, "/service/{s}/provider-statistics").await, week);
    assert_eq!(read(&stage, "/service/{s}/provider-statistics?limit_days=0").await, today);
    assert_eq!(read(&stage, "/provider-statistics").await, today);
    let days = [3, 0].map(|days| london::day(now() - TimeDelta::days(days)));
    let path = format!("/provider-statistics?start_date={}&end_date={}", days[0], days[1]);
    assert_eq!(read(&stage, &path).await, week);
}

#[tokio::test]
async fn the_platforms_total_is_without_test_keys_and_tells_them_apart() {
    let stage = stage();
    let of = |total: i64, test: i64, [technical, temporary, permanent]: [i64; 3]| {
        json!({ "total": total, "test-key": test, "failures": { "virus-scan-failed": 0,
            "technical-failure": technical, "temporary-failure": temporary, "permanent-failure": permanent } })
    };
    let none = of(0, 0, [0; 3]);
    let sms = of(5, 4, [1, 0, 0]);
    assert_eq!(read(&stage, "/platform-stats").await, json!({ "email": none, "sms": sms, "letter": none }));
    let days = [3, 0].map(|days| london::day(now() - TimeDelta::days(days)));
    let path = format!("/platform-stats?start_date={}&end_date={}", days[0], days[1]);
    let email = of(4, 2, [0, 1, 1]);
    assert_eq!(read(&stage, &path).await, json!({ "email": email, "sms": sms, "letter": none }));
}

#[tokio::test]
async fn a_date_that_is_none_breaks_the_schema() {
    let stage = Stage::new();
    for path in ["/platform-stats?", "/provider-statistics?", "/service?detailed=True&"] {
        for (date, field) in [
            ("1234-56-78", "start_date"),
            ("today", "end_date"),
            ("", "start_date"),
            ("", "end_date"),
            ("%202026-01-01", "start_date"),
            ("26-01-01", "end_date"),
            ("12345-01-01", "start_date"),
        ] {
            let shown = date.replace("%20", " ");
            let message = format!("{field} time data {shown} does not match format %Y-%m-%d");
            let expected = crate::stage::error(400, "ValidationError", &message);
            is_refused(&stage, &format!("{path}{field}={date}"), expected).await;
        }
    }
}

#[tokio::test]
async fn figures_of_no_service_are_not_found() {
    let stage = Stage::new();
    for path in [
        "statistics",
        "notifications/monthly?year=2026",
        "notifications/templates_usage/monthly?year=2026",
        "notifications/count",
        "template-statistics?whole_days=7",
        "template-statistics/most-recently-used",
        "provider-statistics",
    ] {
        is_refused(&stage, &format!("/service/{}/{path}", Uuid::nil()), refused(404, "No result found"))
            .await;
        let answer = stage.get(&format!("/service/{}/{path}", stage.service_id())).await;
        assert_eq!(answer.status, 401, "a service's own key does not read them: {path}");
    }
    for path in ["/platform-stats", "/provider-statistics"] {
        assert_eq!(stage.get(path).await.status, 401, "{path}");
    }
}

#[tokio::test]
async fn today_begins_at_midnight_in_london() {
    let midnight = london::midnight("2025-07-02".parse().unwrap());
    let stage = Stage::new();
    let mut conn = stage.connect();
    for second in [-1, 0, 1] {
        let time = midnight + TimeDelta::seconds(second);
        db::intake::store(&mut conn, &[testkit::notification(&stage.sample, Channel::Sms, time)]).unwrap();
    }
    // Tokens are checked against the clock that the test signs with, so the clock must be the system's: only `limit_days`
    // can reach that day.
    let days = (london::day(now()) - london::day(midnight)).num_days();
    for (limit_days, expected) in [(days, 2), (days + 1, 3), (days - 1, 0)] {
        let path = format!("/service/{{s}}/notifications/count?limit_days={limit_days}");
        assert_eq!(read(&stage, &path).await, json!({ "notifications_sent_count": expected }));
    }
}
