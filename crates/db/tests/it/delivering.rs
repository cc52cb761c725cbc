//! Claim, load, settle.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use db::delivery::{Claimed, Settlement};
use diesel::PgConnection;
use domain::{
    clock::Clock,
    id::NotificationId,
    notification::{Attempt, Outcome},
    receipt::ReceiptWords,
    retry::{RecipientTrouble, RetryPolicy, SendFailure},
    status::{Channel, ProviderId, Status},
};
use testkit::{TestDatabase, keyring};
use uuid::Uuid;

const LEASE: Duration = Duration::from_secs(60);

struct Bench {
    database: TestDatabase,
    conn: PgConnection,
    clock: Clock,
}

impl Bench {
    fn new() -> Self {
        let database = TestDatabase::new();
        let conn = database.connect();
        Self { database, conn, clock: Clock::manual(Clock::System.now()) }
    }

    fn accept(&mut self, channel: Channel) -> NotificationId {
        let now = self.clock.now();
        let sample = testkit::sample(&mut self.conn, now);
        let new = testkit::notification(&sample, channel, now);
        let id = new.id;
        db::intake::store(&mut self.conn, &[new]).unwrap();
        id
    }

    fn claim(&mut self, id: NotificationId) -> Option<Claimed> {
        db::delivery::claim(&mut self.conn, &keyring(), &[id.0], self.clock.now(), LEASE)
            .unwrap()
            .claimed
            .pop()
    }

    /// A claim after one that was never settled: puts it back, one step further; whether there was anything to put back.
    fn take_over(&mut self, id: NotificationId) -> bool {
        let now = self.clock.now();
        let claims = db::delivery::claim(&mut self.conn, &keyring(), &[id.0], now, LEASE).unwrap();
        assert_eq!(claims.claimed.len(), 0, "what was lost is not sent by the one who finds it");
        db::delivery::settle(&mut self.conn, &claims.ended, &RetryPolicy::default()).unwrap();
        !claims.ended.is_empty()
    }

    fn settle(&mut self, claimed: Claimed, outcome: Outcome) -> Vec<domain::wakeup::WakeUp> {
        let attempt = Attempt {
            provider: Some(ProviderId::Mmg),
            took: Duration::from_millis(7),
            billable_units: 1,
            outcome,
        };
        let settlement = Settlement { lease: claimed.lease, attempt, at: self.clock.now() };
        db::delivery::settle(&mut self.conn, &[settlement], &RetryPolicy::default()).unwrap()
    }

    fn status(&mut self, id: NotificationId) -> Status {
        db::notification::find(&mut self.conn, id).unwrap().unwrap().status
    }

    fn balanced(&mut self) {
        let audit = db::audit::audit(&mut self.conn).unwrap();
        assert!(audit.is_balanced(), "{audit:?}");
        assert_eq!(db::statistics::differences(&mut self.conn).unwrap(), 0, "figures equal a recount");
    }
}

fn handed_over(status: Status) -> Outcome {
    Outcome::HandedOver { status, provider_reference: Some("ref".into()), simulated_receipt: None }
}

fn transient() -> Outcome {
    Outcome::Failed(SendFailure::Transient("HTTP 503".into()))
}

#[test]
fn a_claim_brings_everything_that_sending_needs() {
    let mut bench = Bench::new();
    let id = bench.accept(Channel::Email);
    let notification = bench.claim(id).unwrap().notification;
    assert_eq!(notification.normalised_recipient, "rosa@example.com");
    assert_eq!(notification.subject.as_deref(), Some("Permit for ((name))"));
    assert_eq!(notification.personalisation.as_map()["name"], "Rosa");
    assert_eq!(notification.service.email_local_part, "parking.permits");
    assert!(!format!("{notification:?}").contains("osa"), "nothing personal in Debug");
    assert!(bench.claim(id).is_none(), "taken");
}

