//! Folds what the figures changed by into their sums. They are exact without it, and read faster with it.

use crate::{Scheduler, task::Left};

/// Deltas in one transaction: well below a second, whatever they are of.
const PAGE: u32 = 10_000;

/// Folds a page of what is there.
///
/// # Errors
/// When the database cannot be asked; the next turn folds more.
pub async fn run(scheduler: &Scheduler) -> Result<Left, db::DbError> {
    let folded = scheduler.db.run("statistics.fold", |conn| db::statistics::fold(conn, PAGE)).await?;
    if folded > 0 {
        tracing::debug!(folded, "figures");
    }
    Ok(Left::after(folded, PAGE as usize))
}
