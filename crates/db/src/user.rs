//! People who work with services.

mod standing;
mod told;

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use diesel::{
    Connection, ExpressionMethods, OptionalExtension, PgConnection, QueryDsl, QueryResult, RunQueryDsl,
    delete, dsl, insert_into, select,
};
use domain::{
    email_address::EmailAddress,
    id::ServiceId,
    phone::{PhoneNumber, SmsPermissions},
};
use uuid::Uuid;

pub use self::standing::{AuthType, Standing, State};
use crate::{
    schema::{service_users, services, users},
    service,
};

/// What a member of a service may do at the front end. Nothing here depends on it.
pub const PERMISSIONS: &[&str] = &[
    "manage_users",
    "manage_templates",
    "manage_settings",
    "send_texts",
    "send_emails",
    "send_letters",
    "manage_api_keys",
    "view_activity",
];

/// In characters.
const ADDRESS_LIMIT: usize = 255;

#[derive(Clone, Debug)]
pub struct User {
    pub id: Uuid,
    pub name: String,
    pub email_address: String,
    pub mobile_number: Option<String>,
}

impl User {
    /// A new person; or what is wrong, with the name of the field.
    ///
    /// # Errors
    /// When something is wrong with one of the fields.
    pub fn parse(
        name: String,
        email_address: &str,
        mobile_number: Option<String>,
    ) -> Result<Self, Vec<(&'static str, String)>> {
        let mut wrong = Vec::new();
        if name.trim().is_empty() {
            wrong.push(("name", "Invalid name".to_owned()));
        }
        if email_address.chars().count() > ADDRESS_LIMIT {
            wrong.push(("email_address", format!("Longer than maximum length {ADDRESS_LIMIT}.")));
        }
        let email_address = EmailAddress::parse(email_address)
            .map_err(|fault| wrong.push(("email_address", fault.to_string())))
            .map(|address| address.as_given().to_owned());
        // A code could not be sent to a landline.
        let texts = SmsPermissions { international: true, uk_landline: false };
        let reached = |number: &str| PhoneNumber::parse(number).and_then(|number| number.permitted(texts));
        if let Some(Err(fault)) = mobile_number.as_deref().map(reached) {
            wrong.push(("mobile_number", format!("Invalid phone number: {}", fault.api_message())));
        }
        match email_address {
            Ok(email_address) if wrong.is_empty() => {
                Ok(Self { id: Uuid::new_v4(), name, email_address, mobile_number })
            }
            Ok(_) | Err(()) => Err(wrong),
        }
    }
}

/// A person, and what they work with.
#[derive(Clone, Debug)]
pub struct Person {
    pub user: User,
    pub standing: Standing,
    pub created_at: DateTime<Utc>,
    /// What they may do, by service; active ones only.
    pub services: BTreeMap<Uuid, Vec<String>>,
}

/// Creates a person, or brings an existing one to the same state.
///
/// # Errors
/// When the database refuses, as it does another person's address.
pub fn put(conn: &mut PgConnection, user: &User, now: DateTime<Utc>) -> QueryResult<()> {
    let row = (
        users::name.eq(&user.name),
        users::email_address.eq(&user.email_address),
        users::mobile_number.eq(&user.mobile_number),
    );
    insert_into(users::table)
        .values((users::id.eq(user.id), users::created_at.eq(now), row))
        .on_conflict(users::id)
        .do_update()
        .set(row)
        .execute(conn)?;
    Ok(())
}

/// Creates a person; false: somebody has this address, in whichever case.
///
/// # Errors
/// When the database refuses.
pub fn create(
    conn: &mut PgConnection,
    user: &User,
    standing: Standing,
    now: DateTime<Utc>,
) -> QueryResult<bool> {
    let row = (
        users::id.eq(user.id),
        users::name.eq(&user.name),
        users::email_address.eq(&user.email_address),
        users::mobile_number.eq(&user.mobile_number),
        users::platform_admin.eq(standing.platform_admin),
        users::auth_type.eq(standing.auth_type.map(AuthType::as_str)),
        users::state.eq(standing.state.as_str()),
        users::take_part_in_research.eq(standing.take_part_in_research),
        users::receives_new_features_email.eq(standing.receives_new_features_email),
        users::created_at.eq(now),
    );
    Ok(insert_into(users::table).values(row).on_conflict_do_nothing().execute(conn)? == 1)
}

