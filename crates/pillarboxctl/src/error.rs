//! What can go wrong, in one clear line, and the exit code that says it to scripts.

use std::{io, process::ExitCode};

use db::{DbError, audit::Audit, migrations::SchemaMismatch, sealing::BadKeys};
use service::config::ConfigError;

/// EX_UNAVAILABLE and EX_CONFIG of sysexits.h.
const UNAVAILABLE: u8 = 69;
const UNUSABLE_CONFIGURATION: u8 = 78;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Says `sealing keys: ...` by itself.
    #[error("{0} (`sealing.keys`, in the environment PILLARBOX__SEALING__KEYS)")]
    SealingKeys(#[from] BadKeys),
    #[error("{0}")]
    Schema(#[from] SchemaMismatch),
    #[error("{}", one_line(.0))]
    Database(#[from] DbError),
    /// Whatever it was (diesel does not say whether it was a lock), nothing has changed, so it may be tried again.
    #[error("the schema could not be changed: {}", one_line(.0))]
    Migration(Box<dyn std::error::Error + Send + Sync>),
    #[error("the schema could not be taken back: {}", one_line(.0))]
    Reverting(Box<dyn std::error::Error + Send + Sync>),
    /// Those made before it stay; a row without a partition goes to the default one.
    #[error("the partitions of the days ahead could not be made: {}", one_line(.0))]
    Partitions(DbError),
    #[error("another pillarboxctl is at work on this database")]
    Locked,
    #[error(
        "still in flight: {} waiting, {} with a provider, {} receipts to apply",
        .0.waiting, .0.with_provider, .0.receipts_waiting
    )]
    InFlight(Audit),
    /// No connection: nothing has arrived there.
    #[error("the API cannot be reached: {0}")]
    ApiUnreachable(String),
    /// The request may have arrived; the answer has not, or was a failure of the server.
    #[error("the API did not answer: {0}")]
    ApiBroken(String),
    /// The answer is no, and why.
    #[error("{0}")]
    No(String),
    #[error("standard output: {0}")]
    Output(io::Error),
    #[error("{0}")]
    System(io::Error),
}

impl Error {
    /// Worth waiting for, without having changed anything yet.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Database(error) => error.is_unavailable(),
            Self::Locked
            | Self::Migration(_)
            | Self::Partitions(_)
            | Self::InFlight(_)
            | Self::ApiUnreachable(_) => true,
            Self::Config(_)
            | Self::SealingKeys(_)
            | Self::Schema(_)
            | Self::Reverting(_)
            | Self::ApiBroken(_)
            | Self::No(_)
            | Self::Output(_)
            | Self::System(_) => false,
        }
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Config(_) | Self::SealingKeys(_) | Self::Schema(_) => {
                ExitCode::from(UNUSABLE_CONFIGURATION)
            }
            Self::Database(error) | Self::Partitions(error) if error.is_unavailable() => {
                ExitCode::from(UNAVAILABLE)
            }
            Self::ApiUnreachable(_) | Self::ApiBroken(_) => ExitCode::from(UNAVAILABLE),
            Self::Database(_)
            | Self::Partitions(_)
            | Self::Migration(_)
            | Self::Reverting(_)
            | Self::Locked
            | Self::InFlight(_)
            | Self::No(_)
            | Self::Output(_)
            | Self::System(_) => ExitCode::FAILURE,
        }
    }
}

/// libpq likes to explain itself over several lines.
fn one_line(error: &impl ToString) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}
