//! THE HEART: what is due is the work; the broker only says "wake up, look at X".
//!
//! One narrow table is at once the outbox, the scheduled send, the retry schedule and the lease of whoever works on it now.
//! A row is put there in the same transaction as the thing that it is about, and leaves in the same transaction as the
//! outcome. So at every moment: a notification that is `created` has its row here. (A yes that is written down after its lease
//! has passed on changes the status first; the next claim then takes the row away.)
//!
//! ```text
//!            accept                       claim                          settle: handed over, given up
//!   ──────────────────────►  waiting  ───────────────►  leased  ────────────────────────────────────────►  gone
//!                            due_at ≤ now              due_at = now + lease
//!                            lease null                lease = token
//!                               ▲                         │ │
//!                               │   settle: failed        │ │  nothing for the length of the lease (a dead worker):
//!                               └─────────────────────────┘ │  due_at has come, whoever is woken claims it: the lease
//!                                due_at = now + ladder      └──────────────────────────────────────────►  leased, lapsed
//! ```
//!
//! What was claimed and not begun (no provider had room, it was too large for now, its lease was too far gone) goes the same way
//! back as what failed, but at once or nearly so, and at no step of the ladder: nobody was asked.
//!
//! **A lapsed lease is a failed attempt.** Nobody knows what came of it, so the next holder sends nothing: it settles the row
//! as a failure, one step of the ladder, like any other ([`Lease::lapsed`]). A message that kills every worker that touches
//! it therefore ends as `technical-failure` when the ladder does. Two more things follow. A holder who is late (the database
//! was away for longer than the lease) gets the first step's ten seconds to write down a yes that it has had; what it has
//! written is found by the next claim, and not sent again. And since whatever killed a worker was in hand together with
//! hundreds of others, what was lost together comes back apart ([`Lease::apart`]), so that it does not take the same
//! neighbours along at every step.
//!
//! Two times, because they answer two questions:
//! - `due_at`: from when on may it be claimed? A claim moves it forward by the lease, in one UPDATE, so two workers, or a
//!   worker and the delivery endpoint, can never both hold it: the second one finds nothing due.
//! - `wake_at`: when does the sweep look at it? Indexed, and left alone by a claim, which therefore stays a HOT update. The
//!   sweep publishes what is due and puts `wake_at` to the time at which looking again makes sense: [`REWAKE_AFTER`] later
//!   for what it published (the message may be lost), the end of the lease for what somebody holds. Where a queue is empty
//!   there is nothing to wait for: whoever was to be told [`TOLD_FOR`] ago or earlier and has not come never will, since an
//!   api that died had not published yet, or the broker lost everything ([`take_lost`]).
//!
//! A lost message, a doubled message, a dead worker, a wiped broker, a retry, a send scheduled for tomorrow: one case, "a row
//! whose time has come".
//!
//! What this does not promise: a worker that dies between the provider's yes and our settle leaves a row that is sent again
//! a step of the ladder after its lease has ended, unless its receipt has arrived by then: that is the yes, and whoever claims
//! next writes it down instead of sending (`evidence.rs`). A database that stays away from its settle for as long comes to
//! the same. That is the one case of a double send.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{OptionalExtension, PgConnection, QueryResult, RunQueryDsl, sql_types as sql};
use domain::{
    id::{LeaseId, made_at},
    wakeup::Kind,
};
use uuid::Uuid;

use crate::statement::statement;

mod sweep;

pub use self::sweep::{Swept, take, take_lost, unwake};

/// A message that nobody followed for this long is taken for lost and published again.
pub const REWAKE_AFTER: Duration = Duration::from_secs(60);

/// A message is on its way for no longer than this, when its queue is empty: then it is with a worker, or lost.
pub const TOLD_FOR: Duration = Duration::from_secs(5);