#[test]
fn handed_over_is_written_and_no_longer_due() {
    let mut bench = Bench::new();
    let id = bench.accept(Channel::Sms);
    let claimed = bench.claim(id).unwrap();
    bench.settle(claimed, handed_over(Status::Sending));
    let story = db::story::of(&mut bench.conn, id).unwrap().unwrap();
    assert_eq!(story.notification.status, Status::Sending);
    assert_eq!(story.notification.sent_by, Some(ProviderId::Mmg));
    assert_eq!(story.notification.sent_at, Some(bench.clock.now()));
    assert_eq!(story.notification.billable_units, 1);
    assert!(story.due.is_none());
    assert_eq!((story.attempts.len(), story.attempts[0].outcome.as_str()), (1, "handed-over"));
    bench.balanced();
}

#[test]
fn failures_climb_the_ladder_and_end_as_technical_failure() {
    let mut bench = Bench::new();
    let id = bench.accept(Channel::Sms);
    for delay in [10, 60, 300, 3600, 14_400] {
        let claimed = bench.claim(id).unwrap();
        bench.settle(claimed, transient());
        bench.balanced();
        bench.clock.advance(TimeDelta::seconds(delay - 1));
        assert!(bench.claim(id).is_none(), "not before {delay} s");
        bench.clock.advance(TimeDelta::seconds(1));
        assert_eq!(bench.status(id), Status::Created);
    }
    let claimed = bench.claim(id).unwrap();
    bench.settle(claimed, transient());
    assert_eq!(bench.status(id), Status::TechnicalFailure);
    assert_eq!(db::story::of(&mut bench.conn, id).unwrap().unwrap().attempts.len(), 6);
    bench.balanced();
}

/// And they count in no figure before a provider has the text.
#[test]
fn the_units_of_a_text_are_stored_with_its_first_failed_try() {
    let mut bench = Bench::new();
    let id = bench.accept(Channel::Sms);
    let claimed = bench.claim(id).unwrap();
    bench.settle(claimed, transient());
    let row = db::notification::find(&mut bench.conn, id).unwrap().unwrap();
    assert_eq!((row.status, row.billable_units, row.updated_at), (Status::Created, 1, None));
    bench.balanced();
    bench.clock.advance(TimeDelta::seconds(10));
    let claimed = bench.claim(id).unwrap();
    bench.settle(claimed, handed_over(Status::Sending));
    let row = db::notification::find(&mut bench.conn, id).unwrap().unwrap();
    assert_eq!((row.status, row.billable_units), (Status::Sending, 1));
    bench.balanced();
}

#[test]
fn a_refusal_and_an_inactive_service_end_it_at_once() {
    for outcome in
        [Outcome::Failed(SendFailure::Rejected("550".into())), Outcome::Refused("service is inactive")]
    {
        let mut bench = Bench::new();
        let id = bench.accept(Channel::Email);
        let claimed = bench.claim(id).unwrap();
        bench.settle(claimed, outcome);
        assert_eq!(bench.status(id), Status::TechnicalFailure);
        bench.balanced();
    }
}

#[test]
fn a_recipient_who_cannot_be_reached_is_no_technical_failure() {
    for (trouble, end) in [
        (RecipientTrouble::Unknown, Status::PermanentFailure),
        (RecipientTrouble::Full, Status::TemporaryFailure),
        (RecipientTrouble::Busy, Status::Created),
    ] {
        let mut bench = Bench::new();
        let id = bench.accept(Channel::Email);
        let claimed = bench.claim(id).unwrap();
        bench.settle(
            claimed,
            Outcome::Failed(SendFailure::Recipient { trouble, reason: "SMTP 550 at RCPT".into() }),
        );
        assert_eq!(bench.status(id), end, "{trouble:?}");
        let attempts = db::story::of(&mut bench.conn, id).unwrap().unwrap().attempts;
        assert_eq!(attempts[0].reason.as_deref(), Some("recipient: SMTP 550 at RCPT"));
        bench.balanced();
    }
}

