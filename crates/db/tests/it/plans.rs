//! The hot path finds its rows by index, however many there are: no statement of it reads a table from end to end.

use std::time::Duration;

use db::delivery::Settlement;
use diesel::{
    PgConnection, QueryableByName, RunQueryDsl, sql_query,
    sql_types::{BigInt, Text},
};
use domain::{
    clock::Clock,
    notification::{Attempt, Outcome},
    retry::{RetryPolicy, SendFailure},
    status::{Channel, KeyType, ProviderId, Status},
    wakeup::Kind,
};
use testkit::{TestDatabase, keyring};

#[derive(Debug, PartialEq, QueryableByName)]
struct Table {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = BigInt)]
    rows_read: i64,
}

/// Rows read by sequential scans so far.
fn rows_read_in_sequence(conn: &mut PgConnection) -> Vec<Table> {
    sql_query("SELECT pg_stat_force_next_flush()").execute(conn).unwrap();
    let sql = "SELECT relname::text AS name, seq_tup_read AS rows_read FROM pg_stat_user_tables
               WHERE relname ~ '^(notifications|attempts|due|receipts)' AND seq_tup_read > 0 ORDER BY relname";
    sql_query(sql).load(conn).unwrap()
}

#[test]
fn no_statement_of_the_hot_path_reads_a_whole_table() {
    let database = TestDatabase::new();
    let (mut conn, clock) = (database.connect(), Clock::manual(Clock::System.now()));
    let now = clock.now();
    let sample = testkit::sample(&mut conn, now);
    let new: Vec<_> = (0..5000).map(|_| testkit::notification(&sample, Channel::Sms, now)).collect();
    for group in new.chunks(500) {
        db::intake::store(&mut conn, group).unwrap();
    }
    sql_query("ANALYZE").execute(&mut conn).unwrap();
    let before = rows_read_in_sequence(&mut conn);

    let ids: Vec<_> = new[..100].iter().map(|n| n.id.0).collect();
    let lease = Duration::from_secs(60);
    let claims = db::delivery::claim(&mut conn, &keyring(), &ids, now, lease).unwrap();
    assert_eq!(claims.claimed.len(), 100);
    let settlements: Vec<_> = claims
        .claimed
        .into_iter()
        .enumerate()
        .map(|(n, claimed)| {
            let outcome = match n % 3 {
                0 => Outcome::Failed(SendFailure::Transient("503".into())),
                1 => Outcome::Failed(SendFailure::Rejected("550".into())),
                _ => Outcome::HandedOver {
                    status: Status::Sending,
                    provider_reference: None,
                    simulated_receipt: None,
                },
            };
            let attempt =
                Attempt { provider: Some(ProviderId::Mmg), took: Duration::ZERO, billable_units: 1, outcome };
            Settlement { lease: claimed.lease, attempt, at: now }
        })
        .collect();
    db::delivery::settle(&mut conn, &settlements, &RetryPolicy::default()).unwrap();
    db::delivery::claim(&mut conn, &keyring(), &ids, now, lease).unwrap();
    db::due::take(&mut conn, &Kind::ALL, now, 100).unwrap();
    db::due::unwake(&mut conn, &ids, now).unwrap();
    db::notification::find(&mut conn, new[0].id).unwrap().unwrap();
    let filter = db::notification::Filter { older_than: Some(new[9].id), ..Default::default() };
    db::notification::list(&mut conn, sample.service.id, KeyType::Normal, &filter, 250).unwrap();

    assert_eq!(rows_read_in_sequence(&mut conn), before);
}
