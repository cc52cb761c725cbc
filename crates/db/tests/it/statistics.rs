//! Figures equal a slow recount of the rows, at every moment and whoever writes.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use chrono::TimeDelta;
use db::{delivery::Settlement, statistics};
use diesel::{PgConnection, RunQueryDsl, sql_query};
use domain::{
    clock::Clock,
    notification::{Attempt, Outcome},
    receipt::ReceiptWords,
    retry::{RetryPolicy, SendFailure},
    status::{Channel, KeyType, ProviderId, Status},
};
use testkit::{Sample, TestDatabase, keyring};

const LEASE: Duration = Duration::from_secs(60);

fn count(conn: &mut PgConnection, query: &str) -> i64 {
    let count = diesel::dsl::sql::<diesel::sql_types::BigInt>(&format!("({query})"));
    diesel::select(count).get_result(conn).unwrap()
}

/// Accepts one of each, delivers or fails it, and hears what became of it, as the processes do.
fn live(conn: &mut PgConnection, sample: &Sample, clock: &Clock, round: usize) {
    let now = clock.now();
    let mut new: Vec<_> = [Channel::Sms, Channel::Email, Channel::Sms]
        .map(|channel| testkit::notification(sample, channel, now))
        .into();
    new[2].key_type = KeyType::Test;
    let ids: Vec<_> = new.iter().map(|new| new.id.0).collect();
    db::intake::store(conn, &new).unwrap();
    let claims = db::delivery::claim(conn, &keyring(), &ids, now, LEASE).unwrap();
    let settle = |(at, claimed): (usize, db::delivery::Claimed)| {
        let sms = claimed.notification.channel == Channel::Sms;
        let outcome = match (at + round) % 4 {
            0 => Outcome::Refused("the service sends nothing"),
            1 => Outcome::Failed(SendFailure::Transient("away".into())),
            _ => Outcome::HandedOver {
                status: Status::Sending,
                provider_reference: None,
                simulated_receipt: None,
            },
        };
        let provider = Some(if sms { ProviderId::Mmg } else { ProviderId::Smtp });
        let attempt = Attempt { provider, took: Duration::ZERO, billable_units: 2, outcome };
        Settlement { lease: claimed.lease, attempt, at: now }
    };
    let settlements: Vec<_> = claims.claimed.into_iter().enumerate().map(settle).collect();
    db::delivery::settle(conn, &settlements, &RetryPolicy::default()).unwrap();
    let words = ReceiptWords {
        provider: ProviderId::Mmg,
        reference: ids[0].to_string(),
        status: "3".into(),
        detail: None,
    };
    let id = domain::id::ReceiptId::new(now);
    let wake = db::receipt::store(conn, &[db::receipt::NewReceipt { id, words, received_at: now }]).unwrap();
    let receipts: Vec<_> = wake.iter().filter_map(|stored| stored.wake()).map(|wake| wake.subject).collect();
    let claimed = db::receipt::claim(conn, &receipts, now, LEASE).unwrap();
    let to = if round.is_multiple_of(2) { Status::Delivered } else { Status::PermanentFailure };
    let applied: Vec<_> = claimed.into_iter().map(|c| (c, db::receipt::Effect::Change { to })).collect();
    db::receipt::apply(conn, &applied, now).unwrap();
}

#[test]
fn figures_equal_a_recount_at_every_moment_under_concurrent_sending() {
    let database = TestDatabase::new();
    let clock = Clock::System;
    let sample = testkit::sample(&mut database.connect(), clock.now());
    let sending = AtomicBool::new(true);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut conn = database.connect();
                (0..30).for_each(|round| live(&mut conn, &sample, &clock, round));
            });
        }
        let folding = scope.spawn(|| {
            let mut conn = database.connect();
            while sending.load(Ordering::SeqCst) {
                statistics::fold(&mut conn, 10_000).unwrap();
            }
        });
        let mut conn = database.connect();
        let mut moments = 0;
        while count(&mut conn, "SELECT count(*) FROM notifications") < 360 {
            assert_eq!(statistics::differences(&mut conn).unwrap(), 0);
            moments += 1;
        }
        sending.store(false, Ordering::SeqCst);
        folding.join().unwrap();
        assert!(moments > 3, "it was looked at while they were sending");
    });
    let mut conn = database.connect();
    assert_eq!(statistics::differences(&mut conn).unwrap(), 0);
    statistics::fold(&mut conn, 10_000).unwrap();
    assert_eq!(count(&mut conn, "SELECT count(*) FROM statistics_deltas"), 0);
    assert_eq!(count(&mut conn, "SELECT sum(count)::bigint FROM statistics"), 360);
    assert_eq!(statistics::differences(&mut conn).unwrap(), 0);
    assert_eq!(statistics::fold(&mut conn, 10_000).unwrap(), 0);
    let uncommon = "SELECT count(*) FROM (SELECT id, status FROM notifications WHERE is_uncommon(status)
        EXCEPT SELECT notification_id, status FROM uncommon_statuses) AS x";
    assert_eq!(count(&mut conn, uncommon), 0, "every uncommon one is listed");
    let all = "SELECT count(*) FROM notifications WHERE is_uncommon(status)";
    assert_eq!(count(&mut conn, all), count(&mut conn, "SELECT count(*) FROM uncommon_statuses"));
    assert_ne!(count(&mut conn, all), 0);
}

