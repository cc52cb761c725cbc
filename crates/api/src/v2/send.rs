//! `POST /v2/notifications/{sms,email}`. The checks stand in the order of the wire contract (section 6), which callers see:
//! who calls, the body and its schema (row 3), then `check_sms` and `check_email` (4 to 14), files and length (16 and 17). `admit` has the limits (1, 2 and
//! 15, told before the others) and stores (18).

use std::sync::Arc;

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Payload},
};
use db::limit::{Daily, Measure};
use domain::{
    email::{self, FilledEmail},
    id::{NotificationId, ServiceId},
    sms::{Sms, Unsendable},
    status::Channel,
    template::Personalisation,
};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{
    files::Files,
    root,
    sanitise::sanitise,
    schema::{EmailRequest, Phone, SmsRequest},
};
use crate::{
    App,
    accept::{self, Message},
    admit::{self, Judged, Ready, Refused},
    auth::{self, Caller},
    body::{self, Body},
    budget::Owner,
    error::{Problem, V2Error},
    lookup::KnownTemplate,
    openapi::{self, example, refusal, request},
    unsubscribe::Links,
};

/// A notification that is stored, and will be sent.
#[derive(Serialize, ToSchema)]
struct Accepted<'a, C> {
    /// To ask for it later.
    #[schema(value_type = Uuid)]
    id: NotificationId,
    /// The caller's.
    reference: Option<&'a str>,
    content: C,
    uri: String,
    template: TemplateLink,
    /// Nothing is scheduled by API.
    scheduled_for: (),
    /// Of an e-mail: the values that `sanitise_content_for` changed, by name, each `{"unsanitised": …, "sanitised": …}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<HashMap<String, Object>>, nullable = false)]
    sanitised_content: Option<Map<String, Value>>,
}

#[derive(Serialize, ToSchema)]
struct SmsContent<'a> {
    /// As it will be sent, but for the service's name in front.
    body: &'a str,
    /// Who it will be from.
    from_number: &'a str,
}

#[derive(Serialize, ToSchema)]
struct EmailContent<'a> {
    from_email: String,
    subject: &'a str,
    /// Markdown, with its values filled in.
    body: &'a str,
    /// The caller's.
    one_click_unsubscribe_url: Option<&'a str>,
}

/// The version of a template that a message is made from.
#[derive(Serialize, ToSchema)]
struct TemplateLink {
    #[schema(value_type = Uuid)]
    id: domain::id::TemplateId,
    version: i32,
    uri: String,
}

impl<C: Serialize> Accepted<'_, C> {
    fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings, ids and JSON are JSON")
    }
}

impl TemplateLink {
    fn new(root: &str, service: ServiceId, template: &KnownTemplate) -> Self {
        let (id, version) = (template.row.id, template.row.version);
        Self { id, version, uri: format!("{root}/services/{service}/templates/{id}") }
    }
}

#[utoipa::path(
    post, path = "/v2/notifications/sms", tag = openapi::SENDING, operation_id = "sendSms",
    summary = "Send a text message",
    params(request::IdempotencyKey), request_body = request::SmsRequest,
    responses(
        (status = 201, description = "Stored. It will be sent.", body = inline(Accepted<SmsContent>),
            headers(("Idempotent-Replayed" = String, description = "`true` when this answer was given before.")),
            example = json!(example::sms_accepted())),
        refusal::SendSms,
    ),
)]
pub(crate) async fn sms(
    request: HttpRequest,
    payload: Payload,
    app: Data<App>,
) -> Result<HttpResponse, V2Error> {
    let caller = auth::service(&app, &request).await?;
    let body = read(&app, &caller, &request, payload).await?;
    let key = admit::key(&app, &caller, &request, &body)?;
    let judged = judge(&app, &caller, root(&request), body, Channel::Sms).await;
    let measure = admit::measure(&caller, Channel::Sms);
    Ok(admit::admit(&app, &caller, measure, key.as_ref(), judged).await?)
}

async fn read(app: &App, caller: &Caller, request: &HttpRequest, payload: Payload) -> Result<Body, Problem> {
    body::read_large(app, Owner::Service(caller.service_id()), body::length(request), payload).await
}

