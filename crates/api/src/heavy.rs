//! Work that takes long (parsing, filling and rendering megabytes) is done on threads of its own, a few at a time. The threads
//! that serve requests go on serving everybody else's.

use std::{future::Future, sync::Arc, time::Duration};

use tokio::{runtime::Handle, sync::Semaphore};

use crate::error::Problem;

/// How long work waits for its turn; it itself takes a second at the very most.
const PATIENCE: Duration = Duration::from_secs(10);

tokio::task_local! {
    /// We are on such a thread already.
    static HERE: ();
}

/// See the module.
pub(crate) struct Heavy {
    runtime: Handle,
    turns: Arc<Semaphore>,
}

impl Heavy {
    /// Half of the machine is for it; its threads are those of a runtime for blocking work.
    pub(crate) fn new(runtime: Handle) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self { runtime, turns: Arc::new(Semaphore::new((cores / 2).max(1))) }
    }

    /// Does this elsewhere, to its end even when nobody waits for it any more.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Problem> {
        if HERE.try_with(|()| ()).is_ok() {
            return Ok(work.await);
        }
        let turn = tokio::time::timeout(PATIENCE, self.turns.clone().acquire_owned()).await;
        let Ok(Ok(turn)) = turn else {
            return Err(Problem::Unavailable("large requests wait for their turn too long".into()));
        };
        let runtime = self.runtime.clone();
        let done = self.runtime.spawn_blocking(move || {
            let _turn = turn;
            runtime.block_on(HERE.scope((), work))
        });
        // What it panicked with may quote personal data.
        done.await.map_err(|_| Problem::Internal("a handler panicked".into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_is_done_on_another_thread_and_work_within_it_on_the_same() {
        let heavy = Arc::new(Heavy::new(Handle::current()));
        let here = || std::thread::current().id();
        let (outer, within) = (heavy.clone(), heavy.clone());
        let work = async move { (here(), within.run(async move { here() }).await.unwrap()) };
        let (there, nested) = outer.run(work).await.unwrap();
        assert!(there != here() && there == nested);
        let panics = heavy.run(async { panic!("on purpose") }).await;
        assert!(matches!(panics, Err::<(), _>(Problem::Internal(_))));
        assert_eq!(heavy.run(async { 1 }).await.unwrap(), 1, "its turn came back");
    }
}
