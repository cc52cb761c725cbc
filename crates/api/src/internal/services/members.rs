//! Who works with a service.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Payload, ServiceConfig, delete, post},
};
use db::{
    service_details,
    user::{self, Left},
};
use serde_json::Value;

use super::{Told, details, user_id};
use crate::{
    App,
    error::{InternalError, Problem},
    internal::{self, Wrapped},
    openapi::{
        internal::{answer, tag},
        refusal::internal as refusal,
        request::internal as ask,
    },
    routes::{READ, at, get},
    v2::schema::wrong_type,
};

pub(super) fn table(config: &mut ServiceConfig) {
    config.service(at("/service/{service}/users", READ).route(get().to(list))).service(
        at("/service/{service}/users/{user}", "POST, DELETE")
            .route(post().to(add))
            .route(delete().to(remove)),
    );
}

#[utoipa::path(
    get, path = "/service/{service}/users", tag = tag::SERVICES, operation_id = "getMembers",
    summary = "Who works with a service", params(ask::Service),
    responses((status = 200, description = "The people.", body = inline(Wrapped<answer::UserList>)), refusal::Read),
)]
pub(crate) async fn list(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, InternalError> {
    internal::client(&app, &request)?;
    let id = internal::service_id(&request)?;
    details(&app, id).await?;
    let data = app.db.run("services.members", move |conn| user::members(conn, id)).await?;
    Ok(HttpResponse::Ok().json(Wrapped { data }))
}

#[utoipa::path(
    post, path = "/service/{service}/users/{user}", tag = tag::SERVICES, operation_id = "addMember",
    summary = "Add somebody to a service", params(ask::Service, ask::User), request_body = ask::MemberRequest,
    responses(
        (status = 201, description = "The service.", body = inline(Wrapped<answer::Service>)),
        refusal::AddMember,
    ),
)]
pub(crate) async fn add(
    request: HttpRequest,
    app: Data<App>,
    payload: Payload,
) -> Result<HttpResponse, InternalError> {
    internal::client(&app, &request)?;
    let (id, user) = (internal::service_id(&request)?, user_id(&request)?);
    let permissions = permissions(&internal::json(&app, payload).await?)?;
    let added = app.db.run("services.add_member", move |conn| {
        let Some(details) = service_details::find(conn, id)? else { return Ok(None) };
        if !user::exists(conn, user)? {
            return Ok(None);
        }
        Ok(Some((details, user::enter(conn, user, id, permissions)?)))
    });
    let (details, is_new) = added.await?.ok_or(Problem::NoResult)?;
    if !is_new {
        let message = format!("User id: {user} already part of service id: {id}");
        return Err(Problem::bad_request(message).into());
    }
    Ok(HttpResponse::Created().json(Wrapped { data: Told::from(details) }))
}

/// `{"permissions": [{"permission": "send_texts"}, …]}`
fn permissions(body: &Value) -> Result<Vec<&'static str>, Problem> {
    let wrong = |message: String| Problem::Validation(vec![message]);
    let listed = match body.get("permissions") {
        None => return Err(wrong("permissions is a required property".into())),
        Some(Value::Array(listed)) => listed,
        Some(other) => return Err(wrong(format!("permissions {}", wrong_type(other, "array")))),
    };
    let mut known: Vec<&str> = Vec::new();
    for item in listed {
        let name = item.get("permission").and_then(Value::as_str).unwrap_or_default();
        let found = user::PERMISSIONS.iter().find(|permission| **permission == name);
        let permission = found.ok_or_else(|| {
            wrong(format!("permissions {name} is not one of [{}]", user::PERMISSIONS.join(", ")))
        })?;
        if !known.contains(permission) {
            known.push(permission);
        }
    }
    Ok(known)
}

#[utoipa::path(
    delete, path = "/service/{service}/users/{user}", tag = tag::SERVICES, operation_id = "removeMember",
    summary = "Remove somebody from a service", params(ask::Service, ask::User),
    responses((status = 204, description = "Gone."), refusal::RemoveMember),
)]
pub(crate) async fn remove(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, InternalError> {
    internal::client(&app, &request)?;
    let (id, user) = (internal::service_id(&request)?, user_id(&request)?);
    match app.db.run("services.remove_member", move |conn| user::leave(conn, user, id)).await? {
        Left::Yes => Ok(HttpResponse::NoContent().finish()),
        Left::UnknownService => Err(Problem::NoResult.into()),
        Left::NoMember => Err(Problem::NotFound("User not found".into()).into()),
        Left::TheOnlyOne => Err(Problem::bad_request("User cannot be removed from the service").into()),
    }
}