#[test]
fn the_second_of_two_holders_cannot_give_up_for_the_first() {
    let mut bench = Bench::new();
    let id = bench.accept(Channel::Sms);
    let slow = bench.claim(id).unwrap();
    bench.clock.advance(TimeDelta::seconds(60));
    assert!(bench.take_over(id));
    bench.clock.advance(TimeDelta::seconds(20));
    let current = bench.claim(id).unwrap();
    bench.settle(slow, Outcome::Failed(SendFailure::Rejected("late".into())));
    assert_eq!(bench.status(id), Status::Created);
    bench.settle(current, handed_over(Status::Sending));
    assert_eq!(bench.status(id), Status::Sending);
    bench.balanced();
}

/// A message that kills whoever touches it (an abort, out of memory) never gets as far as a settle.
#[test]
fn a_message_that_no_worker_lives_to_settle_ends_as_technical_failure() {
    let mut bench = Bench::new();
    let id = bench.accept(Channel::Sms);
    for (step, delay) in [10, 60, 300, 3600, 14_400].into_iter().enumerate() {
        drop(bench.claim(id).unwrap());
        bench.clock.advance(TimeDelta::seconds(60));
        assert!(bench.take_over(id));
        let due = db::due::find(&mut bench.conn, id.0).unwrap().unwrap();
        assert_eq!(
            (usize::try_from(due.failures).unwrap(), due.leased),
            (step + 1, false),
            "exactly one step"
        );
        let wait = (due.due_at - bench.clock.now()).num_seconds();
        assert!((delay..=2 * delay).contains(&wait), "{wait} s after {delay} s");
        bench.balanced();
        bench.clock.advance(TimeDelta::seconds(2 * delay));
        assert_eq!(bench.status(id), Status::Created);
    }
    drop(bench.claim(id).unwrap());
    bench.clock.advance(TimeDelta::seconds(60));
    assert!(bench.take_over(id));
    assert_eq!(bench.status(id), Status::TechnicalFailure, "the sixth attempt was the last");
    let attempts = db::story::of(&mut bench.conn, id).unwrap().unwrap().attempts;
    assert_eq!((attempts.len(), attempts[0].outcome.as_str()), (6, "unanswered"));
    bench.balanced();
}

/// The database was away for longer than the lease: the one who had the provider's yes writes it down before it is sent again.
#[test]
fn a_yes_that_is_written_down_late_is_not_sent_again() {
    let mut bench = Bench::new();
    let id = bench.accept(Channel::Email);
    let late = bench.claim(id).unwrap();
    bench.clock.advance(TimeDelta::seconds(60));
    assert!(bench.take_over(id));
    bench.settle(late, handed_over(Status::Sending));
    assert_eq!(bench.status(id), Status::Sending);
    bench.clock.advance(TimeDelta::seconds(20));
    assert!(!bench.take_over(id) && bench.claim(id).is_none());
    assert_eq!(bench.status(id), Status::Sending);
    assert!(db::due::find(&mut bench.conn, id.0).unwrap().is_none(), "done with on the spot");
    bench.balanced();
}

/// Of two holders one gives up and the other one has the provider's yes: whoever writes last, it was handed over.
#[test]
fn giving_up_never_stands_against_a_hand_over() {
    let yes = || handed_over(Status::Sending);
    let rejected = || Outcome::Failed(SendFailure::Rejected("550".into()));
    for channel in [Channel::Sms, Channel::Email] {
        for yes_first in [true, false] {
            let mut bench = Bench::new();
            let id = bench.accept(channel);
            let late = bench.claim(id).unwrap();
            bench.clock.advance(TimeDelta::seconds(60));
            assert!(bench.take_over(id));
            bench.clock.advance(TimeDelta::seconds(20));
            let current = bench.claim(id).unwrap();
            // What came late is a yes, and the one who holds it now gives up.
            if yes_first {
                bench.settle(late, yes());
                bench.settle(current, rejected());
            } else {
                bench.settle(current, rejected());
                bench.settle(late, yes());
            }
            let row = db::notification::find(&mut bench.conn, id).unwrap().unwrap();
            assert_eq!(
                (row.status, row.sent_at.is_some()),
                (Status::Sending, true),
                "{channel}, {yes_first}"
            );
            assert!(db::due::find(&mut bench.conn, id.0).unwrap().is_none());
            bench.balanced();
        }
    }
}

