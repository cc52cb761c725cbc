//! Numbers that people can text services at, and what they wrote.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Payload, ServiceConfig, post},
};
use chrono::{DateTime, Utc};
use db::{
    inbound_number::{self, InboundNumber},
    received_text::{self, ReceivedText},
    retention, service,
};
use domain::{
    id::{InboundNumberId, ReceivedTextId, ServiceId},
    london,
    phone::PhoneNumber,
};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::senders::{self, SmsSenderRow};
use crate::{
    App,
    error::{InternalError, Problem},
    internal::{self, Wrapped},
    openapi::{
        internal::{answer, tag},
        refusal::internal as refusal,
        request::internal as ask,
    },
    routes::{READ, WRITE, at, get},
    v2::{
        received_texts::Shown,
        schema::{Form, boolean, text, uuid_or_null},
        timestamp,
    },
};

/// Messages on a page.
const PAGE: i64 = 50;

pub(crate) fn table(config: &mut ServiceConfig) {
    let (number, texts) = ("/inbound-number/service/{service}", "/service/{service}/inbound-sms");
    let read = |path: &str| at(&format!("{texts}/{path}"), READ);
    config
        .service(at("/inbound-number", READ).route(get().to(numbers)))
        .service(at("/inbound-number/available", READ).route(get().to(free_numbers)))
        .service(
            at(number, "GET, HEAD, POST").route(get().to(number_of_service)).route(post().to(give_number)),
        )
        .service(at(&format!("{number}/off"), WRITE).route(post().to(switch_off)))
        .service(at(texts, WRITE).route(post().to(messages)))
        .service(read("most-recent").route(get().to(most_recent)))
        .service(read("summary").route(get().to(summary)))
        .service(read("most-recent-usage").route(get().to(most_recent_usage)))
        .service(at(&format!("{texts}/remove"), WRITE).route(post().to(give_up_number)))
        .service(read("{id}").route(get().to(message)));
}

#[derive(Serialize, ToSchema)]
#[schema(as = InboundNumber)]
struct Number {
    #[schema(value_type = Uuid)]
    id: InboundNumberId,
    number: String,
    provider: &'static str,
    service: Option<Owner>,
    active: bool,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = NumberOwner)]
struct Owner {
    #[schema(value_type = Uuid)]
    id: ServiceId,
    name: String,
}

impl From<InboundNumber> for Number {
    fn from(row: InboundNumber) -> Self {
        Self {
            id: row.id,
            number: row.number,
            provider: row.provider.as_str(),
            service: row.service.map(|(id, name)| Owner { id, name }),
            active: row.active,
            created_at: timestamp(row.created_at),
            updated_at: row.updated_at.map(timestamp),
        }
    }
}

#[utoipa::path(
    get, path = "/inbound-number", tag = tag::INBOUND, operation_id = "getInboundNumbers",
    summary = "All numbers that can be texted",
    responses((status = 200, description = "The numbers.", body = inline(Wrapped<Vec<Number>>)), refusal::ReadAll),
)]
pub(crate) async fn numbers(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, InternalError> {
    internal::client(&app, &request)?;
    let rows = app.db.run("inbound_number.list", inbound_number::list).await?;
    Ok(HttpResponse::Ok().json(Wrapped { data: rows.into_iter().map(Number::from).collect::<Vec<_>>() }))
}

#[utoipa::path(
    get, path = "/inbound-number/available", tag = tag::INBOUND, operation_id = "getFreeInboundNumbers",
    summary = "Numbers that no service has",
    responses((status = 200, description = "The numbers.", body = inline(Wrapped<Vec<Number>>)), refusal::ReadAll),
)]
pub(crate) async fn free_numbers(
    request: HttpRequest,
    app: Data<App>,
) -> Result<HttpResponse, InternalError> {
    internal::client(&app, &request)?;
    let rows = app.db.run("inbound_number.list", inbound_number::list).await?;
    let free = rows.into_iter().filter(|row| row.active && row.service.is_none());
    Ok(HttpResponse::Ok().json(Wrapped { data: free.map(Number::from).collect::<Vec<_>>() }))
}