/// A fresh row may be claimed from this long before it was made: the clock of the worker that is woken for it may be behind
/// that of whoever made it, and what is not due yet by its clock would wait for [`REWAKE_AFTER`].
pub const CLOCKS_APART: Duration = Duration::from_secs(5);

/// Who holds a row, until when. Can only come from a claim. Settling is matched by the token, so that trying it again after
/// an error (a commit whose answer was lost) does nothing twice.
#[must_use = "a lease that is not settled blocks its row until it ends"]
#[derive(Debug, PartialEq, Eq)]
pub struct Lease {
    subject: Uuid,
    token: Uuid,
    until: DateTime<Utc>,
    failures: u16,
    lapsed_since: Option<DateTime<Utc>>,
}

impl Lease {
    /// The id of what is held.
    #[must_use]
    pub fn subject(&self) -> Uuid {
        self.subject
    }

    /// Steps of the retry ladder burnt so far.
    #[must_use]
    pub fn failures(&self) -> u16 {
        self.failures
    }

    /// When somebody else may claim it.
    #[must_use]
    pub fn until(&self) -> DateTime<Utc> {
        self.until
    }

    /// Whoever held it before said nothing for the length of the lease: dead, cut off, or very late. That was a failed attempt.
    #[must_use]
    pub fn lapsed(&self) -> bool {
        self.lapsed_since.is_some()
    }

    /// When that holder had claimed it.
    pub(crate) fn lapsed_since(&self) -> Option<DateTime<Utc>> {
        self.lapsed_since
    }

    /// How long it waits when the ladder says `after`: so long; and when it [`lapsed`](Self::lapsed), apart from those that were
    /// lost with it.
    #[must_use]
    pub fn apart(&self, after: Duration) -> Duration {
        if self.lapsed() { self.spread(after) } else { after }
    }

    /// `after`, and up to as long again: by chance, but always the same. The chance is in the random bytes of the id, another
    /// one for each step.
    #[must_use]
    pub fn spread(&self, after: Duration) -> Duration {
        let chance = self.subject.as_bytes()[15 - usize::from(self.failures % 7)];
        after + after * u32::from(chance) / 256
    }
}

/// What a handful of wake-ups came to.
#[derive(Debug, Default)]
pub struct Claims {
    pub leases: Vec<Lease>,
    /// Nothing due under these ids: finished, held by somebody else, not yet due, or unknown.
    pub not_due: Vec<Uuid>,
}

statement! {
    Claim {
        subjects: &'a [Uuid] => sql::Array<sql::Uuid>,
        kinds: Vec<&'a str> => sql::Array<sql::Text>,
        now: DateTime<Utc> => sql::Timestamptz,
        until: DateTime<Utc> => sql::Timestamptz,
        token: Uuid => sql::Uuid,
    } -> (sql::Uuid, sql::SmallInt, sql::Nullable<sql::Uuid>),
    // SKIP LOCKED: whoever has the row locked is claiming or settling it, and waiting for them would only prove them first.
    "WITH free AS (SELECT subject_id, lease AS lapsed FROM due
       WHERE subject_id = ANY(?) AND kind::text = ANY(?) AND due_at <= ? ORDER BY subject_id FOR UPDATE SKIP LOCKED)
     UPDATE due SET due_at = ?, lease = ? FROM free WHERE due.subject_id = free.subject_id
     RETURNING due.subject_id, due.failures, free.lapsed"
}

