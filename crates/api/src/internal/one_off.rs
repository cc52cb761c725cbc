//! `POST /service/{service}/send-notification`: one message that a person at the front end sends, without a key. The rules are
//! those of `/v2`, but for the limit of the minute, which is for programs, and the guest list, which is for trying programs out.

use std::sync::Arc;

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Payload, ServiceConfig, post},
};
use chrono::{DateTime, Utc};
use db::limit::Measure;
use domain::{
    email,
    email_address::EmailAddress,
    id::{NotificationId, ReplyToId, SmsSenderId},
    phone::PhoneNumber,
    sms::Sms,
    status::{Channel, KeyType},
    template::Personalisation,
};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::fields::{Fields, Read};
use crate::{
    App,
    accept::{self, Message},
    admit::{self, Judged, Ready, Refused},
    auth::{By, Caller},
    error::{InternalError, Problem},
    internal,
    lookup::{KnownService, KnownTemplate},
    openapi::{
        internal::{answer, tag},
        refusal::internal as refusal,
        request::internal as ask,
    },
    routes::{WRITE, at},
    unsubscribe::Links,
    v2::{
        root,
        send::{too_many_bytes, unsendable},
    },
};

pub(crate) fn table(config: &mut ServiceConfig) {
    config.service(at("/service/{service}/send-notification", WRITE).route(post().to(send)));
}

struct Asked {
    template: Uuid,
    to: String,
    personalisation: Map<String, Value>,
    created_by: Uuid,
    sender: Option<Uuid>,
}

impl Read for Map<String, Value> {
    fn read(value: &Value) -> Result<Self, &'static str> {
        value.as_object().cloned().ok_or("Not a valid mapping type.")
    }
}

impl Asked {
    fn read(body: Value) -> Result<Self, Problem> {
        let mut fields = Fields::of(body)?;
        let (template, to) = (fields.required("template_id"), fields.required("to"));
        let personalisation = fields.optional::<Option<_>>("personalisation").flatten();
        let (created_by, sender) = (fields.required("created_by"), fields.optional("sender_id").flatten());
        fields.check()?;
        match (template, to, created_by) {
            (Some(template), Some(to), Some(created_by)) => Ok(Self {
                template,
                to,
                personalisation: personalisation.unwrap_or_default(),
                created_by,
                sender,
            }),
            _ => Err(Problem::Internal("a field is neither there nor wrong".into())),
        }
    }
}

#[utoipa::path(
    post, path = "/service/{service}/send-notification", tag = tag::LOG, operation_id = "sendNotification",
    summary = "Send one message without a key",
    description = "The rules are those of `/v2`, but for the guest list and the limit of the minute.",
    params(ask::Service), request_body = ask::OneOffRequest,
    responses((status = 201, description = "It is stored.", body = inline(answer::Sent)), refusal::SendOneOff),
)]
pub(crate) async fn send(
    request: HttpRequest,
    payload: Payload,
    app: Data<App>,
) -> Result<HttpResponse, InternalError> {
    internal::client(&app, &request)?;
    let id = internal::service_id(&request)?;
    let asked = Asked::read(internal::json(&app, payload).await?)?;
    let service = app.lookup.service(id).await?.ok_or(Problem::NoResult)?;
    if !service.is_active() {
        return Err(Problem::Forbidden("Sending is not allowed: service is inactive".into()).into());
    }
    let person = asked.created_by;
    let author = app.db.run("log.author", move |conn| db::log::author(conn, id, person)).await?;
    let (name, is_member) = author.ok_or(Problem::NoResult)?;
    if !is_member {
        return Err(not_a_member(&name, &service).into());
    }
    let caller = Caller { service, by: By::Person(Some(person)), key_type: KeyType::Normal };
    let template = accept::known_template(&app, &caller, asked.template).await?;
    let channel = template.row.channel;
    let judged = match channel {
        Channel::Sms => judge_sms(&app, &caller, &template, asked),
        Channel::Email => judge_email(&app, &caller, &template, &root(&request), asked).await,
    };
    let measure = Measure { rate: None, ..admit::measure(&caller, channel) };
    Ok(admit::admit(&app, &caller, measure, None, judged).await?)
}

fn not_a_member(name: &str, service: &KnownService) -> Problem {
    let service = &service.service.name;
    Problem::bad_request(format!(
        "Can’t create notification - {name} is not part of the \"{service}\" service"
    ))
}

