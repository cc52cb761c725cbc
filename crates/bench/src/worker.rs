//! The delivery-worker, started by the bench itself: the clock runs from its first claim, so the bench must be looking by then.

use std::{
    fs::{self, OpenOptions},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::{error::Error, http::Connection, stack::Stack};

const NAME: &str = "delivery-worker";
const READY_LIMIT: Duration = Duration::from_secs(30);
/// To finish what it has in hand.
const DRAIN_LIMIT: Duration = Duration::from_secs(45);

/// A worker that ends with its owner.
#[derive(Debug)]
pub(crate) struct Worker {
    child: Child,
    /// So that the scripts find it, should the bench die first.
    pid_file: PathBuf,
}

impl Worker {
    /// Its log and its pid file are where those of every process of the stack are.
    pub(crate) fn start(stack: &Stack, binary: &Path) -> Result<Self, Error> {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(stack.state_dir.join("logs").join(NAME).with_extension("log"));
        let log = log.map_err(Error::io("opening the worker's log"))?;
        let errors = log.try_clone().map_err(Error::io("opening the worker's log"))?;
        let child = Command::new(binary)
            .env("PILLARBOX_STATE_DIR", &stack.state_dir)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn()
            .map_err(Error::io("starting the worker"))?;
        let worker = Self { child, pid_file: stack.state_dir.join("pids").join(NAME) };
        fs::write(&worker.pid_file, format!("{}\n", worker.child.id()))
            .map_err(Error::io("writing a pid file"))?;
        Ok(worker)
    }

    pub(crate) async fn ready(&mut self, stack: &Stack) -> Result<(), Error> {
        let started = Instant::now();
        while started.elapsed() < READY_LIMIT {
            self.still_runs()?;
            if let Ok(mut health) = Connection::open(&stack.worker_health).await
                && health.call("GET", "/readyz", "").await.is_ok()
            {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err(Error::TooLong { what: "starting the worker", limit: READY_LIMIT })
    }

    /// An error when it has ended.
    pub(crate) fn still_runs(&mut self) -> Result<(), Error> {
        match self.child.try_wait().map_err(Error::io("asking for the worker"))? {
            None => Ok(()),
            Some(status) => Err(Error::Wrong(format!("the worker has ended ({status}); its log says why"))),
        }
    }

    /// Drains it; anything but success is an error.
    pub(crate) async fn stop(mut self) -> Result<(), Error> {
        let pid = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().map_err(Error::io("ending the worker"))?;
        let asked = Instant::now();
        while asked.elapsed() < DRAIN_LIMIT {
            match self.child.try_wait().map_err(Error::io("ending the worker"))? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(Error::Wrong(format!("the worker ended with {status}"))),
                None => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
        Err(Error::TooLong { what: "draining the worker", limit: DRAIN_LIMIT })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Nothing happens to one that has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.pid_file);
    }
}
