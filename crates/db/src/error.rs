//! What can go wrong between a caller and a row, and what that means for whoever asked.
//!
//! It is told by SQLSTATE, never by words, which are in the language of the server. diesel makes a kind of the codes that it
//! knows, and keeps the others to itself (diesel-rs/diesel#5232). So whatever a single item can be guilty of is made to have a
//! kind, and what has none is no fault of an item ([`Meaning::of`]).

use std::time::Duration;

use diesel::result::{DatabaseErrorKind as Kind, Error};

/// Whoever waits for a lock in vain is told so after `deadlock_timeout`, a second, at the soonest.
const AS_LATE_AS_A_LOCK: Duration = Duration::from_millis(900);

/// A query that did not happen, or happened wrongly.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// The database was away, could not keep up, or could not do it just now.
    #[error("database unavailable: {0}")]
    Unavailable(String),
    #[error("{query}: {source}")]
    Query { query: &'static str, source: Error },
    /// It shared a transaction with others, which failed by a fault of ours.
    #[error("failed together with others: {0}")]
    Shared(String),
    /// The thread panicked; the message is in the log.
    #[error("{0} panicked")]
    Panicked(&'static str),
}

impl DbError {
    /// What came of a query that failed after so long. A statement that waits for a table's lock while it is planned fails with
    /// a place in it, as one does that makes no sense; but the one comes late, and the other at once.
    pub(crate) fn query(query: &'static str, source: Error, took: Duration) -> Self {
        if Meaning::of(&source) == Meaning::Ours && is_placed(&source) && took >= AS_LATE_AS_A_LOCK {
            return Self::Unavailable(format!("{query}: {source}"));
        }
        Self::Query { query, source }
    }

    /// Worth another try as it is: nothing was wrong with the question.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::Unavailable(_) => true,
            Self::Query { source, .. } => Meaning::of(source) == Meaning::Unavailable,
            Self::Shared(_) | Self::Panicked(_) => false,
        }
    }

    /// The same, for another one who waited for it.
    pub(crate) fn shared(&self) -> Self {
        match self {
            Self::Unavailable(words) => Self::Unavailable(words.clone()),
            error if error.is_unavailable() => Self::Unavailable(error.to_string()),
            Self::Panicked(what) => Self::Panicked(what),
            error => Self::Shared(error.to_string()),
        }
    }
}

/// What an error of the database means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// The values themselves are refused: asking again with the same ones is in vain, whatever else changes.
    Refused,
    /// Passing trouble, which has nothing to do with what was asked.
    Unavailable,
    /// A fault of ours.
    Ours,
}

impl Meaning {
    pub(crate) fn of(error: &Error) -> Self {
        match error {
            // Values that were refused before they were sent (`statement::Words`).
            Error::SerializationError(_) => Self::Refused,
            Error::BrokenTransactionManager => Self::Unavailable,
            // The commit failed, and so did the rollback: the first says why.
            Error::RollbackErrorOnCommit { commit_error, .. } => Self::of(commit_error),
            Error::DatabaseError(kind, _) => match kind {
                // Class 23.
                Kind::CheckViolation
                | Kind::ForeignKeyViolation
                | Kind::NotNullViolation
                | Kind::UniqueViolation
                | Kind::ExclusionViolation
                | Kind::RestrictViolation => Self::Refused,
                // Class 08 and every FATAL, 25006, 40001.
                Kind::ClosedConnection
                | Kind::UnableToSendCommand
                | Kind::ReadOnlyTransaction
                | Kind::SerializationFailure => Self::Unavailable,
                // A code without a kind. A statement that makes no sense in this schema (class 42) says where it does not.
                // What a value could do (class 22) has been refused before it was sent. So it is a time-out or a cancelled
                // statement (57014), a lock (55P03), a deadlock (40P01), disk, memory or connections that ran out (class 53),
                // the system (class 58).
                _ if is_placed(error) => Self::Ours,
                _ => Self::Unavailable,
            },
            _ => Self::Ours,
        }
    }
}

/// Whether it says where in the statement it is.
fn is_placed(error: &Error) -> bool {
    matches!(error, Error::DatabaseError(_, info) if info.statement_position().is_some())
}

/// The connection is gone; the next attempt needs a new one.
pub(crate) fn is_connection_lost(error: &Error) -> bool {
    match error {
        Error::BrokenTransactionManager => true,
        Error::DatabaseError(kind, _) => matches!(kind, Kind::ClosedConnection | Kind::UnableToSendCommand),
        Error::RollbackErrorOnCommit { rollback_error, commit_error } => {
            is_connection_lost(rollback_error) || is_connection_lost(commit_error)
        }
        _ => false,
    }
}
