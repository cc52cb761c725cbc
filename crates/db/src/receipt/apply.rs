//! What a receipt changes: the status of its notification, or nothing.

use chrono::{DateTime, Utc};
use diesel::{PgConnection, QueryResult, RunQueryDsl, sql_types as sql};
use domain::{
    id::NotificationId,
    status::{Status, Trigger},
};
use uuid::Uuid;

use super::{ClaimedReceipt, Standing, soon};
use crate::{
    delivery,
    due::{self, Later, Lease},
    handful,
    statement::statement,
};

/// What is to be done with a receipt.
#[derive(Debug)]
pub enum Effect {
    /// The status becomes this one, if it is still the one that the meaning was drawn from.
    Change { to: Status },
    /// Nothing changes, and why: a duplicate, another provider's text, a country without receipts from handsets.
    Nothing(&'static str),
    /// It is false, and forgotten: the same words are heard when they are true.
    Forget,
    /// It came too early; look again then.
    Later { due_at: DateTime<Utc>, failures: u16 },
}

statement! {
    Change {
        ids: Vec<Uuid> => sql::Array<sql::Uuid>,
        seen: Vec<&'a str> => sql::Array<sql::Text>,
        statuses: Vec<&'a str> => sql::Array<sql::Text>,
        providers: Vec<&'a str> => sql::Array<sql::Text>,
        at: DateTime<Utc> => sql::Timestamptz,
    } -> (sql::Uuid,),
    "WITH t AS (SELECT * FROM UNNEST(?, ?, ?, ?) AS t (id, seen, status, provider)),
     locked AS (SELECT n.id, t.status, t.provider FROM notifications n JOIN t ON n.id = t.id AND n.status::text = t.seen
       ORDER BY n.id FOR UPDATE OF n)
     UPDATE notifications n SET status = l.status::notification_status, updated_at = ?,
       sent_by = COALESCE(n.sent_by, l.provider::provider)
     FROM locked l WHERE n.id = l.id RETURNING n.id"
}

statement! {
    Note {
        ids: Vec<Uuid> => sql::Array<sql::Uuid>,
        effects: Vec<&'a str> => sql::Array<sql::Text>,
        at: DateTime<Utc> => sql::Timestamptz,
    } -> (),
    "UPDATE receipts r SET effect = t.effect, applied_at = t.at
     FROM (SELECT u.*, x.at FROM UNNEST(?, ?) AS u (id, effect), (SELECT ?::timestamptz) AS x (at)) AS t WHERE r.id = t.id"
}

statement! {
    Forget {
        ids: Vec<Uuid> => sql::Array<sql::Uuid>,
    } -> (),
    "DELETE FROM receipts WHERE id = ANY(?)"
}

/// Writes down what a handful of receipts did, in one transaction. Answers the notifications whose status changed. A receipt
/// that the database refuses changes nothing.
///
/// # Errors
/// When a query fails; then nothing is written, and the leases run out.
pub fn apply(
    conn: &mut PgConnection,
    receipts: &[(ClaimedReceipt, Effect)],
    now: DateTime<Utc>,
) -> QueryResult<Vec<NotificationId>> {
    let write = |conn: &mut PgConnection, receipts: &[_]| write(conn, receipts, now);
    handful::write(conn, receipts, &write, &|conn, (receipt, _), error| {
        let id = receipt.lease.subject();
        tracing::error!(receipt = %id, %error, "what a receipt says cannot be written down: it changes nothing");
        done_with(conn, &[(&receipt.lease, "refused by the database")], now)
    })
}

fn write(
    conn: &mut PgConnection,
    receipts: &[(ClaimedReceipt, Effect)],
    now: DateTime<Utc>,
) -> QueryResult<Vec<NotificationId>> {
    let (mut changes, mut done, mut later, mut forgotten) = (vec![], vec![], vec![], vec![]);
    note_hand_overs(conn, receipts)?;
    for (receipt, effect) in receipts {
        let lease = &receipt.lease;
        match (effect, &receipt.notification) {
            (Effect::Change { to }, Some(standing)) if allowed(standing, *to) => {
                changes.push((receipt, standing, *to));
            }
            (Effect::Change { .. }, _) => done.push((lease, "duplicate")),
            (Effect::Nothing(why), _) => done.push((lease, *why)),
            (Effect::Forget, _) => forgotten.push(lease),
            (Effect::Later { due_at, failures }, _) => {
                later.push(Later { lease, due_at: *due_at, failures: *failures });
            }
        }
    }
    let changed = change(conn, &changes, now)?;
    let (took, moved): (Vec<_>, Vec<_>) = changes.iter().partition(|c| changed.contains(&c.1.id));
    done.extend(took.iter().map(|(receipt, _, to)| (&receipt.lease, to.as_str())));
    later.extend(soon(moved.iter().map(|(receipt, ..)| &receipt.lease), now));
    due::postpone(conn, &later)?;
    done_with(conn, &done, now)?;
    if !forgotten.is_empty() {
        let ids = forgotten.iter().map(|lease| lease.subject()).collect();
        Forget { ids, _binds: std::marker::PhantomData }.execute(conn)?;
        due::finish(conn, forgotten)?;
    }
    Ok(changed)
}

/// First of all, so that what the receipts say finds their notifications handed over.
fn note_hand_overs<'r>(conn: &mut PgConnection, receipts: &'r [(ClaimedReceipt, Effect)]) -> QueryResult<()> {
    let unnoted = |(receipt, _): &'r (ClaimedReceipt, Effect)| {
        Some((receipt.notification.as_ref()?.id.0, receipt.hand_over.as_ref()?, receipt.received_at))
    };
    let noted: Vec<_> = receipts.iter().filter_map(unnoted).collect();
    if noted.is_empty() {
        return Ok(());
    }
    delivery::record_attempts(conn, noted.iter().copied())?;
    delivery::note_hand_overs(conn, noted.iter().copied())?;
    due::cancel(conn, noted.iter().map(|(id, ..)| *id).collect())
}

fn done_with(conn: &mut PgConnection, done: &[(&Lease, &str)], now: DateTime<Utc>) -> QueryResult<()> {
    if done.is_empty() {
        return Ok(());
    }
    let ids = done.iter().map(|(lease, _)| lease.subject()).collect();
    let effects = done.iter().map(|(_, effect)| *effect).collect();
    Note { ids, effects, at: now, _binds: std::marker::PhantomData }.execute(conn)?;
    due::finish(conn, done.iter().map(|(lease, _)| *lease))?;
    Ok(())
}

/// The transition table's word on it.
fn allowed(standing: &Standing, to: Status) -> bool {
    let trigger = Trigger::receipt(standing.channel);
    trigger.from().contains(&standing.status) && trigger.to().contains(&to)
}

fn change(
    conn: &mut PgConnection,
    changes: &[(&ClaimedReceipt, &Standing, Status)],
    now: DateTime<Utc>,
) -> QueryResult<Vec<NotificationId>> {
    if changes.is_empty() {
        return Ok(Vec::new());
    }
    let changed: Vec<(Uuid,)> = Change {
        ids: changes.iter().map(|c| c.1.id.0).collect(),
        seen: changes.iter().map(|c| c.1.status.as_str()).collect(),
        statuses: changes.iter().map(|c| c.2.as_str()).collect(),
        providers: changes.iter().map(|c| c.0.words.provider.as_str()).collect(),
        at: now,
        _binds: std::marker::PhantomData,
    }
    .load(conn)?;
    Ok(changed.into_iter().map(|(id,)| NotificationId(id)).collect())
}
