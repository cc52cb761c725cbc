//! Guest lists: whom team keys, and every key of a service in trial mode, may reach besides the team.

use diesel::{Connection, ExpressionMethods, PgConnection, QueryDsl, QueryResult, RunQueryDsl};
use domain::{email_address::EmailAddress, id::ServiceId, phone::PhoneNumber, status::Channel};

use crate::{
    pg_enum::PgChannel,
    schema::guest_list::{channel, normalised_recipient, position, recipient, service_id, table},
    service,
};

/// `Debug` shows no personal data.
#[derive(Clone, PartialEq, Eq)]
pub struct Guest {
    pub channel: Channel,
    /// As it was put in.
    pub recipient: String,
    /// Digits with country code, or a lower-cased address.
    pub normalised: String,
}

impl Guest {
    /// None: nobody can be reached at it.
    #[must_use]
    pub fn parse(by: Channel, as_given: &str) -> Option<Self> {
        let normalised = match by {
            Channel::Sms => PhoneNumber::parse(as_given).ok()?.normalised().to_owned(),
            Channel::Email => EmailAddress::parse(as_given).ok()?.normalised().to_owned(),
        };
        Some(Self { channel: by, recipient: as_given.to_owned(), normalised })
    }
}

impl std::fmt::Debug for Guest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guest").field("channel", &self.channel).finish_non_exhaustive()
    }
}

/// The list, in the order in which it was put in.
///
/// # Errors
/// When the query fails.
pub fn list(conn: &mut PgConnection, service: ServiceId) -> QueryResult<Vec<Guest>> {
    let rows: Vec<(PgChannel, String, String)> = table
        .filter(service_id.eq(service.0))
        .order((channel, position))
        .select((channel, recipient, normalised_recipient))
        .load(conn)?;
    let guest = |(by, as_given, normalised): (PgChannel, String, String)| Guest {
        channel: by.0,
        recipient: as_given,
        normalised,
    };
    Ok(rows.into_iter().map(guest).collect())
}

/// Puts this list in place of the one before; whether there is such a service.
///
/// # Errors
/// When a query fails; then the list stays as it was.
pub fn replace(conn: &mut PgConnection, service: ServiceId, guests: &[Guest]) -> QueryResult<bool> {
    conn.transaction(|conn| {
        if !service::lock(conn, service)? {
            return Ok(false);
        }
        diesel::delete(table.filter(service_id.eq(service.0))).execute(conn)?;
        for (at, guest) in (0_i32..).zip(guests) {
            diesel::insert_into(table)
                .values((
                    service_id.eq(service.0),
                    channel.eq(PgChannel(guest.channel)),
                    position.eq(at),
                    recipient.eq(&guest.recipient),
                    normalised_recipient.eq(&guest.normalised),
                ))
                .execute(conn)?;
        }
        Ok(true)
    })
}
