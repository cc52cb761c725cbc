//! Delivering, as far as rows are concerned: claim a handful and load it; settle a handful.
//!
//! Two round trips share the cost of many notifications. Between them no transaction and no connection is held.

use std::{collections::HashMap, time::Duration};

use chrono::{DateTime, Utc};
use diesel::{Connection, PgConnection, QueryResult, RunQueryDsl, sql_types as sql};
use domain::{
    id::{NotificationId, ReceiptId},
    notification::{Attempt, Notification, Outcome, Sender},
    retry::{Next, RecipientTrouble, RetryPolicy, SendFailure},
    sender_name::sendable_local_part,
    status::{Channel, ProviderId, Status, Trigger},
    template::Personalisation,
    wakeup::{Kind, WakeUp},
};
use uuid::Uuid;

use crate::{
    due::{self, Later, Lease},
    evidence::{self, Proof},
    handful, receipt,
    sealing::Keyring,
    statement::{Words, statement},
};

/// A notification that is ours to deliver until the lease ends.
#[derive(Debug)]
pub struct Claimed {
    pub lease: Lease,
    pub notification: Notification,
    /// Of its template and personalisation, in bytes.
    pub size: usize,
}

/// How much a claim may load.
pub struct Sizes<'a> {
    /// What is no larger than this, in bytes, is loaded in any case.
    pub small: usize,
    /// Asked for each of the others, with its size.
    pub admit: &'a mut dyn FnMut(Uuid, usize) -> bool,
}

impl std::fmt::Debug for Sizes<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sizes").field("small", &self.small).finish_non_exhaustive()
    }
}

/// What a handful of ids came to.
#[derive(Debug, Default)]
pub struct Claims {
    pub claimed: Vec<Claimed>,
    /// Claimed, and ended before any provider is asked: to be settled. Their last holder never settled them, or they cannot
    /// be read.
    pub ended: Vec<Settlement>,
    /// Claimed, and with a provider already: a receipt says so, though nobody heard its yes.
    pub taken: Vec<Taken>,
    /// Claimed, but not loaded, each with its size: to be given back.
    pub too_large: Vec<(Lease, usize)>,
    /// No notification has this id, or its commit is not visible yet.
    pub not_found: Vec<Uuid>,
}

/// A notification that a provider has, and that is still to be noted as handed over.
#[derive(Debug)]
pub struct Taken {
    pub lease: Lease,
    pub by: ProviderId,
    pub heard_at: DateTime<Utc>,
    pub international: bool,
    /// None: it cannot be read (any more).
    pub notification: Option<Notification>,
}

statement! {
    Load {
        up_to: i32 => sql::Integer,
        ids: Vec<Uuid> => sql::Array<sql::Uuid>,
    } -> (
        (sql::Uuid, sql::Uuid, sql::Text, sql::Text, sql::Text),
        (sql::Text, sql::Text, sql::Bool, sql::Nullable<sql::Text>, sql::Nullable<sql::Bytea>),
        (sql::Nullable<sql::Text>, sql::Nullable<sql::Text>),
        (sql::Nullable<sql::Text>, sql::Text),
        (sql::Bool, sql::Text, sql::Bool, sql::Text),
        (sql::Timestamptz, sql::Integer),
    ),
    // The length of what is stored out of line is known without fetching it.
    "SELECT n.id, n.service_id, n.channel::text, n.key_type::text, n.status::text,
       n.recipient, n.normalised_recipient, n.international, n.sender, CASE WHEN fits THEN n.personalisation END,
       n.unsubscribe_url, n.unsubscribe_page_url,
       CASE WHEN fits THEN v.subject END, CASE WHEN fits THEN v.content ELSE '' END,
       s.active, CASE n.channel WHEN 'email' THEN COALESCE(s.email_sender_name, s.name) ELSE s.name END,
       s.prefix_sms, s.email_local_part,
       n.created_at, size
     FROM notifications n
     JOIN template_versions v ON v.template_id = n.template_id AND v.version = n.template_version
     JOIN services s ON s.id = n.service_id
     CROSS JOIN LATERAL (SELECT COALESCE(octet_length(n.personalisation), 0) + octet_length(v.content)) AS o (size)
     CROSS JOIN LATERAL (SELECT size <= ?) AS f (fits)
     WHERE n.id = ANY(?)"
}

type Loaded = (
    (Uuid, Uuid, String, String, String),
    (String, String, bool, Option<String>, Option<Vec<u8>>),
    (Option<String>, Option<String>),
    (Option<String>, String),
    (bool, String, bool, String),
    (DateTime<Utc>, i32),
);

