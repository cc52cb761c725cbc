//! What a receipt proves while we have no yes of our own.
//!
//! A provider tells of what it took, so its receipt for a notification that was never noted as handed over is one of three
//! things:
//!
//! - **It outran the note.** Somebody is at it, the yes may be on its way to our row: the receipt waits.
//! - **The note will never come.** Somebody asked this provider and heard no answer: the call broke off, or whoever made it died
//!   or was cut off. Then the receipt is the yes, and what is not sent again on the strength of it would have been sent twice.
//! - **It is false.** Nobody asked this provider, or it said no each time. Then the receipt is worth nothing, and is forgotten.
//!
//! So it is never the receipt alone that counts, but a [`Doubt`] of ours and a receipt that came after it began. Doubts are
//! written down anyway, and cost nothing on a message's way: an attempt that is `unanswered`, with its provider; the same without
//! a provider when a lease lapsed, since nobody knows whom its holder asked; and until that is settled, the lapsed lease itself.
//!
//! Both who claims a notification and who applies a receipt look, the one before it sends again, the other when the receipt is
//! the later one. What is left is a receipt that comes between the look and the send.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{PgConnection, QueryResult, RunQueryDsl, sql_types as sql};
use domain::status::{Channel, ProviderId};
use uuid::Uuid;

use crate::{
    due::{self, CLOCKS_APART, Lease},
    statement::statement,
};

/// A provider may have a notification since then.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Doubt {
    /// None: nobody knows which.
    provider: Option<ProviderId>,
    since: DateTime<Utc>,
}

impl Doubt {
    /// Whether `provider`, which was heard at `at`, took it in that call.
    fn is_removed_by(&self, provider: ProviderId, at: DateTime<Utc>) -> bool {
        self.provider.is_none_or(|asked| asked == provider) && due::later(at, CLOCKS_APART) >= self.since
    }
}

pub(crate) fn proves(doubts: &[Doubt], provider: ProviderId, heard_at: DateTime<Utc>) -> bool {
    doubts.iter().any(|doubt| doubt.is_removed_by(provider, heard_at))
}

statement! {
    Unanswered {
        ids: Vec<Uuid> => sql::Array<sql::Uuid>,
    } -> (sql::Uuid, sql::Nullable<sql::Text>, sql::Timestamptz),
    "SELECT notification_id, provider::text, attempted_at - took_ms * interval '1 millisecond' FROM attempts
     WHERE notification_id = ANY(?) AND outcome::text = 'unanswered'"
}

/// The attempts at these notifications that nobody answered.
pub(crate) fn doubts(conn: &mut PgConnection, ids: Vec<Uuid>) -> QueryResult<Vec<(Uuid, Doubt)>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<(Uuid, Option<String>, DateTime<Utc>)> =
        Unanswered { ids, _binds: std::marker::PhantomData }.load(conn)?;
    // A provider that this build does not know is none whose receipts it could read.
    let known = |(id, provider, since): (Uuid, Option<String>, _)| {
        let provider = provider.map(|provider| provider.parse()).transpose().ok()?;
        Some((id, Doubt { provider, since }))
    };
    Ok(rows.into_iter().filter_map(known).collect())
}

/// A waiting receipt that says that a notification was taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Proof {
    receipt: Uuid,
    pub(crate) by: ProviderId,
    pub(crate) heard_at: DateTime<Utc>,
}

statement! {
    Waiting {
        references: Vec<String> => sql::Array<sql::Text>,
    } -> (sql::Uuid, sql::Text, sql::Text, sql::Timestamptz),
    "SELECT id, reference, provider::text, received_at FROM receipts
     WHERE reference = ANY(?) AND applied_at IS NULL ORDER BY id"
}

/// Which of these, claimed after an attempt that came to nothing, a provider has all the same. Their receipts, which waited for
/// that to be noted, are looked at soon.
pub(crate) fn taken(
    conn: &mut PgConnection,
    claimed: &[(&Lease, Channel)],
    now: DateTime<Utc>,
) -> QueryResult<Vec<(Uuid, Proof)>> {
    if claimed.is_empty() {
        return Ok(Vec::new());
    }
    let references = claimed.iter().map(|(lease, _)| lease.subject().to_string()).collect();
    let waiting: Vec<(Uuid, String, String, DateTime<Utc>)> =
        Waiting { references, _binds: std::marker::PhantomData }.load(conn)?;
    if waiting.is_empty() {
        return Ok(Vec::new());
    }
    let doubts = doubts(conn, claimed.iter().map(|(lease, _)| lease.subject()).collect())?;
    let proof = |(lease, channel): &(&Lease, Channel)| {
        let id = lease.subject();
        let lapsed = lease.lapsed_since().map(|since| Doubt { provider: None, since });
        let doubts: Vec<_> =
            doubts.iter().filter(|(of, _)| *of == id).map(|(_, doubt)| *doubt).chain(lapsed).collect();
        waiting.iter().find_map(|(receipt, reference, provider, heard_at)| {
            let by: ProviderId = provider.parse().ok()?;
            let is_proof =
                *reference == id.to_string() && by.channel() == *channel && proves(&doubts, by, *heard_at);
            is_proof.then_some((id, Proof { receipt: *receipt, by, heard_at: *heard_at }))
        })
    };
    let taken: Vec<_> = claimed.iter().filter_map(proof).collect();
    let receipts = taken.iter().map(|(_, proof)| proof.receipt).collect();
    due::hasten(conn, receipts, now + TimeDelta::seconds(1))?;
    Ok(taken)
}
