//! Services: who sends, what they may do, and what recipients see.

use chrono::{DateTime, Utc};
use diesel::{
    Connection, ExpressionMethods, OptionalExtension, PgConnection, QueryDsl, QueryResult, RunQueryDsl,
};
use domain::{
    id::{ReplyToId, ServiceId, SmsSenderId},
    sender_name::{normalised_name, sendable_local_part},
    status::{Channel, UnknownWord},
};
use uuid::Uuid;

use crate::{
    guest_list::{self, Guest},
    pg_enum::PgPermission,
    schema::{
        reply_to_addresses, service_permissions, service_users, services, sms_rates, sms_senders, users,
    },
    sender::{self, NewSender},
};

/// What a service may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Permission {
    Sms,
    Email,
    Letter,
    InternationalSms,
    SmsToUkLandlines,
    /// Has a number that people can text.
    InboundSms,
    /// Its team may sign in by e-mail.
    EmailAuth,
    EditFolderPermissions,
    InternationalLetters,
}

impl Permission {
    pub const ALL: &'static [Self] = &[
        Self::Sms,
        Self::Email,
        Self::Letter,
        Self::InternationalSms,
        Self::SmsToUkLandlines,
        Self::InboundSms,
        Self::EmailAuth,
        Self::EditFolderPermissions,
        Self::InternationalLetters,
    ];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sms => "sms",
            Self::Email => "email",
            Self::Letter => "letter",
            Self::InternationalSms => "international_sms",
            Self::SmsToUkLandlines => "sms_to_uk_landlines",
            Self::InboundSms => "inbound_sms",
            Self::EmailAuth => "email_auth",
            Self::EditFolderPermissions => "edit_folder_permissions",
            Self::InternationalLetters => "international_letters",
        }
    }
}

impl std::str::FromStr for Permission {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let known = Self::ALL.iter().copied().find(|permission| permission.as_str() == text);
        known.ok_or_else(|| UnknownWord(text.into(), "permission"))
    }
}

/// A service with everything that accepting needs to know of it.
#[derive(Clone, Debug)]
pub struct Service {
    pub id: ServiceId,
    pub name: String,
    pub active: bool,
    /// Trial mode.
    pub restricted: bool,
    pub prefix_sms: bool,
    pub email_local_part: String,
    pub permissions: Vec<Permission>,
    pub sms_senders: Vec<SmsSender>,
    pub reply_to_addresses: Vec<ReplyTo>,
    /// Whom team keys, and every key in trial mode, may reach: channel and normalised recipient.
    pub guest_list: Vec<(Channel, String)>,
    /// Whom they may reach besides; members join and leave by [`user`](crate::user), not by [`put`].
    pub team: Vec<Member>,
    pub limits: Limits,
    /// Where people who got a file can ask about it; without one no files can be sent.
    pub contact_link: Option<String>,
}

/// Someone who works with the service.
#[derive(Clone, Debug)]
pub struct Member {
    pub email_address: String,
    pub mobile_number: Option<String>,
}

/// How much a service may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Requests a minute, for each type of key.
    pub rate: i32,
    /// Messages a day (UTC).
    pub sms: i32,
    pub email: i32,
    pub letter: i32,
    pub international_sms: i32,
}

impl Limits {
    /// What the wire contract gives a live service.
    pub const LIVE: Self =
        Self { rate: 3000, sms: 250_000, email: 250_000, letter: 20_000, international_sms: 100 };
    /// And one in trial mode.
    pub const TRIAL: Self = Self { sms: 50, email: 50, letter: 50, ..Self::LIVE };
    /// As good as none: for measurements and tests of other things.
    pub const NONE: Self = Self {
        rate: i32::MAX,
        sms: i32::MAX,
        email: i32::MAX,
        letter: i32::MAX,
        international_sms: i32::MAX,
    };
}

/// Who texts come from.
#[derive(Clone, Debug)]
pub struct SmsSender {
    pub id: SmsSenderId,
    pub sender: String,
    pub is_default: bool,
}

/// Where answers to e-mails go.
#[derive(Clone, Debug)]
pub struct ReplyTo {
    pub id: ReplyToId,
    pub address: String,
    pub is_default: bool,
}

type ServiceRow = (String, bool, bool, bool, String, Option<String>);
type LimitsRow = (i32, i32, i32, i32, i32);

