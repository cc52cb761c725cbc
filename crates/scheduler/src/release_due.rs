//! The sweep: what is due and was not followed up is published (again). Outbox, scheduled sends, retries, dead workers and
//! wiped brokers are all found here; [`db::due`] tells why.

use domain::wakeup::{Kind, WakeUp};

use crate::{Scheduler, task::Left};

/// Rows of one kind that are marked and published together.
const PAGE: usize = 2000;

/// Publishes a page of what is due.
///
/// # Errors
/// When the database cannot be asked; the next turn tries again.
pub async fn run(scheduler: &Scheduler) -> Result<Left, db::DbError> {
    let kinds = kinds_with_room(scheduler).await;
    if kinds.is_empty() {
        return Ok(Left::Nothing);
    }
    let now = scheduler.clock.now();
    let swept = scheduler.db.run("due.take", move |conn| db::due::take(conn, &kinds, now, PAGE)).await?;
    let told = swept.wake.len();
    let untold = scheduler.publisher.wake(swept.wake).await;
    if told > 0 {
        tracing::debug!(published = told - untold.len(), failed = untold.len(), "woken");
    }
    if !untold.is_empty() {
        unwake(scheduler, untold).await?;
        return Ok(Left::Nothing);
    }
    Ok(if swept.more { Left::More } else { Left::Nothing })
}

/// The kinds whose queue is short enough to add to. None at all while the broker is away.
async fn kinds_with_room(scheduler: &Scheduler) -> Vec<Kind> {
    if !scheduler.publisher.is_connected() {
        return Vec::new();
    }
    let mut kinds = Vec::new();
    for kind in Kind::ALL {
        match scheduler.broker.depth(kind).await {
            Ok(depth) if depth < scheduler.config.release_below => kinds.push(kind),
            Ok(depth) => tracing::debug!(%kind, depth, "the queue is long: workers are behind"),
            Err(error) => tracing::warn!(%kind, %error, "the queue cannot be asked"),
        }
    }
    kinds
}

/// Nobody was told: the next turn finds them again.
async fn unwake(scheduler: &Scheduler, untold: Vec<WakeUp>) -> Result<(), db::DbError> {
    let (ids, now) = (untold.iter().map(|wake| wake.subject).collect::<Vec<_>>(), scheduler.clock.now());
    scheduler.db.run("due.unwake", move |conn| db::due::unwake(conn, &ids, now)).await
}