async fn number_of(app: &App, service: ServiceId) -> Result<Option<InboundNumber>, Problem> {
    let number = app.db.run("inbound_number.of", move |conn| {
        service::of(conn, service, |conn| inbound_number::of(conn, service))
    });
    number.await?.ok_or(Problem::NoResult)
}

#[utoipa::path(
    get, path = "/inbound-number/service/{service}", tag = tag::INBOUND, operation_id = "getInboundNumber",
    summary = "The number of a service", params(ask::Service),
    responses(
        (status = 200, description = "`data` is an empty object when it has none.",
            body = inline(Wrapped<answer::NumberOrNone>)),
        refusal::Read,
    ),
)]
pub(crate) async fn number_of_service(
    request: HttpRequest,
    app: Data<App>,
) -> Result<HttpResponse, InternalError> {
    internal::client(&app, &request)?;
    let data = match number_of(&app, internal::service_id(&request)?).await? {
        Some(number) => json!(Number::from(number)),
        None => json!({}),
    };
    Ok(HttpResponse::Ok().json(Wrapped { data }))
}

#[utoipa::path(
    post, path = "/inbound-number/service/{service}", tag = tag::INBOUND, operation_id = "giveInboundNumber",
    summary = "Give a service a number", params(ask::Service), request_body = ask::NumberRequest,
    responses(
        (status = 201, description = "The sender of texts that it became.", body = SmsSenderRow),
        refusal::GiveNumber,
    ),
)]
pub(crate) async fn give_number(
    request: HttpRequest,
    payload: Payload,
    app: Data<App>,
) -> Result<HttpResponse, InternalError> {
    internal::client(&app, &request)?;
    let service = internal::service_id(&request)?;
    let mut form = Form::new(internal::json_or_nothing(&app, payload).await?)?;
    let wanted = form.optional("inbound_number_id", uuid_or_null).flatten().map(InboundNumberId);
    nothing_wrong(form)?;
    let row = senders::allocate(&app, service, wanted, true).await?;
    Ok(HttpResponse::Created().json(SmsSenderRow::new(service, row)))
}

fn nothing_wrong(form: Form) -> Result<(), Problem> {
    let errors = form.errors_of_known();
    if errors.is_empty() { Ok(()) } else { Err(Problem::Validation(errors)) }
}

#[utoipa::path(
    post, path = "/inbound-number/service/{service}/off", tag = tag::INBOUND, operation_id = "switchOffInboundNumber",
    summary = "Stop a number from receiving", params(ask::Service),
    responses((status = 204, description = "It receives nothing, and stays with the service."), refusal::Read),
)]
pub(crate) async fn switch_off(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, InternalError> {
    internal::client(&app, &request)?;
    let (service, now) = (internal::service_id(&request)?, app.clock.now());
    let done = app.db.run("inbound_number.switch_off", move |conn| {
        service::of(conn, service, |conn| inbound_number::switch_off(conn, service, now))
    });
    done.await?.ok_or(Problem::NoResult)?;
    Ok(HttpResponse::NoContent().finish())
}

#[utoipa::path(
    post, path = "/service/{service}/inbound-sms/remove", tag = tag::INBOUND, operation_id = "removeInboundNumber",
    summary = "Take its number from a service", params(ask::Service), request_body = ask::GiveUpRequest,
    responses((status = 200, description = "An empty object.", body = inline(answer::Empty)), refusal::GiveUpNumber),
)]
pub(crate) async fn give_up_number(
    request: HttpRequest,
    payload: Payload,
    app: Data<App>,
) -> Result<HttpResponse, InternalError> {
    internal::client(&app, &request)?;
    let service = internal::service_id(&request)?;
    let mut form = Form::new(internal::json_or_nothing(&app, payload).await?)?;
    let archive = form.optional("archive", boolean).unwrap_or_default();
    nothing_wrong(form)?;
    let (platform, now) = (app.accepting.default_sms_sender.clone(), app.clock.now());
    let given_up = app.db.run("inbound_number.give_up", move |conn| {
        inbound_number::give_up(conn, service, archive, &platform, now)
    });
    if given_up.await? { Ok(HttpResponse::Ok().json(json!({}))) } else { Err(Problem::NoResult.into()) }
}

