//! What a service is shown of itself by its keys: one key type, found where the log finds it.

use diesel::{PgConnection, QueryResult, RunQueryDsl};
use domain::{id::ServiceId, status::KeyType};
use uuid::Uuid;

use super::{Candidates, Filter, Source, load, snapshot};
use crate::notification::{self, StoredNotification};

/// Waiting notifications of whichever service that are looked at for those of one. Where more wait, a few of one service are
/// sooner found among its own rows.
const WAITING_READ: i64 = 20_000;

/// The newest of what a service sent with keys of one type, as the service lists it itself: however far back they are, for a
/// cursor of a public list cannot say how far it looked. What ends a search that takes too long is the statement's time.
pub(crate) fn newest_of_key_type(
    conn: &mut PgConnection,
    service: ServiceId,
    key_type: KeyType,
    filter: &notification::Filter,
    limit: i64,
) -> QueryResult<Vec<StoredNotification>> {
    let everything = Filter {
        channels: filter.channels.clone(),
        statuses: filter.statuses.clone(),
        since: None,
        older_than: filter.older_than,
        jobs: true,
        test_keys: true,
        one_off: true,
        search: None,
        most_read: i64::MAX,
    };
    snapshot(conn, |conn| {
        let mut ids = Vec::new();
        for source in Source::of_all(&filter.statuses) {
            let mut candidates = Candidates::new(source, service, &everything, limit);
            candidates.key_types = vec![key_type.as_str()];
            if candidates.limit_to_known(conn)? {
                ids.extend(candidates.found(conn)?);
            }
        }
        ids.sort_unstable_by(|a, b| b.cmp(a));
        ids.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        load(conn, &ids)
    })
}

impl Candidates<'_> {
    /// All of them, up to the limit: those that wait are found by what waits, unless that is too much.
    fn found(self, conn: &mut PgConnection) -> QueryResult<Vec<Uuid>> {
        if self.source == Source::Waiting {
            let of_waiting = Self { most_read: WAITING_READ, ..self.clone() };
            let rows: Vec<(Uuid, bool, bool)> = of_waiting.load(conn)?;
            if rows.last().is_none_or(|(_, _, is_last)| !is_last) {
                return Ok(rows.into_iter().map(|(id, ..)| id).collect());
            }
        }
        let source = if self.source == Source::Waiting { Source::All } else { self.source };
        let rows: Vec<(Uuid, bool, bool)> = Self { source, ..self }.load(conn)?;
        Ok(rows.into_iter().map(|(id, ..)| id).collect())
    }
}
