//! Delivering, whoever asks for it: claim, send within the lease, settle until it is written. The worker does so with
//! handfuls, the delivery endpoint with one notification, which is a handful of one.
//!
//! ```text
//! claim ─► attempt, for each ─► settle, together
//! ```
//!
//! Who takes part among the providers is the database's word (`standings`), read before the first message and every few seconds
//! from then on.
//!
//! It knows nothing of the broker and of HTTP: who asks, and who is told, is its callers' matter.

mod send;
mod settle;
mod simulation;
mod standings;
mod taken;

use std::{sync::Arc, time::Duration};

use db::{
    Db, DbError,
    delivery::{Claimed, Claims, Settlement, Taken},
    sealing::Keyring,
};
use domain::{clock::Clock, retry::RetryPolicy};
use provider::Providers;
use uuid::Uuid;

pub use crate::{send::send, standings::STANDINGS_EVERY};

/// What delivering needs. One per process; clones share everything.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub db: Db,
    pub keyring: Arc<Keyring>,
    pub providers: Arc<Providers>,
    pub policy: Arc<RetryPolicy>,
    pub clock: Clock,
    /// How long a claim is ours. A process that dies holds up what it had in hand for as long.
    pub lease: Duration,
    /// How often the database is asked who takes part among the providers.
    pub standings_every: Duration,
}

impl Delivery {
    /// Claims and loads what is due among `ids`, in one visit to the database. What a provider has already, though nobody heard
    /// its yes, is among what `ended`.
    ///
    /// # Errors
    /// When the database cannot be asked. Nothing is claimed then; or, if only its answer was lost, until the lease ends.
    pub async fn claim(&self, ids: Vec<Uuid>) -> Result<Claims, DbError> {
        // Leases run from here, however long the database takes to answer.
        let (keyring, now, lease) = (Arc::clone(&self.keyring), self.clock.now(), self.lease);
        let claim = move |conn: &mut _| db::delivery::claim(conn, &keyring, &ids, now, lease);
        let mut claims = self.db.run("delivery.claim", claim).await?;
        let taken = std::mem::take(&mut claims.taken);
        if !taken.is_empty() {
            tracing::info!(notifications = taken.len(), "not sent again: receipts say that they were taken");
        }
        for Taken { lease, by, heard_at, international, notification } in taken {
            let attempt = self.taken(lease.subject().into(), by, international, notification.as_ref());
            claims.ended.push(Settlement { lease, attempt, at: heard_at });
        }
        Ok(claims)
    }

    /// One attempt, which is over early enough for its settle to come within the lease: otherwise somebody else would send it
    /// meanwhile. Drop the future only when the process ends.
    pub async fn attempt(&self, Claimed { lease, notification }: Claimed) -> Settlement {
        let last_moment = lease.until() - self.lease / 4;
        let limit = (last_moment - self.clock.now()).to_std().unwrap_or_default();
        let attempt = send(&self.providers, &notification, limit).await;
        Settlement { lease, attempt, at: self.clock.now() }
    }
}