/// [`claim_within`], whatever the sizes.
///
/// # Errors
/// As [`claim_within`].
pub fn claim(
    conn: &mut PgConnection,
    keyring: &Keyring,
    ids: &[Uuid],
    now: DateTime<Utc>,
    lease: Duration,
) -> QueryResult<Claims> {
    let all = Sizes { small: usize::MAX, admit: &mut |_, _| true };
    claim_within(conn, keyring, ids, now, lease, all)
}

/// Claims and loads what is due among `ids`. Rows that are due but no longer `created` (a yes that was written down
/// late) are done with on the spot.
///
/// # Errors
/// When a query fails; then nothing is claimed.
pub fn claim_within(
    conn: &mut PgConnection,
    keyring: &Keyring,
    ids: &[Uuid],
    now: DateTime<Utc>,
    lease: Duration,
    sizes: Sizes<'_>,
) -> QueryResult<Claims> {
    conn.transaction(|conn| {
        let mut due = due::claim(conn, &Kind::DELIVERIES, ids, now, lease)?;
        let mut claims = Claims::default();
        if !due.not_due.is_empty() {
            claims.not_found = unknown_among(conn, due.not_due.clone())?;
            // Busy or finished; or committed since the first look, or by a team that knows nothing of `due`.
            due.not_due.retain(|id| !claims.not_found.contains(id));
            due::adopt(conn, &due.not_due, now)?;
            due.leases.extend(due::claim(conn, &Kind::DELIVERIES, &due.not_due, now, lease)?.leases);
        }
        if !due.leases.is_empty() {
            let loaded = load_within(conn, &due.leases, now, sizes)?;
            sort(conn, keyring, due.leases, loaded, now, &mut claims)?;
        }
        Ok(claims)
    })
}

/// Each with whether it is whole: what is large is not, at first.
type Rows = HashMap<Uuid, (bool, Loaded)>;
type Proofs = HashMap<Uuid, Proof>;

fn load(conn: &mut PgConnection, ids: Vec<Uuid>, up_to: i32) -> QueryResult<Rows> {
    let rows: Vec<Loaded> = Load { up_to, ids, _binds: std::marker::PhantomData }.load(conn)?;
    let whole = |row: Loaded| (row.0.0, (row.5.1 <= up_to, row));
    Ok(rows.into_iter().map(whole).collect())
}

/// What belongs to these leases, and what of it a provider has already. Of what is large only as much as there is room for, and
/// no more than is needed.
fn load_within(
    conn: &mut PgConnection,
    leases: &[Lease],
    now: DateTime<Utc>,
    sizes: Sizes<'_>,
) -> QueryResult<(Rows, Proofs)> {
    let up_to = i32::try_from(sizes.small).unwrap_or(i32::MAX);
    let mut rows = load(conn, leases.iter().map(Lease::subject).collect(), up_to)?;
    let taken = taken(conn, leases, &rows, now)?;
    let wanted = |lease: &&Lease| {
        let id = lease.subject();
        let Some((false, row)) = rows.get(&id) else { return false };
        let (_, _, channel, _, status) = &row.0;
        match (status == Status::Created.as_str(), taken.contains_key(&id)) {
            (false, _) => false,
            // A text's units are made of it.
            (true, true) => channel == Channel::Sms.as_str(),
            (true, false) => !lease.lapsed() && (sizes.admit)(id, size(row)),
        }
    };
    let large: Vec<Uuid> = leases.iter().filter(wanted).map(Lease::subject).collect();
    if !large.is_empty() {
        rows.extend(load(conn, large, i32::MAX)?);
    }
    Ok((rows, taken))
}

fn size(row: &Loaded) -> usize {
    usize::try_from(row.5.1).unwrap_or_default()
}

fn sort(
    conn: &mut PgConnection,
    keyring: &Keyring,
    leases: Vec<Lease>,
    (mut rows, mut taken): (Rows, Proofs),
    now: DateTime<Utc>,
    claims: &mut Claims,
) -> QueryResult<()> {
    let mut fail = |lease, failure| claims.ended.push(unsent(lease, Outcome::Failed(failure), now));
    let (mut stale, mut not_loaded) = (Vec::new(), Vec::new());
    for lease in leases {
        match rows.remove(&lease.subject()) {
            // Finished by other means.
            Some((_, row)) if row.0.4 != Status::Created.as_str() => stale.push(lease),
            Some((_, row)) if let Some(Proof { by, heard_at, .. }) = taken.remove(&lease.subject()) => {
                let international = row.1.2;
                let notification = notification(keyring, row).ok();
                claims.taken.push(Taken { lease, by, heard_at, international, notification });
            }
            Some(_) if lease.lapsed() => fail(lease, lost()),
            Some((false, row)) => claims.too_large.push((lease, size(&row))),
            Some((true, row)) => {
                let size = size(&row);
                match notification(keyring, row) {
                    Ok(notification) => claims.claimed.push(Claimed { lease, notification, size }),
                    Err(Unreadable) => fail(lease, unreadable()),
                }
            }
            None => not_loaded.push(lease),
        }
    }
    // Dropped by retention; or there, but its template or service is not: then it stays due until that is settled.
    let gone = unknown_among(conn, not_loaded.iter().map(Lease::subject).collect())?;
    for lease in not_loaded {
        if gone.contains(&lease.subject()) { stale.push(lease) } else { fail(lease, unreadable()) }
    }
    due::finish(conn, &stale)?;
    Ok(())
}

