//! Two holders of one notification, the first of whom the provider said yes to, and a receipt: whatever comes first, what was
//! handed over ends as handed over, and what a provider is known to have is not sent again.

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;
use db::{delivery::Settlement, due::Lease, receipt::NewReceipt};
use delivery::{Claimed, Delivery, Large};
use delivery_worker::{WorkerConfig, apply_receipt};
use domain::{
    clock::Clock,
    id::{NotificationId, ReceiptId},
    notification::{Attempt, Outcome},
    receipt::ReceiptWords,
    retry::{RetryPolicy, SendFailure},
    status::{Channel, ProviderId, Status},
};
use provider::Providers;
use testkit::{Sample, TestDatabase};
use uuid::Uuid;

/// What the second holder meets with when it has to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Second {
    TakesIt,
    SaysNo,
    GivesNoAnswer,
    RefusesForGood,
}

/// The order of things: what the second holder does is one step after the other; the first one's yes is written down before
/// one of these steps, and the receipt comes before one, if at all.
#[derive(Clone, Copy, Debug)]
struct Order {
    channel: Channel,
    second: Second,
    yes_at: Option<usize>,
    receipt_at: Option<usize>,
}

/// Takes over, settles that, claims again, settles that, and all is over.
const STEPS: usize = 5;

struct World {
    database: TestDatabase,
    delivery: Delivery,
    sample: Sample,
}

impl World {
    fn new(policy: RetryPolicy) -> Self {
        let database = TestDatabase::new();
        let clock = Clock::manual(Clock::System.now());
        let sample = testkit::sample(&mut database.connect(), clock.now());
        let at_once = WorkerConfig::default().at_once();
        let providers = Providers::new(&provider::Config::default(), at_once).unwrap();
        let delivery = Delivery {
            db: database.db(),
            keyring: Arc::new(testkit::keyring()),
            providers: Arc::new(providers),
            policy: Arc::new(policy),
            clock,
            lease: Duration::from_secs(60),
            large: Large::default(),
            standings_every: delivery::STANDINGS_EVERY,
        };
        Self { database, delivery, sample }
    }

    fn accept(&self, channel: Channel) -> NotificationId {
        let new = testkit::notification(&self.sample, channel, self.delivery.clock.now());
        let id = new.id;
        db::intake::store(&mut self.database.connect(), &[new]).unwrap();
        id
    }

    async fn claim(&self, id: NotificationId) -> (Option<Claimed>, Vec<Settlement>) {
        let mut claims = self.delivery.claim(vec![id.0]).await.unwrap();
        (claims.claimed.pop(), claims.ended)
    }

    async fn settle(&self, lease: Lease, provider: ProviderId, outcome: Outcome) {
        let attempt =
            Attempt { provider: Some(provider), took: Duration::from_millis(7), billable_units: 1, outcome };
        let settlement = Settlement { lease, attempt, at: self.delivery.clock.now() };
        self.delivery.settle(vec![settlement]).await;
    }

    /// The provider says that it was delivered.
    fn hear(&self, id: NotificationId, provider: ProviderId) -> Uuid {
        let now = self.delivery.clock.now();
        let (status, reference) = match provider {
            ProviderId::Mmg => ("3", id.to_string()),
            ProviderId::Firetext => ("0", id.to_string()),
            ProviderId::Smtp => ("Delivery", format!("{id}@notify.example")),
        };
        let words = ReceiptWords { provider, reference, status: status.into(), detail: None };
        let receipt = NewReceipt { id: ReceiptId::new(now), words, received_at: now };
        let stored = db::receipt::store(&mut self.database.connect(), &[receipt]).unwrap();
        stored[0].wake().unwrap().subject
    }

    /// A worker is woken for it.
    async fn look(&self, receipt: Option<Uuid>) {
        apply_receipt::apply(&self.delivery, receipt.into_iter().collect()).await.unwrap();
    }

    fn pass(&self, seconds: i64) {
        self.delivery.clock.advance(TimeDelta::seconds(seconds));
    }

    fn story(&self, id: NotificationId) -> db::story::Story {
        db::story::of(&mut self.database.connect(), id).unwrap().unwrap()
    }
}

fn handed_over() -> Outcome {
    Outcome::HandedOver { status: Status::Sending, provider_reference: None, simulated_receipt: None }
}

