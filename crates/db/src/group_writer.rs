//! Group commit: many callers, one transaction.
//!
//! One thread owns one connection. It takes whatever waits (up to [`GROUP_LIMIT`]) and never lingers for more: a lone caller is
//! committed at once, and under load the groups grow by themselves while the previous commit is on its way to disk. All
//! callers of a group are answered after its commit.

use std::{sync::Arc, thread::JoinHandle, time::Duration};

use backoff::{ExponentialBackoff, backoff::Backoff};
use diesel::{Connection, PgConnection, QueryResult};
use tokio::sync::{mpsc, oneshot};

use crate::{
    error::{DbError, is_connection_lost},
    pool::{self, Config},
};

/// The most that go into one transaction: 500 rows of 400 bytes commit at the same speed per row as 5,000.
const GROUP_LIMIT: usize = 500;
/// Callers that may wait; the next one is told at once that the database cannot keep up.
const QUEUE_LIMIT: usize = 10_000;

struct Waiting<T, R> {
    item: T,
    answer: oneshot::Sender<Result<R, DbError>>,
}

/// The callers' end. All clones write through the same thread, which ends when the last is dropped.
pub struct GroupWriter<T, R> {
    queue: mpsc::Sender<Waiting<T, R>>,
    /// Joined by whoever drops the last clone, so that nothing accepted is left behind at the end of the process.
    thread: Arc<Joined>,
}

impl<T, R> Clone for GroupWriter<T, R> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone(), thread: Arc::clone(&self.thread) }
    }
}

impl<T, R> std::fmt::Debug for GroupWriter<T, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GroupWriter").field("room", &self.queue.capacity()).finish_non_exhaustive()
    }
}

struct Joined(Option<JoinHandle<()>>);

impl Drop for Joined {
    fn drop(&mut self) {
        // `queue` is declared before `thread`, so the last sender is gone by now and the thread is on its way out.
        if let Some(thread) = self.0.take() {
            let _ = thread.join();
        }
    }
}

impl<T: Send + 'static, R: Send + 'static> GroupWriter<T, R> {
    /// Starts the thread. `write` stores a group and answers one result for each item, in order; `committed` is told what
    /// was stored, on the writer's thread and after the commit: it must not wait.
    pub fn start(
        name: &'static str,
        config: Config,
        write: impl Fn(&mut PgConnection, &[T]) -> QueryResult<Vec<R>> + Send + 'static,
        committed: impl Fn(&[R]) + Send + 'static,
    ) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE_LIMIT);
        let writer = Writer { name, link: Link::new(config), write, committed };
        let thread = std::thread::Builder::new()
            .name(name.into())
            .spawn(move || writer.run(waiting))
            .expect("the operating system can start a thread");
        Self { queue, thread: Arc::new(Joined(Some(thread))) }
    }

    /// Stores one item and waits for the commit.
    ///
    /// # Errors
    /// When the database is away, cannot keep up, or refuses the item. After a connection lost during the commit itself
    /// nobody can know whether the item was stored; that too is an error.
    pub async fn submit(&self, item: T) -> Result<R, DbError> {
        let (answer, answered) = oneshot::channel();
        self.queue.try_send(Waiting { item, answer }).map_err(|e| match e {
            mpsc::error::TrySendError::Full(_) => {
                DbError::Unavailable("too many callers wait for a commit".into())
            }
            mpsc::error::TrySendError::Closed(_) => DbError::Panicked("group writer"),
        })?;
        answered.await.map_err(|_| DbError::Panicked("group writer"))?
    }
}

struct Writer<W, C> {
    name: &'static str,
    link: Link,
    write: W,
    committed: C,
}

impl<W, C> Writer<W, C> {
    fn run<T, R>(mut self, mut waiting: mpsc::Receiver<Waiting<T, R>>)
    where
        W: Fn(&mut PgConnection, &[T]) -> QueryResult<Vec<R>>,
        C: Fn(&[R]),
    {
        let (mut items, mut answers) = (Vec::new(), Vec::new());
        while let Some(first) = waiting.blocking_recv() {
            let mut next = Some(first);
            while let Some(Waiting { item, answer }) = next {
                items.push(item);
                answers.push(answer);
                next = if items.len() < GROUP_LIMIT { waiting.try_recv().ok() } else { None };
            }
            self.store(&items, std::mem::take(&mut answers));
            items.clear();
        }
    }

    fn store<T, R>(&mut self, items: &[T], answers: Vec<oneshot::Sender<Result<R, DbError>>>)
    where
        W: Fn(&mut PgConnection, &[T]) -> QueryResult<Vec<R>>,
        C: Fn(&[R]),
    {
        match self.transaction(items) {
            Ok(results) => {
                (self.committed)(&results);
                for (answer, result) in answers.into_iter().zip(results) {
                    // A caller that went away is no reason to stop.
                    let _ = answer.send(Ok(result));
                }
            }
            // One bad item must not take its neighbours along: each gets a transaction of its own.
            Err(DbError::Query { .. }) if items.len() > 1 => {
                tracing::warn!(writer = self.name, items = items.len(), "group refused, storing one by one");
                for (item, answer) in items.iter().zip(answers) {
                    self.store(std::slice::from_ref(item), vec![answer]);
                }
            }
            Err(error) => {
                let unavailable = error.is_unavailable();
                let words = error.to_string();
                let mut first = Some(error);
                for answer in answers {
                    let error = first.take().unwrap_or_else(|| match unavailable {
                        true => DbError::Unavailable(words.clone()),
                        false => DbError::Panicked(self.name),
                    });
                    let _ = answer.send(Err(error));
                }
            }
        }
    }

    fn transaction<T, R>(&mut self, items: &[T]) -> Result<Vec<R>, DbError>
    where
        W: Fn(&mut PgConnection, &[T]) -> QueryResult<Vec<R>>,
    {
        let conn = self.link.get()?;
        match conn.transaction(|conn| (self.write)(conn, items)) {
            Ok(results) => Ok(results),
            Err(source) if is_connection_lost(&source) => {
                self.link.lost();
                Err(DbError::Unavailable(source.to_string()))
            }
            Err(source) => Err(DbError::Query { query: self.name, source }),
        }
    }
}

/// A connection that is made again after it was lost, no more often than a backoff allows.
struct Link {
    config: Config,
    conn: Option<PgConnection>,
    backoff: ExponentialBackoff,
    not_before: Option<std::time::Instant>,
}

impl Link {
    fn new(config: Config) -> Self {
        let backoff = ExponentialBackoff {
            initial_interval: Duration::from_millis(50),
            max_interval: Duration::from_secs(2),
            max_elapsed_time: None,
            ..ExponentialBackoff::default()
        };
        Self { config, conn: None, backoff, not_before: None }
    }

    fn get(&mut self) -> Result<&mut PgConnection, DbError> {
        if self.conn.is_none() {
            // Callers are told at once instead of queueing behind a database that is away.
            if self.not_before.is_some_and(|time| std::time::Instant::now() < time) {
                return Err(DbError::Unavailable("reconnecting".into()));
            }
            match pool::connect(&self.config) {
                Ok(conn) => {
                    self.conn = Some(conn);
                    self.backoff.reset();
                }
                Err(error) => {
                    self.not_before =
                        self.backoff.next_backoff().map(|wait| std::time::Instant::now() + wait);
                    return Err(error);
                }
            }
        }
        self.conn.as_mut().ok_or_else(|| DbError::Unavailable("no connection".into()))
    }

    fn lost(&mut self) {
        self.conn = None;
    }
}
