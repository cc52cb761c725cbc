//! The whole way: from the first request to the last receipt that is applied, everything running.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use uuid::Uuid;

use crate::{
    accept::{Load, Until},
    database, delivery,
    error::Error,
    run::{Run, StopWatch, Subject},
    stack::{Behaviour, Stack},
    worker::Worker,
};

const LIMIT: Duration = Duration::from_secs(180);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Send texts through the API and wait until all are delivered
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[arg(long, default_value_t = 20_000)]
    count: u64,
    #[arg(long, default_value_t = 64)]
    connections: u32,
    /// The worker's program
    #[arg(long)]
    worker: PathBuf,
}

pub(crate) async fn run(arguments: &Arguments, stack: &Stack) -> Result<Run, Error> {
    let Arguments { count, connections, ref worker } = *arguments;
    let mut conn = stack.database()?;
    stack.reset(&mut conn, Behaviour { latency_ms: 0, receipts: true }).await?;
    let mut worker = Worker::start(stack, worker)?;
    worker.ready(stack).await?;
    let load = Load::open(stack, connections).await?;
    let watch = StopWatch::start(stack)?;
    let started = Instant::now();
    let latencies = load.send(Until::sent(count)).await?;
    let accepted = started.elapsed().as_secs_f64();
    let mut oldest = Uuid::nil();
    while let Some(undelivered) = database::undelivered(&mut conn, oldest)? {
        oldest = undelivered;
        worker.still_runs()?;
        if started.elapsed() > LIMIT {
            return Err(Error::TooLong { what: "delivering everything", limit: LIMIT });
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let run = watch.stop(stack, Subject::EndToEnd { connections }, count)?;
    worker.stop().await?;
    delivery::check(&mut conn, stack, count).await?;
    Ok(run.with_latencies(latencies).with("seconds_until_all_accepted", accepted))
}
