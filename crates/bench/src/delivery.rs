//! Delivering: notifications that wait, each with its message in the queue, and a worker that is let loose on them.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use diesel::PgConnection;
use domain::wakeup::{Kind, WakeUp};
use serde::Deserialize;
use uuid::Uuid;

use crate::{
    database,
    error::Error,
    run::{Run, StopWatch, Subject},
    stack::{Behaviour, Stack},
    text,
    worker::Worker,
};

/// Rows for each transaction while the table is filled.
const GROUP: u64 = 500;
const QUEUED_LIMIT: Duration = Duration::from_secs(30);
const START_LIMIT: Duration = Duration::from_secs(30);
const DELIVERY_LIMIT: Duration = Duration::from_secs(300);

/// Let a worker deliver notifications that wait
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[arg(long, default_value_t = 20_000)]
    count: u64,
    /// What a call of the simulated providers takes
    #[arg(long)]
    latency_ms: u64,
    /// The program that is measured
    #[arg(long)]
    worker: PathBuf,
}

pub(crate) async fn run(arguments: &Arguments, stack: &Stack) -> Result<Run, Error> {
    let Arguments { count, latency_ms, ref worker } = *arguments;
    let mut conn = stack.database()?;
    stack.reset(&mut conn, Behaviour { latency_ms, receipts: false }).await?;
    let ids = fill(&mut conn, stack, count).await?;
    let (Some(first), Some(last)) = (ids.first(), ids.last()) else {
        return Err(Error::Wrong("nothing to be delivered".into()));
    };
    let mut worker = Worker::start(stack, worker)?;
    wait(&mut conn, &mut worker, "the first claim", START_LIMIT, &taken(*first)).await?;
    let watch = StopWatch::start(stack)?;
    wait(&mut conn, &mut worker, "the delivery", DELIVERY_LIMIT, &gone(*last)).await?;
    wait(&mut conn, &mut worker, "the delivery", DELIVERY_LIMIT, "SELECT count(*) FROM due").await?;
    let run = watch.stop(stack, Subject::Delivery { latency_ms }, count)?;
    worker.stop().await?;
    check(&mut conn, stack, count).await?;
    let (first, last) = database::first_and_last_sent(&mut conn)?;
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of a run are far below 2^52")]
    let calling = (last - first).num_milliseconds() as f64 / 1000.0;
    Ok(run.with("seconds_from_first_to_last_answer", calling))
}

/// Rows as the API stores them, and then their messages as it publishes them; the ids in the order of the queue.
async fn fill(conn: &mut PgConnection, stack: &Stack, count: u64) -> Result<Vec<Uuid>, Error> {
    let (keyring, key) = (stack.keyring()?, stack.api_key()?);
    let account = database::account(conn, stack, key.service)?;
    let mut wakes: Vec<WakeUp> = Vec::new();
    for from in (0..count).step_by(usize::try_from(GROUP).expect("GROUP is small")) {
        let group: Vec<_> =
            (from..count.min(from + GROUP)).map(|n| text::notification(account, &keyring, n)).collect();
        wakes.extend(database::store(conn, &group)?.iter().map(|stored| stored.wake));
    }
    let ids = wakes.iter().map(|wake| wake.subject).collect();
    let broker = stack.broker().await?;
    let unpublished = broker.publisher().wake(wakes).await;
    if !unpublished.is_empty() {
        return Err(Error::Wrong(format!("{} of {count} wake-ups were not confirmed", unpublished.len())));
    }
    let published = Instant::now();
    while u64::from(broker.depth(Kind::DeliverSms).await?) != count {
        if published.elapsed() > QUEUED_LIMIT {
            return Err(Error::TooLong { what: "queueing the wake-ups", limit: QUEUED_LIMIT });
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    broker.close().await;
    Ok(ids)
}

/// 0 as soon as the row is held by somebody. By its key, which costs the server next to nothing.
fn taken(id: Uuid) -> String {
    format!("SELECT count(*) FROM due WHERE subject_id = '{id}' AND lease IS NULL")
}

/// 0 as soon as the row is settled.
fn gone(id: Uuid) -> String {
    format!("SELECT count(*) FROM due WHERE subject_id = '{id}'")
}

/// Until the query answers 0. Looks often enough for a run of a second, and only ever at little.
async fn wait(
    conn: &mut PgConnection,
    worker: &mut Worker,
    what: &'static str,
    limit: Duration,
    query: &str,
) -> Result<(), Error> {
    let started = Instant::now();
    while database::count(conn, query)? != 0 {
        worker.still_runs()?;
        if started.elapsed() > limit {
            return Err(Error::TooLong { what, limit });
        }
        tokio::time::sleep(Duration::from_millis(4)).await;
    }
    Ok(())
}

#[derive(Debug, Deserialize)]
struct Calls {
    calls: u64,
    accepted: u64,
}

#[derive(Debug, Deserialize)]
struct Counts {
    mmg: Calls,
    firetext: Calls,
    references: Option<u64>,
    duplicates: Option<u64>,
}

/// Each once: by the database, and by the providers.
pub(crate) async fn check(conn: &mut PgConnection, stack: &Stack, count: u64) -> Result<(), Error> {
    let audit = database::audit(conn, count)?;
    let reached = audit.with_provider + audit.finished;
    let mut simulator = stack.simulator().await?;
    let counts: Counts = serde_json::from_slice(simulator.call("GET", "/counts.json", "").await?)
        .map_err(|error| Error::Wrong(format!("the simulator's counts: {error}")))?;
    let exact = reached.unsigned_abs() == count
        && counts.mmg.calls + counts.firetext.calls == count
        && counts.mmg.accepted + counts.firetext.accepted == count
        && counts.references == Some(count)
        && counts.duplicates == Some(0);
    if exact {
        Ok(())
    } else {
        Err(Error::Wrong(format!("{count} should have been sent once, but: {audit:?}, {counts:?}")))
    }
}
