//! Receipts: stored once, applied once, one at a time.

use std::{collections::HashSet, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use db::{
    delivery::{Settlement, Taken},
    receipt::{Effect, HandOver, NewReceipt, Reception},
};
use diesel::PgConnection;
use domain::{
    clock::Clock,
    id::{NotificationId, ReceiptId},
    notification::{Attempt, Outcome},
    receipt::ReceiptWords,
    retry::{RetryPolicy, SendFailure},
    status::{Channel, ProviderId, Status},
};
use testkit::{TestDatabase, keyring};
use uuid::Uuid;

const LEASE: Duration = Duration::from_secs(60);

fn firetext(reference: &str, status: &str, detail: Option<&str>, clock: &Clock) -> NewReceipt {
    let now = clock.now();
    let words = ReceiptWords {
        provider: ProviderId::Firetext,
        reference: reference.into(),
        status: status.into(),
        detail: detail.map(Into::into),
    };
    NewReceipt { id: ReceiptId::new(now), words, received_at: now }
}

fn accepted(conn: &mut PgConnection, clock: &Clock) -> NotificationId {
    let sample = testkit::sample(conn, clock.now());
    let new = testkit::notification(&sample, Channel::Sms, clock.now());
    let id = new.id;
    db::intake::store(conn, &[new]).unwrap();
    id
}

fn store(conn: &mut PgConnection, new: &[NewReceipt]) -> Vec<Option<Uuid>> {
    let stored = db::receipt::store(conn, new).unwrap();
    stored.into_iter().map(|reception| reception.wake().map(|wake| wake.subject)).collect()
}

/// A text that Firetext has.
fn sent(conn: &mut PgConnection, clock: &Clock) -> NotificationId {
    let id = accepted(conn, clock);
    let outcome =
        Outcome::HandedOver { status: Status::Sending, provider_reference: None, simulated_receipt: None };
    attempt(conn, clock, id, ProviderId::Firetext, outcome);
    id
}

/// Claims and settles.
fn attempt(
    conn: &mut PgConnection,
    clock: &Clock,
    id: NotificationId,
    provider: ProviderId,
    outcome: Outcome,
) {
    let claimed =
        db::delivery::claim(conn, &keyring(), &[id.0], clock.now(), LEASE).unwrap().claimed.remove(0);
    let attempt = Attempt { provider: Some(provider), took: Duration::ZERO, billable_units: 1, outcome };
    let settlement = Settlement { lease: claimed.lease, attempt, at: clock.now() };
    db::delivery::settle(conn, &[settlement], &RetryPolicy::default()).unwrap();
}

#[test]
fn the_same_words_are_heard_once() {
    let database = TestDatabase::new();
    let (mut conn, clock) = (database.connect(), Clock::manual(Clock::System.now()));
    let id = accepted(&mut conn, &clock).to_string();
    let one = |detail| firetext(&id, "1", detail, &clock);
    let stored = store(&mut conn, &[one(None), one(None), one(Some("101"))]);
    assert_eq!(stored.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, true]);
    assert_eq!(store(&mut conn, &[one(Some("101"))]), [None]);
}

#[test]
fn two_receipts_of_one_notification_are_applied_one_after_the_other() {
    let database = TestDatabase::new();
    let (mut conn, clock) = (database.connect(), Clock::manual(Clock::System.now()));
    let id = sent(&mut conn, &clock);
    let pending = firetext(&id.to_string(), "2", None, &clock);
    clock.advance(TimeDelta::microseconds(1));
    let new = [pending, firetext(&id.to_string(), "0", None, &clock)];
    let ids: Vec<Uuid> = store(&mut conn, &new).into_iter().flatten().collect();
    let first = db::receipt::claim(&mut conn, &ids, clock.now(), LEASE).unwrap();
    assert_eq!((first.len(), first[0].words.status.as_str()), (1, "2"), "in the order they came");
    let to_pending =
        first.into_iter().map(|r| (r, Effect::Change { to: Status::Pending })).collect::<Vec<_>>();
    assert_eq!(db::receipt::apply(&mut conn, &to_pending, clock.now()).unwrap(), [id]);
    clock.advance(TimeDelta::seconds(1));
    let second = db::receipt::claim(&mut conn, &ids, clock.now(), LEASE).unwrap();
    assert_eq!(second[0].notification.as_ref().unwrap().status, Status::Pending);
    let delivered =
        second.into_iter().map(|r| (r, Effect::Change { to: Status::Delivered })).collect::<Vec<_>>();
    assert_eq!(db::receipt::apply(&mut conn, &delivered, clock.now()).unwrap(), [id]);
    let row = db::notification::find(&mut conn, id).unwrap().unwrap();
    assert_eq!((row.status, row.sent_by), (Status::Delivered, Some(ProviderId::Firetext)));
}

