//! What a session is told: whoever vanishes, or stands still, keeps nothing; and what went wrong is told by SQLSTATE.

use std::{collections::HashMap, time::Duration};

use db::{DbError, advisory_lock};
use diesel::{
    PgConnection, QueryableByName, RunQueryDsl, connection::SimpleConnection, sql_query, sql_types::Text,
};
use testkit::{TestDatabase, eventually};

#[derive(QueryableByName)]
struct Setting {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    setting: String,
}

fn settings(conn: &mut PgConnection) -> HashMap<String, String> {
    let all: Vec<Setting> = sql_query("SELECT name, setting FROM pg_settings").load(conn).unwrap();
    all.into_iter().map(|Setting { name, setting }| (name, setting)).collect()
}

const TOLD: [(&str, &str); 7] = [
    ("statement_timeout", "30000"),
    ("lock_timeout", "3000"),
    ("idle_in_transaction_session_timeout", "5000"),
    ("idle_session_timeout", "0"),
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("jit", "off"),
];

#[tokio::test]
async fn every_session_has_limits_pooled_or_not() {
    let database = TestDatabase::new();
    let own = settings(&mut database.connect());
    let pooled = database.db().run("settings", |conn| Ok(settings(conn))).await.unwrap();
    for session in [own, pooled] {
        for (name, value) in TOLD {
            assert_eq!(session[name], value, "{name}");
        }
        // A socket of the machine itself knows no keepalives.
        let seconds = |name: &str| session[name].parse::<u64>().unwrap();
        let noticed = seconds("tcp_keepalives_idle")
            + seconds("tcp_keepalives_interval") * seconds("tcp_keepalives_count");
        assert!(noticed <= 15 && seconds("tcp_user_timeout") <= 15_000);
    }
}

#[tokio::test]
async fn a_lock_goes_with_a_holder_that_is_not_heard_of() {
    let database = TestDatabase::new();
    let (config, key) = (database.config(), advisory_lock::SCHEDULER);
    let silence = Duration::from_secs(1);
    let hold = || advisory_lock::try_hold_while_heard(&config, key, silence).unwrap();
    let mut silent = hold().expect("nobody else has it");
    assert!(silent.check(key).unwrap());
    let mut heard = eventually(Duration::from_secs(20), "the lock is free", async || hold()).await;
    // The first one is told as soon as it asks, and not that it leads.
    silent.check(key).unwrap_err();
    assert!(heard.check(key).unwrap());
    let patient = advisory_lock::try_hold(&config, advisory_lock::MIGRATION).unwrap();
    assert!(patient.is_some(), "another lock is another matter");
}

async fn run(database: &TestDatabase, sql: &'static str) -> DbError {
    database.db().run("trouble", move |conn| conn.batch_execute(sql)).await.unwrap_err()
}

#[tokio::test]
async fn passing_trouble_is_unavailable_and_what_is_refused_or_ours_is_not() {
    let database = TestDatabase::new();
    for passing in [
        "SET statement_timeout = 10; SELECT pg_sleep(10)",
        "SELECT pg_cancel_backend(pg_backend_pid()), pg_sleep(10)",
        "SELECT pg_terminate_backend(pg_backend_pid()), pg_sleep(10)",
        "SET TRANSACTION READ ONLY; INSERT INTO sms_rates SELECT * FROM sms_rates",
        "SET temp_file_limit = 0; SELECT count(*) FROM (SELECT n, n::text FROM generate_series(1, 2000000) AS n ORDER BY 2) AS x",
    ] {
        let error = run(&database, passing).await;
        assert!(error.is_unavailable(), "{passing}: {error}");
    }
    for ours in ["SELEKT 1", "SELECT FROM nowhere", "SELECT nothing FROM services", "SELECT now() + true"] {
        let error = run(&database, ours).await;
        assert!(!error.is_unavailable(), "{ours}: {error}");
    }
    let refused = run(&database, "INSERT INTO sms_rates SELECT * FROM sms_rates").await;
    assert!(!refused.is_unavailable(), "{refused}");
    let ours =
        database.db().run("ours", |_| Err::<(), _>(diesel::result::Error::NotFound)).await.unwrap_err();
    assert!(!ours.is_unavailable(), "{ours}");
}

#[tokio::test]
async fn a_lock_that_is_not_free_in_time_is_unavailable() {
    let database = TestDatabase::new();
    let mut holder = database.connect();
    let held = "SET idle_in_transaction_session_timeout = 0; BEGIN; LOCK TABLE services";
    holder.batch_execute(held).unwrap();
    // While it is planned, and while it runs.
    for wait in ["SELECT FROM services", "LOCK TABLE services"] {
        let error = run(&database, wait).await;
        assert!(error.is_unavailable(), "{wait}: {error}");
    }
}
