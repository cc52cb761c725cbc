//! Where a service wants to be told of what happens, and with which token. Nothing shows a token again.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Payload, ServiceConfig, delete, post},
};
use db::{
    callback::{self, Callback, CallbackType, Changes, NewCallback},
    service,
};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    App,
    error::{InternalError, Problem},
    internal::{self, Wrapped, callback_url::callback_url},
    openapi::{internal::tag, refusal::internal as refusal, request::internal as ask},
    routes::{WRITE, at, get},
    v2::{
        schema::{Form, not_one_of, shown, text, uuid},
        timestamp,
    },
};

/// Characters of a token.
const SHORTEST_TOKEN: usize = 10;

pub(crate) fn table(config: &mut ServiceConfig) {
    let all = at("/service/{service}/callback-api", WRITE);
    let one = at("/service/{service}/callback-api/{id}", "DELETE, GET, HEAD, POST");
    config
        .service(all.route(post().to(create)))
        .service(one.route(get().to(show)).route(post().to(update)).route(delete().to(remove)));
}

#[derive(Serialize, ToSchema)]
#[schema(as = Callback)]
struct Row {
    id: Uuid,
    service_id: Uuid,
    url: String,
    updated_by_id: Uuid,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: Option<String>,
}

impl From<Callback> for Row {
    fn from(row: Callback) -> Self {
        Self {
            id: row.id,
            service_id: row.service_id,
            url: row.url,
            updated_by_id: row.updated_by_id,
            created_at: timestamp(row.created_at),
            updated_at: row.updated_at.map(timestamp),
        }
    }
}

#[utoipa::path(
    post, path = "/service/{service}/callback-api", tag = tag::SETTINGS, operation_id = "createCallback",
    summary = "Say where to be told of things", params(ask::Service), request_body = ask::CreateCallbackRequest,
    responses(
        (status = 201, description = "The callback, without its token.", body = inline(Wrapped<Row>)),
        refusal::CreateCallback,
    ),
)]
pub(crate) async fn create(
    request: HttpRequest,
    payload: Payload,
    app: Data<App>,
) -> Result<HttpResponse, InternalError> {
    internal::client(&app, &request)?;
    let service_id = internal::service_id(&request)?;
    let mut form = Form::new(internal::json(&app, payload).await?)?;
    let url = |value| callback_url(value, app.config.private_callbacks);
    let (url, token) = (form.required("url", url), form.required("bearer_token", bearer_token));
    let by = form.required("updated_by_id", uuid);
    let of = form.required("callback_type", callback_type);
    let errors = form.errors_of_known();
    let (Some(url), Some(bearer_token), Some(updated_by_id), Some(callback_type)) = (url, token, by, of)
    else {
        return Err(Problem::Validation(errors).into());
    };
    let new = NewCallback { id: Uuid::new_v4(), service_id, callback_type, url, bearer_token, updated_by_id };
    let (keyring, now) = (app.keyring.clone(), app.clock.now());
    let created = app.db.run("callback.create", move |conn| {
        service::of(conn, service_id, |conn| callback::create(conn, &keyring, &new, now))
    });
    let created = created.await?.ok_or(Problem::NoResult)?.ok_or_else(|| {
        Problem::bad_request(format!("Service already has a callback for {}", callback_type.as_str()))
    })?;
    Ok(HttpResponse::Created().json(Wrapped { data: Row::from(created) }))
}

