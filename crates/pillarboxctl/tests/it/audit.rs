//! `audit`.

use diesel::{PgConnection, RunQueryDsl, sql_query};
use domain::{clock::Clock, status::Channel};
use testkit::TestDatabase;

use crate::ctl::{Ctl, Said};

/// Two texts and an e-mail, all waiting.
fn three_waiting(conn: &mut PgConnection) {
    let now = Clock::System.now();
    let sample = testkit::sample(conn, now);
    let new: Vec<_> = [Channel::Sms, Channel::Sms, Channel::Email]
        .into_iter()
        .map(|channel| testkit::notification(&sample, channel, now))
        .collect();
    db::intake::store(conn, &new).unwrap();
}

fn execute(conn: &mut PgConnection, sql: &str) {
    sql_query(sql).execute(conn).unwrap();
}

#[test]
fn waiting_is_balanced() {
    let database = TestDatabase::new();
    let ctl = Ctl::on(&database);
    three_waiting(&mut database.connect());
    let text = ctl.ok(&["audit"]);
    assert!(text.ends_with("balanced: 3 accepted = 0 final + 3 in flight\n"), "{text}");
    let json = ctl.json(&["audit", "--json"]);
    assert_eq!(
        (&json["balanced"], &json["accepted"], &json["waiting"]),
        (&true.into(), &3.into(), &3.into())
    );
}

#[test]
fn a_lost_and_a_stray_one_are_not() {
    let database = TestDatabase::new();
    let (ctl, mut conn) = (Ctl::on(&database), database.connect());
    three_waiting(&mut conn);
    execute(&mut conn, "DELETE FROM due WHERE kind = 'deliver_email'");
    execute(&mut conn, "INSERT INTO due VALUES (gen_random_uuid(), 'deliver_sms', now(), now())");
    let complaint = ctl.fails(1, &["audit"]);
    assert!(complaint.starts_with("NOT balanced: 1 lost; 1 stray; 3 accepted"), "{complaint}");
    let json = ctl.run(&["audit", "--json"]);
    assert_eq!(json.code, 1);
    let json: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!((&json["balanced"], &json["lost"], &json["stray"]), (&false.into(), &1.into(), &1.into()));
}

#[test]
fn the_query_is_printed_and_runs_as_it_is() {
    let database = TestDatabase::new();
    let sql = Ctl::new(&[]).ok(&["audit", "--sql"]);
    sql_query(sql.trim_end().trim_end_matches(';')).execute(&mut database.connect()).unwrap();
}

#[test]
fn settling_is_waited_for() {
    let database = TestDatabase::new();
    let (ctl, mut conn) = (Ctl::on(&database), database.connect());
    three_waiting(&mut conn);
    let said = ctl.run(&["audit", "--wait-settled", "10ms"]);
    assert_eq!(said.code, 1);
    assert!(said.out.contains("balanced: 3 accepted = 0 final + 3 in flight"), "{}", said.out);
    assert!(said.err.contains("not settled within 10 ms: still in flight: 3 waiting"), "{}", said.err);

    let child = ctl.start(&["audit", "--wait-settled", "60s"]);
    execute(
        &mut conn,
        "WITH done AS (UPDATE notifications SET status = 'technical-failure', updated_at = created_at)
         DELETE FROM due",
    );
    let said = Said::by(child);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(said.out.contains("balanced: 3 accepted = 3 final + 0 in flight"), "{}", said.out);
}