/// # Errors
/// When the query fails.
pub fn exists(conn: &mut PgConnection, id: Uuid) -> QueryResult<bool> {
    select(dsl::exists(users::table.find(id))).get_result(conn)
}

/// One person.
///
/// # Errors
/// When a query fails.
pub fn find(conn: &mut PgConnection, id: Uuid) -> QueryResult<Option<Person>> {
    people(conn, &[id]).map(|mut found| found.pop())
}

/// The people who work with a service, by name.
///
/// # Errors
/// When a query fails.
pub fn members(conn: &mut PgConnection, service: ServiceId) -> QueryResult<Vec<Person>> {
    let ids: Vec<Uuid> = service_users::table
        .filter(service_users::service_id.eq(service.0))
        .select(service_users::user_id)
        .load(conn)?;
    people(conn, &ids)
}

fn people(conn: &mut PgConnection, ids: &[Uuid]) -> QueryResult<Vec<Person>> {
    type Row =
        (Uuid, String, String, Option<String>, DateTime<Utc>, bool, Option<String>, String, bool, bool);
    let rows: Vec<Row> =
        users::table.filter(users::id.eq_any(ids)).order((users::name, users::id)).load(conn)?;
    let memberships: Vec<(Uuid, Uuid, Vec<String>)> = service_users::table
        .inner_join(services::table)
        .filter(service_users::user_id.eq_any(ids))
        .filter(services::active)
        .select((service_users::user_id, service_users::service_id, service_users::permissions))
        .load(conn)?;
    let mut by_user: HashMap<Uuid, BTreeMap<Uuid, Vec<String>>> = HashMap::new();
    for (user, service, permissions) in memberships {
        by_user.entry(user).or_default().insert(service, permissions);
    }
    let person = |row: Row| {
        let (id, name, email_address, mobile_number, created_at, platform_admin, auth_type, state, ..) = row;
        let (.., take_part_in_research, receives_new_features_email) = row;
        Person {
            services: by_user.remove(&id).unwrap_or_default(),
            user: User { id, name, email_address, mobile_number },
            standing: Standing {
                platform_admin,
                // The table knows no other words.
                auth_type: auth_type.and_then(|word| word.parse().ok()),
                state: state.parse().unwrap_or(State::Inactive),
                take_part_in_research,
                receives_new_features_email,
            },
            created_at,
        }
    };
    Ok(rows.into_iter().map(person).collect())
}

/// Makes a person a member of a service, without a permission; a member stays one.
///
/// # Errors
/// When there is no such person or service.
pub fn join(conn: &mut PgConnection, user: Uuid, service: ServiceId) -> QueryResult<()> {
    enter(conn, user, service, []).map(drop)
}

/// Makes a person a member of a service, with these of the [`PERMISSIONS`]; false: they are one, and stay as they are.
///
/// # Errors
/// When there is no such person, service or permission.
pub fn enter<'p>(
    conn: &mut PgConnection,
    user: Uuid,
    service: ServiceId,
    permissions: impl IntoIterator<Item = &'p str>,
) -> QueryResult<bool> {
    let row = (
        service_users::service_id.eq(service.0),
        service_users::user_id.eq(user),
        service_users::permissions.eq(permissions.into_iter().collect::<Vec<_>>()),
    );
    Ok(insert_into(service_users::table).values(row).on_conflict_do_nothing().execute(conn)? == 1)
}

/// What became of a person's leaving a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    Yes,
    UnknownService,
    /// They are no member of it.
    NoMember,
    /// Nobody would be left.
    TheOnlyOne,
}

/// Ends a person's membership of a service.
///
/// # Errors
/// When a query fails; then nothing is written.
pub fn leave(conn: &mut PgConnection, user: Uuid, service: ServiceId) -> QueryResult<Left> {
    conn.transaction(|conn| {
        // So that the last two do not leave at once.
        if !service::lock(conn, service)? {
            return Ok(Left::UnknownService);
        }
        let members = || service_users::table.filter(service_users::service_id.eq(service.0));
        let theirs = members().filter(service_users::user_id.eq(user));
        if theirs.select(service_users::user_id).first::<Uuid>(conn).optional()?.is_none() {
            return Ok(Left::NoMember);
        }
        if members().count().get_result::<i64>(conn)? == 1 {
            return Ok(Left::TheOnlyOne);
        }
        delete(members().filter(service_users::user_id.eq(user))).execute(conn)?;
        Ok(Left::Yes)
    })
}
