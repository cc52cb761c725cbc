//! Handfuls that are written in one transaction. When the database refuses what one of them says, they are written one by
//! one, so that it takes no neighbour along; and what is refused even then is given up, so that it does not come again and
//! again, with other neighbours.

use diesel::{Connection, PgConnection, QueryResult, result::Error};

use crate::error::Meaning;

/// Writes `items`; what is refused by itself goes to `abandon`, which says so in the log.
///
/// # Errors
/// When the database is away, or in trouble of another kind. Part of the handful may be written by then: the leases make it
/// harmless to write it all again.
pub(crate) fn write<T, R>(
    conn: &mut PgConnection,
    items: &[T],
    write_together: &impl Fn(&mut PgConnection, &[T]) -> QueryResult<Vec<R>>,
    abandon: &impl Fn(&mut PgConnection, &T, &Error) -> QueryResult<()>,
) -> QueryResult<Vec<R>> {
    let refused = match conn.transaction(|conn| write_together(conn, items)) {
        Err(error) if Meaning::of(&error) == Meaning::Refused => error,
        answer => return answer,
    };
    let mut written = Vec::new();
    if let [one] = items {
        match conn.transaction(|conn| abandon(conn, one, &refused)) {
            // Nothing that we know of gets here. The lease runs out, and the row climbs the ladder.
            Err(error) if Meaning::of(&error) == Meaning::Refused => {
                tracing::error!(%error, "and that is refused, too");
            }
            answer => answer?,
        }
    } else {
        for one in items {
            written.extend(write(conn, std::slice::from_ref(one), write_together, abandon)?);
        }
    }
    Ok(written)
}