/// How it ends: how often it was sent, by which provider as far as our row knows, and its status.
async fn play(world: &World, order: Order) -> (usize, Option<ProviderId>, Status, NotificationId) {
    let Order { channel, second, yes_at, receipt_at, .. } = order;
    let (first_by, second_by) = match channel {
        Channel::Sms => (ProviderId::Mmg, ProviderId::Firetext),
        Channel::Email => (ProviderId::Smtp, ProviderId::Smtp),
    };
    let id = world.accept(channel);
    let mut first = world.claim(id).await.0.map(|claimed| claimed.lease);
    let (mut sends, mut ended, mut held, mut receipt) = (1, Vec::new(), None, None);
    for step in 0..STEPS {
        world.pass(if step == 0 { 20 } else { 1 });
        if yes_at == Some(step) {
            world.settle(first.take().unwrap(), first_by, handed_over()).await;
        }
        if receipt_at == Some(step) {
            receipt = Some(world.hear(id, first_by));
        }
        world.look(receipt).await;
        match step {
            0 => {
                world.pass(60);
                (held, ended) = world.claim(id).await;
                assert!(held.is_none(), "what lapsed is not sent by the one who finds it");
            }
            1 => drop(world.delivery.settle(std::mem::take(&mut ended)).await),
            2 => {
                world.pass(30);
                (held, ended) = world.claim(id).await;
                sends += usize::from(held.is_some());
            }
            3 => {
                world.delivery.settle(std::mem::take(&mut ended)).await;
                if let Some(claimed) = held.take() {
                    let outcome = match second {
                        Second::TakesIt => handed_over(),
                        Second::SaysNo => Outcome::Failed(SendFailure::Transient("HTTP 503".into())),
                        Second::GivesNoAnswer => Outcome::Failed(SendFailure::Unanswered("silence".into())),
                        Second::RefusesForGood => Outcome::Failed(SendFailure::Rejected("550".into())),
                    };
                    world.settle(claimed.lease, second_by, outcome).await;
                }
            }
            _ => {}
        }
    }
    // From now on nobody dies: what is due is refused for good, and what was heard is applied.
    for _ in 0..8 {
        world.look(receipt).await;
        world.pass(2 * 14_400);
        let (claimed, ended) = world.claim(id).await;
        world.delivery.settle(ended).await;
        if let Some(claimed) = claimed {
            world
                .settle(claimed.lease, second_by, Outcome::Failed(SendFailure::Rejected("550".into())))
                .await;
        }
    }
    let story = world.story(id);
    assert!(
        story.due.is_none() && story.receipts.iter().all(|r| r.applied_at.is_some()),
        "{order:?}: {story:?}"
    );
    (sends, story.notification.sent_by, story.notification.status, id)
}

