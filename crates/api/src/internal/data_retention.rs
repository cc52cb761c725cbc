//! How long a service wants its notifications, and what people text it, kept.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Payload, ServiceConfig, post},
};
use db::{
    retention::{self, Kept, Retention},
    service,
};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    App,
    error::{InternalError, Problem},
    internal,
    openapi::{
        internal::{answer, tag},
        refusal::internal as refusal,
        request::internal as ask,
    },
    routes::{BOTH, READ, at, get},
    v2::{
        schema::{Form, not_one_of, text, wrong_type},
        timestamp,
    },
};

/// A hundred years: whoever says more means something else.
const MOST_DAYS: i64 = 36_500;

pub(crate) fn table(config: &mut ServiceConfig) {
    let own = "/service/{service}/data-retention";
    config
        .service(at(own, BOTH).route(get().to(list)).route(post().to(create)))
        .service(at(&format!("{own}/notification-type/{{type}}"), READ).route(get().to(of_type)))
        .service(at(&format!("{own}/{{id}}"), BOTH).route(get().to(one)).route(post().to(set)));
}

#[derive(Serialize, ToSchema)]
#[schema(as = Retention)]
struct Row {
    id: Uuid,
    service_id: Uuid,
    service_name: String,
    notification_type: String,
    days_of_retention: i32,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: Option<String>,
}

impl From<Retention> for Row {
    fn from(row: Retention) -> Self {
        Self {
            id: row.id,
            service_id: row.service_id,
            service_name: row.service_name,
            notification_type: row.notification_type,
            days_of_retention: row.days,
            created_at: timestamp(row.created_at),
            updated_at: row.updated_at.map(timestamp),
        }
    }
}

#[utoipa::path(
    get, path = "/service/{service}/data-retention", tag = tag::SETTINGS, operation_id = "getRetentions",
    summary = "How long things are kept", params(ask::Service),
    responses((status = 200, description = "What was said of each type.", body = Vec<Row>), refusal::Read),
)]
pub(crate) async fn list(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, InternalError> {
    internal::client(&app, &request)?;
    let service = internal::service_id(&request)?;
    let rows = app
        .db
        .run("retention.list", move |conn| service::of(conn, service, |conn| retention::list(conn, service)));
    let rows = rows.await?.ok_or(Problem::NoResult)?;
    Ok(HttpResponse::Ok().json(rows.into_iter().map(Row::from).collect::<Vec<_>>()))
}

#[utoipa::path(
    get, path = "/service/{service}/data-retention/notification-type/{type}", tag = tag::SETTINGS, operation_id = "getRetentionOfType",
    summary = "How long things of a type are kept", params(ask::Service, ask::RetentionType),
    responses(
        (status = 200, description = "An empty object when nothing was said.",
            body = inline(answer::RetentionOrNone)),
        refusal::Read,
    ),
)]
pub(crate) async fn of_type(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, InternalError> {
    internal::client(&app, &request)?;
    let service = internal::service_id(&request)?;
    let word = request.match_info().get("type").unwrap_or_default();
    let kept: Kept = word.parse().map_err(|_| Problem::NoResult)?;
    let row = app.db.run("retention.of", move |conn| {
        service::of(conn, service, |conn| retention::of(conn, service, kept))
    });
    Ok(object(row.await?.ok_or(Problem::NoResult)?))
}

#[utoipa::path(
    get, path = "/service/{service}/data-retention/{id}", tag = tag::SETTINGS, operation_id = "getRetention",
    summary = "One rule", params(ask::Service, ask::Retention),
    responses(
        (status = 200, description = "An empty object when there is none.", body = inline(answer::RetentionOrNone)),
        refusal::Read,
    ),
)]
pub(crate) async fn one(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, InternalError> {
    internal::client(&app, &request)?;
    let (service, id) = (internal::service_id(&request)?, internal::id(&request, "id")?);
    let row = app.db.run("retention.find", move |conn| {
        service::of(conn, service, |conn| retention::find(conn, service, id))
    });
    Ok(object(row.await?.ok_or(Problem::NoResult)?))
}

/// `{}` when there is none.
fn object(row: Option<Retention>) -> HttpResponse {
    match row {
        Some(row) => HttpResponse::Ok().json(Row::from(row)),
        None => HttpResponse::Ok().json(json!({})),
    }
}

#[utoipa::path(
    post, path = "/service/{service}/data-retention", tag = tag::SETTINGS, operation_id = "createRetention",
    summary = "Say how long things of a type are kept", params(ask::Service), request_body = ask::RetentionRequest,
    responses(
        (status = 201, description = "The rule.", body = inline(answer::RetentionMade)),
        refusal::CreateRetention,
    ),
)]
pub(crate) async fn create(
    request: HttpRequest,
    payload: Payload,
    app: Data<App>,
) -> Result<HttpResponse, InternalError> {
    internal::client(&app, &request)?;
    let service = internal::service_id(&request)?;
    let mut form = Form::new(internal::json(&app, payload).await?)?;
    let asked = (form.required("notification_type", kept), form.required("days_of_retention", days));
    let (kept, days) = match (asked, form.errors_of_known()) {
        ((Some(kept), Some(days)), errors) if errors.is_empty() => (kept, days),
        (_, errors) => return Err(Problem::Validation(errors).into()),
    };
    let (id, now) = (Uuid::new_v4(), app.clock.now());
    let created = app.db.run("retention.create", move |conn| {
        service::of(conn, service, |conn| retention::create(conn, service, (kept, days), (id, now)))
    });
    let created = created.await?.ok_or(Problem::NoResult)?.ok_or_else(|| {
        let kept = kept.as_str();
        Problem::bad_request(format!("Service already has data retention for {kept} notification type"))
    })?;
    Ok(HttpResponse::Created().json(json!({ "result": Row::from(created) })))
}

