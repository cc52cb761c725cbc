//! `GET` and `POST /service/{service}/notifications`: the log of everything that a service has sent, whoever sent it. The
//! public lists never use it: a key sees only its own type.

pub(crate) mod csv;
mod query;

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Payload, ServiceConfig, post},
};
use db::{
    log::{self, Details, Filter, Page},
    notification::{StoredNotification, page::Which},
};
use domain::{
    id::{ApiKeyId, NotificationId, ServiceId, TemplateId},
    status::{Channel, KeyType, ProviderId, Status},
};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use self::query::{LogQuery, NUMBERED};
use crate::{
    App,
    budget::Owner,
    error::{InternalError, Problem},
    internal,
    openapi::{self, internal::tag, refusal::internal as refusal, request::internal as ask},
    pages,
    routes::{BOTH, READ, UUID, at, get},
    stored::personalisation,
    v2::timestamp,
};

pub(crate) fn table(config: &mut ServiceConfig) {
    let one = format!("/service/{{service}}/notifications/{{id:{UUID}}}");
    config
        .service(
            at("/service/{service}/notifications", BOTH).route(get().to(list)).route(post().to(list_by_body)),
        )
        .service(at("/service/{service}/notifications/csv", READ).route(get().to(csv::rows)))
        .service(at(&one, READ).route(get().to(self::one)));
}

/// A notification with the version of the template that it was made from. What there is only of letters and of jobs is null.
#[derive(Serialize, ToSchema)]
#[schema(as = Notification)]
struct Shown {
    #[schema(value_type = Uuid)]
    id: NotificationId,
    to: String,
    normalised_to: String,
    #[schema(schema_with = openapi::status)]
    status: Status,
    #[schema(schema_with = openapi::channel)]
    notification_type: Channel,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    sent_at: Option<String>,
    #[schema(format = DateTime)]
    updated_at: Option<String>,
    #[schema(schema_with = openapi::optional_provider)]
    sent_by: Option<ProviderId>,
    /// The provider's.
    reference: Option<String>,
    client_reference: Option<String>,
    billable_units: i32,
    #[schema(value_type = HashMap<String, Value>)]
    personalisation: Map<String, Value>,
    international: bool,
    phone_prefix: Option<String>,
    rate_multiplier: i16,
    reply_to_text: Option<String>,
    postage: (),
    document_download_count: (),
    unsubscribe_link: Option<String>,
    job: (),
    job_row_number: (),
    #[schema(value_type = Uuid)]
    service: ServiceId,
    #[schema(value_type = Option<Uuid>)]
    api_key: Option<ApiKeyId>,
    #[schema(schema_with = openapi::key_type)]
    key_type: KeyType,
    key_name: Option<String>,
    created_by: Option<Person>,
    template: Template,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Person)]
pub(crate) struct Person {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) email_address: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = TemplateVersion)]
struct Template {
    #[schema(value_type = Uuid)]
    id: TemplateId,
    #[schema(value_type = Uuid)]
    service: ServiceId,
    version: i32,
    name: String,
    #[schema(schema_with = openapi::channel)]
    template_type: Channel,
    content: String,
    subject: Option<String>,
    redact_personalisation: bool,
    is_precompiled_letter: bool,
    reply_to_text: (),
    has_unsubscribe_link: bool,
    letter_attachment: (),
    letter_languages: (),
    letter_welsh_subject: (),
    letter_welsh_content: (),
}

/// A page, the newest first.
#[derive(Serialize, ToSchema)]
#[schema(as = Notifications)]
struct Listed {
    notifications: Vec<Shown>,
    page_size: i64,
    links: Links,
    /// Only when so much was looked at that the rest was not: ask on with this as `older_than`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Uuid>, nullable = false)]
    looked_back_to: Option<NotificationId>,
}

/// Whether there are such pages.
#[derive(Default, Serialize, ToSchema)]
#[schema(as = Links)]
struct Links {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    prev: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<bool>,
}

#[utoipa::path(
    get, path = "/service/{service}/notifications", tag = tag::LOG, operation_id = "getNotifications",
    summary = "Everything that a service has sent", params(ask::Service, ask::LogFilters),
    responses((status = 200, description = "A page, the newest first.", body = Listed), refusal::ReadLog),
)]
pub(crate) async fn list(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, InternalError> {
    internal::client(&app, &request)?;
    let service = internal::service_id(&request)?;
    let query = LogQuery::of_url(request.query_string())?;
    Ok(answer(&app, service, &query).await?)
}

#[utoipa::path(
    post, path = "/service/{service}/notifications", tag = tag::LOG, operation_id = "searchNotifications",
    summary = "The same, asked for by a body",
    description = "A recipient that is searched for does not get into the logs of proxies.", params(ask::Service),
    request_body = ask::LogRequest,
    responses((status = 200, description = "A page, the newest first.", body = Listed), refusal::SearchLog),
)]
pub(crate) async fn list_by_body(
    request: HttpRequest,
    payload: Payload,
    app: Data<App>,
) -> Result<HttpResponse, InternalError> {
    internal::client(&app, &request)?;
    let service = internal::service_id(&request)?;
    let query = LogQuery::of_body(internal::json(&app, payload).await?)?;
    Ok(answer(&app, service, &query).await?)
}