/// A large body is judged where it holds up nobody, and with the room that it has.
async fn judge(app: &Data<App>, caller: &Caller, root: String, body: Body, channel: Channel) -> Judged {
    let (app, caller, is_large) = (app.clone(), caller.clone(), body.is_large());
    let heavy = app.clone();
    let judged = async move {
        match channel {
            Channel::Sms => judge_sms(&app, &caller, &root, &body).await,
            Channel::Email => judge_email(&app, &caller, &root, &body).await,
        }
    };
    if is_large { heavy.heavy.run(judged).await? } else { judged.await }
}

async fn judge_sms(app: &App, caller: &Caller, root: &str, body: &[u8]) -> Judged {
    let now = app.clock.now();
    let mut asked = SmsRequest::read(body::json(body)?, now)?;
    let values = Personalisation::new(std::mem::take(&mut asked.personalisation));
    let (template, text, sender) = check_sms(app, caller, &asked, &values).await?;

    let SmsRequest { reference, phone_number: Phone { as_given, number }, .. } = asked;
    let abroad = !number.is_uk();
    text.sendable().map_err(|reason| Refused::after_row_15(unsendable(reason), abroad))?;
    let id = NotificationId::new(now);
    let answer = Accepted {
        id,
        reference: reference.as_deref(),
        content: SmsContent { body: text.text(), from_number: sender },
        uri: format!("{root}/v2/notifications/{id}"),
        template: TemplateLink::new(root, caller.service_id(), &template),
        scheduled_for: (),
        sanitised_content: None,
    };
    let answer = answer.to_json();
    let message = Message {
        id,
        created_at: now,
        recipient: as_given.trim().to_owned(),
        normalised_recipient: number.normalised().to_owned(),
        reference,
        sender: Some(sender.to_owned()),
        links: Links::default(),
        international: number.is_international(),
        phone_prefix: Some(number.country_prefix().to_owned()),
        rate_multiplier: number.rate_multiplier(),
    };
    let simulated = accept::is_simulated_number(&number);
    let new = accept::notification(app, caller, &template, &values, message);
    let new = new.map_err(|problem| Refused::after_row_15(problem, abroad))?;
    Ok(Ready { id, answer, new: (!simulated).then_some(new), documents: Vec::new(), abroad })
}

/// Rows 4 to 14: what is sent, and who from.
async fn check_sms<'a>(
    app: &'a App,
    caller: &'a Caller,
    asked: &SmsRequest,
    values: &Personalisation,
) -> Result<(Arc<KnownTemplate>, Sms, &'a str), Problem> {
    let number = &asked.phone_number.number;
    accept::permission(caller, Channel::Sms)?;
    let template = accept::template(app, caller, asked.template_id, Channel::Sms).await?;
    accept::nothing_missing(&template, values)?;
    let text = Sms::from_template(&template.body, values, None);
    if text.is_empty() {
        return Err(unsendable(Unsendable::Empty));
    }
    if accept::has_file(values) {
        return Err(Problem::bad_request("Can only send a file by email"));
    }
    let sender = accept::sms_sender(app, caller, &template, asked.sms_sender_id)?;
    accept::recipient_allowed(caller, Channel::Sms, number.normalised())?;
    accept::number_permitted(caller, number)?;
    Ok((template, text, sender))
}

#[utoipa::path(
    post, path = "/v2/notifications/email", tag = openapi::SENDING, operation_id = "sendEmail",
    summary = "Send an e-mail", description = "A value of the personalisation may be a file.",
    params(request::IdempotencyKey), request_body = request::EmailRequest,
    responses(
        (status = 201, description = "Stored. It will be sent.", body = inline(Accepted<EmailContent>),
            headers(("Idempotent-Replayed" = String, description = "`true` when this answer was given before.")),
            example = json!(example::email_accepted())),
        refusal::SendEmail,
    ),
)]
pub(crate) async fn email(
    request: HttpRequest,
    payload: Payload,
    app: Data<App>,
) -> Result<HttpResponse, V2Error> {
    let caller = auth::service(&app, &request).await?;
    let body = read(&app, &caller, &request, payload).await?;
    let key = admit::key(&app, &caller, &request, &body)?;
    let judged = judge(&app, &caller, root(&request), body, Channel::Email).await;
    let measure = admit::measure(&caller, Channel::Email);
    Ok(admit::admit(&app, &caller, measure, key.as_ref(), judged).await?)
}

