//! Whom the texts of a service come from, and where answers to its e-mails go: two lists under one set of rules, in the
//! contract's words for each.

pub(crate) mod verify;

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Payload, ServiceConfig, post},
};
use db::{
    inbound_number,
    sender::{self, Kind, NewSender, Refusal, Sender},
    service,
};
use domain::id::{InboundNumberId, ServiceId};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    App,
    error::{InternalError, Problem},
    internal::{self, Wrapped},
    openapi::{internal::tag, refusal::internal as refusal, request::internal as ask},
    routes::{BOTH, WRITE, at, get},
    v2::{
        schema::{Form, boolean, email_address, shown, text, uuid_or_null},
        timestamp,
    },
};

/// Characters of a sender that networks show.
const LONGEST_SENDER: usize = 11;

pub(crate) fn table(config: &mut ServiceConfig) {
    let (reply_to, sms) = ("/service/{service}/email-reply-to", "/service/{service}/sms-sender");
    let one = |path: &str| at(&format!("{path}/{{id}}"), BOTH);
    let archive = |path: &str| at(&format!("{path}/{{id}}/archive"), WRITE);
    config
        .service(at(reply_to, BOTH).route(get().to(reply_tos)).route(post().to(add_reply_to)))
        .service(at(&format!("{reply_to}/verify"), WRITE).route(post().to(verify::verify)))
        .service(one(reply_to).route(get().to(reply_to_by_id)).route(post().to(update_reply_to)))
        .service(archive(reply_to).route(post().to(archive_reply_to)))
        .service(at(sms, BOTH).route(get().to(sms_senders)).route(post().to(add_sms_sender)))
        .service(one(sms).route(get().to(sms_sender_by_id)).route(post().to(update_sms_sender)))
        .service(archive(sms).route(post().to(archive_sms_sender)));
}

#[derive(Serialize, ToSchema)]
#[schema(as = ReplyTo)]
struct ReplyToRow {
    id: Uuid,
    #[schema(value_type = Uuid)]
    service_id: ServiceId,
    email_address: String,
    is_default: bool,
    archived: bool,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: Option<String>,
}

impl ReplyToRow {
    fn new(service_id: ServiceId, row: Sender) -> Self {
        Self {
            id: row.id,
            service_id,
            email_address: row.text,
            is_default: row.is_default,
            archived: row.archived,
            created_at: timestamp(row.created_at),
            updated_at: row.updated_at.map(timestamp),
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = SmsSender)]
pub(crate) struct SmsSenderRow {
    id: Uuid,
    sms_sender: String,
    #[schema(value_type = Uuid)]
    service_id: ServiceId,
    is_default: bool,
    archived: bool,
    inbound_number_id: Option<Uuid>,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: Option<String>,
}

impl SmsSenderRow {
    pub(crate) fn new(service_id: ServiceId, row: Sender) -> Self {
        Self {
            id: row.id,
            sms_sender: row.text,
            service_id,
            is_default: row.is_default,
            archived: row.archived,
            inbound_number_id: row.inbound_number_id,
            created_at: timestamp(row.created_at),
            updated_at: row.updated_at.map(timestamp),
        }
    }
}

async fn list(request: &HttpRequest, app: &App, kind: Kind) -> Result<(ServiceId, Vec<Sender>), Problem> {
    internal::client(app, request)?;
    let service = internal::service_id(request)?;
    let rows = app
        .db
        .run("sender.list", move |conn| service::of(conn, service, |conn| sender::list(conn, kind, service)));
    Ok((service, rows.await?.ok_or(Problem::NoResult)?))
}

#[utoipa::path(
    get, path = "/service/{service}/email-reply-to", tag = tag::SENDERS, operation_id = "getReplyTos",
    summary = "Where answers to e-mails go", params(ask::Service),
    responses(
        (status = 200, description = "The default first, then the newest.", body = Vec<ReplyToRow>),
        refusal::Read,
    ),
)]
pub(crate) async fn reply_tos(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, InternalError> {
    let (service, rows) = list(&request, &app, Kind::ReplyTo).await?;
    let rows: Vec<_> = rows.into_iter().map(|row| ReplyToRow::new(service, row)).collect();
    Ok(HttpResponse::Ok().json(rows))
}

#[utoipa::path(
    get, path = "/service/{service}/sms-sender", tag = tag::SENDERS, operation_id = "getSmsSenders",
    summary = "Whom texts come from", params(ask::Service),
    responses(
        (status = 200, description = "The default first, then the newest.", body = Vec<SmsSenderRow>),
        refusal::Read,
    ),
)]
pub(crate) async fn sms_senders(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, InternalError> {
    let (service, rows) = list(&request, &app, Kind::Sms).await?;
    let rows: Vec<_> = rows.into_iter().map(|row| SmsSenderRow::new(service, row)).collect();
    Ok(HttpResponse::Ok().json(rows))
}

async fn by_id(request: &HttpRequest, app: &App, kind: Kind) -> Result<(ServiceId, Sender), Problem> {
    internal::client(app, request)?;
    let (service, id) = (internal::service_id(request)?, internal::id(request, "id")?);
    let row = app.db.run("sender.find", move |conn| sender::find(conn, kind, service, id)).await?;
    Ok((service, row.ok_or(Problem::NoResult)?))
}

#[utoipa::path(
    get, path = "/service/{service}/email-reply-to/{id}", tag = tag::SENDERS, operation_id = "getReplyTo",
    summary = "One reply-to address", params(ask::Service, ask::ReplyTo),
    responses((status = 200, description = "The address.", body = ReplyToRow), refusal::Read),
)]
pub(crate) async fn reply_to_by_id(
    request: HttpRequest,
    app: Data<App>,
) -> Result<HttpResponse, InternalError> {
    let (service, row) = by_id(&request, &app, Kind::ReplyTo).await?;
    Ok(HttpResponse::Ok().json(ReplyToRow::new(service, row)))
}

