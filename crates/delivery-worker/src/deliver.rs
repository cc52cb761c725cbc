//! The way of a notification through a worker, in stages, so that a slow call holds up nobody but itself:
//!
//! ```text
//! take a handful of wake-ups ─► claim and load them (one round trip) ─► a task for each: render, call the provider
//!        ▲ as many as providers have room for                                    │ its place back
//!        └───────────────────────────────────────────────────────────────────────┤
//!                                                          settle a handful (one transaction) ─► ack
//! ```
//!
//! Nothing is taken that no provider has room for: what cannot be called at once stays in the broker, where another worker
//! finds it. Each provider has its own places, and what is prefetched is enough to fill all of them and one more, so that a
//! provider that hangs with all its places taken leaves as much for the others. What finds no place all the same (a text
//! abroad, when only the others have room) is given back at once, and so is what is too large for now: it comes again.
//! No connection and no transaction is held during a call.

use std::{collections::HashMap, panic::AssertUnwindSafe, time::Duration};

use broker::{Consumer, Incoming};
use delivery::Claimed;
use domain::{status::Channel, wakeup::Kind};
use futures_util::FutureExt;
use service::Context;
use tokio::{select, sync::mpsc, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    Worker,
    settle::{self, Settled},
};

/// The most that share a claim.
const HANDFUL: usize = 200;
const DATABASE_PAUSE: Duration = Duration::from_secs(1);

/// Starts the line of work for the messages of one channel.
pub(crate) fn start(worker: &Worker, context: &Context, channel: Channel, in_flight: u16) {
    let kind = Kind::deliver(channel);
    let (settled, to_settle) = mpsc::channel(usize::from(in_flight));
    // Once more than there are places: what waits for its settle.
    let shares = u16::try_from(worker.delivery.providers.count(channel) + 1).unwrap_or(u16::MAX);
    let prefetch = in_flight.saturating_mul(shares);
    let consumer = worker.broker.consumer(kind, prefetch, context.tasks.stopping());
    let stopping = context.tasks.stopping().clone();
    let line = Line { worker: worker.clone(), channel, settled, calls: JoinSet::new(), stopping };
    context.tasks.spawn(kind.as_str(), line.run(consumer));
    context.tasks.spawn("settle", settle::run(worker.clone(), to_settle));
}

struct Line {
    worker: Worker,
    channel: Channel,
    settled: mpsc::Sender<Settled>,
    calls: JoinSet<()>,
    stopping: CancellationToken,
}

impl Line {
    /// Until the consumer is stopped; then waits for the calls that are under way. Dropping `settled` ends the settling.
    async fn run(mut self, mut consumer: Consumer) -> Result<(), service::Error> {
        while let Some(messages) = consumer.next_handful(self.room().await).await {
            self.take(messages).await;
            while self.calls.try_join_next().is_some() {}
        }
        self.calls.join_all().await;
        Ok(())
    }

    /// For at least one message, and at most a handful. At the stop there is nothing to wait for: the consumer has no more.
    async fn room(&self) -> usize {
        select! {
            room = self.worker.delivery.providers.room(self.channel) => room.min(HANDFUL),
            () = self.stopping.cancelled() => 1,
        }
    }

    async fn take(&mut self, messages: Vec<Incoming>) {
        let mut sorted = Messages::sort(messages);
        let claims = match self.worker.delivery.claim(sorted.by_id.keys().copied().collect()).await {
            Ok(claims) => claims,
            Err(error) => {
                tracing::warn!(%error, "nothing could be claimed");
                // Not at once: the database is away, and the messages would only spin.
                tokio::time::sleep(DATABASE_PAUSE).await;
                return Incoming::requeue_all(sorted.into_all()).await;
            }
        };
        for claimed in claims.claimed {
            let message = sorted.by_id.remove(&claimed.lease.subject());
            self.call(claimed, message);
        }
        for settlement in claims.ended {
            let message = sorted.by_id.remove(&settlement.lease.subject());
            // The receiver lives as long as `self`.
            let _ = self.settled.send(Settled { settlement, message }).await;
        }
        let not_found: Vec<_> = claims.not_found.iter().filter_map(|id| sorted.by_id.remove(id)).collect();
        // Held by somebody else, not yet due, or done: nothing to be done here.
        let rest = sorted.by_id.into_values().chain(sorted.doubles).collect();
        self.calls.spawn(async move {
            let aside = async {
                for message in not_found {
                    message.not_found().await;
                }
            };
            let park = async {
                for message in sorted.malformed {
                    message.park(broker::ParkReason::MalformedBody).await;
                }
            };
            tokio::join!(aside, park, Incoming::ack_all(rest));
        });
    }

    fn call(&mut self, claimed: Claimed, message: Option<Incoming>) {
        // Has its place from here on, so that the next handful finds the room that is left.
        let attempt = self.worker.delivery.attempt(claimed);
        let settled = self.settled.clone();
        self.calls.spawn(async move {
            let attempt = AssertUnwindSafe(attempt).catch_unwind().await;
            match (attempt, message) {
                (Ok(settlement), message) => {
                    let _ = settled.send(Settled { settlement, message }).await;
                }
                // A panic is this notification's alone. Its lease runs out, which is a failed attempt, and the sweep wakes us.
                (Err(_), Some(message)) => message.ack().await,
                (Err(_), None) => {}
            }
        });
    }
}

/// A handful of messages, by what they are about.
#[derive(Default)]
struct Messages {
    by_id: HashMap<uuid::Uuid, Incoming>,
    /// A second message about the same id.
    doubles: Vec<Incoming>,
    malformed: Vec<Incoming>,
}

impl Messages {
    fn sort(messages: Vec<Incoming>) -> Self {
        let mut sorted = Self::default();
        for message in messages {
            match message.wake_up() {
                Some(wake) => sorted.doubles.extend(sorted.by_id.insert(wake.subject, message)),
                None => sorted.malformed.push(message),
            }
        }
        sorted
    }

    fn into_all(self) -> Vec<Incoming> {
        self.by_id.into_values().chain(self.doubles).chain(self.malformed).collect()
    }
}
