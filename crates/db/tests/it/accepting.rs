//! Intake: what is answered is committed, and a bad row takes no neighbour along.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use db::intake::Outcome;
use diesel::{Connection, PgConnection, RunQueryDsl, connection::SimpleConnection};
use domain::{clock::Clock, status::Channel};
use futures_util::future::join_all;
use testkit::{Sample, TestDatabase, eventually};

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

fn begin(database: &TestDatabase, lock: &str) -> PgConnection {
    let mut holder = PgConnection::establish(&database.url()).unwrap();
    holder.batch_execute(&format!("BEGIN; {lock}")).unwrap();
    holder
}

fn usage_of(sample: &Sample) -> String {
    format!("SELECT FROM service_usage WHERE service_id = '{}' FOR UPDATE", sample.service.id)
}

#[tokio::test]
async fn a_lock_on_one_service_holds_up_no_other_and_is_waited_for() {
    let database = TestDatabase::new();
    let now = Clock::System.now();
    let held = testkit::sample(&mut database.connect(), now);
    let free = testkit::sample(&mut database.connect(), now);
    let intake = db::intake::start(database.config(), |_| ());
    let submit =
        |sample: &Sample| intake.submit(testkit::request(testkit::notification(sample, Channel::Sms, now)));
    submit(&held).await.unwrap();
    let mut holder = begin(&database, &usage_of(&held));
    // In one group: some of each.
    let of_held = join_all((0..20).map(|_| submit(&held)));
    let of_free = join_all((0..20).map(|_| submit(&free)));
    let mut of_held = std::pin::pin!(of_held);
    let answers = tokio::select! {
        biased;
        _ = &mut of_held => panic!("somebody holds it"),
        answers = of_free => answers,
    };
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    holder.batch_execute("COMMIT").unwrap();
    let answers = of_held.await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(db::audit::audit(&mut database.connect()).unwrap().accepted, 41);
}

#[tokio::test]
async fn a_lock_that_nobody_lets_go_of_is_unavailable_and_nothing_is_stored() {
    let database = TestDatabase::new();
    let now = Clock::System.now();
    let held = testkit::sample(&mut database.connect(), now);
    let intake = db::intake::start(database.config(), |_| ());
    let submit = || intake.submit(testkit::request(testkit::notification(&held, Channel::Sms, now)));
    submit().await.unwrap();
    let _holder = begin(&database, &usage_of(&held));
    for answer in join_all((0..3).map(|_| submit())).await {
        assert!(answer.unwrap_err().is_unavailable());
    }
    assert_eq!(db::audit::audit(&mut database.connect()).unwrap().accepted, 1);
}

/// Its client may be frozen, or a machine without power: it says nothing any more.
#[tokio::test]
async fn a_replica_that_stands_still_in_its_transaction_keeps_nobody_waiting_for_long() {
    let database = TestDatabase::new();
    let now = Clock::System.now();
    let sample = testkit::sample(&mut database.connect(), now);
    let intake = db::intake::start(database.config(), |_| ());
    let submit = || intake.submit(testkit::request(testkit::notification(&sample, Channel::Sms, now)));
    submit().await.unwrap();
    let mut frozen = database.connect();
    frozen.batch_execute(&format!("BEGIN; {}", usage_of(&sample))).unwrap();
    let answers = join_all((0..10).map(|_| submit())).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    // When it thaws, it learns that its transaction is over.
    let lost = frozen.batch_execute("COMMIT").unwrap_err();
    let kind = diesel::result::DatabaseErrorKind::ClosedConnection;
    assert!(
        matches!(&lost, diesel::result::Error::DatabaseError(found, _) if format!("{found:?}") == format!("{kind:?}")),
        "{lost:?}"
    );
}

