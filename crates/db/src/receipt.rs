//! Receipts: stored in the provider's words the moment they come in, applied by a worker.
//!
//! Storing them first means that a provider is answered at once and nothing is lost while a worker is down; applying them
//! from a due row means that one which comes too early, or meets a lock, is tried again.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{Connection, PgConnection, QueryResult, RunQueryDsl, sql_types as sql};
use domain::{
    id::{NotificationId, ReceiptId},
    receipt::ReceiptWords,
    status::{Channel, ProviderId, Status, Trigger},
    wakeup::{Kind, WakeUp},
};
use uuid::Uuid;

use crate::{
    due::{self, Later, Lease, REWAKE_AFTER},
    group_writer::GroupWriter,
    handful,
    pool::Config,
    statement::{Words, statement},
};

/// A receipt as it came in.
#[derive(Debug)]
pub struct NewReceipt {
    pub id: ReceiptId,
    pub words: ReceiptWords,
    pub received_at: DateTime<Utc>,
}

/// Stores receipts in groups; answers None for one that was heard before.
pub type Receipts = GroupWriter<NewReceipt, Option<WakeUp>>;

/// Starts the writer; `committed` publishes the wake-ups.
#[must_use]
pub fn start(config: Config, committed: impl Fn(&[Option<WakeUp>]) + Send + 'static) -> Receipts {
    let write =
        |conn: &mut PgConnection, new: &[NewReceipt], _| -> QueryResult<Vec<Option<Option<WakeUp>>>> {
            Ok(store(conn, new)?.into_iter().map(Some).collect())
        };
    GroupWriter::start("receipts", config, write, committed)
}

statement! {
    Insert {
        ids: Vec<Uuid> => sql::Array<sql::Uuid>,
        providers: Vec<&'a str> => sql::Array<sql::Text>,
        references: Vec<Words<'a>> => sql::Array<sql::Text>,
        statuses: Vec<Words<'a>> => sql::Array<sql::Text>,
        details: Vec<Option<Words<'a>>> => sql::Array<sql::Nullable<sql::Text>>,
        received_ats: Vec<DateTime<Utc>> => sql::Array<sql::Timestamptz>,
        clocks_apart: i32 => sql::Integer,
        rewake: i32 => sql::Integer,
    } -> (sql::Uuid,),
    "WITH new AS (
       INSERT INTO receipts (id, provider, reference, status, detail, received_at)
       SELECT id, provider::provider, reference, status, detail, received_at
       FROM UNNEST(?, ?, ?, ?, ?, ?) AS t (id, provider, reference, status, detail, received_at)
       ON CONFLICT DO NOTHING RETURNING id, received_at)
     INSERT INTO due (subject_id, kind, due_at, wake_at)
     SELECT id, 'apply_receipt', received_at - ? * interval '1 second', received_at + ? * interval '1 second' FROM new
     RETURNING subject_id"
}

/// Stores receipts with their due rows; one answer for each, None for one that was heard before.
///
/// # Errors
/// When the database refuses; then nothing is stored.
pub fn store(conn: &mut PgConnection, new: &[NewReceipt]) -> QueryResult<Vec<Option<WakeUp>>> {
    if new.is_empty() {
        return Ok(Vec::new());
    }
    let stored: Vec<(Uuid,)> = Insert {
        ids: new.iter().map(|r| r.id.0).collect(),
        providers: new.iter().map(|r| r.words.provider.as_str()).collect(),
        references: new.iter().map(|r| Words(&r.words.reference)).collect(),
        statuses: new.iter().map(|r| Words(&r.words.status)).collect(),
        details: new.iter().map(|r| r.words.detail.as_deref().map(Words)).collect(),
        received_ats: new.iter().map(|r| r.received_at).collect(),
        clocks_apart: due::seconds(due::CLOCKS_APART),
        rewake: due::seconds(REWAKE_AFTER),
        _binds: std::marker::PhantomData,
    }
    .load(conn)?;
    let stored: HashSet<Uuid> = stored.into_iter().map(|(id,)| id).collect();
    let wake = |r: &NewReceipt| {
        stored.contains(&r.id.0).then_some(WakeUp { kind: Kind::ApplyReceipt, subject: r.id.0 })
    };
    Ok(new.iter().map(wake).collect())
}

/// A receipt that is ours to apply, beside the notification as it stands.
#[derive(Debug)]
pub struct ClaimedReceipt {
    pub lease: Lease,
    pub words: ReceiptWords,
    pub received_at: DateTime<Utc>,
    /// None: there is no such notification, or this provider does not carry what it is.
    pub notification: Option<Standing>,
}

/// As much of a notification as a receipt needs to know.
#[derive(Clone, Debug)]
pub struct Standing {
    pub id: NotificationId,
    pub channel: Channel,
    pub status: Status,
    pub sent_by: Option<ProviderId>,
    pub international: bool,
    pub phone_prefix: Option<String>,
}

