//! The simulator as a process: reads the command line, prints its addresses in one line, runs until told to stop.

use std::io::{self, IsTerminal as _, Write as _};

use clap::Parser;
use simulator::{Options, Simulator, scenario};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Plays MMG and Firetext over HTTP and takes mail over SMTP; shows what it got on a page
#[derive(Debug, Parser)]
#[command(version, after_help = scenario::help())]
struct Arguments {
    /// Threads that serve
    #[arg(long, default_value_t = 1)]
    threads: usize,
    #[command(flatten)]
    options: Options,
}

fn main() -> io::Result<()> {
    let Arguments { threads, options } = Arguments::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr)
        .init();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(threads.max(1)).enable_all().build()?;
    runtime.block_on(run(options))
}

async fn run(options: Options) -> io::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let simulator = Simulator::start(options).await?;
    writeln!(io::stdout(), "simulator ready: http={} smtp={}", simulator.http_addr(), simulator.smtp_addr())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
    simulator.stop().await;
    Ok(())
}
