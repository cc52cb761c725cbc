//! Ends what nobody heard of for too long, in one bulk update.

use chrono::{DateTime, TimeDelta, Utc};

use crate::Scheduler;

/// Ids are made by the accepting process before they are stored: look back a little further than the last turn did.
const OVERLAP: TimeDelta = TimeDelta::hours(1);

/// Times out what was accepted before now − the time-out. `up_to` remembers how far the last turn came, so that only the first
/// one reads all that is stored.
///
/// # Errors
/// When the database cannot be asked; the next turn starts from where the last good one ended.
pub async fn run(scheduler: &Scheduler, up_to: &mut Option<DateTime<Utc>>) -> Result<(), db::DbError> {
    let now = scheduler.clock.now();
    let cutoff = now - TimeDelta::from_std(scheduler.config.time_out_after).unwrap_or(TimeDelta::MAX);
    let from = up_to.map(|time| time - OVERLAP);
    let ended = scheduler
        .db
        .run("notification.time_out", move |conn| db::notification::time_out(conn, from, cutoff, now))
        .await?;
    if ended > 0 {
        tracing::warn!(ended, "timed out");
    }
    *up_to = Some(cutoff);
    Ok(())
}
