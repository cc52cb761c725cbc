//! How a process ends.
//!
//! The first SIGTERM or SIGINT is the soft stop: nothing new is taken, what is claimed is finished, results are flushed.
//! A second signal, or the drain deadline, is the hard stop: what still runs is cut off, and the exit code says so. What
//! was cut off is not lost: its lease in the database runs out and somebody else takes it.
//!
//! A task that fails or panics starts the soft stop too, with a failing exit code: a worker that lost its consumer must
//! not linger looking healthy; whoever supervises the process starts a whole one.

use std::{
    fmt::Display,
    future::Future,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde::Deserialize;
use tokio::{
    select,
    signal::unix::{Signal, SignalKind, signal},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::Error;

/// Section `shutdown`.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How long work in hand may take after the soft stop. Keep it below the supervisor's own patience.
    #[serde(with = "humantime_serde")]
    pub drain_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self { drain_timeout: Duration::from_secs(30) }
    }
}

/// The only way to start a task: everything that was started is waited for.
#[derive(Clone, Debug)]
pub struct Tasks {
    /// Waited for in the drain.
    work: TaskTracker,
    /// Ended after the drain.
    attendants: TaskTracker,
    stopping: CancellationToken,
    drained: CancellationToken,
    failed: Arc<AtomicBool>,
}

impl Default for Tasks {
    fn default() -> Self {
        Self::new()
    }
}

impl Tasks {
    #[must_use]
    pub fn new() -> Self {
        Self {
            work: TaskTracker::new(),
            attendants: TaskTracker::new(),
            stopping: CancellationToken::new(),
            drained: CancellationToken::new(),
            failed: Arc::default(),
        }
    }

    /// Starts a line of work. It must end by itself soon after [`Tasks::stopping`], and not before; the drain waits for it. An
    /// early end, an error or a panic stops the process.
    pub fn spawn<E: Display>(
        &self,
        name: &'static str,
        task: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        let watch = Watch { name, tasks: self.clone() };
        self.work.spawn(async move { watch.see(task.await) });
    }

    /// Starts something that is soon over, and waited for in the drain. Nothing else depends on it: a panic is a matter of
    /// whoever waits for its answer.
    pub fn errand(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.work.spawn(task);
    }

    /// Starts what must outlive the work: the health endpoint, connections that the work ends with. It is dropped when
    /// the work is drained. An end before the soft stop, an error or a panic stops the process.
    pub fn attend<E: Display>(
        &self,
        name: &'static str,
        task: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        let watch = Watch { name, tasks: self.clone() };
        self.attendants.spawn(async move {
            select! {
                result = task => watch.see(result),
                () = watch.tasks.drained.cancelled() => {}
            }
        });
    }

    /// Cancelled at the soft stop.
    #[must_use]
    pub fn stopping(&self) -> &CancellationToken {
        &self.stopping
    }

    /// Starts the soft stop, as a signal would.
    pub fn stop(&self) {
        self.stopping.cancel();
    }

    /// Whether a task failed or panicked.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.failed.load(Ordering::SeqCst)
    }

    /// Waits until all work has ended, then ends the attendants.
    pub async fn drain(&self) {
        self.work.close();
        self.work.wait().await;
        self.drained.cancel();
        self.attendants.close();
        self.attendants.wait().await;
    }
}

/// Sees a task end. Lives inside the task, so that a panic drops it as well.
struct Watch {
    name: &'static str,
    tasks: Tasks,
}

impl Watch {
    fn see<E: Display>(&self, result: Result<(), E>) {
        match result {
            Err(error) => self.fail(&error),
            Ok(()) if !self.tasks.stopping.is_cancelled() => self.fail(&"it ended, and nobody told it to"),
            Ok(()) => {}
        }
    }

    fn fail(&self, error: &dyn Display) {
        tracing::error!(task = self.name, %error, "a task failed, the process stops");
        self.tasks.failed.store(true, Ordering::SeqCst);
        self.tasks.stop();
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.fail(&"it panicked");
        }
    }
}

/// How a process ended, and so its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Everything in hand was finished.
    Drained,
    /// Finished, but something had failed before.
    Failed,
    /// The deadline or a second signal came first.
    CutOff,
}

/// SIGTERM and SIGINT.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// From here on the two signals no longer kill the process.
    ///
    /// # Errors
    /// When the handlers cannot be installed.
    pub fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        select! {
            _ = self.terminate.recv() => tracing::info!("SIGTERM"),
            _ = self.interrupt.recv() => tracing::info!("SIGINT"),
        }
    }
}