async fn answer(app: &Data<App>, service: ServiceId, query: &LogQuery) -> Result<HttpResponse, Problem> {
    let which = query.page();
    if which.number.saturating_mul(which.size) > NUMBERED {
        return Err(too_deep(app, service, query).await?);
    }
    let (page, details) = page(app, service, query.filter(app.clock.now()), which).await?;
    if page.notifications.is_empty() && which.number > 1 && page.looked_back_to.is_none() {
        return Err(Problem::NoResult);
    }
    let links = Links { prev: (which.number > 1).then_some(true), next: page.has_next.then_some(true) };
    let frame = Listed {
        notifications: Vec::new(),
        page_size: which.size,
        links: if query.has_links() { links } else { Links::default() },
        looked_back_to: page.looked_back_to,
    };
    let show = move |app: &App, stored| shown(app, stored, &details);
    pages::page(app, Owner::Internal, &frame, page.notifications, show).await
}

/// A page that has no number is told from one that is beyond the end.
async fn too_deep(app: &App, service: ServiceId, query: &LogQuery) -> Result<Problem, Problem> {
    let beyond = Which { number: NUMBERED + 1, size: 1 };
    let (page, _) = page(app, service, query.filter(app.clock.now()), beyond).await?;
    Ok(if page.notifications.is_empty() {
        Problem::NoResult
    } else {
        Problem::field("page", format!("Only the first {NUMBERED} notifications have pages, use older_than"))
    })
}

async fn page(
    app: &App,
    service: ServiceId,
    filter: Option<Filter>,
    which: Which,
) -> Result<(Page, Details), Problem> {
    app.lookup.service(service).await?.ok_or(Problem::NoResult)?;
    let Some(filter) = filter else {
        return Ok((
            Page { notifications: Vec::new(), has_next: false, looked_back_to: None },
            Details::default(),
        ));
    };
    let read = app.db.run("log.page", move |conn| {
        let page = log::page(conn, service, &filter, which)?;
        let details = log::details(conn, &page.notifications)?;
        Ok((page, details))
    });
    Ok(read.await?)
}

#[utoipa::path(
    get, path = "/service/{service}/notifications/{id}", tag = tag::LOG, operation_id = "getNotification",
    summary = "One notification", params(ask::Service, ask::Notification),
    responses((status = 200, description = "The notification.", body = Shown), refusal::Read),
)]
pub(crate) async fn one(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, InternalError> {
    internal::client(&app, &request)?;
    let (service, id) = (internal::service_id(&request)?, NotificationId(internal::id(&request, "id")?));
    let found = app.db.run("log.find", move |conn| {
        let found = log::find(conn, service, id)?;
        let details = log::details(conn, found.as_slice())?;
        Ok((found, details))
    });
    let (found, details) = found.await?;
    let shown = shown(&app, found.ok_or(Problem::NoResult)?, &details);
    Ok(pages::whole(&app, Owner::Internal, &shown).await?)
}

fn shown(app: &App, stored: StoredNotification, details: &Details) -> Shown {
    let template = template(&stored, details);
    let personalisation = if template.redact_personalisation {
        Map::new()
    } else {
        personalisation(app, &stored).as_map().clone()
    };
    let person = stored.created_by.and_then(|id| details.people.get(&id).map(|person| (id, person.clone())));
    Shown {
        id: stored.id,
        to: stored.recipient,
        normalised_to: stored.normalised_recipient,
        status: stored.status,
        notification_type: stored.channel,
        created_at: timestamp(stored.created_at),
        sent_at: stored.sent_at.map(timestamp),
        updated_at: stored.updated_at.map(timestamp),
        sent_by: stored.sent_by,
        reference: stored.provider_reference,
        client_reference: stored.client_reference,
        billable_units: stored.billable_units,
        personalisation,
        international: stored.international,
        phone_prefix: stored.phone_prefix,
        rate_multiplier: stored.rate_multiplier,
        reply_to_text: stored.sender,
        postage: (),
        document_download_count: (),
        unsubscribe_link: stored.unsubscribe_url,
        job: (),
        job_row_number: (),
        service: stored.service_id,
        api_key: stored.api_key_id,
        key_type: stored.key_type,
        key_name: stored.api_key_id.and_then(|id| details.keys.get(&id).cloned()),
        created_by: person.map(|(id, log::Person { name, email_address })| Person {
            id,
            name,
            email_address,
        }),
        template,
    }
}

/// What nobody knows any more is shown as if it said nothing: one bad row must not hide the rest of a page.
fn template(stored: &StoredNotification, details: &Details) -> Template {
    let version = details.versions.get(&(stored.template_id, stored.template_version));
    Template {
        id: stored.template_id,
        service: stored.service_id,
        version: stored.template_version,
        name: version.map(|version| version.name.clone()).unwrap_or_default(),
        template_type: stored.channel,
        content: version.map(|version| version.content.clone()).unwrap_or_default(),
        subject: version.and_then(|version| version.subject.clone()),
        // Of a template that is gone nothing is known, so nothing is shown.
        redact_personalisation: version.is_none_or(|version| version.redact_personalisation),
        is_precompiled_letter: false,
        reply_to_text: (),
        has_unsubscribe_link: version.is_some_and(|version| version.has_unsubscribe_link),
        letter_attachment: (),
        letter_languages: (),
        letter_welsh_subject: (),
        letter_welsh_content: (),
    }
}
