//! Receipts: stored in the provider's words the moment they come in, applied by a worker.
//!
//! Storing them first means that a provider is answered at once and nothing is lost while a worker is down; applying them
//! from a due row means that one which comes too early, or meets a lock, is tried again.
//!
//! What is not about a notification of ours is not stored at all: our row is committed before any provider hears of it, so a
//! receipt for an id that is not there is nobody's. And what is found to be false is forgotten (`evidence.rs`), so that
//! the same words are heard when they are true.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{Connection, PgConnection, QueryResult, RunQueryDsl, sql_types as sql};
use domain::{
    id::{NotificationId, ReceiptId},
    notification::Attempt,
    receipt::ReceiptWords,
    status::{Channel, ProviderId, Status, Trigger, UnknownWord},
    wakeup::{Kind, WakeUp},
};
use uuid::Uuid;

use crate::{
    delivery::words,
    due::{self, Later, Lease, REWAKE_AFTER},
    evidence::{self, Doubt},
    group_writer::GroupWriter,
    pool::Config,
    statement::{Words, statement},
};

mod apply;

pub use self::apply::{Effect, apply};

/// A receipt as it came in.
#[derive(Debug)]
pub struct NewReceipt {
    pub id: ReceiptId,
    pub words: ReceiptWords,
    pub received_at: DateTime<Utc>,
}

/// What became of a receipt that came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reception {
    Stored(WakeUp),
    /// It was heard before.
    Repeated,
    /// It is about nothing that this provider carries for us. Not stored.
    NotOurs,
}

impl Reception {
    /// Who is to be woken.
    #[must_use]
    pub fn wake(self) -> Option<WakeUp> {
        match self {
            Self::Stored(wake) => Some(wake),
            Self::Repeated | Self::NotOurs => None,
        }
    }
}

/// Stores receipts in groups.
pub type Receipts = GroupWriter<NewReceipt, Reception>;

/// Starts the writer; `committed` publishes the wake-ups.
#[must_use]
pub fn start(config: Config, committed: impl Fn(&[Reception]) + Send + 'static) -> Receipts {
    let write = |conn: &mut PgConnection, new: &[NewReceipt], _| -> QueryResult<Vec<Option<Reception>>> {
        Ok(store(conn, new)?.into_iter().map(Some).collect())
    };
    GroupWriter::start("receipts", config, write, committed)
}

statement! {
    Channels {
        ids: Vec<Uuid> => sql::Array<sql::Uuid>,
    } -> (sql::Uuid, sql::Text),
    "SELECT id, channel::text FROM notifications WHERE id = ANY(?)"
}

/// Stores receipts for notifications of ours with their due rows; one answer for each.
///
/// # Errors
/// When the database refuses; then nothing is stored.
pub fn store(conn: &mut PgConnection, new: &[NewReceipt]) -> QueryResult<Vec<Reception>> {
    let meant: Vec<_> = new.iter().map(|receipt| receipt.words.notification_id()).collect();
    let ids: Vec<Uuid> = meant.iter().flatten().map(|id| id.0).collect();
    let channels: Vec<(Uuid, String)> = match ids.is_empty() {
        true => Vec::new(),
        false => Channels { ids, _binds: std::marker::PhantomData }.load(conn)?,
    };
    let channels: HashMap<Uuid, String> = channels.into_iter().collect();
    let is_ours = |id: &NotificationId, provider: ProviderId| {
        channels.get(&id.0).is_some_and(|channel| channel == provider.channel().as_str())
    };
    let meant: Vec<_> =
        new.iter().zip(meant).map(|(r, id)| id.filter(|id| is_ours(id, r.words.provider))).collect();
    let ours: Vec<_> = new.iter().zip(&meant).filter_map(|(receipt, id)| Some((receipt, (*id)?))).collect();
    let stored = put(conn, &ours)?;
    let reception = |(receipt, id): (&NewReceipt, &Option<NotificationId>)| match id {
        None => Reception::NotOurs,
        Some(_) => {
            let wake = stored.iter().find(|wake| wake.subject == receipt.id.0);
            wake.map_or(Reception::Repeated, |wake| Reception::Stored(*wake))
        }
    };
    Ok(new.iter().zip(&meant).map(reception).collect())
}