#[utoipa::path(
    get, path = "/service/{service}/sms-sender/{id}", tag = tag::SENDERS, operation_id = "getSmsSender",
    summary = "One sender of texts", params(ask::Service, ask::SmsSender),
    responses((status = 200, description = "The sender.", body = SmsSenderRow), refusal::Read),
)]
pub(crate) async fn sms_sender_by_id(
    request: HttpRequest,
    app: Data<App>,
) -> Result<HttpResponse, InternalError> {
    let (service, row) = by_id(&request, &app, Kind::Sms).await?;
    Ok(HttpResponse::Ok().json(SmsSenderRow::new(service, row)))
}

fn read_reply_to(body: Value) -> Result<NewSender, Problem> {
    let mut form = Form::new(body)?;
    let (address, is_default) =
        (form.required("email_address", email_address), form.required("is_default", boolean));
    match (address, is_default, form.errors_of_known()) {
        (Some(address), Some(is_default), errors) if errors.is_empty() => {
            Ok(NewSender { id: Uuid::new_v4(), text: address.as_given().to_owned(), is_default })
        }
        (_, _, errors) => Err(Problem::Validation(errors)),
    }
}

#[utoipa::path(
    post, path = "/service/{service}/email-reply-to", tag = tag::SENDERS, operation_id = "addReplyTo",
    summary = "Add a reply-to address", params(ask::Service), request_body = ask::ReplyToRequest,
    responses(
        (status = 201, description = "The address.", body = inline(Wrapped<ReplyToRow>)),
        refusal::WriteReplyTo,
    ),
)]
pub(crate) async fn add_reply_to(
    request: HttpRequest,
    payload: Payload,
    app: Data<App>,
) -> Result<HttpResponse, InternalError> {
    internal::client(&app, &request)?;
    let service = internal::service_id(&request)?;
    let new = read_reply_to(internal::json(&app, payload).await?)?;
    let row = write(&app, service, Kind::ReplyTo, new, Write::Add).await?;
    Ok(HttpResponse::Created().json(Wrapped { data: ReplyToRow::new(service, row) }))
}

