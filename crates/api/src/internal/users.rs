//! People: made and read, so that services have somebody. How they sign in is the front end's matter.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Payload, ServiceConfig, post},
};
use db::user::{self, AuthType, Standing, State, User};
use serde_json::Value;

use crate::{
    App,
    error::{InternalError, Problem},
    internal::{
        self, Wrapped,
        fields::{Fields, Read},
    },
    openapi::{
        internal::{answer, tag},
        refusal::internal as refusal,
        request::internal as ask,
    },
    routes::{READ, UUID, WRITE, at, get},
};

/// Words that stand where ids do (`/user/email`) are other URLs.
pub(crate) fn table(config: &mut ServiceConfig) {
    config
        .service(at("/user", WRITE).route(post().to(create)))
        .service(at(&format!("/user/{{user:{UUID}}}"), READ).route(get().to(one)));
}

#[utoipa::path(
    post, path = "/user", tag = tag::USERS, operation_id = "createUser",
    summary = "Make a user", request_body = ask::UserRequest,
    responses(
        (status = 201, description = "The user.", body = inline(Wrapped<answer::User>)),
        refusal::CreateUser,
    ),
)]
pub(crate) async fn create(
    request: HttpRequest,
    app: Data<App>,
    payload: Payload,
) -> Result<HttpResponse, InternalError> {
    internal::client(&app, &request)?;
    let (user, standing) = read(Fields::of(internal::json(&app, payload).await?)?)?;
    let (now, id) = (app.clock.now(), user.id);
    let created = app.db.run("users.create", move |conn| {
        if user::create(conn, &user, standing, now)? { user::find(conn, id) } else { Ok(None) }
    });
    let taken = || Problem::field("email_address", "A user with this email address exists already");
    let data = created.await?.ok_or_else(taken)?;
    Ok(HttpResponse::Created().json(Wrapped { data }))
}

pub(crate) const NO_PASSWORDS: &str = "Nobody can sign in here yet, so no password is kept.";
pub(crate) const NO_NUMBER: &str = "Mobile number must be set if auth_type is set to sms_auth";

/// Everything that is wrong is told at once.
fn read(mut fields: Fields) -> Result<(User, Standing), Problem> {
    if fields.has("password") {
        fields.wrong("password", NO_PASSWORDS);
    }
    let name: Option<String> = fields.required("name");
    let email_address: Option<String> = fields.required("email_address");
    let mobile_number: Option<String> = fields.optional("mobile_number").flatten();
    let standing = Standing {
        platform_admin: fields.optional("platform_admin").unwrap_or(false),
        auth_type: fields.optional("auth_type"),
        state: fields.optional("state").unwrap_or(State::Pending),
        take_part_in_research: fields.optional("take_part_in_research").unwrap_or(true),
        receives_new_features_email: fields.optional("receives_new_features_email").unwrap_or(true),
    };
    let user = User::parse(name.unwrap_or_default(), &email_address.unwrap_or_default(), mobile_number);
    for (field, fault) in user.as_ref().err().into_iter().flatten() {
        fields.wrong_too(field, fault);
    }
    fields.check()?;
    let user = user.map_err(|_| Problem::Internal("what is wrong with a user was not told".into()))?;
    if standing.auth_type == Some(AuthType::Sms) && user.mobile_number.is_none() {
        return Err(Problem::bad_request(NO_NUMBER));
    }
    Ok((user, standing))
}

impl Read for AuthType {
    fn read(value: &Value) -> Result<Self, &'static str> {
        String::read(value)?.parse().map_err(|_| "Must be one of: sms_auth, email_auth, webauthn_auth.")
    }
}

impl Read for State {
    fn read(value: &Value) -> Result<Self, &'static str> {
        String::read(value)?.parse().map_err(|_| "Must be one of: pending, active, inactive.")
    }
}

#[utoipa::path(
    get, path = "/user/{user}", tag = tag::USERS, operation_id = "getUser",
    summary = "One user", params(ask::User),
    responses((status = 200, description = "The user.", body = inline(Wrapped<answer::User>)), refusal::Read),
)]
pub(crate) async fn one(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, InternalError> {
    internal::client(&app, &request)?;
    let id = internal::id(&request, "user")?;
    let found = app.db.run("users.find", move |conn| user::find(conn, id)).await?;
    let data = found.ok_or(Problem::NoResult)?;
    Ok(HttpResponse::Ok().json(Wrapped { data }))
}