statement! {
    Insert {
        ids: Vec<Uuid> => sql::Array<sql::Uuid>,
        providers: Vec<&'a str> => sql::Array<sql::Text>,
        references: Vec<String> => sql::Array<sql::Text>,
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

/// Stores receipts for notifications that are there; answers the wake-ups of those that were not heard before. The reference is
/// stored as our id is spelt, however the provider spelt it, so that a notification's receipts are found.
pub(crate) fn put(
    conn: &mut PgConnection,
    new: &[(&NewReceipt, NotificationId)],
) -> QueryResult<Vec<WakeUp>> {
    if new.is_empty() {
        return Ok(Vec::new());
    }
    let stored: Vec<(Uuid,)> = Insert {
        ids: new.iter().map(|(r, _)| r.id.0).collect(),
        providers: new.iter().map(|(r, _)| r.words.provider.as_str()).collect(),
        references: new.iter().map(|(_, id)| id.to_string()).collect(),
        statuses: new.iter().map(|(r, _)| Words(&r.words.status)).collect(),
        details: new.iter().map(|(r, _)| r.words.detail.as_deref().map(Words)).collect(),
        received_ats: new.iter().map(|(r, _)| r.received_at).collect(),
        clocks_apart: due::seconds(due::CLOCKS_APART),
        rewake: due::seconds(REWAKE_AFTER),
        _binds: std::marker::PhantomData,
    }
    .load(conn)?;
    Ok(stored.into_iter().map(|(subject,)| WakeUp { kind: Kind::ApplyReceipt, subject }).collect())
}

/// A receipt that is ours to apply, beside the notification as it stands.
#[derive(Debug)]
pub struct ClaimedReceipt {
    pub lease: Lease,
    pub words: ReceiptWords,
    pub received_at: DateTime<Utc>,
    /// None: there is no such notification, or this provider does not carry what it is.
    pub notification: Option<Standing>,
    /// The hand-over that nobody noted, to be noted with what the receipt says.
    pub hand_over: Option<Attempt>,
}

/// As much of a notification as a receipt needs to know.
#[derive(Clone, Debug)]
pub struct Standing {
    pub id: NotificationId,
    pub channel: Channel,
    /// Where it stands; or will, once a hand-over that nobody noted is.
    pub status: Status,
    pub sent_by: Option<ProviderId>,
    pub international: bool,
    pub phone_prefix: Option<String>,
    pub hand_over: HandOver,
}

/// What we know of the notification's hand-over to the provider whose receipt it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandOver {
    /// A provider has it, and that is written down.
    Noted,
    /// Somebody is at it.
    UnderWay,
    /// Nobody is at it, and this provider was asked and gave no answer: it has it, as the receipt proves.
    Unnoted,
    /// This provider was never asked, or said no each time.
    Never,
}

statement! {
    LoadReceipts {
        ids: Vec<Uuid> => sql::Array<sql::Uuid>,
    } -> (sql::Uuid, sql::Text, sql::Text, sql::Text, sql::Nullable<sql::Text>, sql::Timestamptz),
    "SELECT id, provider::text, reference, status, detail, received_at FROM receipts WHERE id = ANY(?) ORDER BY id"
}

statement! {
    LoadStanding {
        open: Vec<&'a str> => sql::Array<sql::Text>,
        ids: Vec<Uuid> => sql::Array<sql::Uuid>,
    } -> (sql::Uuid, sql::Text, sql::Text, sql::Nullable<sql::Text>, sql::Bool, sql::Nullable<sql::Text>,
          sql::Bool, sql::Nullable<sql::Uuid>),
    // With the lease in one snapshot: a settle in between would take the row away, and show a notification that nobody ever
    // had.
    "SELECT id, channel::text, status::text, sent_by::text, international, phone_prefix,
       sent_at IS NULL AND status::text = ANY(?),
       CASE WHEN status = 'created' THEN (SELECT lease FROM due WHERE subject_id = n.id) END
     FROM notifications n WHERE id = ANY(?)"
}

type ReceiptRow = (Uuid, String, String, String, Option<String>, DateTime<Utc>);
type StandingRow = (Uuid, String, String, Option<String>, bool, Option<String>, bool, Option<Uuid>);

/// How long a receipt waits that met another one of the same notification, or a status that changed under it.
const ONE_AT_A_TIME: TimeDelta = TimeDelta::seconds(1);

/// Claims and loads what is due among `ids`, at most one receipt for each notification: the second one's meaning may depend
/// on what the first one does. One that this build cannot read, because its provider is new or its notification is with a new
/// one, waits for a worker that can.
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
        let (mut claimed, mut put_back, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
        let mut unreadable = 0;
        for row in rows {
            let (Some(lease), received_at) = (leases.remove(&row.0), row.5) else { continue };
            match words_of(row) {
                Ok(words) if words.notification_id().is_none_or(|id| seen.insert(id)) => {
                    claimed.push(ClaimedReceipt {
                        lease,
                        words,
                        received_at,
                        notification: None,
                        hand_over: None,
                    });
                }
                Ok(_) => put_back.push((lease, now + ONE_AT_A_TIME)),
                Err(_) => {
                    unreadable += 1;
                    put_back.push((lease, look_again(received_at, now)));
                }
            }
        }
        let standing = standing(conn, &claimed)?;
        let claimed = claimed.into_iter().filter_map(|mut receipt| {
            let found = receipt.words.notification_id().and_then(|id| standing.get(&id));
            match found {
                Some(Err(_)) => {
                    unreadable += 1;
                    put_back.push((receipt.lease, look_again(receipt.received_at, now)));
                    return None;
                }
                Some(Ok(standing)) if standing.channel == receipt.words.provider.channel() => {
                    receipt.notification = Some(standing.clone());
                }
                _ => {}
            }
            Some(receipt)
        });
        let claimed = claimed.collect();
        if unreadable > 0 {
            tracing::warn!(unreadable, "receipts wait for a newer worker, which knows their provider");
        }
        let put_back: Vec<_> = put_back
            .iter()
            .map(|(lease, due_at)| Later { lease, due_at: *due_at, failures: lease.failures() })
            .collect();
        due::postpone(conn, &put_back)?;
        // Rows whose receipt is gone (dropped by retention).
        due::finish(conn, leases.values())?;
        Ok(claimed)
    })
}