fn shown(service: ServiceId, texts: Vec<ReceivedText>) -> Vec<Shown> {
    texts.into_iter().map(|text| Shown::new(service, text)).collect()
}

/// The people's numbers are kept in one form, which may not be how the number is asked for.
fn normalised(number: String) -> String {
    PhoneNumber::parse(&number).map_or(number, |known| known.normalised().to_owned())
}

#[utoipa::path(
    post, path = "/service/{service}/inbound-sms", tag = tag::INBOUND, operation_id = "getReceivedTexts",
    summary = "What people texted to a service", params(ask::Service), request_body = ask::ReceivedTextsRequest,
    responses(
        (status = 200, description = "As long as it is kept, the newest first; the newest 5,000 of more.", body = inline(Wrapped<Vec<Shown>>)),
        refusal::ReadTexts,
    ),
)]
pub(crate) async fn messages(
    request: HttpRequest,
    payload: Payload,
    app: Data<App>,
) -> Result<HttpResponse, InternalError> {
    internal::client(&app, &request)?;
    let service = internal::service_id(&request)?;
    let mut form = Form::new(internal::json_or_nothing(&app, payload).await?)?;
    let number = form.optional("phone_number", text).filter(|number| !number.is_empty()).map(normalised);
    nothing_wrong(form)?;
    let (keyring, now) = (app.keyring.clone(), app.clock.now());
    let texts = app.db.run("received_text.since", move |conn| {
        service::of(conn, service, |conn| {
            let since = london::midnight_days_ago(now, retention::days_of_texts(conn, service)?);
            received_text::since(conn, &keyring, service, since, number.as_deref())
        })
    });
    let texts = texts.await?.ok_or(Problem::NoResult)?;
    Ok(HttpResponse::Ok().json(Wrapped { data: shown(service, texts) }))
}

