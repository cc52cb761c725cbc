//! The one table of periodic tasks.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::{Scheduler, fold_statistics, partition_upkeep, release_due, retain, time_out};

/// Runs every task at its pace until `stop`. A task that fails is logged and runs again at its next turn; a slow one skips
/// turns instead of catching up, and holds up nobody else.
pub async fn run_all(scheduler: &Scheduler, stop: &CancellationToken) {
    let config = &scheduler.config;
    let mut timed_out_up_to = None;
    tokio::join!(
        // name              every                   what
        every("partition_upkeep", HOUR, stop, async || partition_upkeep::run(scheduler).await),
        every("fold_statistics", FOLD_EVERY, stop, async || fold_statistics::run(scheduler).await),
        every("retain", HOUR, stop, async || retain::run(scheduler).await),
        every("release_due", config.release_every, stop, async || release_due::run(scheduler).await),
        every("time_out", config.time_out_every, stop, async || time_out::run(
            scheduler,
            &mut timed_out_up_to
        )
        .await),
    );
}

const HOUR: Duration = Duration::from_secs(3600);
/// A second of full speed is some hundred deltas, which readers of figures add up.
const FOLD_EVERY: Duration = Duration::from_secs(2);

async fn every(
    name: &'static str,
    pace: Duration,
    stop: &CancellationToken,
    mut task: impl AsyncFnMut() -> Result<(), db::DbError>,
) {
    let mut turns = tokio::time::interval(pace);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            _ = turns.tick() => {}
        }
        let started = Instant::now();
        match task().await {
            Ok(()) => tracing::trace!(task = name, took = ?started.elapsed(), "done"),
            Err(error) => tracing::warn!(task = name, %error, "failed; its next turn tries again"),
        }
    }
}