#[utoipa::path(
    post, path = "/service/{service}/data-retention/{id}", tag = tag::SETTINGS, operation_id = "updateRetention",
    summary = "Change a rule", params(ask::Service, ask::Retention), request_body = ask::RetentionDaysRequest,
    responses((status = 204, description = "Changed."), refusal::UpdateRetention),
)]
pub(crate) async fn set(
    request: HttpRequest,
    payload: Payload,
    app: Data<App>,
) -> Result<HttpResponse, InternalError> {
    internal::client(&app, &request)?;
    let (service, id) = (internal::service_id(&request)?, internal::id(&request, "id")?);
    let mut form = Form::new(internal::json(&app, payload).await?)?;
    let asked = form.required("days_of_retention", days);
    let days = asked.ok_or_else(|| Problem::Validation(form.errors_of_known()))?;
    let now = app.clock.now();
    let changed =
        app.db.run("retention.set_days", move |conn| retention::set_days(conn, service, (id, days), now));
    if !changed.await? {
        let message = format!("The service data retention for id: {id} was not found for service: {service}");
        return Err(Problem::NotFound(message.into()).into());
    }
    Ok(HttpResponse::NoContent().finish())
}

fn kept(value: Value) -> Result<Kept, String> {
    let word = text(value)?;
    word.parse().map_err(|_| not_one_of(&word, &Kept::ALL.map(Kept::as_str)))
}

#[expect(clippy::needless_pass_by_value, reason = "rules take what they turn into something else")]
fn days(value: Value) -> Result<i32, String> {
    let Some(days) = value.as_i64() else { return Err(wrong_type(&value, "integer")) };
    if days < 1 {
        return Err(format!("{days} is less than the minimum of 1"));
    }
    i32::try_from(days)
        .ok()
        .filter(|_| days <= MOST_DAYS)
        .ok_or_else(|| format!("{days} is greater than the maximum of {MOST_DAYS}"))
}