/// What Postgres raises when somebody with this reference is stored, whatever the language of its words.
fn raise(database: &TestDatabase, reference: &str, sqlstate: &str) {
    database.execute("CREATE SEQUENCE IF NOT EXISTS tries");
    database.execute(&format!(
        "CREATE FUNCTION trouble() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
           PERFORM nextval('tries');
           IF EXISTS (SELECT FROM new_rows WHERE client_reference = '{reference}') THEN
             RAISE EXCEPTION 'Unglück' USING ERRCODE = '{sqlstate}';
           END IF;
           RETURN NULL;
         END $$"
    ));
    database.execute(
        "CREATE TRIGGER trouble AFTER INSERT ON notifications REFERENCING NEW TABLE AS new_rows
         FOR EACH STATEMENT EXECUTE FUNCTION trouble()",
    );
}

fn tries(database: &TestDatabase) -> i64 {
    #[derive(diesel::QueryableByName)]
    struct Tries {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        last_value: i64,
    }
    let tries: Tries =
        diesel::sql_query("SELECT last_value FROM tries").get_result(&mut database.connect()).unwrap();
    tries.last_value
}

/// Time-outs, locks, deadlocks, a full disk: none of them is an item's fault, and the next item would meet it, too.
#[tokio::test]
async fn trouble_of_the_database_fails_the_group_once_and_is_unavailable() {
    for sqlstate in ["55P03", "57014", "40P01", "40001", "25006", "53100", "53200", "58030"] {
        let database = TestDatabase::new();
        let now = Clock::System.now();
        let sample = testkit::sample(&mut database.connect(), now);
        let intake = db::intake::start(database.config(), |_| ());
        let new = |reference: &str| {
            let mut new = testkit::notification(&sample, Channel::Sms, now);
            new.client_reference = Some(reference.into());
            testkit::request(new)
        };
        intake.submit(new("well")).await.unwrap();
        raise(&database, "trouble", sqlstate);
        let calls = (0..100).map(|n| intake.submit(new(if n == 50 { "trouble" } else { "well" })));
        let answers = join_all(calls).await;
        let refused: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().err()).collect();
        assert!(refused.iter().all(|error| error.is_unavailable()), "{sqlstate}: {refused:?}");
        assert!(!refused.is_empty() && tries(&database) <= 3, "{sqlstate}: {} tries", tries(&database));
    }
}

#[tokio::test]
async fn an_item_that_breaks_a_constraint_is_found_by_halves() {
    let database = TestDatabase::new();
    let now = Clock::System.now();
    let sample = testkit::sample(&mut database.connect(), now);
    let intake = db::intake::start(database.config(), |_| ());
    let new = |reference: &str| {
        let mut new = testkit::notification(&sample, Channel::Sms, now);
        new.client_reference = Some(reference.into());
        testkit::request(new)
    };
    intake.submit(new("well")).await.unwrap();
    raise(&database, "bad", "23514");
    let answers = join_all((0..300).map(|n| intake.submit(new(if n == 50 { "bad" } else { "well" })))).await;
    let refused: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().err()).collect();
    assert!(matches!(refused[..], [one] if !one.is_unavailable()), "{refused:?}");
    assert!(tries(&database) < 30, "{} tries", tries(&database));
}

#[tokio::test]
async fn a_writer_that_panics_says_that_it_has_ended() {
    let database = TestDatabase::new();
    let writer: db::GroupWriter<u32, u32> = db::GroupWriter::start(
        "panics",
        database.config(),
        |_, items, _| {
            assert!(!items.contains(&1), "on purpose");
            Ok(items.iter().copied().map(Some).collect())
        },
        |_| (),
    );
    let ended = writer.ended();
    writer.submit(0).await.unwrap();
    writer.submit(1).await.unwrap_err();
    ended.await.unwrap_err();
    writer.submit(0).await.unwrap_err();
}

#[tokio::test]
async fn a_writer_that_nobody_needs_ends_as_it_should() {
    let database = TestDatabase::new();
    let intake = db::intake::start(database.config(), |_| ());
    let ended = intake.ended();
    drop(intake);
    ended.await.unwrap();
}

/// A writer that is held up in its transaction until the answered connection commits, and the answer to what holds it up.
async fn hold_up(database: &TestDatabase, submitted: impl Future<Output = ()>) -> PgConnection {
    let holder = begin(database, "LOCK TABLE service_usage");
    tokio::select! {
        () = submitted => panic!("the table is locked"),
        () = eventually(Duration::from_secs(10), "it waits for the table", async || is_held_up(database).then_some(())) => {}
    }
    holder
}

