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

mod large;
mod message;
mod send;
mod settle;
mod simulation;
mod standings;
mod taken;

use std::{collections::HashMap, sync::Arc, time::Duration};

use db::{
    Db, DbError,
    delivery::{Settlement, Sizes, Taken},
    due::Lease,
    sealing::Keyring,
};
use domain::{clock::Clock, notification::Outcome, retry::RetryPolicy};
use provider::Providers;
use uuid::Uuid;

pub use crate::{
    large::Large,
    message::Message,
    send::{Time, send},
    standings::STANDINGS_EVERY,
};

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
    pub large: Large,
    /// How often the database is asked who takes part among the providers.
    pub standings_every: Duration,
}

/// A message that is ours to deliver until the lease ends.
#[derive(Debug)]
pub struct Claimed {
    pub lease: Lease,
    pub message: Message,
}

/// What a handful of ids came to.
#[derive(Debug, Default)]
pub struct Claims {
    pub claimed: Vec<Claimed>,
    /// Claimed, and not to be sent: to be settled.
    pub ended: Vec<Settlement>,
    /// No notification has this id, or its commit is not visible yet.
    pub not_found: Vec<Uuid>,
}

impl Delivery {
    /// Claims and loads what is due among `ids`, in one visit to the database. What a provider has already, though nobody heard
    /// its yes, is among what `ended`; so are large messages that there is no room for now, which come again.
    ///
    /// # Errors
    /// When the database cannot be asked. Nothing is claimed then; or, if only its answer was lost, until the lease ends.
    pub async fn claim(&self, ids: Vec<Uuid>) -> Result<Claims, DbError> {
        // Leases run from here, however long the database takes to answer.
        let (keyring, now, lease) = (Arc::clone(&self.keyring), self.clock.now(), self.lease);
        let large = self.large.clone();
        let claim = move |conn: &mut _| {
            let mut held = HashMap::new();
            let mut admit = |id, size| {
                let room = large.take_in_hand(size);
                room.map(|room| held.insert(id, room)).is_some()
            };
            let sizes = Sizes { small: large::SMALL, admit: &mut admit };
            let claims = db::delivery::claim_within(conn, &keyring, &ids, now, lease, sizes)?;
            Ok((claims, held))
        };
        let (claims, mut held) = self.db.run("delivery.claim", claim).await?;
        let claimed =
            claims.claimed.into_iter().map(|db::delivery::Claimed { lease, notification, size }| {
                let mut message = Message::new(notification, size);
                message.held = held.remove(&lease.subject());
                Claimed { lease, message }
            });
        let claimed = claimed.collect();
        let mut ended = claims.ended;
        for (lease, size) in claims.too_large {
            let outcome = Outcome::NotBegun { after: self.large.appointment(size) };
            ended.push(db::delivery::unsent(lease, outcome, now));
        }
        if !claims.taken.is_empty() {
            let notifications = claims.taken.len();
            tracing::info!(notifications, "not sent again: receipts say that they were taken");
        }
        for Taken { lease, by, heard_at, international, notification } in claims.taken {
            let attempt = self.taken(lease.subject().into(), by, international, notification.as_ref());
            ended.push(Settlement { lease, attempt, at: heard_at });
        }
        Ok(Claims { claimed, ended, not_found: claims.not_found })
    }

    /// One attempt: takes its place at a provider at once, and makes it when it is polled. It begins only if the provider has
    /// half of the lease to answer, and is over early enough for its settle to come within it: otherwise somebody else would
    /// send it meanwhile. Drop the future only when the process ends.
    pub fn attempt(&self, Claimed { lease, message }: Claimed) -> impl Future<Output = Settlement> + use<> {
        let entered = send::enter(&self.providers, &message.notification);
        let Self { providers, large, clock, lease: length, .. } = self.clone();
        async move {
            let (begin_by, over_by) = (lease.until() - length * 3 / 4, lease.until() - length / 4);
            let time = Time { clock, begin_by, over_by };
            let attempt = send::finish(&providers, &large, message, entered, &time).await;
            Settlement { lease, attempt, at: time.clock.now() }
        }
    }
}