#[test]
fn whoever_writes_the_table_is_counted() {
    let database = TestDatabase::new();
    let (mut conn, now) = (database.connect(), Clock::System.now());
    let sample = testkit::sample(&mut conn, now);
    db::intake::store(&mut conn, &[testkit::notification(&sample, Channel::Sms, now)]).unwrap();
    sql_query(
        "INSERT INTO notifications (id, service_id, channel, key_type, template_id, template_version, recipient,
           normalised_recipient, created_at)
         SELECT gen_random_uuid(), service_id, channel, key_type, template_id, template_version, recipient,
           normalised_recipient, created_at FROM notifications",
    )
    .execute(&mut conn)
    .unwrap();
    sql_query("UPDATE notifications SET status = 'technical-failure', updated_at = now()")
        .execute(&mut conn)
        .unwrap();
    assert_eq!(statistics::differences(&mut conn).unwrap(), 0);
    assert_eq!(count(&mut conn, "SELECT count(*) FROM uncommon_statuses"), 2);
    sql_query("UPDATE notifications SET status = 'delivered', sent_by = 'mmg'").execute(&mut conn).unwrap();
    assert_eq!(count(&mut conn, "SELECT count(*) FROM uncommon_statuses"), 0);
    assert_eq!(statistics::differences(&mut conn).unwrap(), 0);
}

#[test]
fn figures_survive_the_rows() {
    let database = TestDatabase::new();
    let (mut conn, now) = (database.connect(), Clock::System.now());
    let sample = testkit::sample(&mut conn, now);
    db::partition::ensure(&mut conn, now).unwrap();
    db::intake::store(&mut conn, &[testkit::notification(&sample, Channel::Sms, now)]).unwrap();
    let day = now.format("%Y%m%d");
    sql_query(format!("DROP TABLE notifications_{day}")).execute(&mut conn).unwrap();
    assert_eq!(count(&mut conn, "SELECT sum(count)::bigint FROM figures"), 1);
}

#[test]
fn a_row_that_moves_to_its_late_partition_is_counted_once() {
    let database = TestDatabase::empty();
    let mut conn = database.connect();
    db::migrations::migrate(&mut conn).unwrap();
    let now = Clock::System.now();
    let sample = testkit::sample(&mut conn, now);
    db::intake::store(&mut conn, &[testkit::notification(&sample, Channel::Sms, now)]).unwrap();
    assert!(!db::partition::ensure(&mut conn, now).unwrap().is_empty());
    assert_eq!(count(&mut conn, "SELECT count(*) FROM notifications_default"), 0);
    assert_eq!(statistics::differences(&mut conn).unwrap(), 0);
}

#[test]
fn a_day_is_londons() {
    let database = TestDatabase::new();
    let mut conn = database.connect();
    let summer = "2026-06-01T23:30:00Z".parse().unwrap();
    let sample = testkit::sample(&mut conn, summer);
    for time in [summer, summer - TimeDelta::hours(1)] {
        db::intake::store(&mut conn, &[testkit::notification(&sample, Channel::Sms, time)]).unwrap();
    }
    for day in ["2026-06-01", "2026-06-02"] {
        assert_eq!(
            count(&mut conn, &format!("SELECT sum(count)::bigint FROM figures WHERE day = '{day}'")),
            1,
            "{day}"
        );
        let day: chrono::NaiveDate = day.parse().unwrap();
        assert!(
            day == domain::london::day(summer) || day == domain::london::day(summer - TimeDelta::hours(1))
        );
    }
}

