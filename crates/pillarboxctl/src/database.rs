//! The way to the database.

use std::time::Duration;

use db::{Db, DbError, advisory_lock};
use serde::Deserialize;

use crate::{error::Error, patience::patiently};

/// The sections of the configuration that this program reads.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Settings {
    pub(crate) database: db::Config,
    pub(crate) sealing: db::sealing::Config,
    pub(crate) providers: Providers,
    pub(crate) internal: Internal,
}

/// Who may call the internal API.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Internal {
    /// `id:secret`, more after commas.
    clients: String,
}

impl std::fmt::Debug for Internal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Internal").finish_non_exhaustive()
    }
}

impl Internal {
    /// The first of a client's secrets, all of which open the door.
    pub(crate) fn secret_of(&self, client: &str) -> Option<&str> {
        let mut entries = self.clients.split(',').filter_map(|entry| entry.trim().split_once(':'));
        entries.find(|(id, _)| *id == client).map(|(_, secret)| secret)
    }
}

/// The one thing of that section that concerns whoever makes services.
#[derive(Debug, Deserialize)]
#[serde(default)]
pub(crate) struct Providers {
    /// Whom the texts of a new service come from.
    pub(crate) sms_sender: String,
}

impl Default for Providers {
    fn default() -> Self {
        Self { sms_sender: "Pillarbox".into() }
    }
}

pub(crate) fn settings() -> Result<Settings, Error> {
    Ok(service::config::load()?)
}

/// A database whose schema is this program's.
pub(crate) async fn open(config: &db::Config) -> Result<Db, Error> {
    let db = Db::new(config);
    db.run("schema.check", |conn| Ok(db::migrations::check(conn))).await??;
    Ok(db)
}

/// Held while the schema or the demo data are changed, so that several may be started at once. Waits for a database that is
/// not up yet, too.
pub(crate) async fn lock(config: &db::Config, wait: Duration) -> Result<advisory_lock::Held, Error> {
    patiently(wait, async || {
        let config = config.clone();
        let held =
            tokio::task::spawn_blocking(move || advisory_lock::try_hold(&config, advisory_lock::MIGRATION))
                .await
                .map_err(|_| DbError::Panicked("advisory_lock"))??;
        held.ok_or(Error::Locked)
    })
    .await
}
