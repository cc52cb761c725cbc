//! One replica works, the others wait: an advisory lock in Postgres, which goes with its holder's connection.
//!
//! A leader that died closes its connection. One that vanished, or stands still, does not: so Postgres ends the connection when
//! it hears nothing for [`SILENCE`], and the leader asks every [`LOOK_EVERY`]. The other way about, a leader trusts an answer for
//! [`BELIEF`] only. When it wakes after a long sleep, it therefore asks before it does anything; what it was in the middle of
//! may still happen, beside a new leader, and does nothing twice: rows are taken with their locks, updates are guarded.

use std::time::Duration;

use db::advisory_lock::{self, Held, SCHEDULER};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{Scheduler, task};

/// How soon a waiting replica notices that the one that worked is gone, and a working one that its lock is.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// After so long without a question the lock is another one's to take.
const SILENCE: Duration = Duration::from_secs(6);
/// For so long after it asked a leader takes itself for one.
const BELIEF: Duration = Duration::from_secs(4);

/// Takes turns with the other replicas until `stopping`.
pub async fn lead_or_wait(scheduler: &Scheduler, database: &db::Config, stopping: &CancellationToken) {
    while !stopping.is_cancelled() {
        let asked = Instant::now();
        if let Some(held) = try_lead(database).await {
            tracing::info!("leading: this replica runs the periodic tasks");
            lead(scheduler, (held, asked), stopping).await;
        }
        tokio::select! {
            () = stopping.cancelled() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

async fn try_lead(database: &db::Config) -> Option<Held> {
    let database = database.clone();
    let try_hold = move || advisory_lock::try_hold_while_heard(&database, SCHEDULER, SILENCE);
    match tokio::task::spawn_blocking(try_hold).await {
        Ok(Ok(held)) => held,
        Ok(Err(error)) => {
            tracing::warn!(%error, "the scheduler's lock cannot be asked for");
            None
        }
        Err(_) => None,
    }
}

/// Works until `stopping`, or until the lock is lost.
async fn lead(scheduler: &Scheduler, (held, asked): (Held, Instant), stopping: &CancellationToken) {
    let over = stopping.child_token();
    let (heard, last_heard) = watch::channel(asked);
    let leading = Leading { over: over.clone(), last_heard };
    tokio::join!(task::run_all(scheduler, &leading), guard(held, &heard, &over));
}

/// What a task knows of whether this replica leads.
#[derive(Clone, Debug)]
pub(crate) struct Leading {
    over: CancellationToken,
    /// When the question was asked that was last answered with yes.
    last_heard: watch::Receiver<Instant>,
}

impl Leading {
    /// Returns when this replica leads no longer.
    pub(crate) async fn over(&self) {
        self.over.cancelled().await;
    }

    /// Whether this replica leads, by an answer that is not too old: otherwise it waits for the next.
    pub(crate) async fn is_certain(&self) -> bool {
        let mut last_heard = self.last_heard.clone();
        tokio::select! {
            biased;
            () = self.over.cancelled() => false,
            heard = last_heard.wait_for(|asked| asked.elapsed() < BELIEF) => heard.is_ok(),
        }
    }
}

/// Ends the tasks when the lock is lost: somebody else may lead by now.
async fn guard(mut held: Held, heard: &watch::Sender<Instant>, over: &CancellationToken) {
    loop {
        tokio::select! {
            () = over.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        let asked = Instant::now();
        let checked = tokio::task::spawn_blocking(move || (held.check(SCHEDULER), held)).await;
        match checked {
            Ok((Ok(true), still)) => held = still,
            _ => {
                tracing::warn!("the scheduler's lock is lost; no longer leading");
                return over.cancel();
            }
        }
        heard.send_replace(asked);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_leader_that_slept_asks_before_it_works() {
        let (heard, last_heard) = watch::channel(Instant::now());
        let leading = Leading { over: CancellationToken::new(), last_heard };
        assert!(leading.is_certain().await);
        tokio::time::advance(BELIEF).await;
        let mut certain = std::pin::pin!(leading.is_certain());
        let moment = Duration::from_millis(1);
        tokio::time::timeout(moment, &mut certain).await.expect_err("nobody has answered yet");
        heard.send_replace(Instant::now());
        assert!(certain.await);
        tokio::time::advance(BELIEF).await;
        let mut certain = std::pin::pin!(leading.is_certain());
        tokio::time::timeout(moment, &mut certain).await.expect_err("nobody has answered yet");
        leading.over.cancel();
        assert!(!certain.await, "and the answer was no");
    }
}
