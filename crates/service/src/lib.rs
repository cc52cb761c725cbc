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
//! fn main() {
//!     service::main("example", run)
//! }
//! ```

pub mod config;
pub mod health;
pub mod lifecycle;
pub mod listen;
pub mod tally;
pub mod telemetry;

use std::{
    env,
    io::{self, Write as _},
    os::unix::process::CommandExt as _,
    process::Command,
    time::Duration,
};

use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    health::Readiness,
    lifecycle::{Ending, Signals, Tasks},
};

/// What ends a process. Nobody can act on it any more but by reading it; hence no enum.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

const SUCCESS: i32 = 0;
const FAILURE: i32 = 1;
/// The configuration cannot be used (EX_CONFIG of sysexits.h): starting again will not help.
const UNUSABLE_CONFIGURATION: i32 = 78;
/// Cut off before all was finished (what GNU timeout says).
const CUT_OFF: i32 = 124;
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
/// It ends without the clean-up that libraries have asked for: OpenSSL's frees what libpq needs in a thread of a pool that
/// happens to be connecting, and the process would crash after all was done (sfackler/r2d2#137).
///
/// When `run` returns, the process stops: a `run` that only starts tasks waits for `context.tasks.stopping()` at its end.
/// It is expected to return soon after that token is cancelled.
pub fn main<C, R>(name: &'static str, run: R) -> !
where
    C: DeserializeOwned,
    R: AsyncFnOnce(C, Context) -> Result<(), Error>,
{
    return_large_memory();
    let code = exit_code(name, run);
    let _ = io::stdout().flush();
    signal_hook::low_level::exit(code)
}

/// glibc learns from the first large block that is freed to keep the next ones, up to 32 MB each and in every thread's arena: after
/// some large mails a process would hold several times what it needs. That is off once a threshold is set, and it is read
/// before `main`, so the process starts itself again, once. Who set one knows better.
fn return_large_memory() {
    const THRESHOLD: &str = "MALLOC_MMAP_THRESHOLD_";
    if cfg!(target_env = "gnu") && env::var_os(THRESHOLD).is_none() && env::var_os("GLIBC_TUNABLES").is_none()
    {
        let mut arguments = env::args_os();
        let Ok(program) = env::current_exe() else { return };
        let mut again = Command::new(program);
        if let Some(name) = arguments.next() {
            again.arg0(name);
        }
        // Comes back only when it failed; then we go on with more memory.
        let _ = again.args(arguments).env(THRESHOLD, "131072").exec();
    }
}

fn exit_code<C, R>(name: &'static str, run: R) -> i32
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
        Ok(Ending::Drained) => SUCCESS,
        Ok(Ending::Failed) => FAILURE,
        Ok(Ending::CutOff) => CUT_OFF,
        Err(error) => {
            tracing::error!(%error, "the process could not start");
            FAILURE
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
fn unusable(name: &str, error: &dyn std::error::Error) -> i32 {
    eprintln!("{name}: {error}");
    UNUSABLE_CONFIGURATION
}