/// Again in a moment, without burning a step.
fn soon<'l>(leases: impl IntoIterator<Item = &'l Lease>, now: DateTime<Utc>) -> Vec<Later<'l>> {
    let later = |lease: &'l Lease| Later { lease, due_at: now + ONE_AT_A_TIME, failures: lease.failures() };
    leases.into_iter().map(later).collect()
}

/// When a receipt that came too early is looked at again: when it has waited as long again, since what it waits for is mostly
/// on its way.
#[must_use]
pub fn look_again(received_at: DateTime<Utc>, now: DateTime<Utc>) -> DateTime<Utc> {
    now + (now - received_at).clamp(ONE_AT_A_TIME, TimeDelta::minutes(5))
}

type Standings = HashMap<NotificationId, Result<Standing, UnknownWord>>;

/// The notifications that these receipts are about.
fn standing(conn: &mut PgConnection, receipts: &[ClaimedReceipt]) -> QueryResult<Standings> {
    let meant: HashMap<Uuid, &ClaimedReceipt> =
        receipts.iter().filter_map(|receipt| Some((receipt.words.notification_id()?.0, receipt))).collect();
    let ids = meant.keys().copied().collect();
    let rows: Vec<StandingRow> =
        LoadStanding { open: words(Trigger::HandedOver), ids, _binds: std::marker::PhantomData }
            .load(conn)?;
    let open = rows.iter().filter(|row| row.6).map(|row| row.0).collect();
    let doubts = evidence::doubts(conn, open)?;
    let stands = |row: StandingRow| {
        let id = row.0;
        let doubts: Vec<_> = doubts.iter().filter(|(of, _)| *of == id).map(|(_, doubt)| *doubt).collect();
        (NotificationId(id), standing_of(row, meant.get(&id).copied(), &doubts))
    };
    Ok(rows.into_iter().map(stands).collect())
}

fn words_of((_, provider, reference, status, detail, _): ReceiptRow) -> Result<ReceiptWords, UnknownWord> {
    Ok(ReceiptWords { provider: provider.parse()?, reference, status, detail })
}

fn standing_of(
    row: StandingRow,
    receipt: Option<&ClaimedReceipt>,
    doubts: &[Doubt],
) -> Result<Standing, UnknownWord> {
    let (id, channel, status, sent_by, international, phone_prefix, is_open, lease) = row;
    let hand_over = match receipt {
        Some(receipt) if is_open => hand_over(receipt, lease, doubts),
        _ => HandOver::Noted,
    };
    let channel = channel.parse()?;
    let status = match hand_over {
        HandOver::Unnoted => Status::once_handed_over(channel, international),
        HandOver::Noted | HandOver::UnderWay | HandOver::Never => status.parse()?,
    };
    Ok(Standing {
        id: id.into(),
        channel,
        status,
        sent_by: sent_by.as_deref().map(str::parse).transpose()?,
        international,
        phone_prefix,
        hand_over,
    })
}

/// What is known of a hand-over that is not noted. Whoever is at it may have taken over from one who died, which is written down
/// together with what came of it.
fn hand_over(receipt: &ClaimedReceipt, lease: Option<Uuid>, doubts: &[Doubt]) -> HandOver {
    if lease.is_some() {
        HandOver::UnderWay
    } else if evidence::proves(doubts, receipt.words.provider, receipt.received_at) {
        HandOver::Unnoted
    } else {
        HandOver::Never
    }
}
