//! People: made and read, so that services have somebody. How they sign in is the front end's matter.

use std::collections::BTreeMap;

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Payload, ServiceConfig, post},
};
use db::user::{self, Person, User};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    App,
    error::{InternalError, Problem},
    internal::{self, Wrapped, fields::Fields},
    openapi::{internal::tag, refusal::internal as refusal, request::internal as ask},
    routes::{READ, WRITE, at, get},
    v2::timestamp,
};

pub(crate) fn table(config: &mut ServiceConfig) {
    config
        .service(at("/user", WRITE).route(post().to(create)))
        .service(at("/user/{user}", READ).route(get().to(one)));
}

/// A person as they are told.
#[derive(Serialize, ToSchema)]
#[schema(as = User)]
pub(crate) struct Told {
    id: Uuid,
    name: String,
    email_address: String,
    mobile_number: Option<String>,
    platform_admin: bool,
    #[schema(format = DateTime)]
    created_at: String,
    services: Vec<Uuid>,
    permissions: BTreeMap<Uuid, Vec<String>>,
}

impl From<Person> for Told {
    fn from(person: Person) -> Self {
        let Person { user: User { id, name, email_address, mobile_number }, .. } = person;
        Self {
            id,
            name,
            email_address,
            mobile_number,
            platform_admin: person.platform_admin,
            created_at: timestamp(person.created_at),
            services: person.permissions.keys().copied().collect(),
            permissions: person.permissions,
        }
    }
}

#[utoipa::path(
    post, path = "/user", tag = tag::USERS, operation_id = "createUser",
    summary = "Make a user", request_body = ask::UserRequest,
    responses((status = 201, description = "The user.", body = inline(Wrapped<Told>)), refusal::CreateUser),
)]
pub(crate) async fn create(
    request: HttpRequest,
    app: Data<App>,
    payload: Payload,
) -> Result<HttpResponse, InternalError> {
    internal::client(&app, &request)?;
    let mut fields = Fields::of(internal::json(&app, payload).await?)?;
    let (user, platform_admin) = read(&mut fields)?;
    let (now, id) = (app.clock.now(), user.id);
    let created = app.db.run("users.create", move |conn| {
        if user::create(conn, &user, platform_admin, now)? { user::find(conn, id) } else { Ok(None) }
    });
    let taken = || Problem::field("email_address", "A user with this email address exists already");
    let data = Told::from(created.await?.ok_or_else(taken)?);
    Ok(HttpResponse::Created().json(Wrapped { data }))
}

fn read(fields: &mut Fields) -> Result<(User, bool), Problem> {
    let name: String = fields.required("name").unwrap_or_default();
    let email_address: String = fields.required("email_address").unwrap_or_default();
    let mobile_number: Option<String> = fields.optional("mobile_number").flatten();
    let platform_admin = fields.optional("platform_admin").unwrap_or(false);
    fields.check()?;
    let user = User::parse(name, &email_address, mobile_number).map_err(|faults| {
        Problem::Fields(faults.into_iter().map(|(field, fault)| (field.into(), vec![fault])).collect())
    })?;
    Ok((user, platform_admin))
}

#[utoipa::path(
    get, path = "/user/{user}", tag = tag::USERS, operation_id = "getUser",
    summary = "One user", params(ask::User),
    responses((status = 200, description = "The user.", body = inline(Wrapped<Told>)), refusal::Read),
)]
pub(crate) async fn one(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, InternalError> {
    internal::client(&app, &request)?;
    let id = internal::id(&request, "user")?;
    let found = app.db.run("users.find", move |conn| user::find(conn, id)).await?;
    let data = Told::from(found.ok_or(Problem::NoResult)?);
    Ok(HttpResponse::Ok().json(Wrapped { data }))
}
