//! The schema, three times told (migrations, `schema.rs`, Rust enums), is one.

use diesel::{PgConnection, QueryableByName, RunQueryDsl, sql_query, sql_types::Text};
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

#[test]
fn a_newer_database_is_refused() {
    let database = TestDatabase::new();
    let mut conn = database.connect();
    sql_query("INSERT INTO __diesel_schema_migrations (version) VALUES ('29990101000000')")
        .execute(&mut conn)
        .unwrap();
    let refusal = db::migrations::check(&mut conn).unwrap_err().to_string();
    assert!(refusal.contains("29990101000000"), "{refusal}");
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