/// What was tried before, and may be with a provider. Nothing else is asked about: a first attempt has no history.
fn taken(conn: &mut PgConnection, leases: &[Lease], rows: &Rows, now: DateTime<Utc>) -> QueryResult<Proofs> {
    let tried = leases.iter().filter(|lease| lease.lapsed() || lease.failures() > 0);
    let created = tried.filter_map(|lease| {
        let (_, row) = rows.get(&lease.subject())?;
        let channel = row.0.2.parse().ok()?;
        (row.0.4 == Status::Created.as_str()).then_some((lease, channel))
    });
    Ok(evidence::taken(conn, &created.collect::<Vec<_>>(), now)?.into_iter().collect())
}

/// An attempt that ended before it began. One that lapsed began when its holder claimed it.
#[must_use]
pub fn unsent(lease: Lease, outcome: Outcome, at: DateTime<Utc>) -> Settlement {
    let took = lease.lapsed_since().and_then(|since| (at - since).to_std().ok()).unwrap_or_default();
    Settlement { lease, attempt: Attempt { provider: None, took, billable_units: 0, outcome }, at }
}

/// See [`Lease::lapsed`].
fn lost() -> SendFailure {
    SendFailure::Unanswered("whoever was sending it did not say in time what came of it".into())
}

fn unreadable() -> SendFailure {
    SendFailure::Misconfigured("the personalisation, the template or the service cannot be read".into())
}

struct Unreadable;

fn notification(keyring: &Keyring, row: Loaded) -> Result<Notification, Unreadable> {
    let ((id, service_id, channel, key_type, _), recipient, links, template, service, (created_at, _)) = row;
    let (recipient, normalised_recipient, international, sender, sealed) = recipient;
    let personalisation = match sealed {
        Some(sealed) => {
            let json = keyring.open(id, &sealed).map_err(|_| Unreadable)?;
            Personalisation::new(serde_json::from_slice(&json).map_err(|_| Unreadable)?)
        }
        None => Personalisation::default(),
    };
    let (active, name, prefix_sms, email_local_part) = service;
    Ok(Notification {
        id: NotificationId(id),
        service_id: service_id.into(),
        channel: channel.parse().map_err(|_| Unreadable)?,
        key_type: key_type.parse().map_err(|_| Unreadable)?,
        recipient,
        normalised_recipient,
        international,
        sender,
        subject: template.0,
        content: template.1,
        personalisation,
        unsubscribe_url: links.0,
        unsubscribe_page_url: links.1,
        service: Sender { active, name, prefix_sms, email_local_part: sendable_local_part(email_local_part) },
        created_at,
    })
}

/// Reads notifications, whoever holds them: texts whole, of e-mails not what they are made of. What cannot be read is left out.
///
/// # Errors
/// When the query fails.
pub fn read(conn: &mut PgConnection, keyring: &Keyring, ids: Vec<Uuid>) -> QueryResult<Vec<Notification>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let mut rows = load(conn, ids, 0)?;
    let texts =
        rows.iter().filter(|(_, (_, row))| row.0.2 == Channel::Sms.as_str()).map(|(id, _)| *id).collect();
    rows.extend(load(conn, texts, i32::MAX)?);
    Ok(rows.into_values().filter_map(|(_, row)| notification(keyring, row).ok()).collect())
}

statement! {
    Existing {
        ids: &'a [Uuid] => sql::Array<sql::Uuid>,
    } -> (sql::Uuid,),
    "SELECT id FROM notifications WHERE id = ANY(?)"
}

fn unknown_among(conn: &mut PgConnection, ids: Vec<Uuid>) -> QueryResult<Vec<Uuid>> {
    if ids.is_empty() {
        return Ok(ids);
    }
    let known: Vec<(Uuid,)> = Existing { ids: &ids, _binds: std::marker::PhantomData }.load(conn)?;
    Ok(ids.into_iter().filter(|id| !known.contains(&(*id,))).collect())
}

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

pub(crate) fn words(trigger: Trigger) -> Vec<&'static str> {
    trigger.from().iter().map(|status| status.as_str()).collect()
}
