//! People who work with services.

use chrono::{DateTime, Utc};
use diesel::{ExpressionMethods, PgConnection, QueryResult, RunQueryDsl, insert_into};
use domain::id::ServiceId;
use uuid::Uuid;

use crate::schema::{service_users, users};

#[derive(Clone, Debug)]
pub struct User {
    pub id: Uuid,
    pub name: String,
    pub email_address: String,
    pub mobile_number: Option<String>,
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

/// Makes a person a member of a service; a member stays one.
///
/// # Errors
/// When there is no such person or service.
pub fn join(conn: &mut PgConnection, user: Uuid, service: ServiceId) -> QueryResult<()> {
    insert_into(service_users::table)
        .values((service_users::service_id.eq(service.0), service_users::user_id.eq(user)))
        .on_conflict_do_nothing()
        .execute(conn)?;
    Ok(())
}
