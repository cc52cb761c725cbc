//! Receipts: stored once, applied once, one at a time.

use std::time::Duration;

use chrono::TimeDelta;
use db::receipt::{Effect, NewReceipt};
use diesel::PgConnection;
use domain::{
    clock::Clock,
    id::{NotificationId, ReceiptId},
    receipt::ReceiptWords,
    status::{Channel, ProviderId, Status},
};
use testkit::TestDatabase;
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
    db::receipt::store(conn, new).unwrap().into_iter().map(|wake| wake.map(|wake| wake.subject)).collect()
}

#[test]
fn the_same_words_are_heard_once() {
    let database = TestDatabase::new();
    let (mut conn, clock) = (database.connect(), Clock::manual(Clock::System.now()));
    let one = |detail| firetext("5f0c1f6e-6a3e-4b0c-9a53-0d5f6f4c0a11", "1", detail, &clock);
    let stored = store(&mut conn, &[one(None), one(None), one(Some("101"))]);
    assert_eq!(stored.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, true]);
    assert_eq!(store(&mut conn, &[one(Some("101"))]), [None]);
}

#[test]
fn two_receipts_of_one_notification_are_applied_one_after_the_other() {
    let database = TestDatabase::new();
    let (mut conn, clock) = (database.connect(), Clock::manual(Clock::System.now()));
    let id = accepted(&mut conn, &clock);
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
    let id = accepted(&mut conn, &clock);
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
    let id = accepted(&mut conn, &clock);
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

#[test]
fn a_receipt_for_nobody_is_kept_and_done_with() {
    let database = TestDatabase::new();
    let (mut conn, clock) = (database.connect(), Clock::manual(Clock::System.now()));
    let ids = store(&mut conn, &[firetext("send-sms-code", "0", None, &clock)]);
    let claimed = db::receipt::claim(&mut conn, &[ids[0].unwrap()], clock.now(), LEASE).unwrap();
    assert!(claimed[0].notification.is_none());
    let effects =
        claimed.into_iter().map(|r| (r, Effect::Nothing("unknown notification"))).collect::<Vec<_>>();
    db::receipt::apply(&mut conn, &effects, clock.now()).unwrap();
    assert_eq!(db::audit::audit(&mut conn).unwrap().receipts_waiting, 0);
}

/// A receipt finds its notification by an id that anybody may have seen: that of an e-mail in a text's receipt changes nothing.
#[test]
fn a_provider_is_heard_only_on_what_it_carries() {
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
        let ids = store(&mut conn, &[receipt]);
        let claimed = db::receipt::claim(&mut conn, &[ids[0].unwrap()], clock.now(), LEASE).unwrap();
        assert_eq!(claimed[0].notification.is_some(), heard, "{provider} on {channel}");
    }
}

/// Its neighbours would otherwise come back with it after every lease, and never be applied.
#[test]
fn a_receipt_that_cannot_be_stored_takes_no_neighbour_along() {
    let database = TestDatabase::new();
    let (mut conn, clock) = (database.connect(), Clock::manual(Clock::System.now()));
    let ids: Vec<_> = (0..5).map(|_| accepted(&mut conn, &clock)).collect();
    let poisoned = ids[2];
    database
        .execute(&format!("ALTER TABLE notifications ADD CHECK (id <> '{poisoned}' OR status = 'created')"));
    let new: Vec<_> = ids.iter().map(|id| firetext(&id.to_string(), "0", None, &clock)).collect();
    let woken: Vec<Uuid> = store(&mut conn, &new).into_iter().flatten().collect();
    let claimed = db::receipt::claim(&mut conn, &woken, clock.now(), LEASE).unwrap();
    let effects =
        claimed.into_iter().map(|r| (r, Effect::Change { to: Status::Delivered })).collect::<Vec<_>>();
    let changed = db::receipt::apply(&mut conn, &effects, clock.now()).unwrap();
    assert_eq!((changed.len(), changed.contains(&poisoned)), (4, false));
    let story = db::story::of(&mut conn, poisoned).unwrap().unwrap();
    assert_eq!(story.notification.status, Status::Created);
    assert_eq!(story.receipts[0].effect.as_deref(), Some("refused by the database"));
    assert_eq!(db::audit::audit(&mut conn).unwrap().receipts_waiting, 0);
}