statement! {
    LoadReceipts {
        ids: Vec<Uuid> => sql::Array<sql::Uuid>,
    } -> (sql::Uuid, sql::Text, sql::Text, sql::Text, sql::Nullable<sql::Text>, sql::Timestamptz),
    "SELECT id, provider::text, reference, status, detail, received_at FROM receipts WHERE id = ANY(?) ORDER BY id"
}

statement! {
    LoadStanding {
        ids: Vec<Uuid> => sql::Array<sql::Uuid>,
    } -> (sql::Uuid, sql::Text, sql::Text, sql::Nullable<sql::Text>, sql::Bool, sql::Nullable<sql::Text>),
    "SELECT id, channel::text, status::text, sent_by::text, international, phone_prefix
     FROM notifications WHERE id = ANY(?)"
}

type ReceiptRow = (Uuid, String, String, String, Option<String>, DateTime<Utc>);
type StandingRow = (Uuid, String, String, Option<String>, bool, Option<String>);

/// How long a receipt waits that met another one of the same notification, or a status that changed under it.
const ONE_AT_A_TIME: TimeDelta = TimeDelta::seconds(1);

/// Claims and loads what is due among `ids`, at most one receipt for each notification: the second one's meaning may depend
/// on what the first one does.
///
/// # Errors
/// When a query fails; then nothing is claimed.
pub fn claim(
    conn: &mut PgConnection,
    ids: &[Uuid],
    now: DateTime<Utc>,
    lease: Duration,
) -> QueryResult<Vec<ClaimedReceipt>> {
    conn.transaction(|conn| {
        let leases = due::claim(conn, &[Kind::ApplyReceipt], ids, now, lease)?.leases;
        if leases.is_empty() {
            return Ok(Vec::new());
        }
        let subjects = leases.iter().map(Lease::subject).collect();
        let rows: Vec<ReceiptRow> =
            LoadReceipts { ids: subjects, _binds: std::marker::PhantomData }.load(conn)?;
        let mut leases: HashMap<Uuid, Lease> =
            leases.into_iter().map(|lease| (lease.subject(), lease)).collect();
        let (mut claimed, mut crowded, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
        for row in rows {
            let (Some(lease), received_at, words) = (leases.remove(&row.0), row.5, words_of(row)?) else {
                continue;
            };
            if words.notification_id().is_none_or(|id| seen.insert(id)) {
                claimed.push(ClaimedReceipt { lease, words, received_at, notification: None });
            } else {
                crowded.push(lease);
            }
        }
        due::postpone(conn, &soon(&crowded, now))?;
        // Rows whose receipt is gone (dropped by retention).
        due::finish(conn, leases.values())?;
        let ids = seen.into_iter().map(|id| id.0).collect();
        let standing: Vec<StandingRow> = LoadStanding { ids, _binds: std::marker::PhantomData }.load(conn)?;
        let standing = standing.into_iter().map(standing_of).collect::<QueryResult<Vec<_>>>()?;
        for receipt in &mut claimed {
            let meant = (receipt.words.notification_id(), receipt.words.provider.channel());
            receipt.notification = standing.iter().find(|s| (Some(s.id), s.channel) == meant).cloned();
        }
        Ok(claimed)
    })
}

/// Again in a moment, without burning a step.
fn soon<'l>(leases: impl IntoIterator<Item = &'l Lease>, now: DateTime<Utc>) -> Vec<Later<'l>> {
    let later = |lease: &'l Lease| Later { lease, due_at: now + ONE_AT_A_TIME, failures: lease.failures() };
    leases.into_iter().map(later).collect()
}

fn words_of((_, provider, reference, status, detail, _): ReceiptRow) -> QueryResult<ReceiptWords> {
    Ok(ReceiptWords { provider: word(&provider)?, reference, status, detail })
}

fn standing_of(
    (id, channel, status, sent_by, international, phone_prefix): StandingRow,
) -> QueryResult<Standing> {
    let sent_by = sent_by.as_deref().map(word).transpose()?;
    Ok(Standing {
        id: id.into(),
        channel: word(&channel)?,
        status: word(&status)?,
        sent_by,
        international,
        phone_prefix,
    })
}

/// A word of a Postgres enum; the schema test proves that the enums are equal.
fn word<T: std::str::FromStr<Err = domain::status::UnknownWord>>(text: &str) -> QueryResult<T> {
    text.parse().map_err(|e| diesel::result::Error::DeserializationError(Box::new(e)))
}

/// What is to be done with a receipt.
#[derive(Debug)]
pub enum Effect {
    /// The status becomes this one, if it is still the one that the meaning was drawn from.
    Change { to: Status },
    /// Nothing changes, and why: a duplicate, an unknown notification, a country without receipts from handsets.
    Nothing(&'static str),
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
    let (mut changes, mut done, mut later) = (Vec::new(), Vec::new(), Vec::new());
    for (receipt, effect) in receipts {
        let lease = &receipt.lease;
        match (effect, &receipt.notification) {
            (Effect::Change { to }, Some(standing)) if allowed(standing, *to) => {
                changes.push((receipt, standing, *to));
            }
            (Effect::Change { .. }, _) => done.push((lease, "duplicate")),
            (Effect::Nothing(why), _) => done.push((lease, *why)),
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
    Ok(changed)
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
