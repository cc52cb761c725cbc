//! Folds what the figures changed by into their sums. They are exact without it, and read faster with it.

use crate::Scheduler;

/// Folds everything that is there.
///
/// # Errors
/// When the database cannot be asked; the next turn folds more.
pub async fn run(scheduler: &Scheduler) -> Result<(), db::DbError> {
    let folded = scheduler.db.run("statistics.fold", db::statistics::fold).await?;
    if folded > 0 {
        tracing::debug!(folded, "figures");
    }
    Ok(())
}