/// The day of `now` in London begins in the day before in UTC, in summer.
fn with_partitions(conn: &mut PgConnection, now: chrono::DateTime<chrono::Utc>) {
    db::partition::ensure(conn, now - TimeDelta::days(1)).unwrap();
    db::partition::ensure(conn, now).unwrap();
}

#[test]
fn what_was_not_counted_is_repaired_while_others_write() {
    let database = TestDatabase::new();
    let (mut conn, clock) = (database.connect(), Clock::System);
    let sample = testkit::sample(&mut conn, clock.now());
    with_partitions(&mut conn, clock.now());
    // What happened while the migration counted: nobody told.
    sql_query("ALTER TABLE notifications DISABLE TRIGGER USER").execute(&mut conn).unwrap();
    for round in 0..4 {
        live(&mut conn, &sample, &clock, round);
    }
    sql_query("ALTER TABLE notifications ENABLE TRIGGER USER").execute(&mut conn).unwrap();
    live(&mut conn, &sample, &clock, 0);
    for wrong in [
        "UPDATE statistics_deltas SET count = count + 3, billable_units = billable_units - 1 WHERE status = 'sending'",
        "DELETE FROM uncommon_statuses WHERE notification_id IN (SELECT notification_id FROM uncommon_statuses LIMIT 1)",
        "INSERT INTO uncommon_statuses SELECT id, service_id, 'pending' FROM notifications ORDER BY id DESC LIMIT 2
         ON CONFLICT (notification_id) DO UPDATE SET status = 'pending'",
    ] {
        assert!(sql_query(wrong).execute(&mut conn).unwrap() > 0, "{wrong}");
    }
    statistics::fold(&mut conn, 10_000).unwrap();
    sql_query("UPDATE statistics_by_month SET count = 7 WHERE status = 'created'")
        .execute(&mut conn)
        .unwrap();
    assert!(statistics::differences(&mut conn).unwrap() > 0);

    let ended = AtomicBool::new(false);
    let repaired = thread::scope(|scope| {
        for writer in 0..2 {
            let (mut conn, sample, clock, ended) = (database.connect(), &sample, &clock, &ended);
            scope.spawn(move || {
                let mut round = writer;
                while !ended.load(Ordering::Relaxed) {
                    live(&mut conn, sample, clock, round);
                    statistics::fold(&mut conn, 10_000).unwrap();
                    round += 1;
                }
            });
        }
        let repaired: Vec<_> = (0..5).map(|_| statistics::repair(&mut conn)).collect();
        ended.store(true, Ordering::Relaxed);
        repaired
    });
    let repaired: Vec<_> = repaired.into_iter().map(Result::unwrap).collect();
    assert!(repaired[0].figures > 0 && repaired[0].statuses > 0, "{repaired:?}");
    for again in &repaired[1..] {
        assert_eq!((again.figures, again.statuses), (0, 0), "nothing is repaired twice");
    }
    assert_eq!(statistics::differences(&mut conn).unwrap(), 0);
    let listed = "SELECT count(*) FROM uncommon_statuses";
    let rare =
        "SELECT count(*) FROM notifications JOIN uncommon_statuses USING (status) WHERE id = notification_id";
    let all = "SELECT count(*) FROM notifications WHERE is_uncommon(status)";
    assert_eq!([listed, rare].map(|query| count(&mut conn, query)), [count(&mut conn, all); 2]);
}

#[test]
fn figures_without_their_rows_are_left_alone() {
    let database = TestDatabase::new();
    let (mut conn, now) = (database.connect(), Clock::System.now());
    let sample = testkit::sample(&mut conn, now);
    with_partitions(&mut conn, now);
    db::intake::store(&mut conn, &[testkit::notification(&sample, Channel::Sms, now)]).unwrap();
    let old = now - TimeDelta::days(40);
    db::intake::store(&mut conn, &[testkit::notification(&sample, Channel::Sms, old)]).unwrap();
    sql_query(format!("DROP TABLE notifications_{}", now.format("%Y%m%d"))).execute(&mut conn).unwrap();
    sql_query("UPDATE statistics_deltas SET count = 5").execute(&mut conn).unwrap();
    for _ in 0..2 {
        let repaired = statistics::repair(&mut conn).unwrap();
        assert_eq!(
            (repaired.figures, repaired.left_alone),
            (0, 2),
            "one dropped, one that never had a partition"
        );
    }
    assert_eq!(count(&mut conn, "SELECT sum(count)::bigint FROM figures"), 10);
}
