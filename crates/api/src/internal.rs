//! The internal API: what a front end, `curl` of an operator, or another system of the house manages services with.
//!
//! Only internal clients get in (never a service's key), and each says in `X-Notify-User-Id` for whom it acts, which histories
//! keep. A file for each thing that is managed, each with its own table of URLs.

pub(crate) mod api_keys;
mod callback_url;
pub(crate) mod callbacks;
pub(crate) mod data_retention;
pub(crate) mod fields;
pub(crate) mod guest_list;
pub(crate) mod inbound;
pub(crate) mod log;
pub(crate) mod one_off;
pub(crate) mod providers;
pub(crate) mod senders;
pub(crate) mod services;
pub(crate) mod statistics;
pub(crate) mod templates;
pub(crate) mod users;

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{HeaderMap, HeaderValue},
    web::{self, Data, Payload, ServiceConfig},
};
use domain::id::{ServiceId, parse_lenient};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    App, auth, body,
    budget::Owner,
    error::{InternalError, Problem},
    header::{self, Repeated},
};

/// What is managed, and then what nobody but internal clients learns is not there.
pub(crate) fn table(config: &mut ServiceConfig) {
    api_keys::table(config);
    callbacks::table(config);
    data_retention::table(config);
    guest_list::table(config);
    inbound::table(config);
    providers::table(config);
    senders::table(config);
    services::table(config);
    statistics::table(config);
    templates::table(config);
    log::table(config);
    one_off::table(config);
    users::table(config);
    config.route("/service/{tail:.*}", web::to(unknown)).route("/user/{tail:.*}", web::to(unknown));
}

async fn unknown(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, InternalError> {
    client(&app, &request)?;
    Err(Problem::UnknownUrl.into())
}

/// Who calls, and for whom.
pub(crate) struct Acting {
    /// The person at the front end; recorded, not verified.
    pub(crate) user: Option<Uuid>,
}

/// Turns away whoever is not an internal client.
pub(crate) fn client(app: &App, request: &HttpRequest) -> Result<Acting, Problem> {
    auth::internal(app, request)?;
    Ok(Acting { user: user(request.headers())? })
}

/// What cannot be recorded is refused: a history would say that nobody did it.
fn user(headers: &HeaderMap) -> Result<Option<Uuid>, Problem> {
    const HEADER: &str = "X-Notify-User-Id";
    let given = header::only(headers, HEADER);
    let given = given.map_err(|Repeated| Problem::bad_request(format!("{HEADER} must be given once")))?;
    let id = |user: &HeaderValue| user.to_str().ok().and_then(parse_lenient);
    let id = given
        .map(|user| id(user).ok_or_else(|| Problem::bad_request(format!("{HEADER} is not a valid UUID"))));
    id.transpose()
}

/// An id in the path. What is none is no URL of ours.
pub(crate) fn id(request: &HttpRequest, name: &str) -> Result<Uuid, Problem> {
    request.match_info().get(name).and_then(parse_lenient).ok_or(Problem::UnknownUrl)
}

pub(crate) fn service_id(request: &HttpRequest) -> Result<ServiceId, Problem> {
    Ok(ServiceId(id(request, "service")?))
}

/// The body as JSON.
pub(crate) async fn json(app: &App, payload: Payload) -> Result<Value, Problem> {
    body::json_of(app, body::read_large(app, Owner::Internal, None, payload).await?).await
}

/// The same, of a request that may come without one.
pub(crate) async fn json_or_nothing(app: &App, payload: Payload) -> Result<Value, Problem> {
    let body = body::read_large(app, Owner::Internal, None, payload).await?;
    if body.is_empty() { Ok(Value::Object(Map::new())) } else { body::json_of(app, body).await }
}

/// `{"data": …}`
#[derive(Serialize, ToSchema)]
pub(crate) struct Wrapped<T> {
    pub(crate) data: T,
}
