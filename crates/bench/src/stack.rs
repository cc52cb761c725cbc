//! What is measured, as `.pillarbox/bench/env` describes it.

use std::{fmt, path::PathBuf, time::Duration};

use broker::Broker;
use db::sealing::Keyring;
use diesel::PgConnection;
use domain::{clock::Clock, id::TemplateId};

use crate::{
    database,
    error::Error,
    http::{Connection, authority},
    token::ApiKey,
};

const BROKER_PATIENCE: Duration = Duration::from_secs(10);

/// Where everything is. Taken from the environment.
#[derive(clap::Args)]
pub(crate) struct Stack {
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: String,
    #[arg(long, env = "AMQP_URL", hide_env_values = true)]
    amqp_url: String,
    #[arg(long, env = "PILLARBOX_STATE_DIR")]
    pub(crate) state_dir: PathBuf,
    #[arg(long, env = "NOTIFY_API_URL")]
    api_url: String,
    #[arg(long, env = "SIMULATOR_URL")]
    simulator_url: String,
    #[arg(long, env = "PILLARBOX__WORKER__HEALTH_LISTEN")]
    pub(crate) worker_health: String,
    #[arg(long, env = "API_KEY", hide_env_values = true)]
    api_key: String,
    #[arg(long, env = "SMS_TEMPLATE_ID")]
    pub(crate) sms_template: TemplateId,
    #[arg(long, env = "PILLARBOX__SEALING__KEYS", hide_env_values = true)]
    sealing_keys: String,
}

impl fmt::Debug for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stack").field("state_dir", &self.state_dir).finish_non_exhaustive()
    }
}

impl Stack {
    pub(crate) fn database_url(&self) -> &str {
        &self.database_url
    }

    /// A connection to Pillarbox's database.
    pub(crate) fn database(&self) -> Result<PgConnection, Error> {
        database::connect(&self.database_url)
    }

    pub(crate) async fn broker(&self) -> Result<Broker, Error> {
        let config = broker::Config { url: self.amqp_url.clone(), ..broker::Config::default() };
        let broker = Broker::start(&config, "bench", Clock::System)?;
        if !broker.connected_within(BROKER_PATIENCE).await {
            return Err(Error::TooLong { what: "connecting to the broker", limit: BROKER_PATIENCE });
        }
        Ok(broker)
    }

    /// `host:port`
    pub(crate) fn api(&self) -> Result<&str, Error> {
        authority(&self.api_url)
    }

    pub(crate) fn api_key(&self) -> Result<ApiKey, Error> {
        ApiKey::parse(&self.api_key)
    }

    pub(crate) fn keyring(&self) -> Result<Keyring, Error> {
        self.sealing_keys.parse().map_err(|error: db::sealing::BadKeys| Error::Wrong(error.to_string()))
    }

    /// Empties tables and queues, and makes the simulator forget and behave as told.
    pub(crate) async fn reset(&self, conn: &mut PgConnection, behaviour: Behaviour) -> Result<(), Error> {
        database::empty(conn)?;
        let broker = self.broker().await?;
        broker.purge().await?;
        broker.close().await;
        let mut simulator = self.simulator().await?;
        let Behaviour { latency_ms, receipts } = behaviour;
        let control = format!(r#"{{"latency_ms":{latency_ms},"receipts":{receipts},"receipt_delay_ms":0}}"#);
        simulator.call("POST", "/control", &control).await?;
        simulator.call("POST", "/clear", "").await?;
        Ok(())
    }

    pub(crate) async fn simulator(&self) -> Result<Connection, Error> {
        Connection::open(authority(&self.simulator_url)?).await
    }
}

/// How the simulated providers behave in a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Behaviour {
    pub(crate) latency_ms: u64,
    pub(crate) receipts: bool,
}