#[utoipa::path(
    post, path = "/service/{service}/callback-api/{id}", tag = tag::SETTINGS, operation_id = "updateCallback",
    summary = "Change a callback", description = "What is absent stays as it is.",
    params(ask::Service, ask::Callback), request_body = ask::UpdateCallbackRequest,
    responses(
        (status = 200, description = "The callback, without its token.", body = inline(Wrapped<Row>)),
        refusal::UpdateCallback,
    ),
)]
pub(crate) async fn update(
    request: HttpRequest,
    payload: Payload,
    app: Data<App>,
) -> Result<HttpResponse, InternalError> {
    internal::client(&app, &request)?;
    let (service, id) = (internal::service_id(&request)?, internal::id(&request, "id")?);
    let mut form = Form::new(internal::json(&app, payload).await?)?;
    let url = |value| callback_url(value, app.config.private_callbacks);
    let (url, bearer_token) = (form.optional("url", url), form.optional("bearer_token", bearer_token));
    let by = form.required("updated_by_id", uuid);
    let of = form.required("callback_type", callback_type);
    let (updated_by_id, of) = match (by, of, form.errors_of_known()) {
        (Some(by), Some(of), errors) if errors.is_empty() => (by, of),
        (_, _, errors) => return Err(Problem::Validation(errors).into()),
    };
    let changes = Changes { url, bearer_token, updated_by_id };
    let (keyring, now) = (app.keyring.clone(), app.clock.now());
    let updated = app.db.run("callback.update", move |conn| {
        callback::update(conn, &keyring, service, (id, of), changes, now)
    });
    let updated = updated.await?.ok_or(Problem::NoResult)?;
    Ok(HttpResponse::Ok().json(Wrapped { data: Row::from(updated) }))
}

#[utoipa::path(
    get, path = "/service/{service}/callback-api/{id}", tag = tag::SETTINGS, operation_id = "getCallback",
    summary = "One callback", params(ask::Service, ask::Callback, ask::CallbackOf),
    responses(
        (status = 200, description = "The callback, without its token.", body = inline(Wrapped<Row>)),
        refusal::Read,
    ),
)]
pub(crate) async fn show(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, InternalError> {
    internal::client(&app, &request)?;
    let (service, id) = (internal::service_id(&request)?, internal::id(&request, "id")?);
    let of = asked_type(&request)?;
    let found = app.db.run("callback.find", move |conn| callback::find(conn, service, (id, of)));
    let found = found.await?.ok_or(Problem::NoResult)?;
    Ok(HttpResponse::Ok().json(Wrapped { data: Row::from(found) }))
}

#[utoipa::path(
    delete, path = "/service/{service}/callback-api/{id}", tag = tag::SETTINGS, operation_id = "deleteCallback",
    summary = "Remove a callback", params(ask::Service, ask::Callback, ask::CallbackOf),
    responses((status = 204, description = "Gone."), refusal::DeleteCallback),
)]
pub(crate) async fn remove(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, InternalError> {
    internal::client(&app, &request)?;
    let (service, id) = (internal::service_id(&request)?, internal::id(&request, "id")?);
    let of = asked_type(&request)?;
    let deleted = app.db.run("callback.delete", move |conn| callback::delete(conn, service, (id, of)));
    if deleted.await? { Ok(HttpResponse::NoContent().finish()) } else { Err(unknown(of).into()) }
}

fn unknown(of: CallbackType) -> Problem {
    let message = match of {
        CallbackType::InboundSms => "Service inbound API not found",
        CallbackType::DeliveryStatus => "Service delivery receipt API not found",
        CallbackType::ReturnedLetter => "Service returned letter API not found",
        CallbackType::Complaint => return Problem::NoResult,
    };
    Problem::NotFound(message.into())
}

/// A row is of one type, and found by it: of no type, there is none.
fn asked_type(request: &HttpRequest) -> Result<CallbackType, Problem> {
    let pairs: Vec<(String, String)> = serde_urlencoded::from_str(request.query_string()).unwrap_or_default();
    let given = pairs.iter().find(|(name, _)| name == "callback_type");
    given.and_then(|(_, word)| word.parse().ok()).ok_or(Problem::NoResult)
}

fn callback_type(value: Value) -> Result<CallbackType, String> {
    let word = text(value)?;
    word.parse().map_err(|_| not_one_of(&word, &CallbackType::ALL.map(CallbackType::as_str)))
}

fn bearer_token(value: Value) -> Result<String, String> {
    let token = text(value)?;
    if token.chars().count() < SHORTEST_TOKEN {
        return Err(format!("{} is too short", shown(&token.into())));
    }
    Ok(token)
}
