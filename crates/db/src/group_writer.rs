//! Group commit: many callers, one transaction.
//!
//! One thread owns one connection. It takes whatever waits (up to [`GROUP_LIMIT`]) and never lingers for more: a lone caller is
//! committed at once, and under load the groups grow by themselves while the previous commit is on its way to disk. All
//! callers of a group are answered after its commit.
//!
//! Nobody fills the queue for others: whoever has an owner waits in that owner's line ([`crate::fair_queue`]). And what nobody
//! waits for any more when its turn comes is not written.
//!
//! What needs a lock that another replica holds is put aside and asked again, so that nobody waits for a stranger's lock
//! ([`Turn`]). An item that the database refuses is found by halves and takes no neighbour along; any other trouble is the
//! whole group's, since it would be each one's.

use std::{
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use backoff::{ExponentialBackoff, backoff::Backoff};
use diesel::{Connection, PgConnection, QueryResult};
use tokio::sync::{oneshot, watch};
use uuid::Uuid;

use crate::{
    error::{DbError, Meaning},
    fair_queue::{FairQueue, Place, Places, Room},
    pool::{self, Config},
    session,
};

/// The most that go into one transaction: 500 rows of 400 bytes commit at the same speed per row as 5,000. A few large ones are
/// as much work as many small ones, and the statement is copied on its way.
const GROUP_LIMIT: Room = Room { places: 500, bytes: 4 * 1024 * 1024 };
/// Callers that may wait, with all that they bring; the next one is told at once that the database cannot keep up.
const QUEUE_LIMIT: Room = Room { places: 10_000, bytes: 64 * 1024 * 1024 };
/// How long an item waits for somebody else's lock: until Postgres has certainly ended a holder that stands still.
const LOCK_PATIENCE: Duration = session::IDLE_IN_TRANSACTION.saturating_add(Duration::from_millis(500));

/// How a group is written.
#[derive(Clone, Copy, Debug)]
pub enum Turn {
    /// What is free is written; what somebody else holds is left.
    Free,
    /// All of it was left before. Where nothing is free, it may wait a moment for one of them: another one each time, which the
    /// number is for.
    Wait(usize),
}

/// Whose line an item waits in, and about how many bytes it takes beside itself.
pub(crate) type Line<T> = fn(&T) -> (Uuid, usize);

/// Who waits for an answer.
struct Asker<R> {
    answer: oneshot::Sender<Result<R, DbError>>,
    since: Instant,
    _place: Place<Uuid>,
}

/// Items, and who asked for each.
struct Group<T, R> {
    items: Vec<T>,
    askers: Vec<Asker<R>>,
}

impl<T, R> Group<T, R> {
    const fn new() -> Self {
        Self { items: Vec::new(), askers: Vec::new() }
    }

    /// Without those that nobody waits for.
    fn wanted(pairs: impl IntoIterator<Item = (T, Asker<R>)>) -> Self {
        let mut group = Self::new();
        pairs.into_iter().filter(|(_, asker)| !asker.answer.is_closed()).for_each(|pair| group.push(pair));
        group
    }

    fn push(&mut self, (item, asker): (T, Asker<R>)) {
        self.items.push(item);
        self.askers.push(asker);
    }

    fn append(&mut self, mut other: Self) {
        self.items.append(&mut other.items);
        self.askers.append(&mut other.askers);
    }

    /// What comes after the first `len`.
    fn split_off(&mut self, len: usize) -> Self {
        let len = len.min(self.items.len());
        Self { items: self.items.split_off(len), askers: self.askers.split_off(len) }
    }

    fn into_pairs(self) -> impl Iterator<Item = (T, Asker<R>)> {
        self.items.into_iter().zip(self.askers)
    }

    fn fail(self, error: DbError) {
        let mut askers = self.askers.into_iter();
        let first = askers.next();
        for asker in askers {
            let _ = asker.answer.send(Err(error.shared()));
        }
        if let Some(first) = first {
            let _ = first.answer.send(Err(error));
        }
    }
}

/// The callers' end. All clones write through the same thread, which ends when the last is dropped.
pub struct GroupWriter<T, R> {
    name: &'static str,
    line: Line<T>,
    queue: Queue<T, R>,
    places: Places<Uuid>,
    /// Becomes true when the thread has ended as it should.
    ended: watch::Receiver<bool>,
    /// Joined by whoever drops the last clone, so that nothing accepted is left behind at the end of the process.
    thread: Arc<Joined<T, R>>,
}

type Queue<T, R> = FairQueue<Uuid, (T, Asker<R>)>;

impl<T, R> Clone for GroupWriter<T, R> {
    fn clone(&self) -> Self {
        Self {
            name: self.name,
            line: self.line,
            queue: self.queue.clone(),
            places: self.places.clone(),
            ended: self.ended.clone(),
            thread: Arc::clone(&self.thread),
        }
    }
}

impl<T, R> std::fmt::Debug for GroupWriter<T, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GroupWriter").field("taken", &self.places.taken()).finish_non_exhaustive()
    }
}