/// Rows 4, 7 and 8, and what no such message can have.
fn usable(caller: &Caller, template: &KnownTemplate, values: &Personalisation) -> Result<(), Problem> {
    accept::permission(caller, template.row.channel)?;
    accept::not_archived(template)?;
    accept::nothing_missing(template, values)?;
    if accept::has_file(values) {
        return Err(Problem::bad_request("Can only send a file with an API key"));
    }
    Ok(())
}

fn judge_sms(app: &App, caller: &Caller, template: &KnownTemplate, asked: Asked) -> Judged {
    let (now, values) = (app.clock.now(), Personalisation::new(asked.personalisation));
    usable(caller, template, &values)?;
    let text = Sms::from_template(&template.body, &values, None);
    if text.is_empty() {
        return Err(unsendable(domain::sms::Unsendable::Empty).into());
    }
    let number = PhoneNumber::parse(&asked.to).map_err(|error| Problem::InvalidPhone(error.api_message()))?;
    accept::recipient_allowed(caller, Channel::Sms, number.normalised())?;
    accept::number_permitted(caller, &number)?;
    let sender = match asked.sender {
        Some(id) => {
            caller.service.sms_sender(SmsSenderId(id)).ok_or(Problem::bad_request("SMS sender not found"))?
        }
        None => accept::sms_sender(app, caller, template, None)?,
    };
    let abroad = !number.is_uk();
    text.sendable().map_err(|reason| Refused::after_row_15(unsendable(reason), abroad))?;
    let message = Message {
        recipient: asked.to.trim().to_owned(),
        normalised_recipient: number.normalised().to_owned(),
        sender: Some(sender.to_owned()),
        international: number.is_international(),
        phone_prefix: Some(number.country_prefix().to_owned()),
        rate_multiplier: number.rate_multiplier(),
        ..message(now)
    };
    ready(app, caller, template, &values, message, abroad)
}

async fn judge_email(
    app: &App,
    caller: &Caller,
    template: &Arc<KnownTemplate>,
    root: &str,
    asked: Asked,
) -> Judged {
    let (now, values) = (app.clock.now(), Arc::new(Personalisation::new(asked.personalisation)));
    usable(caller, template, &values)?;
    let subject = template.row.subject.as_deref().unwrap_or_default();
    let filled = email::fill(subject, &template.row.content, &values);
    if filled.empty {
        return Err(unsendable(domain::sms::Unsendable::Empty).into());
    }
    let address = EmailAddress::parse(&asked.to).map_err(|error| Problem::bad_request(error.to_string()))?;
    accept::recipient_allowed(caller, Channel::Email, address.normalised())?;
    let reply_to = match asked.sender {
        Some(id) => {
            let known = caller.service.reply_to(ReplyToId(id));
            Some(known.ok_or(Problem::bad_request("Reply to email address not found"))?)
        }
        None => accept::reply_to(caller, template, None)?,
    };
    if filled.is_too_long() {
        return Err(too_many_bytes(&filled).into());
    }
    let mut message = Message {
        recipient: address.as_given().to_owned(),
        normalised_recipient: address.normalised().to_owned(),
        sender: reply_to.map(ToOwned::to_owned),
        ..message(now)
    };
    message.links = Links::new(app, template, (message.id, now), address.as_given(), root, None);
    accept::can_be_rendered(app, template, &values, &message.links, &filled).await?;
    ready(app, caller, template, &values, message, false)
}

/// What is the same for everybody.
fn message(now: DateTime<Utc>) -> Message {
    Message {
        id: NotificationId::new(now),
        created_at: now,
        recipient: String::new(),
        normalised_recipient: String::new(),
        reference: None,
        sender: None,
        links: Links::default(),
        international: false,
        phone_prefix: None,
        rate_multiplier: 1,
    }
}

/// Stored whoever it is to: the front end shows the message afterwards, also one to a simulated recipient.
fn ready(
    app: &App,
    caller: &Caller,
    template: &KnownTemplate,
    values: &Personalisation,
    message: Message,
    abroad: bool,
) -> Judged {
    let id = message.id;
    let new = accept::notification(app, caller, template, values, message);
    let new = new.map_err(|problem| Refused::after_row_15(problem, abroad))?;
    Ok(Ready {
        id,
        answer: json!({ "id": id }).to_string().into(),
        new: Some(new),
        documents: Vec::new(),
        abroad,
    })
}
