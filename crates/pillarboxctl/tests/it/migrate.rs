//! `migrate`.

use std::io::{BufRead, BufReader};

use diesel::{Connection, PgConnection, RunQueryDsl, connection::SimpleConnection, sql_query};
use testkit::TestDatabase;

use crate::ctl::{Ctl, Said};

#[test]
fn the_second_time_there_is_nothing_to_do() {
    let database = TestDatabase::empty();
    let ctl = Ctl::on(&database);
    assert!(ctl.fails(78, &["audit"]).contains("run `pillarboxctl migrate`"));
    let first = ctl.ok(&["migrate"]);
    assert!(first.contains("applied 2026") && first.contains(" made, notifications_"), "{first}");
    let second = ctl.ok(&["migrate"]);
    assert!(second.contains(": nothing to do\npartitions: nothing to do"), "{second}");
    assert!(db::migrations::check(&mut database.connect()).is_ok());
}

#[test]
fn several_at_once_apply_everything_once() {
    let database = TestDatabase::empty();
    let ctl = Ctl::on(&database);
    let all: Vec<_> = (0..4).map(|_| ctl.start(&["migrate"])).collect();
    let all: Vec<Said> = all.into_iter().map(Said::by).collect();
    for one in &all {
        assert_eq!(one.code, 0, "{}{}", one.out, one.err);
    }
    assert_eq!(all.iter().filter(|one| one.out.contains("applied")).count(), 1);
}

#[test]
fn a_database_that_is_not_there_yet_is_waited_for() {
    let server = std::env::var("TEST_DATABASE_URL").unwrap();
    // Its name, and then nothing.
    let url = TestDatabase::empty().url();
    let ctl = Ctl::new(&[("DATABASE_URL", &url)]);
    assert!(ctl.fails(69, &["migrate", "--wait", "10ms"]).contains("does not exist"));

    let mut child = ctl.start(&["migrate", "--wait", "60s"]);
    let mut err = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    err.read_line(&mut line).unwrap();
    assert!(line.starts_with("waiting: "), "{line}");

    let name = url.rsplit('/').next().unwrap();
    let mut admin = PgConnection::establish(&server).unwrap();
    sql_query(format!("CREATE DATABASE {name}")).execute(&mut admin).unwrap();
    let code = child.wait().unwrap().code();
    sql_query(format!("DROP DATABASE {name} WITH (FORCE)")).execute(&mut admin).unwrap();
    assert_eq!(code, Some(0));
}

#[test]
fn a_schema_of_the_future_is_left_alone() {
    let database = TestDatabase::new();
    let ctl = Ctl::on(&database);
    sql_query("INSERT INTO __diesel_schema_migrations (version) VALUES ('29990101000000')")
        .execute(&mut database.connect())
        .unwrap();
    for command in ["migrate", "audit"] {
        assert!(ctl.fails(78, &[command]).contains("29990101000000"));
    }
}

#[test]
fn a_schema_that_is_one_expanding_migration_ahead_is_worked_on() {
    let database = TestDatabase::new();
    let ctl = Ctl::on(&database);
    for sql in [
        "INSERT INTO expanding_migrations VALUES ('29990101000000')",
        "INSERT INTO __diesel_schema_migrations (version) VALUES ('29990101000000')",
    ] {
        sql_query(sql).execute(&mut database.connect()).unwrap();
    }
    assert!(ctl.ok(&["migrate"]).contains("schema at 29990101000000: nothing to do"));
    ctl.ok(&["audit"]);
}

#[test]
fn what_others_have_locked_is_waited_for_in_short_turns() {
    let database = TestDatabase::empty();
    let mut conn = database.connect();
    while db::migrations::version(&mut conn)
        .unwrap()
        .is_none_or(|version| version.as_str() < "20261123001100")
    {
        db::migrations::migrate_next(&mut conn).unwrap();
    }
    // Longer than a session of ours may stand still in a transaction.
    conn.batch_execute("SET idle_in_transaction_session_timeout = 0").unwrap();
    conn.batch_execute("BEGIN; LOCK TABLE notifications IN ROW EXCLUSIVE MODE").unwrap();
    let ctl = Ctl::on(&database);
    assert!(ctl.fails(1, &["migrate", "--wait", "1ms"]).contains("could not be changed"));
    let mut child = ctl.start(&["migrate", "--wait", "60s"]);
    let mut err = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    err.read_line(&mut line).unwrap();
    assert!(line.starts_with("waiting: the schema could not be changed"), "{line}");
    conn.batch_execute("COMMIT").unwrap();
    let said = Said::by(child);
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.out.contains("applied 20261123001200"), "{}", said.out);
}

#[test]
fn everything_is_taken_back_only_when_said_twice() {
    let database = TestDatabase::new();
    let ctl = Ctl::on(&database);
    let hesitant = ctl.run(&["migrate", "--revert-all"]);
    assert_eq!(hesitant.code, 2);
    assert!(hesitant.err.contains("--destroy-all-data"), "{}", hesitant.err);
    ctl.ok(&["audit"]);

    ctl.ok(&["migrate", "--revert-all", "--destroy-all-data"]);
    assert!(ctl.fails(78, &["audit"]).contains("behind"));
    ctl.ok(&["migrate"]);
    ctl.ok(&["audit"]);
}
