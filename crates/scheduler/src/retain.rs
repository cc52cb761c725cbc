//! Deletes what is past its time. It is out of sight from that moment on, so nobody waits for this.

use chrono::{DateTime, TimeDelta, Utc};

use crate::Scheduler;

/// Rows in one transaction; a file may have 2 MiB.
const PAGE: u32 = 200;

/// Deletes files that were sent by e-mail, and texts that people sent.
///
/// # Errors
/// When the database cannot be asked; the next turn goes on.
pub async fn run(scheduler: &Scheduler) -> Result<(), db::DbError> {
    let now = scheduler.clock.now();
    documents(scheduler, now).await?;
    let kept_for = TimeDelta::from_std(scheduler.config.received_texts_kept_for).ok();
    match kept_for.and_then(|time| now.checked_sub_signed(time)) {
        Some(before) => received_texts(scheduler, before).await,
        None => Ok(()),
    }
}

async fn documents(scheduler: &Scheduler, now: DateTime<Utc>) -> Result<(), db::DbError> {
    let mut all = 0;
    loop {
        let delete = move |conn: &mut _| db::document::delete_expired(conn, now, PAGE);
        let deleted = scheduler.db.run("document.delete_expired", delete).await?;
        all += deleted;
        if deleted < PAGE as usize {
            break;
        }
    }
    if all > 0 {
        tracing::info!(documents = all, "deleted, past their time");
    }
    Ok(())
}

async fn received_texts(scheduler: &Scheduler, before: DateTime<Utc>) -> Result<(), db::DbError> {
    let mut all = 0;
    loop {
        let forget = move |conn: &mut _| db::received_text::forget(conn, before, PAGE.into());
        let forgotten = scheduler.db.run("received_text.forget", forget).await?;
        all += forgotten;
        if forgotten < PAGE as usize {
            break;
        }
    }
    if all > 0 {
        tracing::info!(received_texts = all, "deleted, past their time");
    }
    Ok(())
}