#[test]
fn unknown_ids_are_told_from_finished_and_busy_ones() {
    let mut bench = Bench::new();
    let (busy, finished) = (bench.accept(Channel::Sms), bench.accept(Channel::Sms));
    let held = bench.claim(busy).unwrap();
    let claimed = bench.claim(finished).unwrap();
    bench.settle(claimed, handed_over(Status::Sending));
    let unknown = Uuid::new_v4();
    let ids = [busy.0, finished.0, unknown];
    let claims = db::delivery::claim(&mut bench.conn, &keyring(), &ids, bench.clock.now(), LEASE).unwrap();
    assert_eq!((claims.claimed.len(), claims.not_found), (0, vec![unknown]));
    drop(held);
}

/// Teams that store their own rows and publish the id need not know the table `due`.
#[test]
fn a_created_row_without_a_due_row_is_taken_in() {
    let mut bench = Bench::new();
    let id = bench.accept(Channel::Email);
    diesel::RunQueryDsl::execute(diesel::sql_query("DELETE FROM due"), &mut bench.conn).unwrap();
    assert!(!db::audit::audit(&mut bench.conn).unwrap().is_balanced(), "the audit sees it");
    assert!(bench.claim(id).is_some());
    bench.balanced();
}

#[test]
fn personalisation_sealed_with_a_lost_key_is_unreadable_and_no_panic() {
    let mut bench = Bench::new();
    let id = bench.accept(Channel::Email);
    let other = "9:ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff".parse().unwrap();
    let claims = db::delivery::claim(&mut bench.conn, &other, &[id.0], bench.clock.now(), LEASE).unwrap();
    assert_eq!((claims.claimed.len(), claims.ended.len()), (0, 1));
    let outcome = &claims.ended[0].attempt.outcome;
    assert!(matches!(outcome, Outcome::Failed(SendFailure::Misconfigured(_))), "{outcome:?}");
}

/// A team that stores its own rows may get them wrong; whatever is `created` stays due until it is settled.
#[test]
fn a_row_of_no_known_template_is_unreadable_and_not_forgotten() {
    let mut bench = Bench::new();
    let id = bench.accept(Channel::Sms);
    let sql = "UPDATE notifications SET template_version = 99";
    diesel::RunQueryDsl::execute(diesel::sql_query(sql), &mut bench.conn).unwrap();
    let claims = db::delivery::claim(&mut bench.conn, &keyring(), &[id.0], bench.clock.now(), LEASE).unwrap();
    assert_eq!((claims.claimed.len(), claims.ended.len()), (0, 1));
    bench.balanced();
}

#[test]
fn a_simulated_receipt_is_stored_with_the_settle() {
    let mut bench = Bench::new();
    let id = bench.accept(Channel::Sms);
    let claimed = bench.claim(id).unwrap();
    let words = ReceiptWords {
        provider: ProviderId::Mmg,
        reference: id.to_string(),
        status: "3".into(),
        detail: Some("5".into()),
    };
    let outcome = Outcome::HandedOver {
        status: Status::Sending,
        provider_reference: None,
        simulated_receipt: Some(words),
    };
    let woken = bench.settle(claimed, outcome);
    assert_eq!((woken.len(), woken[0].kind), (1, domain::wakeup::Kind::ApplyReceipt));
}

#[test]
fn the_time_out_ends_what_nobody_heard_of_and_nothing_else() {
    let mut bench = Bench::new();
    let (waiting, sent) = (bench.accept(Channel::Sms), bench.accept(Channel::Sms));
    let claimed = bench.claim(sent).unwrap();
    bench.settle(claimed, handed_over(Status::Sending));
    bench.receipt(sent, "3");
    let claimed = bench.accept(Channel::Sms);
    let claimed = bench.claim(claimed).unwrap();
    let sending = claimed.notification.id;
    bench.settle(claimed, handed_over(Status::Sending));
    bench.clock.advance(TimeDelta::days(3) + TimeDelta::seconds(1));
    let young = bench.accept(Channel::Sms);
    let now = bench.clock.now();
    assert_eq!(time_out(&mut bench.conn, now - TimeDelta::days(3), now), 2);
    let statuses = [waiting, sent, sending, young].map(|id| bench.status(id));
    let failed = Status::TemporaryFailure;
    assert_eq!(statuses, [failed, Status::Delivered, failed, Status::Created]);
    bench.balanced();
    assert!(bench.database.url().contains("test_"));
}

