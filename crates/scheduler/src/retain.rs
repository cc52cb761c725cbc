//! Deletes what is past its time. It is out of sight from that moment on, so nobody waits for this.

use chrono::{DateTime, TimeDelta, Utc};
use db::{DbError, document, idempotency, received_text};
use domain::london;

use crate::Scheduler;

/// Rows in one transaction; a file may have 2 MiB.
const PAGE: u32 = 200;

/// Deletes files that were sent by e-mail, texts that people sent, and what is remembered of requests with a key.
///
/// # Errors
/// When the database cannot be asked; the next turn goes on.
pub async fn run(scheduler: &Scheduler) -> Result<(), DbError> {
    let (db, now) = (&scheduler.db, scheduler.clock.now());
    pages("documents", async || {
        db.run("document.delete_expired", move |conn| document::delete_expired(conn, now, PAGE)).await
    })
    .await?;
    pages("idempotency keys", async || {
        db.run("idempotency.forget", move |conn| idempotency::forget(conn, now, PAGE.into())).await
    })
    .await?;
    forget_texts(scheduler, now).await
}

/// As each service wants it, or as configured; by whole days of London, as people read "seven days".
async fn forget_texts(scheduler: &Scheduler, now: DateTime<Utc>) -> Result<(), DbError> {
    let kept_for = TimeDelta::from_std(scheduler.config.received_texts_kept_for).ok();
    let default = kept_for.and_then(|time| now.checked_sub_signed(time)).map(london::day);
    let db = &scheduler.db;
    for (service, own) in db.run("received_text.kept", received_text::kept).await? {
        let own =
            own.and_then(|days| u32::try_from(days).ok()).map(|days| london::midnight_days_ago(now, days));
        let Some(before) = own.or_else(|| default.map(london::midnight)) else { continue };
        pages("received texts", async || {
            db.run("received_text.forget", move |conn| {
                received_text::forget(conn, service, before, PAGE.into())
            })
            .await
        })
        .await?;
    }
    Ok(())
}

async fn pages(of: &'static str, delete: impl AsyncFn() -> Result<usize, DbError>) -> Result<(), DbError> {
    let mut all = 0;
    loop {
        let deleted = delete().await?;
        all += deleted;
        if deleted < PAGE as usize {
            break;
        }
    }
    if all > 0 {
        tracing::info!(of, rows = all, "deleted, past their time");
    }
    Ok(())
}
