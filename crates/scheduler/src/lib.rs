//! Time in: what happens because a time has come, and not because somebody asked.
//!
//! [`mod@task`] holds the one table of periodic tasks. Several replicas may run; the one that holds the advisory lock works, the
//! others wait for it to go away. Nothing here is needed for correctness twice: every task may be cut off and run again.

mod config;
pub mod fold_statistics;
mod leader;
pub mod partition_upkeep;
pub mod release_due;
pub mod retain;
pub mod task;
pub mod time_out;

use broker::{Broker, Publisher};
use db::Db;
use domain::clock::Clock;
use service::{Context, Error};

pub use config::{Config, SchedulerConfig};
pub use leader::lead_or_wait;

/// What the tasks work with.
#[derive(Clone, Debug)]
pub struct Scheduler {
    pub db: Db,
    pub broker: Broker,
    pub publisher: Publisher,
    pub clock: Clock,
    pub config: SchedulerConfig,
}

/// Runs a scheduler until it is told to stop.
///
/// # Errors
/// When the configuration or the database's schema is not ours to work with.
pub async fn run(config: Config, context: Context) -> Result<(), Error> {
    let clock = Clock::System;
    let health = service::listen::bind("health", &config.scheduler.health_listen, config.listen)?;
    context.tasks.attend("health", service::health::serve(health, context.readiness.clone()));
    let broker = Broker::start(&config.broker, "scheduler", clock.clone())?;
    context.tasks.attend("broker", broker.kept_up());
    watch(&context, &broker);
    let scheduler = Scheduler {
        db: Db::open(&config.database).await?,
        publisher: broker.publisher(),
        broker,
        clock,
        config: config.scheduler,
    };
    leader::lead_or_wait(&scheduler, &config.database, context.tasks.stopping()).await;
    scheduler.broker.close().await;
    Ok(())
}

/// Shown, not required: partitions and time-outs need no broker.
fn watch(context: &Context, broker: &Broker) {
    let broker = broker.clone();
    context.readiness.mention("broker", move || {
        let up = broker.is_connected();
        async move { if up { Ok(()) } else { Err("not connected".to_owned()) } }
    });
}