#[utoipa::path(
    post, path = "/service/{service}/email-reply-to/{id}", tag = tag::SENDERS, operation_id = "updateReplyTo",
    summary = "Change a reply-to address", params(ask::Service, ask::ReplyTo), request_body = ask::ReplyToRequest,
    responses(
        (status = 200, description = "The address.", body = inline(Wrapped<ReplyToRow>)),
        refusal::WriteReplyTo,
    ),
)]
pub(crate) async fn update_reply_to(
    request: HttpRequest,
    payload: Payload,
    app: Data<App>,
) -> Result<HttpResponse, InternalError> {
    internal::client(&app, &request)?;
    let (service, id) = (internal::service_id(&request)?, internal::id(&request, "id")?);
    let new = NewSender { id, ..read_reply_to(internal::json(&app, payload).await?)? };
    let row = write(&app, service, Kind::ReplyTo, new, Write::Update).await?;
    Ok(HttpResponse::Ok().json(Wrapped { data: ReplyToRow::new(service, row) }))
}

#[derive(Clone, Copy)]
enum Write {
    Add,
    Update,
}

async fn write(
    app: &App,
    service: ServiceId,
    kind: Kind,
    new: NewSender,
    write: Write,
) -> Result<Sender, Problem> {
    let (text, now) = (new.text.clone(), app.clock.now());
    let written = app.db.run("sender.write", move |conn| match write {
        Write::Add => sender::add(conn, kind, service, &new, now),
        Write::Update => sender::update(conn, kind, service, &new, now),
    });
    written.await?.map_err(|refusal| refused(refusal, kind, service, &text))
}

async fn archive(request: &HttpRequest, app: &App, kind: Kind) -> Result<(ServiceId, Sender), Problem> {
    internal::client(app, request)?;
    let (service, id) = (internal::service_id(request)?, internal::id(request, "id")?);
    let now = app.clock.now();
    let archived = app.db.run("sender.archive", move |conn| sender::archive(conn, kind, service, id, now));
    let row = archived.await?.map_err(|refusal| refused(refusal, kind, service, ""))?;
    Ok((service, row))
}

#[utoipa::path(
    post, path = "/service/{service}/email-reply-to/{id}/archive", tag = tag::SENDERS, operation_id = "archiveReplyTo",
    summary = "Archive a reply-to address", params(ask::Service, ask::ReplyTo),
    responses(
        (status = 200, description = "The address.", body = inline(Wrapped<ReplyToRow>)),
        refusal::ArchiveReplyTo,
    ),
)]
pub(crate) async fn archive_reply_to(
    request: HttpRequest,
    app: Data<App>,
) -> Result<HttpResponse, InternalError> {
    let (service, row) = archive(&request, &app, Kind::ReplyTo).await?;
    Ok(HttpResponse::Ok().json(Wrapped { data: ReplyToRow::new(service, row) }))
}

#[utoipa::path(
    post, path = "/service/{service}/sms-sender/{id}/archive", tag = tag::SENDERS, operation_id = "archiveSmsSender",
    summary = "Archive a sender of texts", params(ask::Service, ask::SmsSender),
    responses((status = 200, description = "The sender.", body = SmsSenderRow), refusal::ArchiveSmsSender),
)]
pub(crate) async fn archive_sms_sender(
    request: HttpRequest,
    app: Data<App>,
) -> Result<HttpResponse, InternalError> {
    let (service, row) = archive(&request, &app, Kind::Sms).await?;
    Ok(HttpResponse::Ok().json(SmsSenderRow::new(service, row)))
}

struct SmsForm {
    new: NewSender,
    inbound_number_id: Option<Uuid>,
}

/// What is longer than the column is a value that the database rejects: by the contract, there is no such thing.
fn read_sms_sender(body: Value) -> Result<SmsForm, Problem> {
    let mut form = Form::new(body)?;
    let (sender, is_default) =
        (form.required("sms_sender", sms_sender), form.required("is_default", boolean));
    let inbound_number_id = form.optional("inbound_number_id", uuid_or_null).flatten();
    let (text, is_default) = match (sender, is_default, form.errors_of_known()) {
        (Some(sender), Some(is_default), errors) if errors.is_empty() => (sender, is_default),
        (_, _, errors) => return Err(Problem::Validation(errors)),
    };
    if text.chars().count() > LONGEST_SENDER {
        return Err(Problem::NoResult);
    }
    Ok(SmsForm { new: NewSender { id: Uuid::new_v4(), text, is_default }, inbound_number_id })
}

