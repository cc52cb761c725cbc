//! Delivering, as far as rows are concerned: claim a handful and load it; settle a handful.
//!
//! Two round trips share the cost of many notifications. Between them no transaction and no connection is held.

use std::{collections::HashMap, time::Duration};

use chrono::{DateTime, Utc};
use diesel::{Connection, PgConnection, QueryResult, RunQueryDsl, sql_types as sql};
use domain::{
    id::NotificationId,
    notification::{Attempt, Notification, Outcome, Sender},
    retry::SendFailure,
    sender_name::sendable_local_part,
    status::{Channel, ProviderId, Status, Trigger},
    template::Personalisation,
    wakeup::Kind,
};
use uuid::Uuid;

use crate::{
    due::{self, Lease},
    evidence::{self, Proof},
    sealing::Keyring,
    statement::statement,
};

mod settle;

pub use self::settle::{Settlement, settle};
pub(crate) use self::settle::{note_hand_overs, record_attempts};

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
    Sizes { small, admit }: Sizes<'_>,
) -> QueryResult<(Rows, Proofs)> {
    let up_to = i32::try_from(small).unwrap_or(i32::MAX);
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
            (true, false) => !lease.lapsed() && admit(id, size(row)),
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

pub(crate) fn words(trigger: Trigger) -> Vec<&'static str> {
    trigger.from().iter().map(|status| status.as_str()).collect()
}
