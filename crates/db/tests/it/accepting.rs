//! Intake: what is answered is committed, and a bad row takes no neighbour along.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use db::intake::Outcome;
use domain::{clock::Clock, status::Channel};
use futures_util::future::join_all;
use testkit::TestDatabase;

#[tokio::test]
async fn concurrent_callers_share_transactions_and_all_are_stored() {
    let database = TestDatabase::new();
    let now = Clock::System.now();
    let sample = testkit::sample(&mut database.connect(), now);
    let (groups, woken) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counters = (Arc::clone(&groups), Arc::clone(&woken));
    let intake = db::intake::start(database.config(), move |stored| {
        counters.0.fetch_add(1, Ordering::SeqCst);
        counters.1.fetch_add(stored.len(), Ordering::SeqCst);
    });
    let calls: Vec<_> = (0..300)
        .map(|n| {
            let channel = if n % 2 == 0 { Channel::Sms } else { Channel::Email };
            intake.submit(testkit::request(testkit::notification(&sample, channel, now)))
        })
        .collect();
    let mut answers = Vec::new();
    for call in join_all(calls).await {
        let Outcome::Admitted(Some(stored)) = call.unwrap() else { panic!("no limit was asked for") };
        answers.push(stored.wake.subject);
    }
    assert_eq!(woken.load(Ordering::SeqCst), 300);
    assert!(groups.load(Ordering::SeqCst) < 300, "callers shared transactions");
    let audit = db::audit::audit(&mut database.connect()).unwrap();
    assert_eq!((audit.accepted, audit.waiting, audit.is_balanced()), (300, 300, true));
    let mut conn = database.connect();
    for id in answers {
        assert!(db::notification::find(&mut conn, id.into()).unwrap().is_some());
    }
}

#[tokio::test]
async fn a_row_that_the_database_refuses_takes_no_neighbour_along() {
    let database = TestDatabase::new();
    let now = Clock::System.now();
    let sample = testkit::sample(&mut database.connect(), now);
    let intake = db::intake::start(database.config(), |_| ());
    let mut calls = Vec::new();
    for n in 0..10 {
        let mut new = testkit::notification(&sample, Channel::Sms, now);
        if n == 4 {
            new.recipient = "NUL\0".into();
        }
        calls.push(intake.submit(testkit::request(new)));
    }
    let results = join_all(calls).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 9);
    assert!(results[4].is_err());
    let audit = db::audit::audit(&mut database.connect()).unwrap();
    assert_eq!((audit.accepted, audit.is_balanced()), (9, true));
}

#[tokio::test]
async fn a_database_that_is_away_is_an_error_and_no_hang_and_comes_back() {
    let database = TestDatabase::new();
    let now = Clock::System.now();
    let sample = testkit::sample(&mut database.connect(), now);
    let intake = db::intake::start(database.config(), |_| ());
    intake.submit(testkit::request(testkit::notification(&sample, Channel::Sms, now))).await.unwrap();
    // Cut every connection but our own.
    diesel::RunQueryDsl::execute(
        diesel::sql_query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        ),
        &mut database.connect(),
    )
    .unwrap();
    let lost =
        intake.submit(testkit::request(testkit::notification(&sample, Channel::Sms, now))).await.unwrap_err();
    assert!(lost.is_unavailable(), "{lost}");
    intake.submit(testkit::request(testkit::notification(&sample, Channel::Sms, now))).await.unwrap();
    assert_eq!(db::audit::audit(&mut database.connect()).unwrap().accepted, 2);
}

#[test]
fn dropping_the_intake_ends_its_thread() {
    let database = TestDatabase::new();
    let intake = db::intake::start(database.config(), |_| ());
    let clone = intake.clone();
    drop(intake);
    drop(clone);
}

/// The longest reference that the door lets through, in the widest characters, none of which compress.
#[test]
fn the_longest_reference_is_stored_and_found() {
    let database = TestDatabase::new();
    let (mut conn, now) = (database.connect(), Clock::System.now());
    let sample = testkit::sample(&mut conn, now);
    let wide = |n: u32| char::from_u32(0x2_0000 + n * 7919 % 40_000).unwrap();
    let reference: String = (0..1000).map(wide).collect();
    let mut new = testkit::notification(&sample, Channel::Sms, now);
    new.client_reference = Some(reference.clone());
    let id = new.id;
    db::intake::store(&mut conn, &[new]).unwrap();
    let filter = db::notification::Filter { client_reference: Some(reference), ..Default::default() };
    let key_type = domain::status::KeyType::Normal;
    let found = db::notification::list(&mut conn, sample.service.id, key_type, &filter, 250).unwrap();
    assert_eq!(found.iter().map(|row| row.id).collect::<Vec<_>>(), [id]);
}
