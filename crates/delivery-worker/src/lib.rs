//! AMQP in: takes wake-ups, claims what they are about, does it, settles it.
//!
//! [`mod@deliver`] sends notifications, [`mod@apply_receipt`] applies what providers say about them. Any number of workers may run;
//! the claims in Postgres keep them apart.

pub mod apply_receipt;
mod config;
pub mod deliver;
mod settle;

use std::sync::Arc;

use broker::{Broker, Publisher};
use db::Db;
use delivery::{Delivery, Large};
use domain::{clock::Clock, retry::RetryPolicy, status::Channel};
use provider::Providers;
use service::{Context, Error, tally::Tally};

pub use config::{Config, WorkerConfig};

/// What every part of the worker works with.
#[derive(Clone, Debug)]
pub struct Worker {
    pub delivery: Delivery,
    pub broker: Broker,
    pub publisher: Publisher,
    pub config: WorkerConfig,
    /// Receipts that were false.
    pub forgotten_receipts: Arc<Tally>,
}

/// Runs a worker until it is told to stop.
///
/// # Errors
/// When the configuration or the database's schema is not ours to work with.
pub async fn run(config: Config, context: Context) -> Result<(), Error> {
    config.worker.check()?;
    let clock = Clock::System;
    let health = service::listen::bind("health", &config.worker.health_listen, config.listen)?;
    let broker = Broker::start(&config.broker, "delivery-worker", clock.clone())?;
    context.tasks.attend("broker", broker.kept_up());
    watch(&context, &broker);
    context.tasks.attend("health", service::health::serve(health, context.readiness.clone()));
    let delivery = Delivery {
        keyring: Arc::new(config.sealing.keyring()?),
        providers: Arc::new(Providers::new(&config.providers, config.worker.at_once())?),
        large: Large::default(),
        policy: Arc::new(RetryPolicy::default()),
        clock,
        lease: config.worker.lease,
        standings_every: delivery::STANDINGS_EVERY,
        db: Db::open(&config.database).await?,
    };
    let forgotten_receipts = Arc::default();
    let worker =
        Worker { delivery, publisher: broker.publisher(), broker, config: config.worker, forgotten_receipts };
    worker.delivery.read_standings().await;
    start(&worker, &context);
    context.tasks.stopping().cancelled().await;
    context.tasks.drain().await;
    worker.broker.close().await;
    Ok(())
}

/// Starts the lines of work; they end by themselves after the soft stop, when what they hold is settled. How the providers
/// stand has been read.
pub fn start(worker: &Worker, context: &Context) {
    context.tasks.attend("standings", worker.delivery.clone().follow_standings());
    deliver::start(worker, context, Channel::Sms, worker.config.sms_in_flight);
    deliver::start(worker, context, Channel::Email, worker.config.email_in_flight);
    apply_receipt::start(worker, context);
}

/// A worker without the broker or the database gets nothing done; it waits for both.
fn watch(context: &Context, broker: &Broker) {
    let broker = broker.clone();
    context.readiness.require("broker", move || {
        let up = broker.is_connected();
        async move { if up { Ok(()) } else { Err("not connected".to_owned()) } }
    });
}