/// Takes what is due among `subjects` for the length of `lease`.
///
/// # Errors
/// When the query fails; then nothing is taken.
pub fn claim(
    conn: &mut PgConnection,
    kinds: &[Kind],
    subjects: &[Uuid],
    now: DateTime<Utc>,
    lease: Duration,
) -> QueryResult<Claims> {
    // A UUIDv7, so that whoever finds the lease lapsed knows since when it was held.
    let (token, until) = (LeaseId::new(now).0, later(now, lease));
    let taken: Vec<(Uuid, i16, Option<Uuid>)> = Claim {
        subjects,
        kinds: kinds.iter().map(|kind| kind.as_str()).collect(),
        now,
        until,
        token,
        _binds: std::marker::PhantomData,
    }
    .load(conn)?;
    let not_due = subjects.iter().copied().filter(|id| !taken.iter().any(|(t, ..)| t == id)).collect();
    let lease = |(subject, failures, lapsed): (Uuid, i16, Option<Uuid>)| Lease {
        subject,
        token,
        until,
        failures: failures.unsigned_abs(),
        lapsed_since: lapsed.map(held_since),
    };
    Ok(Claims { leases: taken.into_iter().map(lease).collect(), not_due })
}

/// Since when a lease is held. Builds before 2600 made tokens that do not say: then for ever.
fn held_since(token: Uuid) -> DateTime<Utc> {
    made_at(token).unwrap_or(DateTime::UNIX_EPOCH)
}

statement! {
    Finish {
        subjects: Vec<Uuid> => sql::Array<sql::Uuid>,
        tokens: Vec<Uuid> => sql::Array<sql::Uuid>,
    } -> (sql::Uuid,),
    "DELETE FROM due USING UNNEST(?, ?) AS held (subject_id, token)
     WHERE due.subject_id = held.subject_id AND due.lease = held.token RETURNING due.subject_id"
}

/// Ends the work on these rows: they leave the table. Those whose lease had ended and passed to somebody else stay; the ids
/// of the ones that left are answered.
///
/// # Errors
/// When the query fails.
pub fn finish<'l>(
    conn: &mut PgConnection,
    leases: impl IntoIterator<Item = &'l Lease>,
) -> QueryResult<Vec<Uuid>> {
    let (subjects, tokens): (Vec<_>, Vec<_>) =
        leases.into_iter().map(|lease| (lease.subject, lease.token)).unzip();
    if subjects.is_empty() {
        return Ok(Vec::new());
    }
    let gone: Vec<(Uuid,)> = Finish { subjects, tokens, _binds: std::marker::PhantomData }.load(conn)?;
    Ok(gone.into_iter().map(|(id,)| id).collect())
}

/// A row that goes back to wait.
#[derive(Debug)]
pub struct Later<'l> {
    pub lease: &'l Lease,
    pub due_at: DateTime<Utc>,
    /// The new count of burnt steps.
    pub failures: u16,
}

statement! {
    Postpone {
        subjects: Vec<Uuid> => sql::Array<sql::Uuid>,
        tokens: Vec<Uuid> => sql::Array<sql::Uuid>,
        due_ats: Vec<DateTime<Utc>> => sql::Array<sql::Timestamptz>,
        failures: Vec<i16> => sql::Array<sql::SmallInt>,
    } -> (),
    "UPDATE due SET due_at = later.due_at, wake_at = later.due_at, failures = later.failures, lease = NULL
     FROM UNNEST(?, ?, ?, ?) AS later (subject_id, token, due_at, failures)
     WHERE due.subject_id = later.subject_id AND due.lease = later.token"
}

