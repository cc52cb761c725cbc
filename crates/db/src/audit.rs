//! The invariant that anyone can check: accepted = final + in flight, at every moment, in one snapshot.

use diesel::{PgConnection, QueryResult, RunQueryDsl, sql_types as sql};

use crate::{
    session::{Unhurried, unhurried},
    statement::statement,
};

/// The query itself, for people with `psql`.
pub const SQL: &str = "WITH n AS (
  SELECT count(*) AS accepted,
    count(*) FILTER (WHERE status::text = ANY(ARRAY['sent', 'delivered', 'temporary-failure', 'permanent-failure', 'technical-failure'])) AS final,
    count(*) FILTER (WHERE status = 'created' AND d.subject_id IS NOT NULL) AS waiting,
    count(*) FILTER (WHERE status IN ('sending', 'pending')) AS with_provider,
    count(*) FILTER (WHERE status = 'created' AND d.subject_id IS NULL) AS lost
  FROM notifications LEFT JOIN due d ON d.subject_id = id AND d.kind IN ('deliver_sms', 'deliver_email'))
SELECT accepted, final, waiting, with_provider, lost,
  (SELECT count(*) FROM due d LEFT JOIN notifications m ON m.id = d.subject_id
   WHERE d.kind IN ('deliver_sms', 'deliver_email') AND m.id IS NULL) AS stray,
  (SELECT count(*) FROM receipts WHERE applied_at IS NULL) AS receipts_waiting
FROM n";

/// Where everything stands that was ever accepted and is still stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Audit {
    pub accepted: i64,
    pub finished: i64,
    /// `created`, with a due row: somebody will deliver it.
    pub waiting: i64,
    /// `sending` or `pending`: a receipt or the time-out ends it.
    pub with_provider: i64,
    /// `created` without a due row: nobody would ever deliver it. Must be 0.
    pub lost: i64,
    /// Due rows of no notification. Must be 0.
    pub stray: i64,
    /// Receipts that no worker has applied yet.
    pub receipts_waiting: i64,
}

impl Audit {
    /// Accepted = final + in flight, and no row of the one table without its partner in the other.
    #[must_use]
    pub fn is_balanced(&self) -> bool {
        self.accepted == self.finished + self.waiting + self.with_provider
            && self.lost == 0
            && self.stray == 0
    }
}

statement! {
    Count {} -> (sql::BigInt, sql::BigInt, sql::BigInt, sql::BigInt, sql::BigInt, sql::BigInt, sql::BigInt),
    SQL
}

/// Counts everything in one statement, and so in one snapshot.
///
/// # Errors
/// When the query fails.
pub fn audit(conn: &mut PgConnection) -> QueryResult<Audit> {
    let (accepted, finished, waiting, with_provider, lost, stray, receipts_waiting) =
        unhurried(conn, Unhurried::Audit, |conn| {
            Count { _binds: std::marker::PhantomData }.get_result(conn)
        })?;
    Ok(Audit { accepted, finished, waiting, with_provider, lost, stray, receipts_waiting })
}
