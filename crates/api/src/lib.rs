//! HTTP in: requests of services and receipts of providers become rows; the answer follows the commit, and wake-ups
//! follow the answer.
//!
//! ```text
//! routes ─► v2/send ─► auth ─► body, v2/schema ─► accept ─► admit ─► db::intake ─► 201
//!                                                                       └─► wake ─► broker (may fail: the sweep finds the row)
//! routes ─► receipts ─► provider::*::read_receipt ─► db::receipt ─► 200
//! routes ─► received ─► provider::inbound ─► db::received_text ─► 200
//! routes ─► documents ─► db::document ─► a page, or a file
//! routes ─► unsubscribe ─► db::unsubscribe ─► 200, a page for browsers
//! routes ─► deliver ─► auth (internal) ─► delivery: claim ─► attempt ─► settle ─► 204
//! ```

mod accept;
mod admit;
mod auth;
mod body;
mod buckets;
mod budget;
mod caller_address;
mod config;
mod content_encoding;
mod deliver;
mod documents;
mod error;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod header;
mod heavy;
mod internal;
mod line_ends;
mod lookup;
mod openapi;
mod page;
mod pages;
mod reads;
mod receipts;
mod received;
mod routes;
mod server;
mod status;
mod stored;
mod unread_body;
mod unsubscribe;
mod v1;
mod v2;
mod wake;

use std::{convert::Infallible, net::TcpListener, sync::Arc};

use actix_web::web;
use broker::Broker;
use db::{
    Db,
    intake::{self, Outcome},
    receipt,
    sealing::Keyring,
};
use delivery::{Delivery, Large};
use domain::{clock::Clock, retry::RetryPolicy};
use provider::{AtOnce, Providers};
use service::{Context, health::Readiness, lifecycle::Tasks, tally::Tally};
use tokio::{runtime::Handle, sync::Semaphore};

use crate::{
    admit::InFlight,
    auth::Clients,
    body::Limits,
    buckets::Buckets,
    budget::Budget,
    caller_address::{Origin, Proxies},
    heavy::Heavy,
    lookup::Lookup,
    reads::Reads,
    wake::Announcer,
};
pub use crate::{
    caller_address::ForwardedHeader,
    config::{ApiConfig, Config, InternalConfig},
    reads::ReadsConfig,
};

/// What every request may need. One per process.
struct App {
    accepting: Accepting,
    announcer: Announcer,
    budget: Budget,
    clients: Clients,
    clock: Clock,
    config: ApiConfig,
    db: Db,
    deliveries: Semaphore,
    delivery: Delivery,
    /// Of authentications that failed.
    failures: Buckets<Origin>,
    heavy: Heavy,
    in_flight: InFlight,
    keyring: Arc<Keyring>,
    lookup: Lookup,
    main_runtime: Handle,
    proxies: Proxies,
    readiness: Readiness,
    reads: Reads,
    receipts: receipt::Receipts,
    strange_receipts: Tally,
    tasks: Tasks,
}

/// Where notifications are stored, and what of the providers' configuration answers depend on.
struct Accepting {
    intake: intake::Intake,
    default_sms_sender: String,
    email_domain: String,
}

impl App {
    fn body_limits(&self) -> Limits {
        Limits { bytes: self.config.body_limit, time: self.config.client_timeout }
    }
}

/// The whole process: binds, then serves until it is told to stop.
///
/// # Errors
/// When it cannot start: a taken port, a schema that it does not know, a configuration that cannot be used.
pub async fn run(config: Config, context: Context) -> Result<(), service::Error> {
    let listener = service::listen::bind("api", &config.api.listen, config.listen)?;
    serve(listener, config, Clock::System, context).await
}

/// Serves on a listener that is bound already, until `context.tasks` stop.
///
/// # Errors
/// As [`run`].
pub async fn serve(
    listener: TcpListener,
    config: Config,
    clock: Clock,
    context: Context,
) -> Result<(), service::Error> {
    let stopping = context.tasks.stopping().clone();
    let drain_timeout = config.shutdown.drain_timeout;
    let Some(app) = stopping.run_until_cancelled(start(config, clock, context)).await else { return Ok(()) };
    let app = web::Data::from(app?);
    server::run(listener, app.clone(), drain_timeout).await?;
    // The last owner of the group writers waits for their threads: not a runtime's matter.
    tokio::task::spawn_blocking(move || drop(app)).await?;
    Ok(())
}

