//! Services: made, read, changed, archived; who works with them, and what became of them.

mod form;
pub(crate) mod members;

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Payload, ServiceConfig, post},
};
use db::{
    history::{self, Kind, Version},
    platform,
    service_details::{self, Details, NewService, Refused, Which},
};
use domain::id::{ServiceId, parse_lenient};
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    App,
    error::{InternalError, Problem},
    internal::{
        self, Wrapped,
        fields::Fields,
        statistics::{self, Statistics},
    },
    openapi::{
        internal::{answer, tag},
        refusal::internal as refusal,
        request::internal as ask,
    },
    routes::{BOTH, READ, WRITE, at, get},
    v2::timestamp,
};

pub(crate) fn table(config: &mut ServiceConfig) {
    config
        .service(at("/service", BOTH).route(get().to(list)).route(post().to(create)))
        .service(at("/service/find-services-by-name", READ).route(get().to(find_by_name)))
        .service(at("/service/{service}", BOTH).route(get().to(one)).route(post().to(update)))
        .service(at("/service/{service}/archive", WRITE).route(post().to(archive)))
        .service(at("/service/{service}/history", READ).route(get().to(changes)));
    members::table(config);
}

/// A service as it is told. Organisations and brandings are none of ours.
#[derive(Serialize)]
pub(crate) struct Told {
    #[serde(flatten)]
    details: Details,
    email_branding: (),
    letter_branding: (),
    organisation: (),
    /// Only where they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    statistics: Option<Statistics>,
}

impl From<Details> for Told {
    fn from(details: Details) -> Self {
        Self { details, email_branding: (), letter_branding: (), organisation: (), statistics: None }
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let field = match &refused {
            Refused::Unknown => return Self::NoResult,
            Refused::NameTaken(_) | Refused::NameWithoutLetters => "name",
            Refused::SenderNameWithoutLetters => "custom_email_sender_name",
        };
        Self::field(field, refused.to_string())
    }
}

#[utoipa::path(
    get, path = "/service", tag = tag::SERVICES, operation_id = "getServices",
    summary = "All services", params(ask::ServiceFilters),
    responses(
        (status = 200, description = "Services, the oldest first; with `detailed=True` their figures instead.",
            body = inline(answer::Services)),
        refusal::ListServices,
    ),
)]
pub(crate) async fn list(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, InternalError> {
    internal::client(&app, &request)?;
    let member = match parameter(&request, "user_id") {
        Some(user) => Some(parse_lenient(&user).ok_or(Problem::NoResult)?),
        None if is_true(&request, "detailed") => return Ok(statistics::detailed_list(&app, &request).await?),
        None => None,
    };
    let only_active = is_true(&request, "only_active");
    found(&app, Which { only_active, member, ..Which::default() }).await
}

async fn found(app: &App, which: Which) -> Result<HttpResponse, InternalError> {
    let found = app.db.run("services.list", move |conn| service_details::list(conn, &which)).await?;
    let data: Vec<Told> = found.into_iter().map(Told::from).collect();
    Ok(HttpResponse::Ok().json(Wrapped { data }))
}

#[utoipa::path(
    get, path = "/service/find-services-by-name", tag = tag::SERVICES, operation_id = "findServices",
    summary = "Services by name", params(ask::ServiceName),
    responses(
        (status = 200, description = "Those whose names have this in them, whatever its case.",
            body = inline(Wrapped<answer::ServiceList>)),
        refusal::FindServices,
    ),
)]
pub(crate) async fn find_by_name(
    request: HttpRequest,
    app: Data<App>,
) -> Result<HttpResponse, InternalError> {
    internal::client(&app, &request)?;
    let missing = || Problem::field("service_name", internal::fields::MISSING);
    let name_part = parameter(&request, "service_name").ok_or_else(missing)?;
    found(&app, Which { name_part: Some(name_part), ..Which::default() }).await
}

#[utoipa::path(
    get, path = "/service/{service}", tag = tag::SERVICES, operation_id = "getService",
    summary = "One service", params(ask::Service, ask::Detailed),
    responses((status = 200, description = "The service.", body = inline(Wrapped<answer::Service>)), refusal::Read),
)]
pub(crate) async fn one(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, InternalError> {
    internal::client(&app, &request)?;
    let id = internal::service_id(&request)?;
    let mut data = Told::from(details(&app, id).await?);
    if is_true(&request, "detailed") {
        data.statistics = Some(statistics::detailed(&app, id, is_true(&request, "today_only")).await?);
    }
    Ok(HttpResponse::Ok().json(Wrapped { data }))
}

/// What is kept of a service.
pub(crate) async fn details(app: &App, id: ServiceId) -> Result<Details, Problem> {
    let found = app.db.run("services.find", move |conn| service_details::find(conn, id)).await?;
    found.ok_or(Problem::NoResult)
}

#[utoipa::path(
    post, path = "/service", tag = tag::SERVICES, operation_id = "createService",
    summary = "Make a service", params(ask::Acting), request_body = ask::CreateServiceRequest,
    responses(
        (status = 201, description = "The service, in trial mode if that was said. Its maker works with it.",
            body = inline(Wrapped<answer::Service>)),
        refusal::CreateService,
    ),
)]
pub(crate) async fn create(
    request: HttpRequest,
    app: Data<App>,
    payload: Payload,
) -> Result<HttpResponse, InternalError> {
    let acting = internal::client(&app, &request)?;
    let mut fields = Fields::of(internal::json(&app, payload).await?)?;
    // Before everything else, as upstream.
    let user: Option<String> = fields.required("user_id");
    fields.check()?;
    let now = app.clock.now();
    let mut details = Details::new(String::new(), now);
    form::create(&mut fields, &mut details)?;
    let user = user.as_deref().and_then(parse_lenient).ok_or(Problem::NoResult)?;
    let sms_sender = app.accepting.default_sms_sender.clone();
    let by = acting.user.or(Some(user));
    let created = app.db.run("services.create", move |conn| {
        let new = NewService { details, user: Some(user), sms_sender: &sms_sender };
        service_details::create(conn, new, by, now)
    });
    let data = Told::from(created.await?.map_err(Problem::from)?);
    Ok(HttpResponse::Created().json(Wrapped { data }))
}

