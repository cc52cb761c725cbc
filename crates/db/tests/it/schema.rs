//! The schema, three times told (migrations, `schema.rs`, Rust enums), is one.

use diesel::{
    PgConnection, QueryableByName, RunQueryDsl, connection::SimpleConnection, sql_query, sql_types::Text,
};
use domain::{
    status::{Channel, KeyType, ProviderId, Status},
    wakeup::Kind,
};
use testkit::TestDatabase;

#[derive(QueryableByName)]
struct Word {
    #[diesel(sql_type = Text)]
    word: String,
}

fn words(conn: &mut PgConnection, sql: &str) -> Vec<String> {
    let rows: Vec<Word> = sql_query(sql).load(conn).unwrap();
    rows.into_iter().map(|row| row.word).collect()
}

#[test]
fn migrations_go_up_down_and_up_again() {
    let database = TestDatabase::empty();
    let mut conn = database.connect();
    assert!(db::migrations::check(&mut conn).is_err(), "an empty database is not ours to work on");
    assert!(!db::migrations::migrate(&mut conn).unwrap().is_empty());
    db::migrations::check(&mut conn).unwrap();
    db::partition::ensure(&mut conn, domain::clock::Clock::System.now()).unwrap();
    db::migrations::revert_all(&mut conn).unwrap();
    let left = words(
        &mut conn,
        "SELECT relname::text AS word FROM pg_class WHERE relnamespace = 'public'::regnamespace
           AND relname NOT LIKE '__diesel%'
         UNION SELECT typname::text FROM pg_type WHERE typnamespace = 'public'::regnamespace AND typtype = 'e'",
    );
    assert_eq!(left, [""; 0], "a down leaves nothing behind");
    db::migrations::migrate(&mut conn).unwrap();
    db::migrations::check(&mut conn).unwrap();
}

/// As a newer program leaves it behind.
fn put_ahead(conn: &mut PgConnection, version: &str, expanding: bool) {
    if expanding {
        sql_query(format!("INSERT INTO expanding_migrations VALUES ('{version}')")).execute(conn).unwrap();
    }
    sql_query(format!("INSERT INTO __diesel_schema_migrations (version) VALUES ('{version}')"))
        .execute(conn)
        .unwrap();
}

#[test]
fn a_database_that_is_one_expanding_migration_ahead_is_worked_on() {
    let database = TestDatabase::new();
    let mut conn = database.connect();
    put_ahead(&mut conn, "29990101000000", true);
    db::migrations::check(&mut conn).unwrap();
    assert_eq!(db::migrations::migrate(&mut conn).unwrap(), [""; 0], "an older program leaves it alone");
    db::migrations::check(&mut conn).unwrap();

    put_ahead(&mut conn, "29990102000000", true);
    let refusal = db::migrations::check(&mut conn).unwrap_err().to_string();
    assert!(refusal.contains("has 2 migrations") && refusal.contains("29990102000000"), "{refusal}");
}

#[test]
fn a_newer_database_is_refused_unless_that_is_known_to_be_well() {
    for notes in ["SELECT 1", "DROP TABLE expanding_migrations"] {
        let database = TestDatabase::new();
        let mut conn = database.connect();
        sql_query(notes).execute(&mut conn).unwrap();
        put_ahead(&mut conn, "29990101000000", false);
        let refusal = db::migrations::check(&mut conn).unwrap_err().to_string();
        assert!(refusal.contains("29990101000000"), "{refusal}");
    }
}

#[test]
fn a_database_that_is_ahead_and_lacks_a_migration_is_behind() {
    let database = TestDatabase::new();
    let mut conn = database.connect();
    put_ahead(&mut conn, "29990101000000", true);
    sql_query("DELETE FROM __diesel_schema_migrations WHERE version = '20261123001800'")
        .execute(&mut conn)
        .unwrap();
    let refusal = db::migrations::check(&mut conn).unwrap_err().to_string();
    assert!(refusal.contains("1 migrations behind"), "{refusal}");
}

#[test]
fn every_new_migration_says_whether_it_is_expanding_and_the_database_knows() {
    let database = TestDatabase::new();
    let noted = words(&mut database.connect(), "SELECT version AS word FROM expanding_migrations");
    let mut said = 0;
    for (folder, kind) in db::migrations::KINDS.iter().filter(|(folder, _)| *folder >= "2026-11-27-001900") {
        let kind = kind.unwrap_or_else(|| {
            panic!("{folder}/up.sql must begin with `-- expanding` or `-- breaking` (crates/db/src/migrations.rs)")
        });
        let version = folder.split('_').next().unwrap().replace('-', "");
        assert_eq!(noted.contains(&version), kind == db::migrations::Kind::Expanding, "{folder}");
        said += 1;
    }
    assert!(said >= 2, "there are such migrations");
}