#[test]
fn nothing_changes_a_final_status_and_the_receipt_says_so() {
    let database = TestDatabase::new();
    let (mut conn, clock) = (database.connect(), Clock::manual(Clock::System.now()));
    let id = sent(&mut conn, &clock);
    for (status, to, changed) in [("0", Status::Delivered, true), ("1", Status::PermanentFailure, false)] {
        let ids = store(&mut conn, &[firetext(&id.to_string(), status, None, &clock)]);
        let claimed = db::receipt::claim(&mut conn, &[ids[0].unwrap()], clock.now(), LEASE).unwrap();
        let effects = claimed.into_iter().map(|r| (r, Effect::Change { to })).collect::<Vec<_>>();
        assert_eq!(!db::receipt::apply(&mut conn, &effects, clock.now()).unwrap().is_empty(), changed);
    }
    let story = db::story::of(&mut conn, id).unwrap().unwrap();
    assert_eq!(story.notification.status, Status::Delivered);
    let effects: Vec<_> = story.receipts.iter().filter_map(|receipt| receipt.effect.as_deref()).collect();
    assert_eq!(effects, ["delivered", "duplicate"]);
}

#[test]
fn a_meaning_drawn_from_a_status_that_changed_meanwhile_is_drawn_again() {
    let database = TestDatabase::new();
    let (mut conn, clock) = (database.connect(), Clock::manual(Clock::System.now()));
    let id = sent(&mut conn, &clock);
    let ids = store(&mut conn, &[firetext(&id.to_string(), "1", Some("999"), &clock)]);
    let claimed = db::receipt::claim(&mut conn, &[ids[0].unwrap()], clock.now(), LEASE).unwrap();
    // Meanwhile another worker applies "pending".
    let pending = store(&mut conn, &[firetext(&id.to_string(), "2", None, &clock)]);
    let other = db::receipt::claim(&mut conn, &[pending[0].unwrap()], clock.now(), LEASE).unwrap();
    let effects = other.into_iter().map(|r| (r, Effect::Change { to: Status::Pending })).collect::<Vec<_>>();
    db::receipt::apply(&mut conn, &effects, clock.now()).unwrap();
    let stale =
        claimed.into_iter().map(|r| (r, Effect::Change { to: Status::PermanentFailure })).collect::<Vec<_>>();
    assert!(db::receipt::apply(&mut conn, &stale, clock.now()).unwrap().is_empty());
    clock.advance(TimeDelta::seconds(1));
    let again = db::receipt::claim(&mut conn, &[ids[0].unwrap()], clock.now(), LEASE).unwrap();
    assert_eq!(again[0].notification.as_ref().unwrap().status, Status::Pending);
}

/// A receipt finds its notification by an id that anybody may have seen: that of an e-mail in a text's receipt is about nothing
/// of ours. Nor is an id that is not there: our row is committed before any provider hears of it.
#[test]
fn what_is_about_nothing_of_ours_is_not_stored() {
    let database = TestDatabase::new();
    let (mut conn, clock) = (database.connect(), Clock::manual(Clock::System.now()));
    let sample = testkit::sample(&mut conn, clock.now());
    for (channel, provider, heard) in [
        (Channel::Sms, ProviderId::Firetext, true),
        (Channel::Sms, ProviderId::Mmg, true),
        (Channel::Sms, ProviderId::Smtp, false),
        (Channel::Email, ProviderId::Smtp, true),
        (Channel::Email, ProviderId::Mmg, false),
        (Channel::Email, ProviderId::Firetext, false),
    ] {
        let new = testkit::notification(&sample, channel, clock.now());
        let mut receipt = firetext(&new.id.to_string(), "0", None, &clock);
        receipt.words.provider = provider;
        db::intake::store(&mut conn, &[new]).unwrap();
        let stored = db::receipt::store(&mut conn, &[receipt]).unwrap()[0];
        assert_eq!(stored != Reception::NotOurs, heard, "{provider} on {channel}");
    }
    let waiting = db::audit::audit(&mut conn).unwrap().receipts_waiting;
    let strange = Uuid::new_v4().to_string();
    let ours = accepted(&mut conn, &clock).to_string();
    let new: Vec<_> = [&strange, "send-sms-code", "", "x@notify.example", &ours, &strange]
        .map(|reference| firetext(reference, "0", None, &clock))
        .into();
    let stored = db::receipt::store(&mut conn, &new).unwrap();
    let not_ours: Vec<_> = stored.iter().map(|reception| *reception == Reception::NotOurs).collect();
    assert_eq!(not_ours, [true, true, true, true, false, true]);
    assert_eq!(db::audit::audit(&mut conn).unwrap().receipts_waiting, waiting + 1);
}