#[utoipa::path(
    post, path = "/service/{service}", tag = tag::SERVICES, operation_id = "updateService",
    summary = "Change a service", description = "What is absent stays as it is.", params(ask::Service, ask::Acting),
    request_body = ask::UpdateServiceRequest,
    responses(
        (status = 200, description = "The service as it is now.", body = inline(Wrapped<answer::Service>)),
        refusal::UpdateService,
    ),
)]
pub(crate) async fn update(
    request: HttpRequest,
    app: Data<App>,
    payload: Payload,
) -> Result<HttpResponse, InternalError> {
    let acting = internal::client(&app, &request)?;
    let id = internal::service_id(&request)?;
    let mut fields = Fields::of(internal::json(&app, payload).await?)?;
    let now = app.clock.now();
    let updated = app.db.run("services.update", move |conn| {
        let change = |details: &mut Details| form::update(&mut fields, details);
        service_details::update(conn, id, change, acting.user, now)
    });
    let data = Told::from(updated.await??);
    Ok(HttpResponse::Ok().json(Wrapped { data }))
}

#[utoipa::path(
    post, path = "/service/{service}/archive", tag = tag::SERVICES, operation_id = "archiveService",
    summary = "Archive a service", params(ask::Service, ask::Acting),
    responses(
        (status = 204, description = "It is archived, its templates too, and its keys are revoked. Again: nothing happens."),
        refusal::Read,
    ),
)]
pub(crate) async fn archive(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, InternalError> {
    let acting = internal::client(&app, &request)?;
    let id = internal::service_id(&request)?;
    let now = app.clock.now();
    let archived =
        app.db.run("services.archive", move |conn| service_details::archive(conn, id, acting.user, now));
    archived.await?.map_err(Problem::from)?;
    Ok(HttpResponse::NoContent().finish())
}

#[utoipa::path(
    get, path = "/service/{service}/history", tag = tag::SERVICES, operation_id = "getServiceHistory",
    summary = "What became of a service", params(ask::Service),
    responses(
        (status = 200, description = "Its versions and those of its keys.", body = inline(Wrapped<answer::History>)),
        refusal::Read,
    ),
)]
pub(crate) async fn changes(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, InternalError> {
    internal::client(&app, &request)?;
    let id = internal::service_id(&request)?;
    let histories = app.db.run("services.history", move |conn| {
        let Some(_) = service_details::find(conn, id)? else { return Ok(None) };
        let services = history::of_service(conn, Kind::Service, id)?;
        Ok(Some((services, history::of_service(conn, Kind::ApiKey, id)?)))
    });
    let (services, keys) = histories.await?.ok_or(Problem::NoResult)?;
    let data = json!({
        "service_history": versions(services, "created_by"),
        "api_key_history": versions(keys, "created_by_id"),
    });
    Ok(HttpResponse::Ok().json(Wrapped { data }))
}

/// As the thing was, and who made it so (this field of it), or else the platform; for whom the client acted besides.
fn versions(versions: Vec<Version>, maker: &str) -> Vec<Value> {
    let told = |version: Version| {
        let mut told = version.state;
        let made_by = told.get(maker).filter(|made_by| !made_by.is_null()).cloned();
        told["created_by_id"] = made_by.unwrap_or_else(|| json!(platform::USER));
        told["version"] = json!(version.version);
        told["changed_by"] = json!(version.changed_by);
        told["changed_at"] = json!(timestamp(version.changed_at));
        told
    };
    versions.into_iter().map(told).collect()
}

/// The first of this name in the query.
fn parameter(request: &HttpRequest, name: &str) -> Option<String> {
    let parameters: Vec<(String, String)> =
        serde_urlencoded::from_str(request.query_string()).unwrap_or_default();
    parameters.into_iter().find(|(known, _)| known == name).map(|(_, value)| value)
}

fn is_true(request: &HttpRequest, name: &str) -> bool {
    parameter(request, name).as_deref() == Some("True")
}

/// The person in the path.
fn user_id(request: &HttpRequest) -> Result<Uuid, Problem> {
    internal::id(request, "user")
}