/// One statement over everything ever stored would meet the statement time-out one day, and from then on at every turn.
#[test]
fn the_time_out_goes_by_pages_and_misses_none() {
    let mut bench = Bench::new();
    let sample = testkit::sample(&mut bench.conn, bench.clock.now());
    for _ in 0..41 {
        bench.clock.advance(TimeDelta::milliseconds(1));
        let now = bench.clock.now();
        let group: Vec<_> = (0..500).map(|_| testkit::notification(&sample, Channel::Sms, now)).collect();
        db::intake::store(&mut bench.conn, &group).unwrap();
    }
    let now = bench.clock.now() + TimeDelta::days(3);
    let cutoff = bench.clock.now() + TimeDelta::milliseconds(1);
    assert_eq!(time_out(&mut bench.conn, cutoff, now), 20_500);
    assert_eq!(db::audit::audit(&mut bench.conn).unwrap().waiting, 0);
    bench.balanced();
}

/// All that the figures know to be open.
fn time_out(conn: &mut PgConnection, cutoff: DateTime<Utc>, now: DateTime<Utc>) -> i64 {
    let mut all = 0;
    for mut accepted in db::notification::open(conn, cutoff).unwrap() {
        loop {
            let (ended, rest) = db::notification::time_out(conn, accepted, now).unwrap();
            all += ended;
            let Some(rest) = rest else { break };
            accepted = rest;
        }
    }
    all
}

/// The first time-out of a leader would read all that was ever stored.
#[test]
fn days_on_which_all_is_final_are_not_looked_at_by_the_time_out() {
    let mut bench = Bench::new();
    let start = bench.clock.now();
    let done = bench.accept(Channel::Sms);
    bench.clock.advance(TimeDelta::days(40));
    let open = bench.accept(Channel::Sms);
    bench.clock.advance(TimeDelta::days(5));
    let young = bench.accept(Channel::Sms);
    let now = bench.clock.now();
    for folded in [false, true] {
        if folded {
            db::statistics::fold(&mut bench.conn, 10_000).unwrap();
        }
        let days = db::notification::open(&mut bench.conn, now - TimeDelta::days(3)).unwrap();
        assert_eq!(days.len(), 2, "that of each which is old enough");
        assert_eq!(db::notification::open(&mut bench.conn, start - TimeDelta::days(3)).unwrap(), []);
    }
    // Long ago, as time-outs go.
    assert_eq!(time_out(&mut bench.conn, start + TimeDelta::days(3), now), 1);
    assert_eq!(db::notification::open(&mut bench.conn, now - TimeDelta::days(3)).unwrap().len(), 1);
    assert_eq!(time_out(&mut bench.conn, now - TimeDelta::days(3), now), 1);
    let statuses = [done, open, young].map(|id| bench.status(id));
    assert_eq!(statuses, [Status::TemporaryFailure, Status::TemporaryFailure, Status::Created]);
}

impl Bench {
    /// MMG says `status` about a notification, and a worker applies it.
    fn receipt(&mut self, id: NotificationId, status: &str) {
        let now = self.clock.now();
        let words = ReceiptWords {
            provider: ProviderId::Mmg,
            reference: id.to_string(),
            status: status.into(),
            detail: None,
        };
        let new = db::receipt::NewReceipt { id: domain::id::ReceiptId::new(now), words, received_at: now };
        let wake = db::receipt::store(&mut self.conn, &[new]).unwrap()[0].wake().unwrap();
        let receipts = db::receipt::claim(&mut self.conn, &[wake.subject], now, LEASE).unwrap();
        let change = receipts.into_iter().map(|r| (r, db::receipt::Effect::Change { to: Status::Delivered }));
        let changed = db::receipt::apply(&mut self.conn, &change.collect::<Vec<_>>(), now).unwrap();
        assert_eq!(changed, [id]);
    }
}
