//! Limits and earlier requests: exact whoever asks, and however many at once.

use chrono::{DateTime, TimeDelta, Utc};
use db::{
    Turn,
    idempotency::Idempotency,
    intake::{Outcome, Request, admit},
    limit::{Daily, Limit},
};
use diesel::{Connection, PgConnection};
use domain::{
    clock::Clock,
    status::{Channel, KeyType},
};
use futures_util::future::join_all;
use testkit::{Sample, TestDatabase};

fn request(sample: &Sample, daily: i32, at: DateTime<Utc>) -> Request {
    let mut request = testkit::request(testkit::notification(sample, Channel::Sms, at));
    request.measure.daily = Daily::Channel(daily);
    request
}

fn keyed(sample: &Sample, key: &str, fingerprint: u8, at: DateTime<Utc>) -> Request {
    let mut request = request(sample, i32::MAX, at);
    let id = request.new.as_ref().unwrap().id;
    let answer = Some((id, id.to_string().into_bytes()));
    request.idempotency = Some(Idempotency { key: key.into(), fingerprint: [fingerprint; 32], answer });
    request
}

fn admit_all(conn: &mut PgConnection, group: &[Request]) -> Vec<Outcome> {
    let outcomes = conn.transaction(|conn| admit(conn, group, Turn::Wait(0))).unwrap();
    outcomes.into_iter().map(|outcome| outcome.expect("nobody else holds the service")).collect()
}

fn admitted(outcomes: &[Outcome]) -> usize {
    outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Admitted(_))).count()
}

fn accepted(database: &TestDatabase) -> i64 {
    db::audit::audit(&mut database.connect()).unwrap().accepted
}

#[tokio::test]
async fn a_daily_limit_is_exact_across_writers_and_groups() {
    let database = TestDatabase::new();
    let now = Clock::System.now();
    let samples =
        [testkit::sample(&mut database.connect(), now), testkit::sample(&mut database.connect(), now)];
    // Both services in every group, in either order: writers that lock in different orders would stop each other for ever.
    let writers: Vec<_> = (0..4).map(|_| db::intake::start(database.config(), |_| ())).collect();
    let calls = (0..400).map(|n| writers[n % 4].submit(request(&samples[n / 4 % 2], 25, now)));
    let outcomes: Vec<_> = join_all(calls).await.into_iter().map(Result::unwrap).collect();
    assert_eq!((admitted(&outcomes), accepted(&database)), (50, 50));
}

#[test]
fn a_request_that_is_refused_takes_a_token_and_counts_for_no_day() {
    let database = TestDatabase::new();
    let (mut conn, now) = (database.connect(), Clock::System.now());
    let sample = testkit::sample(&mut conn, now);
    let group: Vec<Request> = (0..4)
        .map(|n| {
            let mut request = request(&sample, 1, now);
            request.measure.rate = Some(9);
            if n < 2 {
                request.new = None;
            }
            request
        })
        .collect();
    let outcomes = admit_all(&mut conn, &group);
    assert!(matches!(outcomes[0], Outcome::Admitted(None)), "{outcomes:?}");
    assert!(matches!(outcomes[1], Outcome::Admitted(None)), "{outcomes:?}");
    assert!(matches!(outcomes[2], Outcome::Admitted(Some(_))), "{outcomes:?}");
    let Outcome::Exceeded(exceeded) = &outcomes[3] else { panic!("{outcomes:?}") };
    assert_eq!(exceeded.of, Limit::Rate(KeyType::Normal), "the minute comes before the day");
    assert_eq!(accepted(&database), 1);
}

#[test]
fn a_transaction_that_fails_uses_nothing_up() {
    let database = TestDatabase::new();
    let (mut conn, now) = (database.connect(), Clock::System.now());
    let sample = testkit::sample(&mut conn, now);
    let mut bad = request(&sample, 1, now);
    bad.new.as_mut().unwrap().recipient = "NUL\0".into();
    conn.transaction(|conn| admit(conn, &[bad], Turn::Wait(0))).unwrap_err();
    assert_eq!(admitted(&admit_all(&mut conn, &[request(&sample, 1, now)])), 1);
}

