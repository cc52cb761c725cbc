//! What every binary needs, so that each starts the same things in the same order and ends the same way: configuration,
//! logs, runtime, signals, the work itself, drain, exit code.
//!
//! ```no_run
//! #[derive(Debug, Default, serde::Deserialize)]
//! #[serde(default)]
//! struct Config {
//!     listen: service::listen::Config,
//! }
//!
//! async fn run(config: Config, context: service::Context) -> Result<(), service::Error> {
//!     let health = service::listen::bind("health", "127.0.0.1:0", config.listen)?;
//!     context.tasks.attend("health", service::health::serve(health, context.readiness.clone()));
//!     context.tasks.stopping().cancelled().await;
//!     Ok(())
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     service::main("example", run)
//! }
//! ```

pub mod config;
pub mod health;
pub mod lifecycle;
pub mod listen;
pub mod tally;
pub mod telemetry;

use std::{process::ExitCode, time::Duration};

use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    health::Readiness,
    lifecycle::{Ending, Signals, Tasks},
};

/// What ends a process. Nobody can act on it any more but by reading it; hence no enum.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// The configuration cannot be used (EX_CONFIG of sysexits.h): starting again will not help.
const UNUSABLE_CONFIGURATION: u8 = 78;
/// Cut off before all was finished (what GNU timeout says).
const CUT_OFF: u8 = 124;
/// Blocking calls (a query) that are still running when everything else has ended or was cut off.
const BLOCKING_PATIENCE: Duration = Duration::from_secs(2);

/// What a process is given to work with.
#[derive(Clone, Debug)]
pub struct Context {
    /// Starts tasks, and tells them when to stop.
    pub tasks: Tasks,
    /// What `/readyz` says.
    pub readiness: Readiness,
}

/// The sections that this crate itself reads.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Common {
    log: telemetry::Config,
    shutdown: lifecycle::Config,
}

/// Runs a process from its first line to its exit code.
///
/// When `run` returns, the process stops: a `run` that only starts tasks waits for `context.tasks.stopping()` at its end.
/// It is expected to return soon after that token is cancelled.
pub fn main<C, R>(name: &'static str, run: R) -> ExitCode
where
    C: DeserializeOwned,
    R: AsyncFnOnce(C, Context) -> Result<(), Error>,
{
    let configured =
        config::Layers::read().and_then(|layers| Ok((layers.compose::<Common>()?, layers.compose::<C>()?)));
    let (common, config) = match configured {
        Ok(configured) => configured,
        Err(error) => return unusable(name, &error),
    };
    if let Err(error) = telemetry::start(name, &common.log) {
        return unusable(name, &error);
    }
    match start(name, common.shutdown, config, run) {
        Ok(Ending::Drained) => ExitCode::SUCCESS,
        Ok(Ending::Failed) => ExitCode::FAILURE,
        Ok(Ending::CutOff) => ExitCode::from(CUT_OFF),
        Err(error) => {
            tracing::error!(%error, "the process could not start");
            ExitCode::FAILURE
        }
    }
}

fn start<C, R>(name: &'static str, shutdown: lifecycle::Config, config: C, run: R) -> Result<Ending, Error>
where
    R: AsyncFnOnce(C, Context) -> Result<(), Error>,
{
    let runtime = tokio::runtime::Builder::new_multi_thread().thread_name(name).enable_all().build()?;
    let ending = runtime.block_on(async {
        let signals = Signals::listen()?;
        let tasks = Tasks::new();
        let context = Context { readiness: Readiness::new(tasks.stopping().clone()), tasks: tasks.clone() };
        tracing::info!(version = env!("CARGO_PKG_VERSION"), "starting");
        Ok(lifecycle::supervise(run(config, context), &tasks, signals, shutdown).await)
    });
    runtime.shutdown_timeout(BLOCKING_PATIENCE);
    ending
}

/// Before there are logs.
fn unusable(name: &str, error: &dyn std::error::Error) -> ExitCode {
    eprintln!("{name}: {error}");
    ExitCode::from(UNUSABLE_CONFIGURATION)
}