struct Joined<T, R> {
    queue: Queue<T, R>,
    thread: Option<JoinHandle<()>>,
}

impl<T, R> Drop for Joined<T, R> {
    fn drop(&mut self) {
        self.queue.close();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Held by the thread: when it ends, however it does, nobody waits for it any longer.
struct Ends<T, R>(Queue<T, R>);

impl<T, R> Drop for Ends<T, R> {
    fn drop(&mut self) {
        self.0.close();
        while self.0.take(QUEUE_LIMIT).is_some() {}
    }
}

impl<T: Send + 'static, R: Send + 'static> GroupWriter<T, R> {
    /// Starts the thread, with one line for all. `write` stores a group and answers one result for each item, in order: none for an item that waits
    /// for somebody else. `committed` is told what was stored, on the writer's thread and after the commit: it must not wait.
    pub fn start(
        name: &'static str,
        config: Config,
        write: impl Fn(&mut PgConnection, &[T], Turn) -> QueryResult<Vec<Option<R>>> + Send + 'static,
        committed: impl Fn(&[R]) + Send + 'static,
    ) -> Self {
        Self::start_in_lines(name, config, |_| (Uuid::nil(), 0), write, committed)
    }

    /// The same with a line for each owner.
    pub(crate) fn start_in_lines(
        name: &'static str,
        config: Config,
        line: Line<T>,
        write: impl Fn(&mut PgConnection, &[T], Turn) -> QueryResult<Vec<Option<R>>> + Send + 'static,
        committed: impl Fn(&[R]) + Send + 'static,
    ) -> Self {
        let (queue, places) = (FairQueue::new(), Places::new(QUEUE_LIMIT));
        let (end, ended) = watch::channel(false);
        let writer = Writer { name, link: Link::new(config), write, committed };
        let waiting = Ends(queue.clone());
        let thread = std::thread::Builder::new()
            .name(name.into())
            .spawn(move || {
                writer.run(&waiting.0);
                end.send_replace(true);
            })
            .expect("the operating system can start a thread");
        let thread = Arc::new(Joined { queue: queue.clone(), thread: Some(thread) });
        Self { name, line, queue, places, ended, thread }
    }

    /// Stores one item and waits for the commit. When this is dropped before the item's turn, it is not stored.
    ///
    /// # Errors
    /// When the database is away, cannot keep up, or refuses the item. After a connection lost during the commit itself
    /// nobody can know whether the item was stored; that too is an error.
    pub async fn submit(&self, item: T) -> Result<R, DbError> {
        let (owner, bytes) = (self.line)(&item);
        let place = self.places.take(owner, bytes);
        let place = place.ok_or_else(|| DbError::Unavailable("too many callers wait for a commit".into()))?;
        let (answer, answered) = oneshot::channel();
        let asker = Asker { answer, since: Instant::now(), _place: place };
        self.queue.push(owner, bytes, (item, asker)).map_err(|_| DbError::Panicked(self.name))?;
        answered.await.map_err(|_| DbError::Panicked(self.name))?
    }

    /// Waits for the end of the thread, without keeping it from ending.
    ///
    /// # Errors
    /// When it panicked: nothing is written any more.
    pub fn ended(&self) -> impl Future<Output = Result<(), DbError>> + Send + 'static + use<T, R> {
        let (name, mut ended) = (self.name, self.ended.clone());
        async move {
            ended.wait_for(|as_it_should| *as_it_should).await.map(drop).map_err(|_| DbError::Panicked(name))
        }
    }
}

struct Writer<W, C> {
    name: &'static str,
    link: Link,
    write: W,
    committed: C,
}

impl<W, C> Writer<W, C> {
    fn run<T, R>(mut self, queue: &Queue<T, R>)
    where
        W: Fn(&mut PgConnection, &[T], Turn) -> QueryResult<Vec<Option<R>>>,
        C: Fn(&[R]),
    {
        let mut aside = Group::new();
        for turn in 0.. {
            let waiting = if aside.items.is_empty() {
                let Some(waiting) = queue.take(GROUP_LIMIT) else { return };
                waiting
            } else {
                queue.try_take(GROUP_LIMIT)
            };
            let fresh = Group::wanted(waiting);
            let left = self.store(fresh, Turn::Free);
            // The oldest come first, and those that are left again go to the back.
            let rest = aside.split_off(GROUP_LIMIT.places);
            let again = Group::wanted(std::mem::replace(&mut aside, rest).into_pairs());
            aside.append(self.store(without_the_late(again), Turn::Wait(turn)));
            aside.append(left);
        }
    }