async fn judge_email(app: &App, caller: &Caller, root: &str, body: &[u8]) -> Judged {
    let now = app.clock.now();
    let mut asked = EmailRequest::read(body::json(body)?, now)?;
    let mut values = std::mem::take(&mut asked.personalisation);
    let sanitised_content = sanitise(&mut values, &asked.sanitise_content_for);
    let simulated = accept::is_simulated_address(&asked.email_address);
    let files =
        Files::take(&mut values, caller.service_id(), app.config.documents_base(root), simulated, now);
    let values = Arc::new(Personalisation::new(values));
    let (template, filled, reply_to) = check_email(app, caller, &asked, &values).await?;
    let contact_link = caller.service.service.contact_link.as_deref();
    let subject = template.subject.as_ref();
    let documents = files.sealed(app, contact_link, subject, &asked.email_address, now)?;
    if filled.is_too_long() {
        return Err(too_many_bytes(&filled).into());
    }
    let EmailRequest { reference, email_address, one_click_unsubscribe_url, .. } = asked;
    let id = NotificationId::new(now);
    let links = Links::new(
        app,
        &template,
        (id, now),
        email_address.as_given(),
        root,
        one_click_unsubscribe_url.clone(),
    );
    accept::can_be_rendered(app, &template, &values, &links, &filled).await?;

    let local_part = &caller.service.service.email_local_part;
    let answer = Accepted {
        id,
        reference: reference.as_deref(),
        content: EmailContent {
            from_email: format!("{local_part}@{}", app.accepting.email_domain),
            subject: &filled.subject,
            body: &filled.body,
            one_click_unsubscribe_url: one_click_unsubscribe_url.as_deref(),
        },
        uri: format!("{root}/v2/notifications/{id}"),
        template: TemplateLink::new(root, caller.service_id(), &template),
        scheduled_for: (),
        sanitised_content: Some(sanitised_content),
    };
    let answer = answer.to_json();
    let message = Message {
        id,
        created_at: now,
        recipient: email_address.as_given().to_owned(),
        normalised_recipient: email_address.normalised().to_owned(),
        reference,
        sender: reply_to.map(ToOwned::to_owned),
        links,
        international: false,
        phone_prefix: None,
        rate_multiplier: 1,
    };
    let new = accept::notification(app, caller, &template, &values, message)?;
    Ok(Ready { id, answer, new: (!simulated).then_some(new), documents, abroad: false })
}

/// Rows 4 to 12: what is sent, and where answers go.
async fn check_email<'a>(
    app: &App,
    caller: &'a Caller,
    asked: &EmailRequest,
    values: &Personalisation,
) -> Result<(Arc<KnownTemplate>, FilledEmail, Option<&'a str>), Problem> {
    accept::permission(caller, Channel::Email)?;
    let template = accept::template(app, caller, asked.template_id, Channel::Email).await?;
    accept::nothing_missing(&template, values)?;
    let subject = template.row.subject.as_deref().unwrap_or_default();
    let filled = email::fill(subject, &template.row.content, values);
    if filled.empty {
        return Err(unsendable(Unsendable::Empty));
    }
    let reply_to = accept::reply_to(caller, &template, asked.email_reply_to_id)?;
    accept::recipient_allowed(caller, Channel::Email, asked.email_address.normalised())?;
    Ok((template, filled, reply_to))
}

/// Nobody has the permission: letters are not carried.
#[utoipa::path(
    post, path = "/v2/notifications/letter", tag = openapi::SENDING, operation_id = "sendLetter",
    summary = "Send a letter", description = "Letters are not carried yet.",
    request_body = request::LetterRequest, responses(refusal::SendLetter),
)]
pub(crate) async fn letter(
    request: HttpRequest,
    payload: Payload,
    app: Data<App>,
) -> Result<HttpResponse, V2Error> {
    let caller = auth::service(&app, &request).await?;
    let body = read(&app, &caller, &request, payload).await?;
    let judged = match body::json(&body) {
        Ok(_) => Problem::bad_request("Service is not allowed to send letters"),
        Err(problem) => problem,
    };
    // No letter is ever stored, so that none counts.
    let measure = Measure { daily: Daily::Unlimited, ..admit::measure(&caller, Channel::Email) };
    Ok(admit::admit(&app, &caller, measure, None, Err(judged.into())).await?)
}

pub(crate) fn unsendable(reason: Unsendable) -> Problem {
    Problem::bad_request(reason.to_string())
}

pub(crate) fn too_many_bytes(filled: &FilledEmail) -> Problem {
    Problem::bad_request(format!(
        "Your message is too long. Emails cannot be longer than {} bytes. Your message is {} bytes.",
        email::BYTE_LIMIT,
        filled.size()
    ))
}
