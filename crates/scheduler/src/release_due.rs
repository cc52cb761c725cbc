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
    let Lanes { with_room, empty } = lanes(scheduler).await;
    if with_room.is_empty() {
        return Ok(Left::Nothing);
    }
    let now = scheduler.clock.now();
    let take = move |conn: &mut _| db::due::take(conn, &with_room, now, PAGE);
    let mut swept = scheduler.db.run("due.take", take).await?;
    if !empty.is_empty() {
        let lost = move |conn: &mut _| db::due::take_lost(conn, &empty, now, PAGE);
        swept.append(scheduler.db.run("due.take_lost", lost).await?);
    }
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

/// The kinds to look for.
#[derive(Default)]
struct Lanes {
    /// Their queue is short enough to add to.
    with_room: Vec<Kind>,
    /// And of these, whose queue has nothing in it.
    empty: Vec<Kind>,
}

/// None at all while the broker is away.
async fn lanes(scheduler: &Scheduler) -> Lanes {
    let mut lanes = Lanes::default();
    if !scheduler.publisher.is_connected() {
        return lanes;
    }
    for kind in Kind::ALL {
        match scheduler.broker.depth(kind).await {
            Ok(depth) if depth < scheduler.config.release_below => {
                lanes.with_room.push(kind);
                if depth == 0 {
                    lanes.empty.push(kind);
                }
            }
            Ok(depth) => tracing::debug!(%kind, depth, "the queue is long: workers are behind"),
            Err(error) => tracing::warn!(%kind, %error, "the queue cannot be asked"),
        }
    }
    lanes
}

/// Nobody was told: the next turn finds them again.
async fn unwake(scheduler: &Scheduler, untold: Vec<WakeUp>) -> Result<(), db::DbError> {
    let (ids, now) = (untold.iter().map(|wake| wake.subject).collect::<Vec<_>>(), scheduler.clock.now());
    scheduler.db.run("due.unwake", move |conn| db::due::unwake(conn, &ids, now)).await
}