/// The service with its permissions and unarchived senders.
///
/// # Errors
/// When a query fails.
pub fn find(conn: &mut PgConnection, id: ServiceId) -> QueryResult<Option<Service>> {
    let row: Option<(ServiceRow, LimitsRow)> = services::table
        .find(id.0)
        .select((
            (
                services::name,
                services::active,
                services::restricted,
                services::prefix_sms,
                services::email_local_part,
                services::contact_link,
            ),
            (
                services::rate_limit,
                services::sms_message_limit,
                services::email_message_limit,
                services::letter_message_limit,
                services::international_sms_message_limit,
            ),
        ))
        .first(conn)
        .optional()?;
    let Some((row, (rate, sms, email, letter, international_sms))) = row else { return Ok(None) };
    let (name, active, restricted, prefix_sms, email_local_part, contact_link) = row;
    let permissions: Vec<PgPermission> = service_permissions::table
        .filter(service_permissions::service_id.eq(id.0))
        .select(service_permissions::permission)
        .load(conn)?;
    let senders: Vec<(Uuid, String, bool)> = sms_senders::table
        .filter(sms_senders::service_id.eq(id.0))
        .filter(sms_senders::archived_at.is_null())
        .select((sms_senders::id, sms_senders::sender, sms_senders::is_default))
        .load(conn)?;
    let reply_tos: Vec<(Uuid, String, bool)> = reply_to_addresses::table
        .filter(reply_to_addresses::service_id.eq(id.0))
        .filter(reply_to_addresses::archived_at.is_null())
        .select((reply_to_addresses::id, reply_to_addresses::address, reply_to_addresses::is_default))
        .load(conn)?;
    let guests = guest_list::list(conn, id)?;
    let team: Vec<(String, Option<String>)> = service_users::table
        .inner_join(users::table)
        .filter(service_users::service_id.eq(id.0))
        .select((users::email_address, users::mobile_number))
        .load(conn)?;
    let sms_sender =
        |(id, sender, is_default): (Uuid, String, bool)| SmsSender { id: id.into(), sender, is_default };
    let reply_to =
        |(id, address, is_default): (Uuid, String, bool)| ReplyTo { id: id.into(), address, is_default };
    Ok(Some(Service {
        id,
        name,
        active,
        restricted,
        prefix_sms,
        email_local_part: sendable_local_part(email_local_part),
        permissions: permissions.into_iter().map(|permission| permission.0).collect(),
        sms_senders: senders.into_iter().map(sms_sender).collect(),
        reply_to_addresses: reply_tos.into_iter().map(reply_to).collect(),
        guest_list: guests.into_iter().map(|guest| (guest.channel, guest.normalised)).collect(),
        team: team
            .into_iter()
            .map(|(email_address, mobile_number)| Member { email_address, mobile_number })
            .collect(),
        limits: Limits { rate, sms, email, letter, international_sms },
        contact_link,
    }))
}

/// Creates a service, or brings an existing one to the same state. Senders that are not named stay.
///
/// # Errors
/// When a query fails; then nothing is written.
pub fn put(conn: &mut PgConnection, service: &Service, now: DateTime<Utc>) -> QueryResult<()> {
    let normalised_name = normalised_name(&service.name);
    conn.transaction(|conn| {
        let row = (
            services::name.eq(&service.name),
            services::normalised_name.eq(&normalised_name),
            services::active.eq(service.active),
            services::restricted.eq(service.restricted),
            services::prefix_sms.eq(service.prefix_sms),
            services::email_local_part.eq(&service.email_local_part),
            services::contact_link.eq(&service.contact_link),
            services::rate_limit.eq(service.limits.rate),
            services::sms_message_limit.eq(service.limits.sms),
            services::email_message_limit.eq(service.limits.email),
            services::letter_message_limit.eq(service.limits.letter),
            services::international_sms_message_limit.eq(service.limits.international_sms),
        );
        diesel::insert_into(services::table)
            .values((services::id.eq(service.id.0), services::created_at.eq(now), row))
            .on_conflict(services::id)
            .do_update()
            .set(row)
            .execute(conn)?;
        put_permissions(conn, service.id, &service.permissions)?;
        let guests = service.guest_list.iter().map(|(channel, recipient)| Guest {
            channel: *channel,
            recipient: recipient.clone(),
            normalised: recipient.clone(),
        });
        guest_list::replace(conn, service.id, &guests.collect::<Vec<_>>())?;
        for SmsSender { id, sender, is_default } in &service.sms_senders {
            let new = NewSender { id: id.0, text: sender.clone(), is_default: *is_default };
            sender::add_to(conn, sender::Kind::Sms, service.id, &new, now)?;
        }
        for ReplyTo { id, address, is_default } in &service.reply_to_addresses {
            let new = NewSender { id: id.0, text: address.clone(), is_default: *is_default };
            sender::add_to(conn, sender::Kind::ReplyTo, service.id, &new, now)?;
        }
        Ok(())
    })
}

/// Holds the service until the transaction ends, so that changes of what it has go one after the other; whether there is such
/// a service. Sending goes on meanwhile.
///
/// # Errors
/// When the query fails.
pub fn lock(conn: &mut PgConnection, id: ServiceId) -> QueryResult<bool> {
    let held = services::table.find(id.0).select(services::id).for_no_key_update().first::<Uuid>(conn);
    Ok(held.optional()?.is_some())
}

/// These, and no others.
pub(crate) fn put_permissions(
    conn: &mut PgConnection,
    id: ServiceId,
    permissions: &[Permission],
) -> QueryResult<()> {
    use service_permissions::{permission, service_id, table};
    let row = |p: &Permission| (service_id.eq(id.0), permission.eq(PgPermission(*p)));
    diesel::delete(table.filter(service_id.eq(id.0))).execute(conn)?;
    diesel::insert_into(table).values(permissions.iter().map(row).collect::<Vec<_>>()).execute(conn)?;
    Ok(())
}

/// What a query finds of a service; None: there is no such service.
///
/// # Errors
/// When a query fails.
pub fn of<T>(
    conn: &mut PgConnection,
    id: ServiceId,
    query: impl FnOnce(&mut PgConnection) -> QueryResult<T>,
) -> QueryResult<Option<T>> {
    let known = services::table.find(id.0).select(services::id).first::<Uuid>(conn).optional()?;
    known.map(|_| query(conn)).transpose()
}

/// What a fragment of a UK text costs over time: pounds, from a moment on, oldest first.
///
/// # Errors
/// When the query fails.
pub fn sms_rates(conn: &mut PgConnection) -> QueryResult<Vec<(DateTime<Utc>, f64)>> {
    sms_rates::table.order(sms_rates::valid_from).select((sms_rates::valid_from, sms_rates::rate)).load(conn)
}