/// However a provider spells the reference, a notification's receipts are found by its id.
#[test]
fn the_same_words_in_another_spelling_are_heard_once() {
    let database = TestDatabase::new();
    let (mut conn, clock) = (database.connect(), Clock::manual(Clock::System.now()));
    let id = accepted(&mut conn, &clock);
    let spellings =
        [id.to_string(), id.to_string().to_uppercase(), id.0.simple().to_string(), format!("{id}@x")];
    let new: Vec<_> = spellings.iter().map(|reference| firetext(reference, "0", None, &clock)).collect();
    assert_eq!(store(&mut conn, &new).iter().flatten().count(), 1);
    assert_eq!(db::story::of(&mut conn, id).unwrap().unwrap().receipts.len(), 1);
}

/// While newer workers are rolled out, older ones are woken for their receipts, too.
#[test]
fn a_receipt_of_an_unknown_provider_waits_and_takes_no_neighbour_along() {
    let database = TestDatabase::new();
    let (mut conn, clock) = (database.connect(), Clock::manual(Clock::System.now()));
    database.execute("ALTER TYPE provider ADD VALUE 'pigeon'");
    let ids: Vec<_> = (0..4).map(|_| sent(&mut conn, &clock)).collect();
    let new: Vec<_> = ids.iter().map(|id| firetext(&id.to_string(), "0", None, &clock)).collect();
    let woken: Vec<Uuid> = store(&mut conn, &new).into_iter().flatten().collect();
    // One from a provider that is new, one about a text that a new one carried.
    database.execute(&format!("UPDATE receipts SET provider = 'pigeon' WHERE id = '{}'", woken[1]));
    database.execute(&format!("UPDATE notifications SET sent_by = 'pigeon' WHERE id = '{}'", ids[2]));
    let claimed = db::receipt::claim(&mut conn, &woken, clock.now(), LEASE).unwrap();
    let subjects: Vec<_> = claimed.iter().map(|receipt| receipt.lease.subject()).collect();
    assert_eq!(HashSet::from_iter(subjects), HashSet::from([woken[0], woken[3]]));
    for waiting in [woken[1], woken[2]] {
        let due = db::due::find(&mut conn, waiting).unwrap().unwrap();
        assert_eq!((due.leased, due.failures, due.due_at), (false, 0, clock.now() + TimeDelta::seconds(1)));
    }
    clock.advance(TimeDelta::days(3));
    assert!(db::receipt::claim(&mut conn, &woken[1..3], clock.now(), LEASE).unwrap().is_empty());
    let due = db::due::find(&mut conn, woken[1]).unwrap().unwrap();
    assert_eq!(due.due_at, clock.now() + TimeDelta::minutes(5), "for as long as it takes");
}

/// The same words are heard when they are true.
#[test]
fn what_is_false_is_forgotten() {
    let database = TestDatabase::new();
    let (mut conn, clock) = (database.connect(), Clock::manual(Clock::System.now()));
    let id = accepted(&mut conn, &clock);
    for _ in 0..2 {
        let woken = store(&mut conn, &[firetext(&id.to_string(), "0", None, &clock)])[0].unwrap();
        let claimed = db::receipt::claim(&mut conn, &[woken], clock.now(), LEASE).unwrap();
        let forgotten: Vec<_> = claimed.into_iter().map(|receipt| (receipt, Effect::Forget)).collect();
        assert!(db::receipt::apply(&mut conn, &forgotten, clock.now()).unwrap().is_empty());
        assert!(db::due::find(&mut conn, woken).unwrap().is_none());
        assert!(db::story::of(&mut conn, id).unwrap().unwrap().receipts.is_empty());
    }
}

