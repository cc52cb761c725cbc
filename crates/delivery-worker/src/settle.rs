//! Writing down what came of the calls: whatever has ended shares a transaction; then the messages are acknowledged.
//!
//! Once a provider has said yes, the only thing between us and a second send is this write. So it is tried until it
//! succeeds, for as long as the process lives.

use std::{ops::Range, sync::Arc, time::Duration};

use backoff::{ExponentialBackoff, backoff::Backoff};
use broker::Incoming;
use db::{DbError, delivery::Settlement};
use domain::{notification::Outcome, retry::SendFailure, wakeup::WakeUp};
use tokio::sync::mpsc;

use crate::Worker;

/// The most that share a transaction.
const HANDFUL: usize = 500;

/// One delivery that ended, and the message that woke us for it.
pub(crate) struct Settled {
    pub(crate) settlement: Settlement,
    pub(crate) message: Option<Incoming>,
}

/// Until every sender is gone.
pub(crate) async fn run(worker: Worker, mut ended: mpsc::Receiver<Settled>) -> Result<(), service::Error> {
    let mut handful = Vec::with_capacity(HANDFUL);
    while ended.recv_many(&mut handful, HANDFUL).await > 0 {
        let (settlements, messages): (Vec<_>, Vec<_>) =
            handful.drain(..).map(|Settled { settlement, message }| (settlement, message)).unzip();
        report(&settlements);
        let woken = write(&worker, Arc::new(settlements)).await;
        Incoming::ack_all(messages.into_iter().flatten().collect()).await;
        wake(&worker, woken).await;
    }
    Ok(())
}

/// Tells workers what is due now. What cannot be told is found by the next sweep.
async fn wake(worker: &Worker, woken: Vec<WakeUp>) {
    let untold: Vec<_> = worker.publisher.wake(woken).await.iter().map(|wake| wake.subject).collect();
    if untold.is_empty() {
        return;
    }
    let now = worker.clock.now();
    if let Err(error) = worker.db.run("due.unwake", move |conn| db::due::unwake(conn, &untold, now)).await {
        tracing::warn!(%error, "wake-ups that were not published wait for the later sweep");
    }
}

/// All together; when the database refuses what one of them says, one by one, so that it takes no neighbour along.
async fn write(worker: &Worker, settlements: Arc<Vec<Settlement>>) -> Vec<WakeUp> {
    let all = 0..settlements.len();
    if let Ok(woken) = settle(worker, &settlements, all.clone()).await {
        return woken;
    }
    let mut woken = Vec::new();
    for one in all {
        match settle(worker, &settlements, one..one + 1).await {
            Ok(more) => woken.extend(more),
            Err(error) => abandon(worker, &settlements, one, &error).await,
        }
    }
    woken
}

/// # Errors
/// Only when the database refuses what is to be written.
async fn settle(
    worker: &Worker,
    settlements: &Arc<Vec<Settlement>>,
    which: Range<usize>,
) -> Result<Vec<WakeUp>, DbError> {
    until_answered(|| {
        let (settlements, policy, which) =
            (Arc::clone(settlements), Arc::clone(&worker.policy), which.clone());
        worker.db.run("delivery.settle", move |conn| db::delivery::settle(conn, &settlements[which], &policy))
    })
    .await
}

/// Nothing that we know of gets here; if anything ever does, it must neither stop this line nor be sent once a minute.
async fn abandon(worker: &Worker, settlements: &Arc<Vec<Settlement>>, one: usize, refused: &DbError) {
    let id = settlements[one].lease.subject();
    tracing::error!(%id, error = %refused, "what came of a delivery cannot be written down: technical-failure");
    let abandoned = until_answered(|| {
        let settlements = Arc::clone(settlements);
        worker.db.run("delivery.abandon", move |conn| db::delivery::abandon(conn, &settlements[one]))
    });
    if let Err(error) = abandoned.await {
        tracing::error!(%id, %error, "not even that");
    }
}

/// Asks until the database answers, with a yes or with a refusal.
async fn until_answered<T, F>(ask: impl Fn() -> F) -> Result<T, DbError>
where
    F: Future<Output = Result<T, DbError>>,
{
    let mut pauses = ExponentialBackoff {
        initial_interval: Duration::from_millis(50),
        max_interval: Duration::from_secs(2),
        max_elapsed_time: None,
        ..ExponentialBackoff::default()
    };
    loop {
        match ask().await {
            Err(error) if !error.is_refused() => {
                tracing::error!(%error, "a settle failed and is tried again");
                tokio::time::sleep(pauses.next_backoff().unwrap_or(pauses.max_interval)).await;
            }
            answer => return answer,
        }
    }
}

/// Failures are logged here, where they are handled: each that is nobody's fault but ours or final, the others counted.
fn report(settlements: &[Settlement]) {
    let mut transient = 0;
    let mut example = None;
    for Settlement { lease, attempt, .. } in settlements {
        let (id, provider) = (lease.subject(), attempt.provider);
        match &attempt.outcome {
            Outcome::HandedOver { .. } => {}
            Outcome::Refused(reason) => tracing::warn!(%id, reason, "refused"),
            Outcome::Failed(failure @ (SendFailure::Rejected(_) | SendFailure::Misconfigured(_))) => {
                tracing::error!(%id, ?provider, %failure, "not sent");
            }
            Outcome::Failed(failure @ (SendFailure::Transient(_) | SendFailure::Throttled { .. })) => {
                transient += 1;
                tracing::debug!(%id, ?provider, %failure, "not sent, will be tried again");
                example.get_or_insert((id, provider, failure));
            }
        }
    }
    if let Some((id, provider, failure)) = example {
        tracing::warn!(failed = transient, of = settlements.len(), %id, ?provider, %failure, "not sent, will be tried again");
    }
}
