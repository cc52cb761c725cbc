//! Requests of recipients to get no more e-mails like one that they got. Services read them and stop sending; Pillarbox
//! itself goes on, as the wire contract has it.

use chrono::{DateTime, Utc};
use diesel::{DecoratableTarget, ExpressionMethods, PgConnection, QueryResult, RunQueryDsl};
use domain::id::UnsubscribeRequestId;

use crate::{
    notification::StoredNotification,
    schema::unsubscribe_requests::{self, dsl},
    sealing::Keyring,
};

/// Stores the request, unless one for the same notification waits already. Answers whether it was stored.
///
/// # Errors
/// When the query fails.
pub fn store(
    conn: &mut PgConnection,
    keyring: &Keyring,
    id: UnsubscribeRequestId,
    notification: &StoredNotification,
    address: &str,
    now: DateTime<Utc>,
) -> QueryResult<bool> {
    let stored = diesel::insert_into(unsubscribe_requests::table)
        .values((
            dsl::id.eq(id.0),
            dsl::notification_id.eq(notification.id.0),
            dsl::service_id.eq(notification.service_id.0),
            dsl::template_id.eq(notification.template_id.0),
            dsl::template_version.eq(notification.template_version),
            dsl::address.eq(keyring.seal(id.0, address.as_bytes())),
            dsl::created_at.eq(now),
        ))
        .on_conflict(dsl::notification_id)
        .filter_target(dsl::processed_at.is_null())
        .do_nothing()
        .execute(conn)?;
    Ok(stored == 1)
}
