//! Telling workers what was just stored. It may fail and nobody waits for it: whatever the broker does not confirm is
//! handed to the sweep, which finds it in the database.

use std::sync::{Arc, Mutex, PoisonError};

use broker::Publisher;
use db::Db;
use domain::{clock::Clock, wakeup::WakeUp};
use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::sync::mpsc::{self, error::TrySendError};
use uuid::Uuid;

/// Groups that wait to be published; at full speed a group is some dozen wake-ups.
const QUEUE: usize = 1024;
/// Groups that are published together.
const TOGETHER: usize = 64;
/// Batches under way at once: the broker's confirms take milliseconds.
const LANES: usize = 4;
/// What did not fit into the queue and is remembered for the sweep; what does not fit here is found a minute later.
const MISSED: usize = 100_000;

/// Hands wake-ups to the task that publishes them. Clones share the queue; the task ends with the last of them.
#[derive(Clone)]
pub(crate) struct Announcer {
    queue: mpsc::Sender<Vec<WakeUp>>,
    publisher: Publisher,
    missed: Missed,
}

type Missed = Arc<Mutex<Vec<Uuid>>>;

impl Announcer {
    pub(crate) fn new(publisher: Publisher, db: Db, clock: Clock) -> (Self, Publishing) {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let missed = Missed::default();
        let publishing =
            Publishing { waiting, publisher: publisher.clone(), missed: missed.clone(), db, clock };
        (Self { queue, publisher, missed }, publishing)
    }

    /// Whether a wake-up that is announced now has a chance to get through.
    pub(crate) fn is_connected(&self) -> bool {
        self.publisher.is_connected()
    }

    /// Never waits and never fails.
    pub(crate) fn announce(&self, wake_ups: impl Iterator<Item = WakeUp>) {
        let wake_ups: Vec<WakeUp> = wake_ups.collect();
        if wake_ups.is_empty() {
            return;
        }
        match self.queue.try_send(wake_ups) {
            Ok(()) => {}
            Err(TrySendError::Full(wake_ups) | TrySendError::Closed(wake_ups)) => {
                let mut missed = self.missed.lock().unwrap_or_else(PoisonError::into_inner);
                let room = MISSED.saturating_sub(missed.len());
                missed.extend(wake_ups.iter().take(room).map(|wake_up| wake_up.subject));
            }
        }
    }
}

/// The task's end.
pub(crate) struct Publishing {
    waiting: mpsc::Receiver<Vec<WakeUp>>,
    publisher: Publisher,
    missed: Missed,
    db: Db,
    clock: Clock,
}

impl Publishing {
    /// Publishes until the last announcer is gone and everything it announced has been dealt with.
    pub(crate) async fn run(self) {
        let Self { mut waiting, publisher, missed, db, clock } = self;
        let publish = async |groups: Vec<Vec<WakeUp>>| {
            let left = publisher.wake(groups.into_iter().flatten().collect()).await;
            let mut unheard = std::mem::take(&mut *missed.lock().unwrap_or_else(PoisonError::into_inner));
            unheard.extend(left.iter().map(|wake_up| wake_up.subject));
            hand_to_sweep(&db, unheard, &clock).await;
        };
        let mut lanes = FuturesUnordered::new();
        loop {
            let mut groups = Vec::new();
            tokio::select! {
                biased;
                Some(()) = lanes.next() => {}
                received = waiting.recv_many(&mut groups, TOGETHER), if lanes.len() < LANES => {
                    if received == 0 {
                        break;
                    }
                    lanes.push(publish(groups));
                }
            }
        }
        while lanes.next().await.is_some() {}
        publish(Vec::new()).await;
    }
}

/// Otherwise the sweep would wait until the message counts as lost.
async fn hand_to_sweep(db: &Db, unheard: Vec<Uuid>, clock: &Clock) {
    if unheard.is_empty() {
        return;
    }
    let (count, now) = (unheard.len(), clock.now());
    match db.run("due.unwake", move |conn| db::due::unwake(conn, &unheard, now)).await {
        Ok(()) => tracing::debug!(count, "left to the sweep: the broker did not confirm"),
        Err(error) => tracing::warn!(count, %error, "the broker did not confirm, found a minute later"),
    }
}