#[utoipa::path(
    get, path = "/service/{service}/inbound-sms/most-recent", tag = tag::INBOUND, operation_id = "getNewestReceivedTexts",
    summary = "The newest text of each person", params(ask::Service, ask::Page),
    responses(
        (status = 200, description = "A page of fifty.", body = inline(answer::NewestTexts)),
        refusal::ReadNewestTexts,
    ),
)]
pub(crate) async fn most_recent(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, InternalError> {
    internal::client(&app, &request)?;
    let (service, page) = (internal::service_id(&request)?, page(request.query_string())?);
    let (keyring, now) = (app.keyring.clone(), app.clock.now());
    let texts = app.db.run("received_text.newest_of_each", move |conn| {
        service::of(conn, service, |conn| {
            let since = london::midnight_days_ago(now, retention::days_of_texts(conn, service)?);
            // One more than fits tells whether there is another page.
            let window = (PAGE + 1, page.saturating_sub(1).saturating_mul(PAGE));
            received_text::newest_of_each(conn, &keyring, service, since, window)
        })
    });
    let mut texts = texts.await?.ok_or(Problem::NoResult)?;
    let has_next = texts.len() > PAGE as usize;
    texts.truncate(PAGE as usize);
    Ok(HttpResponse::Ok().json(json!({ "data": shown(service, texts), "has_next": has_next })))
}

/// From 1.
fn page(query: &str) -> Result<i64, Problem> {
    let pairs: Vec<(String, String)> = serde_urlencoded::from_str(query).unwrap_or_default();
    let Some((_, text)) = pairs.iter().find(|(name, _)| name == "page") else { return Ok(1) };
    match text.trim().parse() {
        Ok(page) if page >= 1 => Ok(page),
        Ok(_) => Err(Problem::field("page", "Not a positive integer")),
        Err(_) => Err(Problem::field("page", "Not a valid integer.")),
    }
}

#[utoipa::path(
    get, path = "/service/{service}/inbound-sms/summary", tag = tag::INBOUND, operation_id = "getReceivedTextsSummary",
    summary = "How many texts came within seven days", params(ask::Service),
    responses(
        (status = 200, description = "`most_recent` is in UTC, without a `Z`.", body = inline(answer::TextsSummary)),
        refusal::Read,
    ),
)]
pub(crate) async fn summary(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, InternalError> {
    internal::client(&app, &request)?;
    let service = internal::service_id(&request)?;
    let since = london::midnight_days_ago(app.clock.now(), retention::DEFAULT_DAYS);
    let summary = app.db.run("received_text.summary", move |conn| {
        service::of(conn, service, |conn| received_text::summary(conn, service, since))
    });
    let (count, newest) = summary.await?.ok_or(Problem::NoResult)?;
    let body = json!({ "count": count, "most_recent": newest.map(iso_format) });
    Ok(HttpResponse::Ok().json(body))
}

/// As Python writes a time that knows no zone: without `Z`, and without a fraction that is zero.
fn iso_format(time: DateTime<Utc>) -> String {
    let format =
        if time.timestamp_subsec_micros() == 0 { "%Y-%m-%dT%H:%M:%S" } else { "%Y-%m-%dT%H:%M:%S%.6f" };
    time.format(format).to_string()
}

#[utoipa::path(
    get, path = "/service/{service}/inbound-sms/most-recent-usage", tag = tag::INBOUND, operation_id = "getInboundNumberUsage",
    summary = "When the number of a service was texted last", params(ask::Service),
    responses((status = 200, description = "Null: never.", body = inline(answer::NumberUsage)), refusal::ReadUsage,
        (status = 404, description = "The service has no number, or there is no such service.", body = inline(answer::NoNumber))),
)]
pub(crate) async fn most_recent_usage(
    request: HttpRequest,
    app: Data<App>,
) -> Result<HttpResponse, InternalError> {
    internal::client(&app, &request)?;
    let service = internal::service_id(&request)?;
    let Some(number) = number_of(&app, service).await? else {
        return Ok(HttpResponse::NotFound().json(json!({ "message": "inbound not found" })));
    };
    let newest = app
        .db
        .run("received_text.newest_to", move |conn| received_text::newest_to(conn, service, &number.number));
    Ok(HttpResponse::Ok().json(json!({ "most_recent_date": newest.await?.map(timestamp) })))
}

#[utoipa::path(
    get, path = "/service/{service}/inbound-sms/{id}", tag = tag::INBOUND, operation_id = "getReceivedText",
    summary = "One text", params(ask::Service, ask::ReceivedText),
    responses((status = 200, description = "The text.", body = Shown), refusal::Read),
)]
pub(crate) async fn message(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, InternalError> {
    internal::client(&app, &request)?;
    let service = internal::service_id(&request)?;
    let id = ReceivedTextId(internal::id(&request, "id")?);
    let keyring = app.keyring.clone();
    let text = app.db.run("received_text.find", move |conn| received_text::find(conn, &keyring, service, id));
    let text = text.await?.ok_or(Problem::NoResult)?;
    Ok(HttpResponse::Ok().json(Shown::new(service, text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_no_zone_and_no_zero_fraction() {
        let at = |text: &str| iso_format(text.parse().unwrap());
        assert_eq!(at("2026-03-02T10:11:12.012345Z"), "2026-03-02T10:11:12.012345");
        assert_eq!(at("2026-03-02T10:11:12Z"), "2026-03-02T10:11:12");
    }

    #[test]
    fn a_page_is_a_positive_integer() {
        assert_eq!(page("a=1").unwrap(), 1);
        assert_eq!(page("page=3&page=x").unwrap(), 3);
        for bad in ["page=0", "page=-1", "page=x", "page=", "page=99999999999999999999"] {
            assert!(page(bad).is_err(), "{bad}");
        }
    }
}