fn is_held_up(database: &TestDatabase) -> bool {
    let waits =
        "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let waits = diesel::dsl::sql::<diesel::sql_types::Bool>(&format!("EXISTS ({waits})"));
    diesel::select(waits).get_result(&mut database.connect()).unwrap()
}

/// Judged, and not stored.
fn measured(sample: &Sample) -> db::intake::Request {
    let mut request = testkit::request(testkit::notification(sample, Channel::Sms, Clock::System.now()));
    request.new = None;
    request
}

#[tokio::test]
async fn a_request_whose_caller_has_gone_before_its_turn_is_not_stored() {
    let database = TestDatabase::new();
    let now = Clock::System.now();
    let sample = testkit::sample(&mut database.connect(), now);
    let intake = db::intake::start(database.config(), |_| ());
    let submit = || intake.submit(testkit::request(testkit::notification(&sample, Channel::Sms, now)));
    let mut first = Box::pin(submit());
    let mut holder = hold_up(&database, async {
        first.as_mut().await.unwrap();
    })
    .await;
    let (mut gone, mut stays) = (Box::pin(submit()), Box::pin(submit()));
    assert!(futures_util::poll!(&mut gone).is_pending() && futures_util::poll!(&mut stays).is_pending());
    drop(gone);
    holder.batch_execute("COMMIT").unwrap();
    first.await.unwrap();
    stays.await.unwrap();
    assert_eq!(db::audit::audit(&mut database.connect()).unwrap().accepted, 2);
}

#[tokio::test]
async fn a_service_that_has_used_its_places_is_told_and_the_others_go_on() {
    let database = TestDatabase::new();
    let now = Clock::System.now();
    let (greedy, other) =
        (testkit::sample(&mut database.connect(), now), testkit::sample(&mut database.connect(), now));
    let intake = db::intake::start(database.config(), |_| ());
    let mut first = Box::pin(intake.submit(measured(&other)));
    let mut holder = hold_up(&database, async {
        first.as_mut().await.unwrap();
    })
    .await;
    let (mut waiting, mut told) = (Vec::new(), 0);
    for _ in 0..6000 {
        let mut call = Box::pin(intake.submit(measured(&greedy)));
        match futures_util::poll!(&mut call) {
            std::task::Poll::Pending => waiting.push(call),
            std::task::Poll::Ready(answer) => {
                assert!(answer.unwrap_err().is_unavailable());
                told += 1;
            }
        }
    }
    assert!((4_900..=5_000).contains(&waiting.len()), "half of the places: {}", waiting.len());
    assert_eq!(waiting.len() + told, 6000);
    let others: Vec<_> = (0..1000).map(|_| intake.submit(measured(&other))).collect();
    holder.batch_execute("COMMIT").unwrap();
    let (of_other, of_greedy) = tokio::join!(join_all(others), join_all(waiting));
    assert!(of_other.iter().chain(&of_greedy).all(Result::is_ok));
}

#[tokio::test]
async fn requests_that_are_certainly_beyond_a_limit_cost_no_transaction() {
    let database = TestDatabase::new();
    let sample = testkit::sample(&mut database.connect(), Clock::System.now());
    let groups = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&groups);
    let intake = db::intake::start(database.config(), move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
    });
    let at = Clock::System.now();
    let submit = || {
        let mut request = measured(&sample);
        (request.at, request.measure.rate) = (at, Some(3));
        intake.submit(request)
    };
    assert!(matches!(submit().await.unwrap(), Outcome::Admitted(_)));
    assert!(matches!(submit().await.unwrap(), Outcome::Exceeded(_)));
    let asked = groups.load(Ordering::SeqCst);
    for _ in 0..100 {
        assert!(matches!(submit().await.unwrap(), Outcome::Exceeded(_)));
    }
    assert_eq!(groups.load(Ordering::SeqCst), asked);
}
