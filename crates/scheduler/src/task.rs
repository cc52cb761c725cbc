//! The one table of periodic tasks.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};

use crate::{
    Scheduler, fold_statistics, leader::Leading, partition_upkeep, release_due, retain, time_out::TimeOut,
};

/// What a task has left to do. Each does a page at a time, in a short transaction of its own, however much there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    Nothing,
    /// At least a page: it is run again at once.
    More,
}

impl Left {
    /// What a page leaves that found so many of at most so many.
    #[must_use]
    pub fn after(found: usize, page: usize) -> Self {
        if found < page { Self::Nothing } else { Self::More }
    }

    #[must_use]
    pub fn and(self, other: Self) -> Self {
        if self == Self::More { self } else { other }
    }
}

/// Runs every task at its pace for as long as this replica leads. A task that fails is logged and runs again at its next turn; a
/// slow one skips turns instead of catching up, and holds up nobody else.
pub(crate) async fn run_all(scheduler: &Scheduler, leading: &Leading) {
    let config = &scheduler.config;
    let mut time_out = TimeOut::default();
    tokio::join!(
        // name              every                   what
        every("partition_upkeep", HOUR, leading, async || partition_upkeep::run(scheduler).await),
        every("fold_statistics", FOLD_EVERY, leading, async || fold_statistics::run(scheduler).await),
        every("retain", HOUR, leading, async || retain::run(scheduler).await),
        every("release_due", config.release_every, leading, async || release_due::run(scheduler).await),
        every("time_out", config.time_out_every, leading, async || time_out.run(scheduler).await),
    );
}

const HOUR: Duration = Duration::from_secs(3600);
/// A second of full speed is some hundred deltas, which readers of figures add up.
const FOLD_EVERY: Duration = Duration::from_secs(2);

async fn every(
    name: &'static str,
    pace: Duration,
    leading: &Leading,
    mut task: impl AsyncFnMut() -> Result<Left, db::DbError>,
) {
    let mut turns = tokio::time::interval(pace);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = leading.over() => return,
            _ = turns.tick() => {}
        }
        let started = Instant::now();
        let mut left = Ok(Left::More);
        while let Ok(Left::More) = left {
            if !leading.is_certain().await {
                return;
            }
            left = task().await;
        }
        match left {
            Ok(_) => tracing::trace!(task = name, took = ?started.elapsed(), "done"),
            Err(error) => tracing::warn!(task = name, %error, "failed; its next turn tries again"),
        }
    }
}
