//! Deletes what is past its time. It is out of sight from that moment on, so nobody waits for this.

use crate::Scheduler;

/// Rows in one transaction; a file may have 2 MiB.
const PAGE: u32 = 200;

/// Deletes files that were sent by e-mail, page by page.
///
/// # Errors
/// When the database cannot be asked; the next turn goes on.
pub async fn run(scheduler: &Scheduler) -> Result<(), db::DbError> {
    let now = scheduler.clock.now();
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
