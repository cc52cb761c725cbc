//! Numbers that people can text services at: whose they are, and the sender that each is while a service has it.

use chrono::{DateTime, Utc};
use diesel::{
    BoolExpressionMethods, Connection, ExpressionMethods, NullableExpressionMethods, OptionalExtension,
    PgConnection, QueryDsl, QueryResult, RunQueryDsl, dsl::exists,
};
use domain::{
    id::{InboundNumberId, ServiceId, SmsSenderId},
    status::ProviderId,
};
use uuid::Uuid;

use crate::{
    pg_enum::{PgPermission, PgProvider},
    schema::{inbound_numbers, service_permissions, services, sms_senders},
    sender::{self, Changed, Kind, NewSender, Refusal, Sender},
    service::{self, Permission},
};

/// A number that people can text a service at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboundNumber {
    pub id: InboundNumberId,
    /// As people dial it: `07…` or a short code, 3 to 11 digits.
    pub number: String,
    pub provider: ProviderId,
    /// Id and name; None: it is free.
    pub service: Option<(ServiceId, String)>,
    /// Otherwise it is off, or, when it is nobody's, given up for good.
    pub active: bool,
    pub created_at: DateTime<Utc>,
    pub updated_at: Option<DateTime<Utc>>,
}

/// Every number, in order.
///
/// # Errors
/// When the query fails.
pub fn list(conn: &mut PgConnection) -> QueryResult<Vec<InboundNumber>> {
    use inbound_numbers as column;
    type Row = (Uuid, String, PgProvider, bool, DateTime<Utc>, Option<DateTime<Utc>>);
    let rows: Vec<(Row, Option<(Uuid, String)>)> = inbound_numbers::table
        .left_join(services::table)
        .order(column::number)
        .select((
            (
                column::id,
                column::number,
                column::provider,
                column::active,
                column::created_at,
                column::updated_at,
            ),
            (services::id, services::name).nullable(),
        ))
        .load(conn)?;
    let number =
        |((id, number, provider, active, created_at, updated_at), service): (Row, Option<(Uuid, String)>)| {
            InboundNumber {
                id: id.into(),
                number,
                provider: provider.0,
                service: service.map(|(id, name)| (id.into(), name)),
                active,
                created_at,
                updated_at,
            }
        };
    Ok(rows.into_iter().map(number).collect())
}

/// The number that a service has.
///
/// # Errors
/// When the query fails.
pub fn of(conn: &mut PgConnection, service: ServiceId) -> QueryResult<Option<InboundNumber>> {
    let theirs = |known: &InboundNumber| known.service.as_ref().is_some_and(|(id, _)| *id == service);
    Ok(list(conn)?.into_iter().find(theirs))
}

/// Adds a free number; whether there was none like it.
///
/// # Errors
/// When the database refuses it.
pub fn add(
    conn: &mut PgConnection,
    id: InboundNumberId,
    number: &str,
    provider: ProviderId,
    now: DateTime<Utc>,
) -> QueryResult<bool> {
    use inbound_numbers as column;
    let added = diesel::insert_into(inbound_numbers::table)
        .values((
            column::id.eq(id.0),
            column::number.eq(number),
            column::provider.eq(PgProvider(provider)),
            column::created_at.eq(now),
        ))
        .on_conflict_do_nothing()
        .execute(conn)?;
    Ok(added == 1)
}

/// Gives a free number to a service, and the permission to receive texts with it; whether the service has it now. It has not
/// when the number is unknown, archived or somebody else's, or when the service has another one.
///
/// # Errors
/// When a query fails; then nothing is written.
pub fn assign(
    conn: &mut PgConnection,
    number: &str,
    service: ServiceId,
    now: DateTime<Utc>,
) -> QueryResult<bool> {
    use inbound_numbers as column;
    conn.transaction(|conn| {
        let another =
            inbound_numbers::table.filter(column::service_id.eq(service.0)).filter(column::number.ne(number));
        if diesel::select(exists(another)).get_result(conn)? {
            return Ok(false);
        }
        let free_or_theirs = inbound_numbers::table
            .filter(column::number.eq(number))
            .filter(column::active)
            .filter(column::service_id.is_null().or(column::service_id.eq(service.0)));
        let given = diesel::update(free_or_theirs)
            .set((column::service_id.eq(service.0), column::updated_at.eq(now)))
            .execute(conn)?;
        let permission = PgPermission(Permission::InboundSms);
        if given == 1 {
            diesel::insert_into(service_permissions::table)
                .values((
                    service_permissions::service_id.eq(service.0),
                    service_permissions::permission.eq(permission),
                ))
                .on_conflict_do_nothing()
                .execute(conn)?;
        }
        Ok(given == 1)
    })
}

