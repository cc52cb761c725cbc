//! Why there is no result.

use std::{io, time::Duration};

/// Any of these ends the bench: half a result is none.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{what}: {source}")]
    Io { what: &'static str, source: io::Error },
    #[error(transparent)]
    Database(#[from] db::DbError),
    #[error("a query failed: {0}")]
    Query(#[from] diesel::result::Error),
    #[error(transparent)]
    Broker(#[from] broker::BrokerError),
    #[error("answered {status} instead of {expected}: {body}")]
    Answer { status: u16, expected: u16, body: String },
    #[error("{what} took longer than {limit:?}")]
    TooLong { what: &'static str, limit: Duration },
    /// What was measured did not do what it should.
    #[error("{0}")]
    Wrong(String),
}

impl Error {
    /// For `map_err`: says what was being done.
    pub(crate) fn io(what: &'static str) -> impl Fn(io::Error) -> Self {
        move |source| Self::Io { what, source }
    }
}
