//! Settling: whatever has ended shares a transaction; then the messages are acknowledged.

use broker::Incoming;
use db::delivery::Settlement;
use domain::wakeup::WakeUp;
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
        let woken = worker.delivery.settle(settlements).await;
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
    let now = worker.delivery.clock.now();
    let unwake = worker.delivery.db.run("due.unwake", move |conn| db::due::unwake(conn, &untold, now));
    if let Err(error) = unwake.await {
        tracing::warn!(%error, "wake-ups that were not published wait for the later sweep");
    }
}
