//! Templates as the front end makes them: created, changed (each change a version), archived, redacted, previewed.

mod asked;
mod shown;

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Payload, ServiceConfig, post},
};
use db::{
    log,
    template::{self, Change, Detailed, Template, Which, rules},
};
use domain::{
    email,
    id::{ReplyToId, ServiceId, SmsSenderId, TemplateId},
    sms::Sms,
    status::Channel,
    template::Personalisation,
};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

pub(crate) use self::asked::NO_LINKS_IN_TEXTS;
use self::{
    asked::{Creation, Update, unsubscribe_link},
    shown::Shown,
};
use super::{Wrapped, client, fields, id, json, service_id};
use crate::{
    App, accept,
    error::{InternalError, Problem},
    lookup::{KnownService, KnownTemplate},
    openapi::{self, internal::tag, refusal::internal as refusal, request::internal as ask},
    routes::{BOTH, READ, at, get},
    v2::send,
};

#[rustfmt::skip]
pub(crate) fn table(config: &mut ServiceConfig) {
    config
        .service(at("/service/{service}/template", BOTH).route(get().to(list)).route(post().to(create)))
        .service(at("/service/{service}/template/{template}", BOTH).route(get().to(one)).route(post().to(update)))
        .service(at("/service/{service}/template/{template}/version/{version:[0-9]+}", READ).route(get().to(version)))
        .service(at("/service/{service}/template/{template}/versions", READ).route(get().to(versions)))
        .service(at("/service/{service}/template/{template}/preview", READ).route(get().to(preview)));
}

/// A template in the list.
#[derive(Serialize, ToSchema)]
#[schema(as = ListedTemplate)]
struct Listed {
    folder: (),
    #[schema(value_type = Uuid)]
    id: TemplateId,
    is_precompiled_letter: bool,
    name: String,
    #[schema(schema_with = openapi::channel)]
    template_type: Channel,
}

