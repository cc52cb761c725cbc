//! The smallest service: health, one task with work in hand, a drain. The tests of the lifecycle run it as a process.

use std::{io, process::ExitCode};

use serde::Deserialize;
use service::{Context, Error, health, listen};

#[derive(Default, Deserialize)]
#[serde(default)]
struct Config {
    listen: listen::Config,
    worker: Worker,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Worker {
    health: String,
    task: Task,
}

impl Default for Worker {
    fn default() -> Self {
        Self { health: "127.0.0.1:0".to_owned(), task: Task::Finish }
    }
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Task {
    /// What is in hand at the stop is finished when standard input ends.
    Finish,
    Fail,
    Panic,
}

fn main() -> ExitCode {
    service::main("smallest", run)
}

async fn run(config: Config, context: Context) -> Result<(), Error> {
    let listener = listen::bind("health", &config.worker.health, config.listen)?;
    context.tasks.attend("health", health::serve(listener, context.readiness.clone()));
    let stopping = context.tasks.stopping().clone();
    context.tasks.spawn("work", async move {
        match config.worker.task {
            Task::Finish => {
                stopping.cancelled().await;
                tokio::task::spawn_blocking(|| io::read_to_string(io::stdin())).await??;
                tracing::info!("finished what was in hand");
                Ok(())
            }
            Task::Fail => Err(Error::from("the queue is gone")),
            Task::Panic => panic!("on purpose"),
        }
    });
    context.tasks.stopping().cancelled().await;
    Ok(())
}