/// Without a ladder the first failure is the last one, and nobody sends a second time.
fn orders(no_ladder: bool) -> impl Iterator<Item = Order> {
    let positions = || (0..STEPS).map(Some).chain([None]);
    let seconds = [Second::TakesIt, Second::SaysNo, Second::GivesNoAnswer, Second::RefusesForGood];
    [Channel::Sms, Channel::Email].into_iter().flat_map(move |channel| {
        let seconds = if no_ladder { &seconds[..1] } else { &seconds[..] }.to_vec();
        seconds.into_iter().flat_map(move |second| {
            positions().flat_map(move |yes_at| {
                positions().map(move |receipt_at| Order { channel, second, yes_at, receipt_at })
            })
        })
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn in_whatever_order_two_holders_and_a_receipt_come_what_was_handed_over_ends_as_that() {
    for no_ladder in [false, true] {
        let policy = if no_ladder { RetryPolicy::new(Vec::new()) } else { RetryPolicy::default() };
        let world = World::new(policy);
        for order in orders(no_ladder) {
            let (sends, sent_by, status, id) = play(&world, order).await;
            let is_known_by = |step: usize| {
                [order.yes_at, order.receipt_at].into_iter().flatten().any(|known_at| known_at <= step)
            };
            let first_is_known = is_known_by(STEPS);
            let second_took_it = sends == 2 && order.second == Second::TakesIt;
            assert!(sends == 1 || !is_known_by(2), "sent again though it was known: {order:?}");
            if first_is_known || second_took_it {
                let first_by = if order.channel == Channel::Sms { ProviderId::Mmg } else { ProviderId::Smtp };
                let heard = order.receipt_at.is_some() && sent_by == Some(first_by);
                let expected = if heard { Status::Delivered } else { Status::Sending };
                assert_eq!(status, expected, "{order:?}, sent by {sent_by:?}");
                let row = world.story(id).notification;
                assert!(row.sent_at.is_some(), "{order:?}");
                let units = i32::from(order.channel == Channel::Sms);
                assert!(row.billable_units == units || row.channel == Channel::Email, "{order:?}: {row:?}");
            } else {
                assert_eq!(status, Status::TechnicalFailure, "{order:?}");
            }
        }
        let mut conn = world.database.connect();
        assert!(db::audit::audit(&mut conn).unwrap().is_balanced());
        assert_eq!(db::statistics::differences(&mut conn).unwrap(), 0, "figures equal a recount");
    }
}

/// Whoever knows an id could end a text that is still to be sent, or that somebody else carries.
#[tokio::test(flavor = "multi_thread")]
async fn no_receipt_ends_what_its_provider_never_had() {
    let world = World::new(RetryPolicy::default());
    for (channel, provider) in [
        (Channel::Sms, ProviderId::Mmg),
        (Channel::Sms, ProviderId::Firetext),
        (Channel::Email, ProviderId::Smtp),
    ] {
        // Nobody was asked yet.
        let id = world.accept(channel);
        let receipt = world.hear(id, provider);
        world.look(Some(receipt)).await;
        assert_eq!(world.story(id).notification.status, Status::Created);
        // It was asked, and said no.
        let claimed = world.claim(id).await.0.unwrap();
        world
            .settle(claimed.lease, provider, Outcome::Failed(SendFailure::Transient("HTTP 503".into())))
            .await;
        let receipt = world.hear(id, provider);
        world.look(Some(receipt)).await;
        let story = world.story(id);
        assert_eq!(
            (story.notification.status, story.receipts.len()),
            (Status::Created, 0),
            "and it is forgotten"
        );
        // Then it takes it, and now the same words are true.
        world.pass(10);
        let claimed = world.claim(id).await.0.expect("it is sent as if nothing had been said");
        let receipt = world.hear(id, provider);
        world.look(Some(receipt)).await;
        assert_eq!(world.story(id).notification.status, Status::Created, "its note is on its way");
        world.settle(claimed.lease, provider, handed_over()).await;
        world.pass(1);
        world.look(Some(receipt)).await;
        assert_eq!(world.story(id).notification.status, Status::Delivered);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_companys_receipt_ends_no_text_that_another_carried() {
    let world = World::new(RetryPolicy::default());
    for (carrier, other) in [(ProviderId::Firetext, ProviderId::Mmg), (ProviderId::Mmg, ProviderId::Firetext)]
    {
        let id = world.accept(Channel::Sms);
        let claimed = world.claim(id).await.0.unwrap();
        world.settle(claimed.lease, carrier, handed_over()).await;
        let receipt = world.hear(id, other);
        world.look(Some(receipt)).await;
        let story = world.story(id);
        assert_eq!(story.notification.status, Status::Sending);
        assert_eq!(story.receipts[0].effect.as_deref(), Some("another provider carried it"));
    }
}

/// A connection broke while the yes was on its way. The text's step of the ladder would be hours.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_without_an_answer_is_settled_by_its_receipt_at_once() {
    let world = World::new(RetryPolicy::new(vec![Duration::from_secs(14_400)]));
    for (channel, provider) in [(Channel::Sms, ProviderId::Mmg), (Channel::Email, ProviderId::Smtp)] {
        let id = world.accept(channel);
        let claimed = world.claim(id).await.0.unwrap();
        world
            .settle(claimed.lease, provider, Outcome::Failed(SendFailure::Unanswered("cut off".into())))
            .await;
        world.pass(1);
        if channel == Channel::Sms {
            let forged = world.hear(id, ProviderId::Firetext);
            world.look(Some(forged)).await;
            assert_eq!(world.story(id).notification.status, Status::Created, "that one was not asked");
        }
        let receipt = world.hear(id, provider);
        world.look(Some(receipt)).await;
        let story = world.story(id);
        assert_eq!(
            (story.notification.status, story.notification.sent_by),
            (Status::Delivered, Some(provider)),
            "{channel}"
        );
        let outcomes: Vec<_> = story.attempts.iter().map(|attempt| attempt.outcome.as_str()).collect();
        assert_eq!((outcomes, story.due.is_none()), (vec!["unanswered", "handed-over"], true));
    }
}
