//! Deletes what is past its time. It is out of sight from that moment on, so nobody waits for this.

use chrono::{DateTime, TimeDelta, Utc};
use db::{DbError, document, idempotency, received_text};
use domain::{id::ServiceId, london};
use uuid::Uuid;

use crate::{Scheduler, task::Left};

/// Rows in one transaction; a file may have 2 MiB.
const PAGE: u32 = 200;

/// Deletes a page of each: files that were sent by e-mail, texts that people sent, and what is remembered of requests with a key.
///
/// # Errors
/// When the database cannot be asked; the next turn goes on.
pub async fn run(scheduler: &Scheduler) -> Result<Left, DbError> {
    let (db, now) = (&scheduler.db, scheduler.clock.now());
    let documents = db.run("document.delete_expired", move |conn| document::delete_expired(conn, now, PAGE));
    let documents = deleted("documents", documents.await?);
    let keys = db.run("idempotency.forget", move |conn| idempotency::forget(conn, now, PAGE.into()));
    let keys = deleted("idempotency keys", keys.await?);
    Ok(documents.and(keys).and(forget_texts(scheduler, now).await?))
}

/// As each service wants it, or as configured; by whole days of London, as people read "seven days".
async fn forget_texts(scheduler: &Scheduler, now: DateTime<Utc>) -> Result<Left, DbError> {
    let kept_for = TimeDelta::from_std(scheduler.config.received_texts_kept_for).ok();
    let default = kept_for.and_then(|time| now.checked_sub_signed(time)).map(london::day);
    let (db, mut left, mut after) = (&scheduler.db, Left::Nothing, ServiceId(Uuid::nil()));
    loop {
        let services =
            db.run("received_text.kept", move |conn| received_text::kept(conn, after, PAGE.into())).await?;
        let Some((last, _)) = services.last() else { return Ok(left) };
        after = *last;
        for (service, own) in services {
            let own = own
                .and_then(|days| u32::try_from(days).ok())
                .map(|days| london::midnight_days_ago(now, days));
            let Some(before) = own.or_else(|| default.map(london::midnight)) else { continue };
            let forget = move |conn: &mut _| received_text::forget(conn, service, before, PAGE.into());
            left = left.and(deleted("received texts", db.run("received_text.forget", forget).await?));
        }
    }
}

fn deleted(of: &'static str, rows: usize) -> Left {
    if rows > 0 {
        tracing::info!(of, rows, "deleted, past their time");
    }
    Left::after(rows, PAGE as usize)
}
