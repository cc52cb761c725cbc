//! Statements that end when nobody waits for them any more.
//!
//! A caller who hangs up drops the future of his request; the blocking thread, its connection and the statement in Postgres
//! would go on. diesel has no way to libpq's PQcancel, so another connection asks for `pg_cancel_backend`. It never hits the
//! statement of somebody else: the thread leaves the connection only after it has said, under the lock that the cancelling side
//! holds, that it is done; the signal is sent when `pg_cancel_backend` returns; and a session that it finds between statements
//! ignores it. Where the cancelling itself fails, the pool's `statement_timeout` ends the statement.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use diesel::{PgConnection, QueryResult, RunQueryDsl, sql_types as sql};
use tokio::runtime::Handle;

use crate::{error::DbError, pool::Db, statement::statement};

/// A database whose statements are cancelled when their futures are dropped.
#[derive(Clone, Debug)]
pub struct CancellableDb {
    db: Db,
    /// Another pool: the first may be full of what is to be cancelled.
    canceller: Db,
}

statement! {
    BackendId {} -> (sql::Integer,),
    "SELECT pg_backend_pid()"
}

statement! {
    Cancel { backend: i32 => sql::Integer, } -> (sql::Bool,),
    "SELECT pg_cancel_backend(?)"
}

impl CancellableDb {
    #[must_use]
    pub fn new(db: Db, canceller: Db) -> Self {
        Self { db, canceller }
    }

    /// As [`Db::run`]; what is not begun when the future is dropped never is, and what is running is cancelled.
    ///
    /// # Errors
    /// As [`Db::run`].
    pub async fn run<T: Send + 'static>(
        &self,
        query: &'static str,
        work: impl FnOnce(&mut PgConnection) -> QueryResult<T> + Send + 'static,
    ) -> Result<T, DbError> {
        let progress = Arc::new(Progress(Mutex::new(State::Waiting)));
        let _caller = Caller { progress: progress.clone(), canceller: self.canceller.clone() };
        let ran = self.db.run(query, move |conn| {
            let (backend,) = BackendId { _binds: std::marker::PhantomData }.get_result::<(i32,)>(conn)?;
            let Some(_running) = progress.begin(backend) else {
                // Nobody hears it.
                return Err(diesel::result::Error::RollbackTransaction);
            };
            work(conn)
        });
        ran.await
    }
}

#[derive(Clone, Copy)]
enum State {
    Waiting,
    /// On the connection of this backend.
    Running(i32),
    Over,
}

struct Progress(Mutex<State>);

impl Progress {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// None: the caller has gone.
    fn begin(self: &Arc<Self>, backend: i32) -> Option<Running> {
        let mut state = self.lock();
        matches!(*state, State::Waiting).then(|| {
            *state = State::Running(backend);
            Running(Arc::clone(self))
        })
    }
}

/// The thread that works, until it has ended or panicked.
struct Running(Arc<Progress>);

impl Drop for Running {
    fn drop(&mut self) {
        *self.0.lock() = State::Over;
    }
}

/// Whoever waits for the answer.
struct Caller {
    progress: Arc<Progress>,
    canceller: Db,
}

impl Drop for Caller {
    fn drop(&mut self) {
        let mut state = self.progress.lock();
        match *state {
            State::Waiting => *state = State::Over,
            State::Running(_) => {
                drop(state);
                let (progress, canceller) = (self.progress.clone(), self.canceller.clone());
                // Without a runtime the process ends, and its connections with it.
                if let Ok(runtime) = Handle::try_current() {
                    runtime.spawn_blocking(move || cancel(&progress, &canceller));
                }
            }
            State::Over => {}
        }
    }
}

fn cancel(progress: &Progress, canceller: &Db) {
    let cancelled = canceller.connection().and_then(|mut conn| {
        // Held until the signal is sent.
        let state = progress.lock();
        let State::Running(backend) = *state else { return Ok(()) };
        let cancel = Cancel { backend, _binds: std::marker::PhantomData };
        cancel.execute(&mut conn).map(drop).map_err(|source| DbError::Query { query: "cancel", source })
    });
    if let Err(error) = cancelled {
        tracing::warn!(%error, "what a caller who hung up had asked for could not be cancelled");
    }
}
