//! `inspect`.

use std::time::Duration;

use chrono::TimeDelta;
use db::{delivery::Settlement, receipt::NewReceipt};
use diesel::{PgConnection, RunQueryDsl, sql_query};
use domain::{
    clock::Clock,
    id::{NotificationId, ReceiptId},
    notification::{Attempt, Outcome},
    receipt::ReceiptWords,
    retry::{RetryPolicy, SendFailure},
    status::{Channel, ProviderId, Status},
};
use testkit::TestDatabase;

use crate::ctl::Ctl;

const LEASE: Duration = Duration::from_secs(60);

fn accepted(conn: &mut PgConnection, clock: &Clock) -> NotificationId {
    let sample = testkit::sample(conn, clock.now());
    let new = testkit::notification(&sample, Channel::Sms, clock.now());
    let id = new.id;
    db::intake::store(conn, &[new]).unwrap();
    id
}

/// One attempt, from claim to settle.
fn attempt(conn: &mut PgConnection, clock: &Clock, id: NotificationId, outcome: Outcome) {
    let mut claims = db::delivery::claim(conn, &testkit::keyring(), &[id.0], clock.now(), LEASE).unwrap();
    clock.advance(TimeDelta::milliseconds(35));
    let attempt = Attempt {
        provider: Some(ProviderId::Mmg),
        took: Duration::from_millis(35),
        billable_units: 1,
        outcome,
    };
    let lease = claims.claimed.remove(0).lease;
    let settlement = Settlement { lease, attempt, at: clock.now() };
    db::delivery::settle(conn, &[settlement], &RetryPolicy::default()).unwrap();
}

fn failure() -> Outcome {
    Outcome::Failed(SendFailure::Transient("HTTP 500, error 206".into()))
}

/// An hour ago, so that every ladder step is over.
fn an_hour_ago() -> Clock {
    Clock::manual(Clock::System.now() - TimeDelta::hours(1))
}

#[test]
fn the_story_has_attempts_and_receipts_and_nothing_personal() {
    let database = TestDatabase::new();
    let (ctl, mut conn, clock) = (Ctl::on(&database), database.connect(), an_hour_ago());
    let id = accepted(&mut conn, &clock);
    attempt(&mut conn, &clock, id, failure());
    clock.advance(TimeDelta::seconds(11));
    let handed_over =
        Outcome::HandedOver { status: Status::Sending, provider_reference: None, simulated_receipt: None };
    attempt(&mut conn, &clock, id, handed_over);
    let words = ReceiptWords {
        provider: ProviderId::Mmg,
        reference: id.to_string(),
        status: "3".into(),
        detail: Some("0".into()),
    };
    let receipt = NewReceipt { id: ReceiptId::new(clock.now()), words, received_at: clock.now() };
    db::receipt::store(&mut conn, &[receipt]).unwrap();

    let story = ctl.json(&["inspect", "--json", &id.to_string()]);
    assert_eq!((&story["status"], &story["sent_by"]), (&"sending".into(), &"mmg".into()));
    assert_eq!(story["due"], serde_json::Value::Null);
    let attempts = story["attempts"].as_array().unwrap();
    let outcomes: Vec<_> = attempts.iter().map(|a| a["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["transient", "handed-over"]);
    assert_eq!(attempts[0]["took_ms"], 35);
    assert_eq!(story["receipts"][0]["status"], "3");
    assert_eq!(story["receipts"][0]["effect"], serde_json::Value::Null);

    let text = ctl.ok(&["inspect", &id.to_string()]);
    for part in [
        "sending",
        "transient in 35 ms: transient: HTTP 500, error 206",
        "handed-over",
        "not applied yet",
        "by mmg",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    for personal in ["Rosa", "900123", "permit", "PILLARBOX"] {
        assert!(
            !text.contains(personal) && !story.to_string().contains(personal),
            "{personal} is in\n{text}"
        );
    }
}

#[test]
fn what_is_to_be_done_and_who_is_at_it_is_told() {
    let database = TestDatabase::new();
    let (ctl, mut conn) = (Ctl::on(&database), database.connect());
    let clock = Clock::manual(Clock::System.now());
    let id = accepted(&mut conn, &clock);
    let to_do = |conn: &mut PgConnection, change: &str| {
        sql_query(format!("UPDATE due SET {change}")).execute(conn).unwrap();
        let text = ctl.ok(&["inspect", &id.to_string()]);
        text.lines().find_map(|line| line.strip_prefix("  to do")).unwrap().trim().to_owned()
    };
    let now = to_do(&mut conn, "due_at = now() - interval '90 seconds'");
    assert!(now.starts_with("waits for a worker since") && now.contains("(1m 3"), "{now}");
    let later = to_do(&mut conn, "due_at = now() + interval '2 hours', failures = 4");
    assert!(later.starts_with("next try 2") && later.contains("(in 1h 59m); 4 failed"), "{later}");
    let leased = to_do(&mut conn, "due_at = now() + interval '50 seconds', lease = gen_random_uuid()");
    assert!(leased.starts_with("a worker has it"), "{leased}");
    let dead = to_do(&mut conn, "due_at = now() - interval '5 seconds'");
    assert!(dead.starts_with("a worker had it"), "{dead}");
    sql_query("DELETE FROM due").execute(&mut conn).unwrap();
    assert!(ctl.ok(&["inspect", &id.to_string()]).contains("LOST"));
}

#[test]
fn an_id_that_is_none_or_unknown_is_said() {
    let database = TestDatabase::new();
    let ctl = Ctl::on(&database);
    let said = ctl.run(&["inspect", "1234"]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("'1234'") && said.err.contains("not a valid UUID"), "{}", said.err);
    let id = uuid::Uuid::new_v4().to_string();
    assert!(ctl.fails(1, &["inspect", &id]).starts_with(&format!("no notification has the id {id}")));
}