#[test]
fn the_same_request_again_gets_the_first_answer_and_stores_nothing() {
    let database = TestDatabase::new();
    let (mut conn, now) = (database.connect(), Clock::System.now());
    let sample = testkit::sample(&mut conn, now);
    let first = keyed(&sample, "a", 1, now);
    let id = first.new.as_ref().unwrap().id;
    // Within a group, and from one to the next.
    let outcomes = admit_all(&mut conn, &[first, keyed(&sample, "a", 1, now)]);
    assert!(matches!(outcomes[0], Outcome::Admitted(Some(_))), "{outcomes:?}");
    for outcome in [&outcomes[1], &admit_all(&mut conn, &[keyed(&sample, "a", 1, now)])[0]] {
        let Outcome::Repeated { notification, answer } = outcome else { panic!("{outcome:?}") };
        assert_eq!((*notification, &**answer), (id, id.to_string().as_bytes()));
    }
    let other = admit_all(&mut conn, &[keyed(&sample, "a", 2, now), keyed(&sample, "b", 2, now)]);
    assert!(matches!(other[..], [Outcome::KeyReused, Outcome::Admitted(Some(_))]), "{other:?}");
    assert_eq!(accepted(&database), 2);
}

#[test]
fn services_and_types_of_key_do_not_see_each_others_keys() {
    let database = TestDatabase::new();
    let (mut conn, now) = (database.connect(), Clock::System.now());
    let (one, two) = (testkit::sample(&mut conn, now), testkit::sample(&mut conn, now));
    let mut test = keyed(&one, "a", 1, now);
    test.measure.key_type = KeyType::Test;
    let outcomes = admit_all(&mut conn, &[keyed(&one, "a", 1, now), keyed(&two, "a", 2, now), test]);
    assert_eq!(admitted(&outcomes), 3);
}

#[test]
fn a_refused_request_is_not_remembered_and_a_repeated_one_needs_no_room_in_the_day() {
    let database = TestDatabase::new();
    let (mut conn, now) = (database.connect(), Clock::System.now());
    let sample = testkit::sample(&mut conn, now);
    let mut refused = keyed(&sample, "a", 1, now);
    (refused.new, refused.idempotency.as_mut().unwrap().answer) = (None, None);
    let mut mended = keyed(&sample, "a", 2, now);
    mended.measure.daily = Daily::Channel(1);
    let mut again = keyed(&sample, "a", 2, now);
    again.measure.daily = Daily::Channel(1);
    let outcomes = admit_all(&mut conn, &[refused, mended, again]);
    assert!(
        matches!(
            outcomes[..],
            [Outcome::Admitted(None), Outcome::Admitted(Some(_)), Outcome::Repeated { .. }]
        ),
        "{outcomes:?}"
    );
}

#[test]
fn a_request_is_remembered_for_a_day_and_then_forgotten() {
    let database = TestDatabase::new();
    let (mut conn, now) = (database.connect(), Clock::System.now());
    let sample = testkit::sample(&mut conn, now);
    admit_all(&mut conn, &[keyed(&sample, "a", 1, now)]);
    let last = now + TimeDelta::hours(24) - TimeDelta::seconds(1);
    assert_eq!(db::idempotency::forget(&mut conn, last, 10).unwrap(), 0);
    let outcomes = admit_all(&mut conn, &[keyed(&sample, "a", 2, last)]);
    assert!(matches!(outcomes[0], Outcome::KeyReused), "{outcomes:?}");
    let day_later = now + TimeDelta::hours(24);
    assert_eq!(
        admitted(&admit_all(&mut conn, &[keyed(&sample, "a", 2, day_later)])),
        1,
        "a key may be used again"
    );
    assert_eq!(db::idempotency::forget(&mut conn, day_later, 10).unwrap(), 0, "it is a day younger now");
    assert_eq!(db::idempotency::forget(&mut conn, day_later + TimeDelta::hours(24), 10).unwrap(), 1);
}