/// `GET /service/{service}/template`
#[utoipa::path(
    get, path = "/service/{service}/template", tag = tag::TEMPLATES, operation_id = "getTemplates",
    summary = "The templates of a service", params(ask::Service),
    responses(
        (status = 200, description = "Those that are not archived, by name.", body = inline(Wrapped<Vec<Listed>>)),
        refusal::Read,
    ),
)]
pub(crate) async fn list(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, InternalError> {
    client(&app, &request)?;
    let (_, found) = find(&app, service_id(&request)?, Which::All(None)).await?;
    let listed = |Template { id, name, channel: template_type, .. }| Listed {
        folder: (),
        id,
        is_precompiled_letter: false,
        name,
        template_type,
    };
    let data: Vec<Listed> = found.into_iter().map(|detailed| listed(detailed.dated.template)).collect();
    Ok(HttpResponse::Ok().json(Wrapped { data }))
}

/// `GET /service/{service}/template/{template}`
#[utoipa::path(
    get, path = "/service/{service}/template/{template}", tag = tag::TEMPLATES, operation_id = "getTemplate",
    summary = "One template", params(ask::Service, ask::Template),
    responses(
        (status = 200, description = "The template as it is now.", body = inline(Wrapped<Shown>)),
        refusal::Read,
    ),
)]
pub(crate) async fn one(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, InternalError> {
    client(&app, &request)?;
    let (service, template) = (service_id(&request)?, template_id(&request)?);
    Ok(HttpResponse::Ok().json(Wrapped { data: shown(&app, service, Which::Current(template)).await? }))
}

/// `GET /service/{service}/template/{template}/version/{n}`
#[utoipa::path(
    get, path = "/service/{service}/template/{template}/version/{version}", tag = tag::TEMPLATES, operation_id = "getTemplateVersion",
    summary = "One version of a template", params(ask::Service, ask::Template, ask::Version),
    responses((status = 200, description = "The template as it was.", body = inline(Wrapped<Shown>)), refusal::Read),
)]
pub(crate) async fn version(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, InternalError> {
    client(&app, &request)?;
    let (service, template) = (service_id(&request)?, template_id(&request)?);
    // The route lets digits pass; a number too great for us is no version.
    let version = request.match_info().get("version").and_then(|digits| digits.parse().ok());
    let which = Which::Version(template, version.ok_or(Problem::NoResult)?);
    let data = by_people(&app, service, which).await?.pop().ok_or(Problem::NoResult)?;
    Ok(HttpResponse::Ok().json(Wrapped { data }))
}

/// `GET /service/{service}/template/{template}/versions`
#[utoipa::path(
    get, path = "/service/{service}/template/{template}/versions", tag = tag::TEMPLATES, operation_id = "getTemplateVersions",
    summary = "All versions of a template", params(ask::Service, ask::Template),
    responses((status = 200, description = "The newest first.", body = inline(Wrapped<Vec<Shown>>)), refusal::Read),
)]
pub(crate) async fn versions(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, InternalError> {
    client(&app, &request)?;
    let which = Which::Versions(template_id(&request)?);
    let data = by_people(&app, service_id(&request)?, which).await?;
    if data.is_empty() {
        return Err(Problem::NoResult.into());
    }
    Ok(HttpResponse::Ok().json(Wrapped { data }))
}

/// `GET /service/{service}/template/{template}/preview?name=Ada`
#[utoipa::path(
    get, path = "/service/{service}/template/{template}/preview", tag = tag::TEMPLATES, operation_id = "previewTemplate",
    summary = "What a message would look like", params(ask::Service, ask::Template, ask::Placeholders),
    responses(
        (status = 200, description = "The template with its values filled in.", body = Shown),
        refusal::Preview,
    ),
)]
pub(crate) async fn preview(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, InternalError> {
    client(&app, &request)?;
    let which = Which::Current(template_id(&request)?);
    let (service, mut found) = find(&app, service_id(&request)?, which).await?;
    let detailed = found.pop().ok_or(Problem::NoResult)?;
    let template = KnownTemplate::from(detailed.clone());
    let values = values(request.query_string());
    if let Some(message) = accept::missing(&template, &values) {
        return Err(Problem::field("template", message).into());
    }
    let (subject, content) = filled(&template, &values)?;
    Ok(HttpResponse::Ok().json(Shown::new(&app, &service, detailed).saying(subject, content)))
}

/// Of a parameter that is given twice, the first counts.
fn values(query: &str) -> Personalisation {
    let pairs: Vec<(String, String)> = serde_urlencoded::from_str(query).unwrap_or_default();
    let mut values = Map::new();
    for (name, value) in pairs {
        values.entry(name).or_insert(Value::String(value));
    }
    Personalisation::new(values)
}

/// Subject and content with the values put in: the text as it is sent, but without the service's name; the e-mail in Markdown.
fn filled(template: &KnownTemplate, values: &Personalisation) -> Result<(Option<String>, String), Problem> {
    match template.row.channel {
        Channel::Sms => {
            let text = Sms::from_template(&template.body, values, None);
            if !text.is_written() {
                text.sendable().map_err(send::unsendable)?;
            }
            Ok((None, text.text().to_owned()))
        }
        Channel::Email => {
            let subject = template.row.subject.as_deref().unwrap_or_default();
            let filled = email::fill(subject, &template.row.content, values);
            if filled.is_too_long() {
                return Err(send::too_many_bytes(&filled));
            }
            Ok((Some(filled.subject), filled.body))
        }
    }
}

/// `POST /service/{service}/template`
#[utoipa::path(
    post, path = "/service/{service}/template", tag = tag::TEMPLATES, operation_id = "createTemplate",
    summary = "Make a template", params(ask::Service), request_body = ask::CreateTemplateRequest,
    responses(
        (status = 201, description = "The template, in its first version.", body = inline(Wrapped<Shown>)),
        refusal::CreateTemplate,
    ),
)]
pub(crate) async fn create(
    request: HttpRequest,
    payload: Payload,
    app: Data<App>,
) -> Result<HttpResponse, InternalError> {
    client(&app, &request)?;
    let service = known_service(&app, service_id(&request)?).await?;
    let asked = Creation::read(json(&app, payload).await?)?;
    if asked.parent_folder_id.is_some() {
        return Err(Problem::bad_request("parent_folder_id not found").into());
    }
    let channel = permitted(&service, asked.channel, "Creating")?;
    fits(channel, &asked.content)?;
    let has_unsubscribe_link = unsubscribe_link(channel, asked.has_unsubscribe_link)?;
    let now = app.clock.now();
    let template = Template {
        id: TemplateId::new(now),
        service_id: service.id(),
        channel,
        name: asked.name,
        version: 1,
        subject: match channel {
            Channel::Sms => None,
            Channel::Email => Some(subject(asked.subject.unwrap_or_default())?),
        },
        content: asked.content,
        has_unsubscribe_link,
        archived: false,
    };
    let (id, by) = (template.id, asked.created_by);
    let stored = app.db.run("template.create", move |conn| match template::author(conn, by)? {
        Some(author) => template::create(conn, &template, &author, now).map(Some),
        None => Ok(None),
    });
    stored.await?.ok_or_else(unknown_user)?;
    Ok(HttpResponse::Created().json(Wrapped { data: shown(&app, service.id(), Which::Current(id)).await? }))
}

