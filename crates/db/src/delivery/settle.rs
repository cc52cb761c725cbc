//! Writing down what came of a handful: handed over, given up, to be tried later.

use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::{PgConnection, QueryResult, RunQueryDsl, sql_types as sql};
use domain::{
    id::{NotificationId, ReceiptId},
    notification::{Attempt, Outcome},
    retry::{Next, RecipientTrouble, RetryPolicy, SendFailure},
    status::{ProviderId, Status, Trigger},
    wakeup::WakeUp,
};
use uuid::Uuid;

use super::words;
use crate::{
    due::{self, Later, Lease},
    handful, receipt,
    statement::{Words, statement},
};

/// A lease with what came of it.
#[derive(Debug)]
pub struct Settlement {
    pub lease: Lease,
    pub attempt: Attempt,
    /// When the attempt ended.
    pub at: DateTime<Utc>,
}

statement! {
    HandOver {
        from: Vec<&'a str> => sql::Array<sql::Text>,
        ids: Vec<Uuid> => sql::Array<sql::Uuid>,
        statuses: Vec<&'a str> => sql::Array<sql::Text>,
        providers: Vec<Option<&'a str>> => sql::Array<sql::Nullable<sql::Text>>,
        references: Vec<Option<Words<'a>>> => sql::Array<sql::Nullable<sql::Text>>,
        units: Vec<i32> => sql::Array<sql::Integer>,
        ats: Vec<DateTime<Utc>> => sql::Array<sql::Timestamptz>,
    } -> (),
    // Whoever held the lease before us, or after, may have written the same, or have given up. The first hand-over stays, and
    // giving up does not stand against it: it had not heard of it.
    "UPDATE notifications n SET
       status = CASE WHEN n.sent_at IS NULL AND n.status::text = ANY(t.from_statuses)
         THEN t.status::notification_status ELSE n.status END,
       updated_at = CASE WHEN n.sent_at IS NULL AND n.status::text = ANY(t.from_statuses) THEN t.at ELSE n.updated_at END,
       sent_at = COALESCE(n.sent_at, t.at),
       sent_by = CASE WHEN n.sent_at IS NULL THEN t.provider::provider ELSE n.sent_by END,
       provider_reference = COALESCE(n.provider_reference, t.reference),
       billable_units = GREATEST(n.billable_units, t.units)
     FROM (SELECT *, ? AS from_statuses FROM UNNEST(?, ?, ?, ?, ?, ?)
       AS u (id, status, provider, reference, units, at)) AS t
     WHERE n.id = t.id"
}

statement! {
    GiveUp {
        ids: Vec<Uuid> => sql::Array<sql::Uuid>,
        ends: Vec<&'a str> => sql::Array<sql::Text>,
        providers: Vec<Option<&'a str>> => sql::Array<sql::Nullable<sql::Text>>,
        units: Vec<i32> => sql::Array<sql::Integer>,
        ats: Vec<DateTime<Utc>> => sql::Array<sql::Timestamptz>,
        from: Vec<&'a str> => sql::Array<sql::Text>,
    } -> (),
    "UPDATE notifications n SET status = t.status::notification_status, updated_at = t.at,
       sent_by = COALESCE(n.sent_by, t.provider::provider),
       billable_units = GREATEST(n.billable_units, t.units)
     FROM UNNEST(?, ?, ?, ?, ?) AS t (id, status, provider, units, at)
     WHERE n.id = t.id AND n.status::text = ANY(?)"
}

statement! {
    Charge {
        ids: Vec<Uuid> => sql::Array<sql::Uuid>,
        units: Vec<i32> => sql::Array<sql::Integer>,
        from: Vec<&'a str> => sql::Array<sql::Text>,
    } -> (),
    "UPDATE notifications n SET billable_units = t.units FROM UNNEST(?, ?) AS t (id, units)
     WHERE n.id = t.id AND n.billable_units < t.units AND n.status::text = ANY(?)"
}

statement! {
    RecordAttempts {
        ids: Vec<Uuid> => sql::Array<sql::Uuid>,
        ats: Vec<DateTime<Utc>> => sql::Array<sql::Timestamptz>,
        providers: Vec<Option<&'a str>> => sql::Array<sql::Nullable<sql::Text>>,
        took: Vec<i32> => sql::Array<sql::Integer>,
        outcomes: Vec<&'a str> => sql::Array<sql::Text>,
        reasons: Vec<Option<Words<'a>>> => sql::Array<sql::Nullable<sql::Text>>,
    } -> (),
    "INSERT INTO attempts (notification_id, attempted_at, provider, took_ms, outcome, reason)
     SELECT id, at, provider::provider, took, outcome::attempt_outcome, reason
     FROM UNNEST(?, ?, ?, ?, ?, ?) AS t (id, at, provider, took, outcome, reason) ON CONFLICT DO NOTHING"
}