/// Gives a service a number as its sender: the one it has, which may be off; else the one that is `wanted`, or any free one. It
/// takes the place of the service's only sender, or else comes beside the others.
///
/// # Errors
/// When a query fails; then nothing is written.
pub fn allocate(
    conn: &mut PgConnection,
    service: ServiceId,
    wanted: Option<InboundNumberId>,
    is_default: bool,
    now: DateTime<Utc>,
) -> Changed {
    conn.transaction(|conn| {
        if !service::lock(conn, service)? {
            return Ok(Err(Refusal::Unknown));
        }
        let others = sender::list(conn, Kind::Sms, service)?;
        if !is_default && others.is_empty() {
            return Ok(Err(Refusal::NoDefault));
        }
        let (id, number) = match choose(conn, service, wanted)? {
            Ok(chosen) => chosen,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let give = (
            inbound_numbers::service_id.eq(service.0),
            inbound_numbers::active.eq(true),
            inbound_numbers::updated_at.eq(now),
        );
        diesel::update(inbound_numbers::table.find(id)).set(give).execute(conn)?;
        become_sender(conn, service, &others, (id, number), is_default, now).map(Ok)
    })
}

/// The number that the service has, or a free one, held until the transaction ends.
fn choose(
    conn: &mut PgConnection,
    service: ServiceId,
    wanted: Option<InboundNumberId>,
) -> QueryResult<Result<(Uuid, String), Refusal>> {
    use inbound_numbers as column;
    type Chosen = Option<(Uuid, String)>;
    let shown = (column::id, column::number);
    let theirs: Chosen = column::table
        .filter(column::service_id.eq(service.0))
        .select(shown)
        .for_update()
        .first(conn)
        .optional()?;
    if let Some(theirs) = theirs {
        let another = wanted.is_some_and(|wanted| wanted.0 != theirs.0);
        return Ok(if another { Err(Refusal::HasNumber) } else { Ok(theirs) });
    }
    let free = column::table.filter(column::active).filter(column::service_id.is_null()).select(shown);
    let free: Chosen = match wanted {
        Some(id) => free.filter(column::id.eq(id.0)).for_update().first(conn).optional()?,
        // Whoever takes one at the same time takes another.
        None => free.order(column::number).for_update().skip_locked().first(conn).optional()?,
    };
    Ok(free.ok_or(Refusal::NoFreeNumber))
}

fn become_sender(
    conn: &mut PgConnection,
    service: ServiceId,
    others: &[Sender],
    (id, number): (Uuid, String),
    is_default: bool,
    now: DateTime<Utc>,
) -> QueryResult<Sender> {
    if let Some(sender) = others.iter().find(|sender| sender.inbound_number_id == Some(id)) {
        return Ok(sender.clone());
    }
    let sender = match others {
        [only] => {
            let new = NewSender { id: only.id, text: number, is_default: only.is_default };
            sender::set(conn, Kind::Sms, &new, now)?
        }
        _ => {
            let new = NewSender { id: SmsSenderId::new(now).0, text: number, is_default };
            sender::add_to(conn, Kind::Sms, service, &new, now)?
        }
    };
    diesel::update(sms_senders::table.find(sender.id))
        .set(sms_senders::inbound_number_id.eq(id))
        .execute(conn)?;
    Ok(Sender { inbound_number_id: Some(id), ..sender })
}

/// Receives nothing from now on at the number of a service, which keeps it.
///
/// # Errors
/// When the query fails.
pub fn switch_off(conn: &mut PgConnection, service: ServiceId, now: DateTime<Utc>) -> QueryResult<()> {
    use inbound_numbers as column;
    let theirs = column::table.filter(column::service_id.eq(service.0)).filter(column::active);
    diesel::update(theirs).set((column::active.eq(false), column::updated_at.eq(now))).execute(conn)?;
    Ok(())
}

/// Takes the number from a service: it becomes free, or is archived for good. The sender that it was goes too; if that was the
/// default, the newest of the others is from now on, or, when there is none, the platform's. Whether there is such a service.
///
/// # Errors
/// When a query fails; then nothing is written.
pub fn give_up(
    conn: &mut PgConnection,
    service: ServiceId,
    archive: bool,
    platform_sender: &str,
    now: DateTime<Utc>,
) -> QueryResult<bool> {
    use inbound_numbers as column;
    conn.transaction(|conn| {
        if !service::lock(conn, service)? {
            return Ok(false);
        }
        let senders = sender::list(conn, Kind::Sms, service)?;
        let (numbers, others): (Vec<Sender>, Vec<Sender>) =
            senders.into_iter().partition(|sender| sender.inbound_number_id.is_some());
        for number in &numbers {
            sender::archive_row(conn, Kind::Sms, number.id, now)?;
        }
        if numbers.iter().any(|number| number.is_default) {
            let default = match others.first() {
                Some(other) => NewSender { id: other.id, text: other.text.clone(), is_default: true },
                None => {
                    let id = SmsSenderId::new(now).0;
                    NewSender { id, text: platform_sender.to_owned(), is_default: true }
                }
            };
            sender::put(conn, Kind::Sms, service, &default, now)?;
        }
        diesel::update(column::table.filter(column::service_id.eq(service.0)))
            .set((
                column::service_id.eq(None::<Uuid>),
                column::active.eq(!archive),
                column::updated_at.eq(now),
            ))
            .execute(conn)?;
        Ok(true)
    })
}
