//! What can go wrong between a caller and a row.

/// A query that did not happen, or happened wrongly.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// No connection became free in time, or none could be made.
    #[error("database unavailable: {0}")]
    Unavailable(String),
    #[error("{query}: {source}")]
    Query { query: &'static str, source: diesel::result::Error },
    /// The blocking thread panicked; the message is in the log.
    #[error("{0} panicked")]
    Panicked(&'static str),
}

impl DbError {
    /// Worth another try as it is: the database was away, nothing was wrong with the question.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::Unavailable(_) => true,
            Self::Query { source, .. } => is_connection_lost(source),
            Self::Panicked(_) => false,
        }
    }
}

/// The values themselves were refused: asking again with the same ones is in vain, whatever else changes.
pub(crate) fn is_refused(error: &diesel::result::Error) -> bool {
    use diesel::result::{DatabaseErrorKind as Kind, Error};
    match error {
        Error::SerializationError(_) => true,
        Error::DatabaseError(kind, info) => match kind {
            Kind::CheckViolation
            | Kind::ForeignKeyViolation
            | Kind::NotNullViolation
            | Kind::UniqueViolation
            | Kind::ExclusionViolation
            | Kind::RestrictViolation => true,
            // "invalid byte sequence", "invalid input value for enum".
            _ => info.message().starts_with("invalid "),
        },
        _ => false,
    }
}

/// The connection is gone; the next attempt needs a new one.
pub(crate) fn is_connection_lost(error: &diesel::result::Error) -> bool {
    use diesel::result::{DatabaseErrorKind, Error};
    match error {
        Error::BrokenTransactionManager => true,
        Error::DatabaseError(kind, info) => {
            matches!(kind, DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand)
                || [
                    "terminating connection",
                    "server closed",
                    "no connection",
                    "shutting down",
                    "starting up",
                ]
                .iter()
                .any(|words| info.message().contains(words))
        }
        Error::RollbackErrorOnCommit { rollback_error, commit_error } => {
            is_connection_lost(rollback_error) || is_connection_lost(commit_error)
        }
        _ => false,
    }
}
