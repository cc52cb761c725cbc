//! The heart: claims, leases, the sweep.

use std::time::Duration;

use chrono::TimeDelta;
use diesel::{Connection, PgConnection, RunQueryDsl};
use domain::{clock::Clock, status::Channel, wakeup::Kind};
use testkit::TestDatabase;
use uuid::Uuid;

const LEASE: Duration = Duration::from_secs(60);

fn stored(conn: &mut PgConnection, clock: &Clock, how_many: usize, wake_follows: bool) -> Vec<Uuid> {
    let sample = testkit::sample(conn, clock.now());
    let mut new: Vec<_> =
        (0..how_many).map(|_| testkit::notification(&sample, Channel::Sms, clock.now())).collect();
    for n in &mut new {
        n.wake_follows = wake_follows;
    }
    db::intake::store(conn, &new).unwrap();
    new.iter().map(|n| n.id.0).collect()
}

fn clock() -> Clock {
    Clock::manual(Clock::System.now())
}

#[test]
fn a_claim_excludes_everybody_else_until_the_lease_ends() {
    let database = TestDatabase::new();
    let (mut conn, clock) = (database.connect(), clock());
    let ids = stored(&mut conn, &clock, 3, true);
    let first = db::due::claim(&mut conn, &Kind::DELIVERIES, &ids, clock.now(), LEASE).unwrap();
    assert_eq!((first.leases.len(), first.not_due.len()), (3, 0));
    assert!(first.leases.iter().all(|lease| !lease.lapsed() && lease.until() == clock.now() + LEASE));
    clock.advance(TimeDelta::seconds(59));
    let second = db::due::claim(&mut conn, &Kind::DELIVERIES, &ids, clock.now(), LEASE).unwrap();
    assert_eq!((second.leases.len(), second.not_due.len()), (0, 3));
    clock.advance(TimeDelta::seconds(1));
    let third = db::due::claim(&mut conn, &Kind::DELIVERIES, &ids, clock.now(), LEASE).unwrap();
    assert_eq!(third.leases.len(), 3, "the first worker is dead");
    assert!(third.leases.iter().all(db::due::Lease::lapsed));
    // The first one comes back from the dead: its leases are worth nothing.
    assert!(db::due::finish(&mut conn, &first.leases).unwrap().is_empty());
    assert_eq!(db::due::finish(&mut conn, &third.leases).unwrap().len(), 3);
    assert!(db::due::find(&mut conn, ids[0]).unwrap().is_none());
}

/// Whoever accepts and whoever delivers are on two machines: a worker that is told in a millisecond must not answer that the
/// row is of the future, and leave it to the sweep a minute later.
#[test]
fn a_worker_whose_clock_is_behind_claims_what_was_just_stored() {
    let database = TestDatabase::new();
    let (mut conn, clock) = (database.connect(), clock());
    let ids = stored(&mut conn, &clock, 1, true);
    let behind = clock.now() - TimeDelta::seconds(1);
    let claims = db::due::claim(&mut conn, &Kind::DELIVERIES, &ids, behind, LEASE).unwrap();
    assert_eq!(claims.leases.len(), 1);
}

