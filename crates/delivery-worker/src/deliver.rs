//! The way of a notification through a worker, in stages, so that a slow call holds up nobody but itself:
//!
//! ```text
//! take a handful of wake-ups ─► claim and load them (one round trip) ─► a task for each: render, choose, call the provider
//!        ▲ as many as there are permits                                          │ permit back
//!        └───────────────────────────────────────────────────────────────────────┤
//!                                                          settle a handful (one transaction) ─► ack
//! ```
//!
//! Permits are taken before the work is: what cannot be called at once stays in the broker, where another worker finds it.
//! No connection and no transaction is held during a call.

use std::{collections::HashMap, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use broker::{Consumer, Incoming};
use db::delivery::Claimed;
use domain::wakeup::Kind;
use futures_util::FutureExt;
use service::Context;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    task::JoinSet,
};

use crate::{
    Worker,
    settle::{self, Settled},
};

/// The most that share a claim.
const HANDFUL: usize = 200;
const DATABASE_PAUSE: Duration = Duration::from_secs(1);

/// Starts the line of work for one kind of delivery.
pub(crate) fn start(worker: &Worker, context: &Context, kind: Kind, in_flight: u16) {
    let (settled, to_settle) = mpsc::channel(usize::from(in_flight));
    // Twice: what is being called, and what waits for its settle.
    let consumer = worker.broker.consumer(kind, in_flight.saturating_mul(2), context.tasks.stopping());
    let line = Line {
        worker: worker.clone(),
        permits: Arc::new(Semaphore::new(usize::from(in_flight))),
        settled,
        calls: JoinSet::new(),
    };
    context.tasks.spawn(kind.as_str(), line.run(consumer));
    context.tasks.spawn("settle", settle::run(worker.clone(), to_settle));
}

struct Line {
    worker: Worker,
    permits: Arc<Semaphore>,
    settled: mpsc::Sender<Settled>,
    calls: JoinSet<()>,
}

impl Line {
    /// Until the consumer is stopped; then waits for the calls that are under way. Dropping `settled` ends the settling.
    async fn run(mut self, mut consumer: Consumer) -> Result<(), service::Error> {
        while let Some(permits) = self.permits().await
            && let Some(messages) = consumer.next_handful(permits.num_permits()).await
        {
            self.take(messages, permits).await;
            while self.calls.try_join_next().is_some() {}
        }
        self.calls.join_all().await;
        Ok(())
    }

    /// At least one permit, and as many more as are free, up to a handful.
    async fn permits(&self) -> Option<OwnedSemaphorePermit> {
        let mut permits = Arc::clone(&self.permits).acquire_owned().await.ok()?;
        let more = self.permits.available_permits().min(HANDFUL - 1);
        if let Ok(more) = Arc::clone(&self.permits).try_acquire_many_owned(u32::try_from(more).unwrap_or(0)) {
            permits.merge(more);
        }
        Some(permits)
    }

    async fn take(&mut self, messages: Vec<Incoming>, mut permits: OwnedSemaphorePermit) {
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
            self.call(claimed, message, permits.split(1));
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

    fn call(&mut self, claimed: Claimed, message: Option<Incoming>, permit: Option<OwnedSemaphorePermit>) {
        let (delivery, settled) = (self.worker.delivery.clone(), self.settled.clone());
        self.calls.spawn(async move {
            let attempt = AssertUnwindSafe(delivery.attempt(claimed)).catch_unwind().await;
            drop(permit);
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
