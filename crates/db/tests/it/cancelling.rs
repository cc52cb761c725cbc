//! A statement ends when nobody waits for it any more, and no other one with it.

use std::time::Duration;

use db::{Config, Db, cancel::CancellableDb};
use diesel::{PgConnection, QueryResult, QueryableByName, RunQueryDsl, sql_query, sql_types::BigInt};
use testkit::{TestDatabase, eventually};

const LIMIT: Duration = Duration::from_secs(20);

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

fn sleeping(conn: &mut PgConnection) -> i64 {
    let sql =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'";
    sql_query(sql).get_result::<Count>(conn).unwrap().count
}

fn sleep(conn: &mut PgConnection, seconds: f64) -> QueryResult<usize> {
    sql_query(format!("SELECT pg_sleep({seconds})")).execute(conn)
}

/// With one connection.
fn stage() -> (TestDatabase, CancellableDb) {
    let database = TestDatabase::new();
    let one = Db::new(&Config { pool_size: 1, ..database.config() });
    let cancellable = CancellableDb::new(one, database.db());
    (database, cancellable)
}

#[tokio::test]
async fn what_nobody_waits_for_is_cancelled_and_its_connection_serves_the_next() {
    let (database, db) = stage();
    let mut conn = database.connect();
    let abandoned = tokio::time::timeout(
        LIMIT,
        futures_util::future::select(
            Box::pin(db.run("sleep", |conn| sleep(conn, 60.0))),
            Box::pin(eventually(LIMIT, "it sleeps", async || (sleeping(&mut conn) == 1).then_some(()))),
        ),
    );
    drop(abandoned.await.unwrap());
    let next = tokio::time::timeout(LIMIT, db.run("next", |conn| sleep(conn, 0.0))).await;
    assert!(next.expect("the connection is free").is_ok());
    assert_eq!(sleeping(&mut conn), 0);
}

#[tokio::test]
async fn what_waits_for_its_turn_is_never_begun() {
    let (database, db) = stage();
    let mut conn = database.connect();
    let first = db.run("first", |conn| sleep(conn, 0.5));
    let second = db.run("second", |_| -> QueryResult<()> { panic!("nobody hears it") });
    let impatient = tokio::time::timeout(Duration::from_millis(100), second);
    let (first, second) = tokio::join!(first, impatient);
    assert!(first.is_ok() && second.is_err());
    assert!(db.run("third", |conn| sleep(conn, 0.0)).await.is_ok());
    assert_eq!(sleeping(&mut conn), 0);
}

/// Whoever gives up at any moment hits his own statement or none.
#[tokio::test]
async fn nobody_elses_statement_is_hit() {
    let (_database, db) = stage();
    for round in 0..200_u64 {
        let short = tokio::time::timeout(
            Duration::from_micros(round * 25),
            db.run("short", |conn| sleep(conn, 0.002)),
        );
        let _ = short.await;
        let next = db.run("next", |conn| sleep(conn, 0.001)).await;
        assert!(next.is_ok(), "round {round}: {next:?}");
    }
}