/// `POST /service/{service}/template/{template}`
#[utoipa::path(
    post, path = "/service/{service}/template/{template}", tag = tag::TEMPLATES, operation_id = "updateTemplate",
    summary = "Change a template", description = "A change of what is sent makes a version.",
    params(ask::Service, ask::Template, ask::Acting), request_body = ask::UpdateTemplateRequest,
    responses(
        (status = 200, description = "The template as it is now; `null` when it was redacted.",
            body = inline(Option<Wrapped<Shown>>)),
        refusal::UpdateTemplate,
    ),
)]
pub(crate) async fn update(
    request: HttpRequest,
    payload: Payload,
    app: Data<App>,
) -> Result<HttpResponse, InternalError> {
    let acting = client(&app, &request)?;
    let id = template_id(&request)?;
    let (service, mut found) = find(&app, service_id(&request)?, Which::Current(id)).await?;
    let old = found.pop().ok_or(Problem::NoResult)?.dated.template;
    let channel = permitted(&service, Some(old.channel), "Updating")?;
    let asked = Update::read(json(&app, payload).await?)?;
    if asked.redact_personalisation {
        let by = asked.created_by.ok_or_else(|| Problem::field("created_by", "Field is required"))?;
        redact(&app, id, by).await?;
        return Ok(HttpResponse::Ok().json(()));
    }
    if let Some(reply_to) = asked.reply_to {
        set_reply_to(&app, &service, &old, reply_to).await?;
    } else {
        let has_unsubscribe_link = match asked.has_unsubscribe_link {
            Some(Value::Null) => return Err(Problem::field("has_unsubscribe_link", fields::NULL).into()),
            None => None,
            said => Some(unsubscribe_link(channel, said)?),
        };
        let change = change(Change { has_unsubscribe_link, ..asked.change }, channel, &old)?;
        make_version(&app, (service.id(), id), change, asked.created_by, acting.user).await?;
    }
    Ok(HttpResponse::Ok().json(Wrapped { data: shown(&app, service.id(), Which::Current(id)).await? }))
}

/// What may become of a template, by the rules for new ones.
fn change(asked: Change, channel: Channel, old: &Template) -> Result<Change, Problem> {
    if let Some(content) = asked.content.as_ref().filter(|content| **content != old.content) {
        fits(channel, content)?;
    }
    let subject = match channel {
        Channel::Sms => None,
        Channel::Email => asked.subject.map(subject).transpose()?,
    };
    Ok(Change { subject, ..asked })
}

/// By whom the body says, or else by whom the client acts for if that is somebody we know.
async fn make_version(
    app: &App,
    (service, id): (ServiceId, TemplateId),
    change: Change,
    created_by: Option<Uuid>,
    acting: Option<Uuid>,
) -> Result<(), Problem> {
    let now = app.clock.now();
    let known = app.db.run("template.update", move |conn| {
        let author = match created_by.or(acting) {
            Some(user) => template::author(conn, user)?,
            None => None,
        };
        if created_by.is_some() && author.is_none() {
            return Ok(false);
        }
        template::update(conn, (service, id), change, author.as_ref(), now).map(|_version| true)
    });
    if known.await? { Ok(()) } else { Err(unknown_user()) }
}

