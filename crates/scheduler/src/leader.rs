//! One replica works, the others wait: an advisory lock in Postgres, which goes with its holder's connection.

use std::time::Duration;

use db::advisory_lock::{self, Held, SCHEDULER};
use tokio_util::sync::CancellationToken;

use crate::{Scheduler, task};

/// How soon a waiting replica notices that the one that worked is gone, and a working one that its lock is.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Takes turns with the other replicas until `stopping`.
pub async fn lead_or_wait(scheduler: &Scheduler, database: &db::Config, stopping: &CancellationToken) {
    while !stopping.is_cancelled() {
        if let Some(held) = try_lead(database).await {
            tracing::info!("leading: this replica runs the periodic tasks");
            lead(scheduler, held, stopping).await;
        }
        tokio::select! {
            () = stopping.cancelled() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

async fn try_lead(database: &db::Config) -> Option<Held> {
    let database = database.clone();
    match tokio::task::spawn_blocking(move || advisory_lock::try_hold(&database, SCHEDULER)).await {
        Ok(Ok(held)) => held,
        Ok(Err(error)) => {
            tracing::warn!(%error, "the scheduler's lock cannot be asked for");
            None
        }
        Err(_) => None,
    }
}

/// Works until `stopping`, or until the lock is lost.
async fn lead(scheduler: &Scheduler, held: Held, stopping: &CancellationToken) {
    let stop = stopping.child_token();
    tokio::join!(task::run_all(scheduler, &stop), guard(held, &stop));
}

/// Stops the tasks when the lock is lost: somebody else may lead by now.
async fn guard(mut held: Held, stop: &CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        let checked = tokio::task::spawn_blocking(move || (held.check(SCHEDULER), held)).await;
        match checked {
            Ok((Ok(true), still)) => held = still,
            _ => {
                tracing::warn!("the scheduler's lock is lost; no longer leading");
                return stop.cancel();
            }
        }
    }
}