/// Writes down what came of a handful, in one transaction: statuses, attempts, due rows. Answers what is to be woken now
/// (receipts made up for test keys). What the database refuses ends as `technical-failure`: otherwise it would be sent again
/// at every step of the ladder.
///
/// # Errors
/// When a query fails; then nothing is written, or nobody knows (a connection lost during the commit). Try again for as long
/// as it takes: until it is written, the end of the lease means a second send.
pub fn settle(
    conn: &mut PgConnection,
    settlements: &[Settlement],
    policy: &RetryPolicy,
) -> QueryResult<Vec<WakeUp>> {
    let write = |conn: &mut PgConnection, settlements: &[Settlement]| write(conn, settlements, policy);
    handful::write(conn, settlements, &write, &|conn, settlement, error| {
        let id = settlement.lease.subject();
        tracing::error!(%id, %error, "what came of a delivery cannot be written down: technical-failure");
        give_up(conn, vec![(settlement, Status::TechnicalFailure)])
    })
}

fn write(
    conn: &mut PgConnection,
    settlements: &[Settlement],
    policy: &RetryPolicy,
) -> QueryResult<Vec<WakeUp>> {
    record_attempts(conn, settlements.iter().map(|s| (s.lease.subject(), &s.attempt, s.at)))?;
    let (mut handed_over, mut given_up, mut simulated) = (vec![], vec![], vec![]);
    let (mut later, mut tried) = (vec![], vec![]);
    for settlement @ Settlement { lease, attempt, at } in settlements {
        match &attempt.outcome {
            Outcome::HandedOver { simulated_receipt, .. } => {
                if let Some(words) = simulated_receipt.clone() {
                    let id = ReceiptId::new(*at);
                    let new = receipt::NewReceipt { id, words, received_at: *at };
                    simulated.push((new, NotificationId(lease.subject())));
                }
                handed_over.push(lease);
            }
            Outcome::Refused(_) => given_up.push((settlement, Status::TechnicalFailure)),
            Outcome::Failed(failure) => match policy.after(lease.failures(), failure) {
                Next::Retry { after, failures } => {
                    // Many are throttled together, and must not come back together.
                    let throttled = matches!(failure, SendFailure::Throttled { .. });
                    let wait = if throttled { lease.spread(after) } else { lease.apart(after) };
                    later.push(Later { lease, due_at: due::later(*at, wait), failures });
                    tried.push((lease.subject(), attempt.billable_units));
                }
                Next::GiveUp(end) => given_up.push((settlement, end)),
            },
            Outcome::NotBegun { after } => later.push(given_back(lease, *at, *after)),
        }
    }
    note_hand_overs(conn, settlements.iter().map(|s| (s.lease.subject(), &s.attempt, s.at)))?;
    due::finish(conn, handed_over)?;
    give_up(conn, given_up)?;
    due::postpone(conn, &later)?;
    charge(conn, tried)?;
    let simulated: Vec<_> = simulated.iter().map(|(receipt, id)| (receipt, *id)).collect();
    receipt::put(conn, &simulated)
}

/// No step of the ladder is burnt, and those who come back do so one by one.
fn given_back(lease: &Lease, at: DateTime<Utc>, after: Duration) -> Later<'_> {
    Later { lease, due_at: due::later(at, lease.spread(after)), failures: lease.failures() }
}

/// Notes of attempts, each with its notification and the time at which it ended, that the provider has the message: whoever
/// holds the lease by now, the row says so in any case. Other attempts are left alone.
pub(crate) fn note_hand_overs<'a>(
    conn: &mut PgConnection,
    ended: impl Iterator<Item = (Uuid, &'a Attempt, DateTime<Utc>)>,
) -> QueryResult<()> {
    let handed_over = |(id, attempt, at): (Uuid, &'a Attempt, DateTime<Utc>)| match &attempt.outcome {
        Outcome::HandedOver { status, provider_reference, .. } => {
            Some((id, attempt, *status, provider_reference.as_deref(), at))
        }
        Outcome::Failed(_) | Outcome::Refused(_) | Outcome::NotBegun { .. } => None,
    };
    let mut rows: Vec<_> = ended.filter_map(handed_over).collect();
    if rows.is_empty() {
        return Ok(());
    }
    // In one order, so that two settles (or a settle and a receipt) never wait for each other in a circle.
    rows.sort_by_key(|row| row.0);
    HandOver {
        from: words(Trigger::HandedOver),
        ids: rows.iter().map(|row| row.0).collect(),
        statuses: rows.iter().map(|row| row.2.as_str()).collect(),
        providers: rows.iter().map(|row| row.1.provider.map(ProviderId::as_str)).collect(),
        references: rows.iter().map(|row| row.3.map(Words)).collect(),
        units: rows.iter().map(|row| row.1.billable_units).collect(),
        ats: rows.iter().map(|row| row.4).collect(),
        _binds: std::marker::PhantomData,
    }
    .execute(conn)?;
    Ok(())
}