async fn start(config: Config, clock: Clock, context: Context) -> Result<Arc<App>, service::Error> {
    config.api.check()?;
    config.api.warn();
    let proxies = config.api.proxies()?;
    let keyring = Arc::new(config.sealing.keyring()?);
    let clients = Clients::parse(config.internal.clients.expose(), &config.internal.scopes)?;
    let at_once = AtOnce { sms: config.api.deliveries_at_once, email: config.api.deliveries_at_once };
    let providers = Providers::new(&config.providers, at_once)?;
    let broker = Broker::start(&config.broker, "api", clock.clone())?;
    let db = Db::open(&config.database).await?;

    context.tasks.attend("broker", broker.kept_up());
    let (announcer, publishing) = Announcer::new(broker.publisher(), db.clone(), clock.clone());
    // Look-ups have connections of their own, and so has what services read: neither waits for the other, or for anybody else.
    let for_lookups =
        Db::new(&db::Config { pool_size: config.api.lookup_connections.max(1), ..config.database.clone() });
    let reads = Reads::new(&config.api.reads, &config.database, for_lookups.clone());
    watch(&context.readiness, &for_lookups, &broker);
    context.tasks.spawn("publishing", async move {
        publishing.run().await;
        broker.close().await;
        Ok::<_, Infallible>(())
    });
    let (stored, heard) = (announcer.clone(), announcer.clone());
    let intake = intake::start(config.database.clone(), move |group| {
        let admitted = group.iter().filter_map(|outcome| match outcome {
            Outcome::Admitted(Some(stored)) if stored.wake_follows => Some(stored.wake),
            _ => None,
        });
        stored.announce(admitted);
    });
    let receipts = receipt::start(config.database, move |group| {
        heard.announce(group.iter().filter_map(|reception| reception.wake()));
    });
    context.tasks.attend("intake", intake.ended());
    context.tasks.attend("receipts", receipts.ended());
    let delivery = Delivery {
        db: db.clone(),
        keyring: keyring.clone(),
        providers: Arc::new(providers),
        policy: Arc::new(RetryPolicy::default()),
        clock: clock.clone(),
        lease: config.api.delivery_lease,
        large: Large::default(),
        standings_every: delivery::STANDINGS_EVERY,
    };
    Ok(Arc::new(App {
        accepting: Accepting {
            intake,
            default_sms_sender: config.providers.sms_sender,
            email_domain: config.providers.smtp.from_domain,
        },
        announcer,
        budget: Budget::new(config.api.large_bodies),
        clients,
        deliveries: Semaphore::new(config.api.deliveries_at_once.max(1)),
        delivery: standing(delivery, &context.tasks).await,
        failures: Buckets::new(config.api.failed_authentications_per_minute),
        config: config.api,
        heavy: Heavy::new(Handle::current()),
        lookup: Lookup::new(for_lookups, keyring.clone(), clock.clone()),
        clock,
        db,
        keyring,
        in_flight: InFlight::default(),
        main_runtime: Handle::current(),
        proxies,
        readiness: context.readiness,
        reads,
        receipts,
        strange_receipts: Tally::default(),
        tasks: context.tasks,
    }))
}

/// Knows how the providers stand, and keeps knowing it.
async fn standing(delivery: Delivery, tasks: &Tasks) -> Delivery {
    delivery.read_standings().await;
    tasks.attend("standings", delivery.clone().follow_standings());
    delivery
}

/// Without the database we are of no use; without the broker we are, only slower.
fn watch(readiness: &Readiness, db: &Db, broker: &Broker) {
    let db = db.clone();
    readiness.require("database", move || {
        let db = db.clone();
        async move {
            let small = db.run("readiness", db::service::sms_rates);
            small.await.map(drop).map_err(|error| error.to_string())
        }
    });
    let broker = broker.clone();
    readiness.mention("broker", move || {
        let connected = broker.is_connected();
        async move { if connected { Ok(()) } else { Err("not connected".to_owned()) } }
    });
}