async fn redact(app: &App, id: TemplateId, by: Uuid) -> Result<(), Problem> {
    let redacted = app.db.run("template.redact", move |conn| match template::author(conn, by)? {
        Some(_) => template::redact(conn, id, by).map(Some),
        None => Ok(None),
    });
    redacted.await?.ok_or_else(unknown_user)
}

async fn set_reply_to(
    app: &App,
    service: &KnownService,
    template: &Template,
    reply_to: Option<Uuid>,
) -> Result<(), Problem> {
    if let Some(id) = reply_to {
        let (field, known) = match template.channel {
            Channel::Sms => ("sms_sender_id", service.sms_sender(SmsSenderId(id)).is_some()),
            Channel::Email => ("email_reply_to_id", service.reply_to(ReplyToId(id)).is_some()),
        };
        if !known {
            return Err(accept::unknown_sender(field, id, service.id()));
        }
    }
    let (id, now) = (template.id, app.clock.now());
    Ok(app
        .db
        .run("template.set_reply_to", move |conn| template::set_reply_to(conn, id, reply_to, now))
        .await?)
}

/// None is a letter, which nobody may write: they are not carried.
fn permitted(
    service: &KnownService,
    channel: Option<Channel>,
    doing: &'static str,
) -> Result<Channel, Problem> {
    let what = match channel {
        Some(Channel::Sms) => "text message",
        Some(Channel::Email) => "email",
        None => "letter",
    };
    let permitted =
        channel.is_some_and(|channel| service.service.permissions.contains(&rules::needed(channel)));
    channel.filter(|_| permitted).ok_or_else(|| {
        Problem::ForbiddenField("template_type", format!("{doing} {what} templates is not allowed").into())
    })
}

fn fits(channel: Channel, content: &str) -> Result<(), Problem> {
    rules::check_content(channel, content).map_err(|unfit| Problem::field("content", unfit.to_string()))
}

/// Of an e-mail.
fn subject(subject: String) -> Result<String, Problem> {
    match rules::check_subject(&subject) {
        Ok(()) => Ok(subject),
        Err(unfit) => Err(Problem::field("subject", unfit.to_string())),
    }
}

fn unknown_user() -> Problem {
    Problem::field("created_by", "User not found")
}

fn template_id(request: &HttpRequest) -> Result<TemplateId, Problem> {
    Ok(TemplateId(id(request, "template")?))
}

/// As it is now: what has just been changed shows.
async fn known_service(app: &App, id: ServiceId) -> Result<KnownService, Problem> {
    let found = app.db.run("service.find", move |conn| db::service::find(conn, id)).await?;
    found.map(KnownService::new).ok_or(Problem::NoResult)
}

async fn find(app: &App, service: ServiceId, which: Which) -> Result<(KnownService, Vec<Detailed>), Problem> {
    let known = known_service(app, service).await?;
    let found = app.db.run("template.detailed", move |conn| template::detailed(conn, service, which));
    Ok((known, found.await?))
}

/// Versions with who made each, as people know them.
async fn by_people(app: &App, service: ServiceId, which: Which) -> Result<Vec<Shown>, Problem> {
    let (service, found) = find(app, service, which).await?;
    let ids: Vec<Uuid> = found.iter().map(Detailed::made_by).collect();
    let people = app.db.run("template.authors", move |conn| log::people(conn, ids.into_iter())).await?;
    let shown = |version| Shown::new(app, &service, version).by_people(&people);
    Ok(found.into_iter().map(shown).collect())
}

async fn shown(app: &App, service: ServiceId, which: Which) -> Result<Shown, Problem> {
    let (service, mut found) = find(app, service, which).await?;
    let detailed = found.pop().ok_or(Problem::NoResult)?;
    Ok(Shown::new(app, &service, detailed))
}
