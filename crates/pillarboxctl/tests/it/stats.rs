//! `stats`.

use diesel::{RunQueryDsl, sql_query};
use domain::{clock::Clock, status::Channel};
use serde_json::json;
use testkit::TestDatabase;

use crate::ctl::Ctl;

#[test]
fn figures_are_shown_and_those_that_are_not_true_are_found() {
    let database = TestDatabase::new();
    let (ctl, mut conn) = (Ctl::on(&database), database.connect());
    let now = Clock::System.now();
    let sample = testkit::sample(&mut conn, now);
    let service = sample.service.id.to_string();
    assert_eq!(ctl.json(&["stats", "--json"])["today"]["sms"]["requested"], 0);

    let new: Vec<_> = [Channel::Sms, Channel::Sms, Channel::Email]
        .map(|channel| testkit::notification(&sample, channel, now))
        .into();
    db::intake::store(&mut conn, &new).unwrap();
    for words in [&["stats", "--json"][..], &["stats", "--json", "--service", &service]] {
        let told = ctl.json(words);
        for when in ["seven_days", "month"] {
            assert_eq!(told[when]["sms"], json!({"requested": 2, "delivered": 0, "failed": 0}), "{words:?}");
            assert_eq!(told[when]["email"]["requested"], 1, "{words:?}");
        }
    }
    let templates = &ctl.json(&["stats", "--json", "--service", &service])["templates"];
    assert_eq!((&templates[0]["template_type"], &templates[0]["count"]), (&json!("email"), &json!(1)));
    assert!(ctl.ok(&["stats"]).contains("seven days  sms            2           0           0\n"));
    assert!(ctl.ok(&["stats", "--service", &service]).contains("Ready (sms)"));

    assert_eq!(ctl.ok(&["stats", "--check"]), "every figure is as the rows have it\n");
    assert_eq!(ctl.json(&["stats", "--check", "--json"])["differences"], 0);
    sql_query("UPDATE statistics_deltas SET count = count + 1").execute(&mut conn).unwrap();
    assert!(ctl.fails(1, &["stats", "--check"]).ends_with("differ from the rows"));
    assert_eq!(ctl.run(&["stats", "--check", "--json"]).code, 1);

    assert_eq!(ctl.run(&["stats", "--repair"]).code, 2, "no repair without a check");
    db::partition::ensure(&mut conn, now - chrono::TimeDelta::days(1)).unwrap();
    let repaired = ctl.json(&["stats", "--check", "--repair", "--json"]);
    // Of two days' figures, and of what months they are in nothing is wrong.
    assert_eq!(repaired, json!({"figures": 2, "statuses": 0, "left_alone": 0}));
    ctl.ok(&["stats", "--check"]);
    assert!(ctl.ok(&["stats", "--check", "--repair"]).starts_with("repaired: 0 figures"));
}

#[test]
fn nothing_is_shown_of_a_service_that_is_not_there() {
    let database = TestDatabase::new();
    let ctl = Ctl::on(&database);
    let id = uuid::Uuid::new_v4().to_string();
    assert_eq!(ctl.fails(1, &["stats", "--service", &id]), format!("no service has the id {id}"));
    assert_eq!(ctl.run(&["stats", "--service", &id, "--check"]).code, 2);
}
