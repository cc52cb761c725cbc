//! Ends what nobody heard of for too long, in bulk updates.

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc};
use db::notification::{self, Accepted};

use crate::{Scheduler, task::Left};

/// Ids are made by the accepting process before they are stored: look back a little further than the last turn did.
const OVERLAP: TimeDelta = TimeDelta::hours(1);

/// How far a leader has come.
#[derive(Debug, Default)]
pub struct TimeOut {
    /// Everything accepted before has been looked at.
    up_to: Option<DateTime<Utc>>,
    /// What this turn has still to look at, and up to when that is everything.
    looking_at: VecDeque<Accepted>,
    until: Option<DateTime<Utc>>,
}

impl TimeOut {
    /// Times out a page of what was accepted before now − the time-out. The first turn of a leader asks the figures on which
    /// days there is any; the next ones look at what has come of age since.
    ///
    /// # Errors
    /// When the database cannot be asked; the next turn goes on from there.
    pub async fn run(&mut self, scheduler: &Scheduler) -> Result<Left, db::DbError> {
        let (db, now) = (&scheduler.db, scheduler.clock.now());
        if self.looking_at.is_empty() {
            let age = TimeDelta::from_std(scheduler.config.time_out_after).unwrap_or(TimeDelta::MAX);
            let cutoff = now - age;
            let ages = match self.up_to {
                Some(up_to) => vec![Accepted::between(up_to - OVERLAP, cutoff)],
                None => db.run("notification.open", move |conn| notification::open(conn, cutoff)).await?,
            };
            (self.looking_at, self.until) = (ages.into(), Some(cutoff));
        }
        if let Some(ages) = self.looking_at.front().copied() {
            let page = move |conn: &mut _| notification::time_out(conn, ages, now);
            let (ended, rest) = db.run("notification.time_out", page).await?;
            if ended > 0 {
                tracing::warn!(ended, "timed out");
            }
            match rest {
                Some(rest) => self.looking_at[0] = rest,
                None => drop(self.looking_at.pop_front()),
            }
        }
        if !self.looking_at.is_empty() {
            return Ok(Left::More);
        }
        self.up_to = self.until;
        Ok(Left::Nothing)
    }
}