#[test]
fn many_claimants_at_once_get_each_row_once() {
    let database = TestDatabase::new();
    let clock = clock();
    let ids = stored(&mut database.connect(), &clock, 500, true);
    let claimed: Vec<Uuid> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|n| {
                let (database, ids, clock) = (&database, &ids, &clock);
                scope.spawn(move || {
                    let (mut conn, mut mine, mut ids) = (database.connect(), Vec::new(), ids.clone());
                    ids.rotate_left(n * 100);
                    for handful in ids.chunks(7) {
                        let claims =
                            db::due::claim(&mut conn, &Kind::DELIVERIES, handful, clock.now(), LEASE)
                                .unwrap();
                        mine.extend(claims.leases.iter().map(db::due::Lease::subject));
                    }
                    mine
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let mut once = claimed.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), claimed.len(), "nothing twice");
    // Rows that were locked for the moment are left to whoever locked them, which claimed them.
    assert_eq!(once.len(), ids.len());
}

#[test]
fn the_sweep_finds_what_nobody_was_told_of_at_once_and_the_rest_when_it_is_overdue() {
    let database = TestDatabase::new();
    let (mut conn, clock) = (database.connect(), clock());
    let mut told = stored(&mut conn, &clock, 2, true);
    let mut untold = stored(&mut conn, &clock, 2, false);
    told.sort();
    untold.sort();
    let sweep = |conn: &mut PgConnection| {
        let swept = db::due::take(conn, &Kind::ALL, clock.now(), 100).unwrap();
        let mut ids: Vec<Uuid> = swept.wake.iter().map(|wake| wake.subject).collect();
        ids.sort();
        ids
    };
    assert_eq!(sweep(&mut conn), untold);
    assert_eq!(sweep(&mut conn), [] as [Uuid; 0], "once told, not told again at once");
    db::due::unwake(&mut conn, &told[..1], clock.now()).unwrap();
    assert_eq!(sweep(&mut conn), told[..1], "the publish failed after all");
    clock.advance(TimeDelta::seconds(60));
    let mut all = [told, untold].concat();
    all.sort();
    assert_eq!(sweep(&mut conn), all, "nobody came: the messages are taken for lost");
}

/// Told by somebody who died before the broker had it: where nothing waits in the queue, that is known in seconds.
#[test]
fn where_the_queue_is_empty_who_was_told_and_has_not_come_is_found_in_seconds() {
    let database = TestDatabase::new();
    let (mut conn, clock) = (database.connect(), clock());
    let ids = stored(&mut conn, &clock, 4, true);
    let claim = |conn: &mut PgConnection, ids: &[Uuid]| {
        db::due::claim(conn, &Kind::DELIVERIES, ids, clock.now(), LEASE).unwrap().leases
    };
    let held = claim(&mut conn, &ids[..1]);
    let tomorrow = claim(&mut conn, &ids[1..2]);
    let due_at = clock.now() + TimeDelta::seconds(20);
    db::due::postpone(&mut conn, &[db::due::Later { lease: &tomorrow[0], due_at, failures: 1 }]).unwrap();
    let mut lost = || {
        let mut ids: Vec<Uuid> = [Kind::DeliverSms, Kind::ApplyReceipt]
            .map(|kind| db::due::take_lost(&mut conn, &[kind], clock.now(), 100).unwrap().wake)
            .iter()
            .flatten()
            .map(|wake| wake.subject)
            .collect();
        ids.sort();
        ids
    };
    clock.advance(TimeDelta::milliseconds(4999));
    assert_eq!(lost(), [] as [Uuid; 0], "it may be on its way");
    clock.advance(TimeDelta::milliseconds(1));
    let mut expected = ids[2..].to_vec();
    expected.sort();
    assert_eq!(lost(), expected, "neither what is held nor what is not due");
    assert_eq!(lost(), [] as [Uuid; 0], "once told, not told again at once");
    clock.advance(TimeDelta::seconds(5));
    assert_eq!(lost(), expected, "lost again");
    drop(held);
}

#[test]
fn the_sweep_leaves_leased_rows_alone_until_the_lease_ends() {
    let database = TestDatabase::new();
    let (mut conn, clock) = (database.connect(), clock());
    let ids = stored(&mut conn, &clock, 1, true);
    let claims =
        db::due::claim(&mut conn, &Kind::DELIVERIES, &ids, clock.now(), Duration::from_secs(90)).unwrap();
    let sweep =
        |conn: &mut PgConnection| db::due::take(conn, &Kind::ALL, clock.now(), 100).unwrap().wake.len();
    clock.advance(TimeDelta::seconds(60));
    assert_eq!(sweep(&mut conn), 0);
    clock.advance(TimeDelta::seconds(29));
    assert_eq!(sweep(&mut conn), 0);
    clock.advance(TimeDelta::seconds(1));
    assert_eq!(sweep(&mut conn), 1, "the worker is dead: found the moment its lease ends");
    drop(claims);
}

#[test]
fn a_postponed_row_waits_for_its_time() {
    let database = TestDatabase::new();
    let (mut conn, clock) = (database.connect(), clock());
    let ids = stored(&mut conn, &clock, 1, true);
    let lease =
        db::due::claim(&mut conn, &Kind::DELIVERIES, &ids, clock.now(), LEASE).unwrap().leases.remove(0);
    let due_at = clock.now() + TimeDelta::seconds(300);
    db::due::postpone(&mut conn, &[db::due::Later { lease: &lease, due_at, failures: 3 }]).unwrap();
    let claim =
        |conn: &mut PgConnection| db::due::claim(conn, &Kind::DELIVERIES, &ids, clock.now(), LEASE).unwrap();
    assert!(claim(&mut conn).leases.is_empty(), "a doubled message changes nothing");
    clock.advance(TimeDelta::seconds(300));
    assert_eq!(db::due::take(&mut conn, &Kind::ALL, clock.now(), 100).unwrap().wake.len(), 1);
    assert_eq!(claim(&mut conn).leases[0].failures(), 3);
}

#[test]
fn pages_of_the_sweep_end() {
    let database = TestDatabase::new();
    let (mut conn, clock) = (database.connect(), clock());
    stored(&mut conn, &clock, 25, false);
    let mut page = || {
        let swept = db::due::take(&mut conn, &[Kind::DeliverSms], clock.now(), 10).unwrap();
        (swept.wake.len(), swept.more)
    };
    assert_eq!([page(), page(), page()], [(10, true), (10, true), (5, false)]);
}

/// Whatever killed a worker was in hand together with hundreds of others: if they came back together, it would take them all
/// along, six times.
#[test]
fn what_was_lost_together_comes_back_apart() {
    let database = TestDatabase::new();
    let (mut conn, clock) = (database.connect(), clock());
    let ids = stored(&mut conn, &clock, 200, true);
    let step = Duration::from_secs(300);
    let mut waits = || -> Vec<Duration> {
        let claims = db::due::claim(&mut conn, &Kind::DELIVERIES, &ids, clock.now(), LEASE).unwrap();
        clock.advance(TimeDelta::from_std(LEASE).unwrap());
        claims.leases.iter().map(|lease| lease.apart(step)).collect()
    };
    assert_eq!(waits(), [step; 200], "claimed for the first time");
    let lost = waits();
    assert!(lost.iter().all(|wait| (step..step * 2).contains(wait)), "{lost:?}");
    for second in (300..600).step_by(10).map(Duration::from_secs) {
        let together = lost.iter().filter(|wait| (second..second + Duration::from_secs(10)).contains(wait));
        assert!(together.count() < 40, "{lost:?}");
    }
}

/// Two workers with the same messages in hand each hold some rows that the other one asks for: whoever waits there, waits in
/// a circle.
#[test]
fn a_claim_never_waits_for_another_one() {
    let database = TestDatabase::new();
    let (mut conn, clock) = (database.connect(), clock());
    let ids = stored(&mut conn, &clock, 2, true);
    let mut other = database.connect();
    diesel::sql_query("SET lock_timeout = '1s'").execute(&mut other).unwrap();
    let claim = |conn: &mut PgConnection, ids: &[Uuid]| {
        db::delivery::claim(conn, &testkit::keyring(), ids, clock.now(), LEASE)
    };
    conn.test_transaction::<_, diesel::result::Error, _>(|conn| {
        assert_eq!(claim(conn, &ids[..1])?.claimed.len(), 1);
        assert_eq!(
            claim(&mut other, &ids)?.claimed.len(),
            1,
            "the free one, and no waiting for the held one"
        );
        Ok(())
    });
}

#[derive(diesel::QueryableByName)]
struct Read {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    entries: i64,
}

/// Entries of the sweep's index that were read so far.
fn entries_read(conn: &mut PgConnection) -> i64 {
    diesel::sql_query("SELECT pg_stat_force_next_flush()").execute(conn).unwrap();
    let sql = "SELECT idx_tup_read AS entries FROM pg_stat_user_indexes WHERE indexrelname = 'due_to_wake'";
    diesel::sql_query(sql).get_result::<Read>(conn).unwrap().entries
}

/// Where a queue is long, the sweep leaves its kind alone; the backlog, which may be millions, is not in its way.
#[test]
fn the_sweep_of_one_kind_does_not_walk_the_backlog_of_another() {
    let database = TestDatabase::new();
    let (mut conn, clock) = (database.connect(), clock());
    stored(&mut conn, &clock, 5000, false);
    let sample = testkit::sample(&mut conn, clock.now());
    let mut mail = testkit::notification(&sample, Channel::Email, clock.now());
    mail.wake_follows = false;
    db::intake::store(&mut conn, &[mail]).unwrap();
    let before = entries_read(&mut conn);
    let swept = db::due::take(&mut conn, &[Kind::DeliverEmail], clock.now(), 100).unwrap();
    assert_eq!((swept.wake.len(), swept.more), (1, false));
    assert!(entries_read(&mut conn) - before < 100);
    let swept = db::due::take(&mut conn, &[Kind::DeliverEmail, Kind::DeliverSms], clock.now(), 100).unwrap();
    assert_eq!((swept.wake.len(), swept.more), (100, true));
}