    /// Answers those whose turn it is not.
    fn store<T, R>(&mut self, group: Group<T, R>, turn: Turn) -> Group<T, R>
    where
        W: Fn(&mut PgConnection, &[T], Turn) -> QueryResult<Vec<Option<R>>>,
        C: Fn(&[R]),
    {
        let (mut left, mut parts) = (Group::new(), vec![group]);
        while let Some(mut part) = parts.pop().filter(|part| !part.items.is_empty()) {
            match self.transaction(&part.items, turn) {
                Ok(written) => left.append(self.answer(part, written)),
                Err(error) if is_refused(&error) && part.items.len() > 1 => {
                    tracing::warn!(
                        writer = self.name,
                        items = part.items.len(),
                        "refused, looking for which"
                    );
                    parts.push(part.split_off(part.items.len() / 2));
                    parts.push(part);
                }
                Err(error) => {
                    if !is_refused(&error) {
                        parts.drain(..).for_each(|rest| rest.fail(error.shared()));
                    }
                    part.fail(error);
                }
            }
        }
        left
    }

    fn answer<T, R>(&mut self, group: Group<T, R>, written: Vec<Option<R>>) -> Group<T, R>
    where
        C: Fn(&[R]),
    {
        let (mut left, mut results, mut askers) = (Group::new(), Vec::new(), Vec::new());
        for (waiting, result) in group.into_pairs().zip(written) {
            match result {
                Some(result) => {
                    results.push(result);
                    askers.push(waiting.1);
                }
                None => left.push(waiting),
            }
        }
        (self.committed)(&results);
        for (asker, result) in askers.into_iter().zip(results) {
            // A caller that went away is no reason to stop.
            let _ = asker.answer.send(Ok(result));
        }
        left
    }

    fn transaction<T, R>(&mut self, items: &[T], turn: Turn) -> Result<Vec<Option<R>>, DbError>
    where
        W: Fn(&mut PgConnection, &[T], Turn) -> QueryResult<Vec<Option<R>>>,
    {
        let conn = self.link.get()?;
        let started = Instant::now();
        match conn.transaction(|conn| (self.write)(conn, items, turn)) {
            Ok(results) => Ok(results),
            Err(source) => {
                let error = DbError::query(self.name, source, started.elapsed());
                if error.is_unavailable() {
                    // It may be gone; or lead to a server that can only be read by now.
                    self.link.lost();
                }
                Err(error)
            }
        }
    }
}

fn is_refused(error: &DbError) -> bool {
    matches!(error, DbError::Query { source, .. } if Meaning::of(source) == Meaning::Refused)
}

/// Tells those who have waited for long enough.
fn without_the_late<T, R>(group: Group<T, R>) -> Group<T, R> {
    let (mut late, mut rest) = (Group::new(), Group::new());
    for waiting in group.into_pairs() {
        let group = if waiting.1.since.elapsed() > LOCK_PATIENCE { &mut late } else { &mut rest };
        group.push(waiting);
    }
    late.fail(DbError::Unavailable("somebody else holds what it needs".into()));
    rest
}

/// A connection that is made again after it was lost, no more often than a backoff allows.
struct Link {
    config: Config,
    conn: Option<PgConnection>,
    backoff: ExponentialBackoff,
    not_before: Option<Instant>,
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
            if self.not_before.is_some_and(|time| Instant::now() < time) {
                return Err(DbError::Unavailable("reconnecting".into()));
            }
            match pool::connect(&self.config) {
                Ok(conn) => {
                    self.conn = Some(conn);
                    self.backoff.reset();
                }
                Err(error) => {
                    self.not_before = self.backoff.next_backoff().map(|wait| Instant::now() + wait);
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
