//! Makes the days ahead before they come.

use crate::{Scheduler, task::Left};

/// # Errors
/// When a partition cannot be made; rows go to the default one meanwhile, and the next turn moves them.
pub async fn run(scheduler: &Scheduler) -> Result<Left, db::DbError> {
    let now = scheduler.clock.now();
    let made = scheduler.db.run("partition.ensure", move |conn| db::partition::ensure(conn, now)).await?;
    if !made.is_empty() {
        tracing::info!(partitions = made.join(", "), "made");
    }
    Ok(Left::Nothing)
}