/// Runs `work` until it ends or is told to, then drains.
pub(crate) async fn supervise(
    work: impl Future<Output = Result<(), Error>>,
    tasks: &Tasks,
    mut signals: Signals,
    config: Config,
) -> Ending {
    let worked = async {
        let result = work.await;
        if let Err(error) = &result {
            tracing::error!(%error, "failed, the process stops");
        }
        tasks.stop();
        tasks.drain().await;
        result.is_ok() && !tasks.failed()
    };
    let cut_off = async {
        select! {
            () = signals.next() => tasks.stop(),
            () = tasks.stopping().cancelled() => {}
        }
        tracing::info!(deadline = ?config.drain_timeout, "stopping: finishing what is in hand");
        select! {
            () = signals.next() => tracing::warn!("told twice: cutting off what still runs"),
            () = tokio::time::sleep(config.drain_timeout) => tracing::warn!("the drain took too long: cutting off what still runs"),
        }
    };
    select! {
        biased;
        clean = worked => {
            tracing::info!(clean, "drained");
            if clean { Ending::Drained } else { Ending::Failed }
        }
        () = cut_off => Ending::CutOff,
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    const QUICK: Config = Config { drain_timeout: Duration::from_millis(50) };
    const PATIENT: Config = Config { drain_timeout: Duration::from_secs(30) };

    async fn run(tasks: &Tasks, work: impl Future<Output = Result<(), Error>>, config: Config) -> Ending {
        supervise(work, tasks, Signals::listen().unwrap(), config).await
    }

    #[tokio::test]
    async fn work_in_hand_is_finished_before_the_end() {
        let tasks = Tasks::new();
        let finished = Arc::new(AtomicBool::new(false));
        let (stopping, flag) = (tasks.stopping().clone(), finished.clone());
        tasks.spawn("consumer", async move {
            stopping.cancelled().await;
            tokio::task::yield_now().await;
            flag.store(true, Ordering::SeqCst);
            Ok::<_, Error>(())
        });
        assert_eq!(run(&tasks, async { Ok(()) }, PATIENT).await, Ending::Drained);
        assert!(finished.load(Ordering::SeqCst));
    }

    #[tokio::test]
    async fn attendants_outlive_the_work() {
        let tasks = Tasks::new();
        let attended = Arc::new(AtomicBool::new(false));
        let (ask, mut asked) = tokio::sync::mpsc::channel::<tokio::sync::oneshot::Sender<()>>(1);
        let flag = attended.clone();
        tasks.attend("desk", async move {
            while let Some(answer) = asked.recv().await {
                answer.send(()).map_err(|()| "nobody waits")?;
            }
            Ok::<_, &str>(())
        });
        let stopping = tasks.stopping().clone();
        tasks.spawn("work", async move {
            stopping.cancelled().await;
            let (answer, answered) = tokio::sync::oneshot::channel();
            ask.send(answer).await?;
            answered.await?;
            flag.store(true, Ordering::SeqCst);
            // Keeps the desk open, so that only the end of the drain can close it.
            Box::leak(Box::new(ask));
            Ok::<_, Error>(())
        });
        assert_eq!(run(&tasks, async { Ok(()) }, PATIENT).await, Ending::Drained);
        assert!(attended.load(Ordering::SeqCst));
    }

    #[tokio::test]
    async fn a_task_that_fails_stops_the_process() {
        let tasks = Tasks::new();
        tasks.spawn("consumer", async { Err("the queue is gone") });
        let stopping = tasks.stopping().clone();
        let work = async move {
            stopping.cancelled().await;
            Ok(())
        };
        assert_eq!(run(&tasks, work, PATIENT).await, Ending::Failed);
    }

    #[tokio::test]
    async fn a_task_that_panics_stops_the_process() {
        let tasks = Tasks::new();
        tasks.spawn("consumer", async {
            if true {
                panic!("on purpose");
            }
            Ok::<_, Error>(())
        });
        let stopping = tasks.stopping().clone();
        let work = async move {
            stopping.cancelled().await;
            Ok(())
        };
        assert_eq!(run(&tasks, work, PATIENT).await, Ending::Failed);
    }

    #[tokio::test]
    async fn a_task_that_ends_before_the_stop_stops_the_process() {
        let start: [fn(&Tasks); 2] = [
            |tasks| tasks.spawn("consumer", async { Ok::<_, Error>(()) }),
            |tasks| {
                tasks.attend("desk", async { Ok::<_, Error>(()) });
            },
        ];
        for start in start {
            let tasks = Tasks::new();
            tasks.errand(async { panic!("on purpose") });
            start(&tasks);
            let stopping = tasks.stopping().clone();
            let work = async move {
                stopping.cancelled().await;
                Ok(())
            };
            assert_eq!(run(&tasks, work, PATIENT).await, Ending::Failed);
        }
    }

    #[tokio::test]
    async fn work_that_fails_is_a_failure() {
        assert_eq!(run(&Tasks::new(), async { Err("no".into()) }, PATIENT).await, Ending::Failed);
    }

    #[tokio::test]
    async fn the_deadline_cuts_off_what_does_not_end() {
        let tasks = Tasks::new();
        tasks.spawn("stuck", pending::<Result<(), Error>>());
        assert_eq!(run(&tasks, async { Ok(()) }, QUICK).await, Ending::CutOff);
        let stuck = Tasks::new();
        stuck.stop();
        assert_eq!(run(&stuck, pending(), QUICK).await, Ending::CutOff);
    }
}