/// The one of the figures: it makes triggers on the table that everybody writes to.
#[test]
fn a_migration_lets_others_through_and_is_tried_again() {
    let database = TestDatabase::empty();
    let (mut conn, mut writer, mut other) = (database.connect(), database.connect(), database.connect());
    while db::migrations::version(&mut conn)
        .unwrap()
        .is_none_or(|version| version.as_str() < "20261123001100")
    {
        db::migrations::migrate_next(&mut conn).unwrap().unwrap();
    }
    // Longer than a session of ours may stand still in a transaction.
    writer.batch_execute("SET idle_in_transaction_session_timeout = 0").unwrap();
    writer.batch_execute("BEGIN; LOCK TABLE notifications IN ROW EXCLUSIVE MODE").unwrap();
    let failure = std::thread::scope(|scope| {
        let migrating = scope.spawn(|| db::migrations::migrate_next(&mut conn).unwrap_err().to_string());
        // Those who write meanwhile wait no longer than the migration does.
        while !migrating.is_finished() {
            other
                .batch_execute("SET statement_timeout = '20s'; UPDATE notifications SET status = status")
                .unwrap();
        }
        migrating.join().unwrap()
    });
    assert!(failure.contains("statistics"), "{failure}");
    assert_eq!(
        db::migrations::version(&mut conn).unwrap().as_deref(),
        Some("20261123001100"),
        "nothing has changed"
    );
    writer.batch_execute("COMMIT").unwrap();
    assert!(!db::migrations::migrate(&mut conn).unwrap().is_empty());
    db::migrations::check(&mut conn).unwrap();
}

#[test]
fn rust_enums_equal_postgres_enums() {
    let database = TestDatabase::new();
    let mut conn = database.connect();
    let mut labels =
        |name: &str| words(&mut conn, &format!("SELECT unnest(enum_range(NULL::{name}))::text AS word"));
    assert_eq!(labels("channel"), Channel::ALL.iter().map(ToString::to_string).collect::<Vec<_>>());
    assert_eq!(labels("key_type"), KeyType::ALL.iter().map(ToString::to_string).collect::<Vec<_>>());
    assert_eq!(
        labels("notification_status"),
        Status::ALL.iter().map(ToString::to_string).collect::<Vec<_>>()
    );
    assert_eq!(labels("provider"), ProviderId::ALL.iter().map(ToString::to_string).collect::<Vec<_>>());
    assert_eq!(labels("wakeup_kind"), Kind::ALL.iter().map(ToString::to_string).collect::<Vec<_>>());
    let permissions = db::service::Permission::ALL.iter().map(|p| p.as_str().to_string());
    assert_eq!(labels("service_permission"), permissions.collect::<Vec<_>>());
}

/// `schema.rs` is written by hand: `diesel print-schema` trips over partitions.
#[test]
fn schema_rs_equals_the_database() {
    let database = TestDatabase::new();
    let mut conn = database.connect();
    let source = include_str!("../../src/schema.rs");
    let mut tables = 0;
    for table in source.split("diesel::table! {").skip(1) {
        let (head, body) = table.split_once(") {\n").unwrap();
        let name = head.rsplit_once(" (").unwrap().0.split_whitespace().last().unwrap();
        let declared: Vec<String> = body
            .lines()
            .take_while(|line| line.trim() != "}")
            .map(|line| line.trim().trim_end_matches(',').to_string())
            .collect();
        let actual = words(
            &mut conn,
            &format!(
                "SELECT column_name || ' -> ' || CASE is_nullable WHEN 'YES' THEN 'Nullable<' ELSE '' END ||
                   CASE udt_name WHEN 'uuid' THEN 'Uuid' WHEN 'text' THEN 'Text' WHEN 'bool' THEN 'Bool'
                     WHEN 'timestamptz' THEN 'Timestamptz' WHEN 'bytea' THEN 'Bytea' WHEN 'int4' THEN 'Integer'
                     WHEN 'int2' THEN 'SmallInt' WHEN 'float8' THEN 'Double' WHEN '_text' THEN 'Array<Text>'
                     ELSE replace(initcap(udt_name), '_', '') END ||
                   CASE is_nullable WHEN 'YES' THEN '>' ELSE '' END AS word
                 FROM information_schema.columns WHERE table_name = '{name}' ORDER BY ordinal_position"
            ),
        );
        assert_eq!(declared, actual, "{name}");
        tables += 1;
    }
    assert!(tables >= 12, "every table of schema.rs was read, not {tables}");
}

#[test]
fn rows_of_a_late_partition_move_out_of_the_default() {
    let database = TestDatabase::empty();
    let mut conn = database.connect();
    db::migrations::migrate(&mut conn).unwrap();
    let now = domain::clock::Clock::System.now();
    let sample = testkit::sample(&mut conn, now);
    let new = testkit::notification(&sample, Channel::Sms, now);
    let id = new.id;
    db::intake::store(&mut conn, &[new]).unwrap();
    let of = |conn: &mut PgConnection| {
        words(conn, &format!("SELECT tableoid::regclass::text AS word FROM notifications WHERE id = '{id}'"))
    };
    assert_eq!(of(&mut conn), ["notifications_default"]);
    // More than move at a time, two attempts for each.
    for sql in [
        "INSERT INTO attempts (notification_id, attempted_at, took_ms, outcome)
         SELECT n.id, n.created_at + t * interval '1 second', 1, 'transient' FROM generate_series(1, 25000) t, notifications n",
        "UPDATE attempts SET notification_id = overlay(notification_id::text PLACING lpad(to_hex(
           extract(epoch FROM attempted_at)::bigint % 12500), 12, '0') FROM 25)::uuid",
    ] {
        diesel::RunQueryDsl::execute(diesel::sql_query(sql), &mut conn).unwrap();
    }
    assert!(!db::partition::ensure(&mut conn, now).unwrap().is_empty());
    assert_eq!(of(&mut conn), [format!("notifications_{}", now.format("%Y%m%d"))]);
    let counts = "SELECT count(*) || ', ' || (SELECT count(*) FROM attempts_default) AS word FROM attempts";
    assert_eq!(words(&mut conn, counts), ["25000, 0"], "none lost, none left");
    assert!(db::partition::ensure(&mut conn, now).unwrap().is_empty(), "twice makes nothing twice");
}