/// Puts rows back, to be claimed again from `due_at` on.
///
/// # Errors
/// When the query fails.
pub fn postpone(conn: &mut PgConnection, rows: &[Later<'_>]) -> QueryResult<()> {
    if rows.is_empty() {
        return Ok(());
    }
    Postpone {
        subjects: rows.iter().map(|row| row.lease.subject).collect(),
        tokens: rows.iter().map(|row| row.lease.token).collect(),
        due_ats: rows.iter().map(|row| row.due_at).collect(),
        failures: rows.iter().map(|row| i16::try_from(row.failures).unwrap_or(i16::MAX)).collect(),
        _binds: std::marker::PhantomData,
    }
    .execute(conn)?;
    Ok(())
}

statement! {
    Hasten {
        soon: DateTime<Utc> => sql::Timestamptz,
        subjects: Vec<Uuid> => sql::Array<sql::Uuid>,
    } -> (),
    "UPDATE due SET due_at = LEAST(due_at, soon.at), wake_at = LEAST(due_at, soon.at) FROM (SELECT ?::timestamptz AS at) AS soon
     WHERE subject_id = ANY(?) AND lease IS NULL"
}

/// Rows that wait, and that nobody holds, wait no longer than until `soon`.
pub(crate) fn hasten(conn: &mut PgConnection, subjects: Vec<Uuid>, soon: DateTime<Utc>) -> QueryResult<()> {
    if !subjects.is_empty() {
        Hasten { soon, subjects, _binds: std::marker::PhantomData }.execute(conn)?;
    }
    Ok(())
}

statement! {
    Cancel {
        subjects: Vec<Uuid> => sql::Array<sql::Uuid>,
    } -> (),
    "DELETE FROM due WHERE subject_id = ANY(?) AND lease IS NULL"
}

/// Nothing is to be done about these any more. What somebody holds, its holder finishes.
pub(crate) fn cancel(conn: &mut PgConnection, subjects: Vec<Uuid>) -> QueryResult<()> {
    Cancel { subjects, _binds: std::marker::PhantomData }.execute(conn)?;
    Ok(())
}

statement! {
    Adopt {
        subjects: &'a [Uuid] => sql::Array<sql::Uuid>,
        now: DateTime<Utc> => sql::Timestamptz,
        rewake_at: DateTime<Utc> => sql::Timestamptz,
    } -> (),
    // NOT EXISTS: a conflict with a row that somebody else is claiming would wait for the end of that claim, and two claims
    // for each other.
    "INSERT INTO due (subject_id, kind, due_at, wake_at)
     SELECT n.id, ('deliver_' || n.channel::text)::wakeup_kind, now.now, now.rewake_at
     FROM notifications n, (SELECT ?::uuid[], ?::timestamptz, ?::timestamptz) AS now (ids, now, rewake_at)
     WHERE n.id = ANY(now.ids) AND n.status = 'created' AND NOT EXISTS (SELECT FROM due WHERE subject_id = n.id)
     ON CONFLICT DO NOTHING"
}

/// Takes in `created` notifications that have no row here: a team that stores its own rows need not know this table.
///
/// # Errors
/// When the query fails.
pub fn adopt(conn: &mut PgConnection, notifications: &[Uuid], now: DateTime<Utc>) -> QueryResult<usize> {
    Adopt {
        subjects: notifications,
        now,
        rewake_at: later(now, REWAKE_AFTER),
        _binds: std::marker::PhantomData,
    }
    .execute(conn)
}

/// A row as the operator sees it.
#[derive(Debug)]
pub struct DueRow {
    pub due_at: DateTime<Utc>,
    pub wake_at: DateTime<Utc>,
    pub failures: i16,
    pub leased: bool,
}

statement! {
    Find {
        subject: Uuid => sql::Uuid,
    } -> (sql::Timestamptz, sql::Timestamptz, sql::SmallInt, sql::Bool),
    "SELECT due_at, wake_at, failures, lease IS NOT NULL FROM due WHERE subject_id = ?"
}

/// The row of one subject, if it is still due.
///
/// # Errors
/// When the query fails.
pub fn find(conn: &mut PgConnection, subject: Uuid) -> QueryResult<Option<DueRow>> {
    let row = Find { subject, _binds: std::marker::PhantomData }.get_result(conn).optional()?;
    Ok(row.map(|(due_at, wake_at, failures, leased)| DueRow { due_at, wake_at, failures, leased }))
}

pub(crate) fn later(now: DateTime<Utc>, by: Duration) -> DateTime<Utc> {
    now + TimeDelta::from_std(by).unwrap_or(TimeDelta::MAX)
}

pub(crate) fn seconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_secs()).unwrap_or(i32::MAX)
}