/// Each row of the table of what we may know of a hand-over when its provider is heard.
#[test]
fn a_receipt_counts_only_with_a_doubt_of_ours() {
    use HandOver::{Never, Noted, UnderWay, Unnoted};
    use ProviderId::{Firetext, Mmg};
    let database = TestDatabase::new();
    let (mut conn, clock) = (database.connect(), Clock::manual(Clock::System.now()));
    let heard = |conn: &mut PgConnection, id: NotificationId, before: i64| {
        let mut receipt = firetext(&id.to_string(), &Uuid::new_v4().to_string(), None, &clock);
        receipt.received_at -= TimeDelta::seconds(before);
        let woken = store(conn, &[receipt])[0].unwrap();
        let claimed = db::receipt::claim(conn, &[woken], clock.now(), LEASE).unwrap();
        claimed[0].notification.as_ref().unwrap().hand_over
    };
    let failed = |failure: SendFailure| Outcome::Failed(failure);
    let no = || failed(SendFailure::Transient("HTTP 503".into()));
    let unanswered = || failed(SendFailure::Unanswered("no answer".into()));

    let id = accepted(&mut conn, &clock);
    assert_eq!(heard(&mut conn, id, 0), Never, "nobody was asked yet");
    let held = db::delivery::claim(&mut conn, &keyring(), &[id.0], clock.now(), LEASE).unwrap();
    assert_eq!(heard(&mut conn, id, 0), UnderWay);
    assert_eq!(heard(&mut conn, id, 60), UnderWay, "its holder may have taken over from one who died");
    drop(held);
    clock.advance(TimeDelta::seconds(60));
    assert_eq!(heard(&mut conn, id, 50), UnderWay, "lapsed, and nobody has taken over yet");
    let claims = db::delivery::claim(&mut conn, &keyring(), &[id.0], clock.now(), LEASE).unwrap();
    // Receipts that were stored above are proof; here it is settled as if they had come later.
    let later: Vec<_> = claims.taken.into_iter().map(|taken| lapsed(taken, clock.now())).collect();
    db::delivery::settle(&mut conn, &later, &RetryPolicy::default()).unwrap();
    assert_eq!(heard(&mut conn, id, 0), Unnoted, "nobody knows whom the one who died asked");
    assert_eq!(heard(&mut conn, id, 120), Never, "it came before anybody began");

    for (provider, outcome, expected) in [
        (Firetext, no(), Never),
        (Mmg, unanswered(), Never),
        (Firetext, unanswered(), Unnoted),
        (Firetext, failed(SendFailure::Throttled { reason: "429".into(), after: None }), Never),
        (Firetext, failed(SendFailure::Misconfigured("401".into())), Never),
        // Given up.
        (Firetext, failed(SendFailure::Rejected("550".into())), Never),
    ] {
        let id = accepted(&mut conn, &clock);
        let what = format!("{provider}: {outcome:?}");
        attempt(&mut conn, &clock, id, provider, outcome);
        assert_eq!(heard(&mut conn, id, 0), expected, "{what}");
    }
    let id = sent(&mut conn, &clock);
    assert_eq!(heard(&mut conn, id, 0), Noted);
}

fn lapsed(taken: Taken, at: DateTime<Utc>) -> Settlement {
    let outcome = Outcome::Failed(SendFailure::Unanswered("nobody said what came of it".into()));
    let attempt = Attempt { provider: None, took: LEASE, billable_units: 0, outcome };
    Settlement { lease: taken.lease, attempt, at }
}

/// Its neighbours would otherwise come back with it after every lease, and never be applied.
#[test]
fn a_receipt_that_cannot_be_stored_takes_no_neighbour_along() {
    let database = TestDatabase::new();
    let (mut conn, clock) = (database.connect(), Clock::manual(Clock::System.now()));
    let ids: Vec<_> = (0..5).map(|_| sent(&mut conn, &clock)).collect();
    let poisoned = ids[2];
    database
        .execute(&format!("ALTER TABLE notifications ADD CHECK (id <> '{poisoned}' OR status = 'sending')"));
    let new: Vec<_> = ids.iter().map(|id| firetext(&id.to_string(), "0", None, &clock)).collect();
    let woken: Vec<Uuid> = store(&mut conn, &new).into_iter().flatten().collect();
    let claimed = db::receipt::claim(&mut conn, &woken, clock.now(), LEASE).unwrap();
    let effects =
        claimed.into_iter().map(|r| (r, Effect::Change { to: Status::Delivered })).collect::<Vec<_>>();
    let changed = db::receipt::apply(&mut conn, &effects, clock.now()).unwrap();
    assert_eq!((changed.len(), changed.contains(&poisoned)), (4, false));
    let story = db::story::of(&mut conn, poisoned).unwrap().unwrap();
    assert_eq!(story.notification.status, Status::Sending);
    assert_eq!(story.receipts[0].effect.as_deref(), Some("refused by the database"));
    assert_eq!(db::audit::audit(&mut conn).unwrap().receipts_waiting, 0);
}