/// Only while the lease is still ours: somebody else may be about to succeed.
fn give_up(conn: &mut PgConnection, mut rows: Vec<(&Settlement, Status)>) -> QueryResult<()> {
    let gone = due::finish(conn, rows.iter().map(|row| &row.0.lease))?;
    rows.retain(|row| gone.contains(&row.0.lease.subject()));
    if rows.is_empty() {
        return Ok(());
    }
    rows.sort_by_key(|row| row.0.lease.subject());
    // What is the recipient's failure is so by somebody's word, as with a receipt.
    let by = |(settlement, end): &(&Settlement, Status)| match end {
        Status::TechnicalFailure => None,
        _ => settlement.attempt.provider.map(ProviderId::as_str),
    };
    GiveUp {
        ids: rows.iter().map(|row| row.0.lease.subject()).collect(),
        ends: rows.iter().map(|row| row.1.as_str()).collect(),
        providers: rows.iter().map(by).collect(),
        units: rows.iter().map(|row| row.0.attempt.billable_units).collect(),
        ats: rows.iter().map(|row| row.0.at).collect(),
        from: words(Trigger::GaveUp),
        _binds: std::marker::PhantomData,
    }
    .execute(conn)?;
    Ok(())
}

/// What a text will be charged as is known from its first try on, whatever comes of it (the wire contract: delivery rules, 3).
fn charge(conn: &mut PgConnection, mut tried: Vec<(Uuid, i32)>) -> QueryResult<()> {
    tried.retain(|(_, units)| *units > 0);
    if tried.is_empty() {
        return Ok(());
    }
    tried.sort_unstable();
    let (ids, units) = tried.into_iter().unzip();
    let from = vec![Status::Created.as_str()];
    Charge { ids, units, from, _binds: std::marker::PhantomData }.execute(conn)?;
    Ok(())
}

/// Writes down attempts, each with its notification and the time at which it ended.
pub(crate) fn record_attempts<'a>(
    conn: &mut PgConnection,
    ended: impl Iterator<Item = (Uuid, &'a Attempt, DateTime<Utc>)>,
) -> QueryResult<()> {
    let made = |(id, attempt, at): (Uuid, &'a Attempt, _)| Some((id, attempt, at, told(&attempt.outcome)?));
    let made: Vec<_> = ended.filter_map(made).collect();
    if made.is_empty() {
        return Ok(());
    }
    let took = |attempt: &Attempt| i32::try_from(attempt.took.as_millis()).unwrap_or(i32::MAX);
    RecordAttempts {
        ids: made.iter().map(|e| e.0).collect(),
        ats: made.iter().map(|e| e.2).collect(),
        providers: made.iter().map(|e| e.1.provider.map(ProviderId::as_str)).collect(),
        took: made.iter().map(|e| took(e.1)).collect(),
        outcomes: made.iter().map(|e| e.3.0).collect(),
        reasons: made.iter().map(|e| e.3.1.as_deref().map(Words)).collect(),
        _binds: std::marker::PhantomData,
    }
    .execute(conn)?;
    Ok(())
}

/// The word of the Postgres enum `attempt_outcome`, and why; none of what was no attempt. A recipient's trouble
/// has no word of its own; the reason tells.
fn told(outcome: &Outcome) -> Option<(&'static str, Option<String>)> {
    let failure = match outcome {
        Outcome::NotBegun { .. } => return None,
        Outcome::HandedOver { .. } => return Some(("handed-over", None)),
        Outcome::Refused(reason) => return Some(("refused", Some((*reason).to_owned()))),
        Outcome::Failed(failure) => failure,
    };
    let word = match failure {
        SendFailure::Transient(_) => "transient",
        SendFailure::Unanswered(_) => "unanswered",
        SendFailure::Recipient { trouble: RecipientTrouble::Busy, .. } => "transient",
        SendFailure::Recipient { trouble: RecipientTrouble::Unknown | RecipientTrouble::Full, .. } => {
            "rejected"
        }
        SendFailure::Throttled { .. } => "throttled",
        SendFailure::Rejected(_) => "rejected",
        SendFailure::Misconfigured(_) => "misconfigured",
    };
    Some((word, Some(failure.to_string())))
}