#[utoipa::path(
    post, path = "/service/{service}/sms-sender", tag = tag::SENDERS, operation_id = "addSmsSender",
    summary = "Add a sender of texts", params(ask::Service), request_body = ask::SmsSenderRequest,
    responses((status = 201, description = "The sender.", body = SmsSenderRow), refusal::AddSmsSender),
)]
pub(crate) async fn add_sms_sender(
    request: HttpRequest,
    payload: Payload,
    app: Data<App>,
) -> Result<HttpResponse, InternalError> {
    internal::client(&app, &request)?;
    let service = internal::service_id(&request)?;
    let SmsForm { new, inbound_number_id } = read_sms_sender(internal::json(&app, payload).await?)?;
    let row = match inbound_number_id {
        Some(number) => allocate(&app, service, Some(InboundNumberId(number)), new.is_default).await?,
        None => write(&app, service, Kind::Sms, new, Write::Add).await?,
    };
    Ok(HttpResponse::Created().json(SmsSenderRow::new(service, row)))
}

/// Gives the service a number as its sender.
pub(crate) async fn allocate(
    app: &App,
    service: ServiceId,
    number: Option<InboundNumberId>,
    is_default: bool,
) -> Result<Sender, Problem> {
    let now = app.clock.now();
    let allocated = app.db.run("inbound_number.allocate", move |conn| {
        inbound_number::allocate(conn, service, number, is_default, now)
    });
    let wanted = number.map(|id| id.to_string()).unwrap_or_default();
    allocated.await?.map_err(|refusal| refused(refusal, Kind::Sms, service, &wanted))
}

#[utoipa::path(
    post, path = "/service/{service}/sms-sender/{id}", tag = tag::SENDERS, operation_id = "updateSmsSender",
    summary = "Change a sender of texts", params(ask::Service, ask::SmsSender), request_body = ask::SmsSenderRequest,
    responses((status = 200, description = "The sender.", body = SmsSenderRow), refusal::UpdateSmsSender),
)]
pub(crate) async fn update_sms_sender(
    request: HttpRequest,
    payload: Payload,
    app: Data<App>,
) -> Result<HttpResponse, InternalError> {
    internal::client(&app, &request)?;
    let (service, id) = (internal::service_id(&request)?, internal::id(&request, "id")?);
    let asked = read_sms_sender(internal::json(&app, payload).await?)?;
    let new = NewSender { id, ..asked.new };
    let row = write(&app, service, Kind::Sms, new, Write::Update).await?;
    Ok(HttpResponse::Ok().json(SmsSenderRow::new(service, row)))
}

/// `wanted`: the text, or the id of the number.
fn refused(refusal: Refusal, kind: Kind, service: ServiceId, wanted: &str) -> Problem {
    let message = match (refusal, kind) {
        (Refusal::Unknown, _) => return Problem::NoResult,
        (Refusal::Duplicate, _) => return duplicate(wanted),
        (Refusal::NoDefault, Kind::ReplyTo) => {
            "You must have at least one reply to email address as the default."
        }
        (Refusal::NoDefault, Kind::Sms) => "You must have at least one SMS sender as the default.",
        (Refusal::DefaultArchived, Kind::ReplyTo) => "You cannot delete a default email reply to address",
        (Refusal::DefaultArchived, Kind::Sms) => "You cannot delete a default sms sender",
        (Refusal::NumberArchived, _) => "You cannot delete an inbound number",
        (Refusal::NumberChanged, _) => {
            let message = format!("You can not change the inbound number for service {service}");
            return Problem::bad_request(message);
        }
        (Refusal::HasNumber, _) => "Service already has an inbound number",
        (Refusal::NoFreeNumber, _) if wanted.is_empty() => "No inbound number is available",
        (Refusal::NoFreeNumber, _) => {
            return Problem::bad_request(format!("Inbound number {wanted} is not available"));
        }
    };
    Problem::bad_request(message)
}

fn duplicate(address: &str) -> Problem {
    let message = format!("‘{address}’ is already a reply-to email address for this service.");
    Problem::Conflict(message.into())
}

fn sms_sender(value: Value) -> Result<String, String> {
    let sender = text(value)?;
    if sender.trim().is_empty() { Err(format!("{} is too short", shown(&sender.into()))) } else { Ok(sender) }
}
