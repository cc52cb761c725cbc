//! The hot path finds its rows by index, however many there are: no statement of it reads a table from end to end. Plans are
//! made once for each connection, so they must be good from the start, when the tables are empty.

use std::time::Duration;

use chrono::{DateTime, Utc};
use db::{
    delivery::Settlement,
    receipt::{Effect, NewReceipt},
};
use diesel::{
    PgConnection, QueryableByName, RunQueryDsl, sql_query,
    sql_types::{BigInt, Text},
};
use domain::{
    clock::Clock,
    id::{NotificationId, ReceiptId},
    notification::{Attempt, Outcome},
    receipt::ReceiptWords,
    retry::{RetryPolicy, SendFailure},
    status::{Channel, KeyType, ProviderId, Status},
    wakeup::Kind,
};
use testkit::{Sample, TestDatabase, keyring};
use uuid::Uuid;

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

/// Every statement of the way of these notifications: some delivered, some to be tried again, some given up.
fn deliver(conn: &mut PgConnection, sample: &Sample, ids: &[Uuid], now: DateTime<Utc>) {
    let lease = Duration::from_secs(60);
    let claims = db::delivery::claim(conn, &keyring(), ids, now, lease).unwrap();
    assert_eq!(claims.claimed.len(), ids.len());
    let settlements: Vec<_> = claims
        .claimed
        .into_iter()
        .enumerate()
        .map(|(n, claimed)| {
            let outcome = match n % 3 {
                0 => Outcome::Failed(SendFailure::Unanswered("no answer".into())),
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
    db::delivery::settle(conn, &settlements, &RetryPolicy::default()).unwrap();
    db::delivery::claim(conn, &keyring(), ids, now, lease).unwrap();
    apply_receipts(conn, ids, now);
    // Receipts say that what nobody answered was taken.
    let retried = db::delivery::claim(conn, &keyring(), ids, now + Duration::from_secs(10), lease).unwrap();
    assert!(!retried.taken.is_empty() && retried.claimed.is_empty());
    db::due::take(conn, &Kind::ALL, now, 100).unwrap();
    db::due::take_lost(conn, &Kind::ALL, now, 100).unwrap();
    db::due::unwake(conn, ids, now).unwrap();
    db::notification::find(conn, NotificationId(ids[0])).unwrap().unwrap();
    let filter = db::notification::Filter { older_than: Some(NotificationId(ids[0])), ..Default::default() };
    db::notification::list(conn, sample.service.id, KeyType::Normal, &filter, 250).unwrap();
}

fn apply_receipts(conn: &mut PgConnection, ids: &[Uuid], now: DateTime<Utc>) {
    let receipt = |id: &Uuid| NewReceipt {
        id: ReceiptId::new(now),
        words: ReceiptWords {
            provider: ProviderId::Mmg,
            reference: id.to_string(),
            status: "3".into(),
            detail: None,
        },
        received_at: now,
    };
    let receipts: Vec<_> = ids.iter().map(receipt).collect();
    let woken = db::receipt::store(conn, &receipts).unwrap();
    let woken: Vec<_> =
        woken.into_iter().filter_map(|stored| stored.wake()).map(|wake| wake.subject).collect();
    let claimed = db::receipt::claim(conn, &woken, now, Duration::from_secs(60)).unwrap();
    let effects: Vec<_> =
        claimed.into_iter().map(|receipt| (receipt, Effect::Change { to: Status::Delivered })).collect();
    assert!(!db::receipt::apply(conn, &effects, now).unwrap().is_empty());
}

fn accept(conn: &mut PgConnection, sample: &Sample, count: usize, now: DateTime<Utc>) -> Vec<Uuid> {
    let new: Vec<_> = (0..count).map(|_| testkit::notification(sample, Channel::Sms, now)).collect();
    for group in new.chunks(500) {
        db::intake::store(conn, group).unwrap();
    }
    new.iter().map(|n| n.id.0).collect()
}

#[test]
fn no_statement_of_the_hot_path_reads_a_whole_table() {
    let database = TestDatabase::new();
    let (mut conn, clock) = (database.connect(), Clock::manual(Clock::System.now()));
    let now = clock.now();
    let sample = testkit::sample(&mut conn, now);
    // Planned on tables that are as good as empty. They fill up, and nobody has analysed them yet.
    let first = accept(&mut conn, &sample, 3, now);
    deliver(&mut conn, &sample, &first, now);
    let ids = accept(&mut conn, &sample, 5000, now);
    let before = rows_read_in_sequence(&mut conn);
    deliver(&mut conn, &sample, &ids[..100], now);
    assert_eq!(rows_read_in_sequence(&mut conn), before);

    sql_query("ANALYZE").execute(&mut conn).unwrap();
    let before = rows_read_in_sequence(&mut conn);
    deliver(&mut conn, &sample, &ids[100..200], now);
    assert_eq!(rows_read_in_sequence(&mut conn), before);
}
