//! `POST /notifications/{sms,email}`. The checks stand in the order of the wire contract (section 3), which callers see. Where
//! Pillarbox knows a rule that 2016 did not, it stands where it tells callers least that is new.

use std::sync::Arc;

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Payload},
};
use db::limit::{Daily, Measure};
use domain::{
    email,
    id::{NotificationId, TemplateId, parse_lenient},
    phone::PhoneNumber,
    sms::Unsendable,
    status::{Channel, KeyType},
    template::{Lists, Missing, Personalisation, Template},
    whitespace::shows_nothing,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Wrapped, form::Asked, recipient::Recipient, tags};
use crate::{
    App,
    accept::{self, Message},
    admit::{self, Judged, Ready},
    auth::{self, Caller},
    body::{self, Body},
    budget::Owner,
    error::{PlainError, Problem},
    lookup::KnownTemplate,
    openapi::{self, example, refusal, request},
    unsubscribe::Links,
    v2::root,
};

/// The longest text, in UTF-8 bytes, without the service's name in front.
pub(crate) const SMS_BYTE_LIMIT: usize = 495;

/// A notification that is stored, and will be sent.
#[derive(Serialize, ToSchema)]
#[schema(as = v1::Accepted)]
struct Accepted {
    notification: Made,
    body: String,
    template_version: i32,
    /// Absent for texts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    subject: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = v1::AcceptedId)]
struct Made {
    #[schema(value_type = Uuid)]
    id: NotificationId,
}

#[utoipa::path(
    post, path = "/notifications/sms", tag = openapi::V1, operation_id = "v1SendSms",
    summary = "Send a text message (2016)", request_body = request::V1SmsRequest,
    responses(
        (status = 201, description = "Stored. It will be sent.", body = inline(Wrapped<Accepted>),
            example = json!(example::v1_accepted())),
        refusal::V1Send,
    ),
)]
pub(crate) async fn sms(
    request: HttpRequest,
    payload: Payload,
    app: Data<App>,
) -> Result<HttpResponse, PlainError> {
    Ok(send(&app, &request, payload, Channel::Sms).await?)
}

#[utoipa::path(
    post, path = "/notifications/email", tag = openapi::V1, operation_id = "v1SendEmail",
    summary = "Send an e-mail (2016)", request_body = request::V1EmailRequest,
    responses(
        (status = 201, description = "Stored. It will be sent.", body = inline(Wrapped<Accepted>),
            example = json!(example::v1_accepted())),
        refusal::V1Send,
    ),
)]
pub(crate) async fn email(
    request: HttpRequest,
    payload: Payload,
    app: Data<App>,
) -> Result<HttpResponse, PlainError> {
    Ok(send(&app, &request, payload, Channel::Email).await?)
}

async fn send(
    app: &Data<App>,
    request: &HttpRequest,
    payload: Payload,
    channel: Channel,
) -> Result<HttpResponse, Problem> {
    // Row 1: a key without a service does not get past authentication.
    let caller = auth::service(app, request).await?;
    // Rows 2 and 4.
    let owner = Owner::Service(caller.service_id());
    let body = body::read_large(app, owner, body::length(request), payload).await?;
    // Row 3 is told before all that follows; row 11.
    let judged = judge_body(app, &caller, root(request), body, channel).await?;
    admit::admit(app, &caller, measure(&caller, channel), None, judged).await
}

/// Row 3. A service in trial mode has one limit for texts and e-mails together; there was one number then, and today's are one
/// for each channel. There is no limit a minute.
fn measure(caller: &Caller, channel: Channel) -> Measure {
    let service = &caller.service.service;
    let limit = match channel {
        Channel::Sms => service.limits.sms,
        Channel::Email => service.limits.email,
    };
    let is_limited = service.restricted && caller.key_type != KeyType::Test;
    let daily = if is_limited { Daily::Together(limit) } else { Daily::Unlimited };
    Measure { key_type: caller.key_type, channel, rate: None, daily, international: None }
}

/// A large body is judged where it holds up nobody, and with the room that it has. Fails when it is none that can be judged.
async fn judge_body(
    app: &Data<App>,
    caller: &Caller,
    root: String,
    body: Body,
    channel: Channel,
) -> Result<Judged, Problem> {
    let (app, caller, is_large) = (app.clone(), caller.clone(), body.is_large());
    let heavy = app.clone();
    let judged = async move {
        let asked = Asked::read(body::json(&body)?, channel)?;
        Ok(judge(&app, &caller, &root, asked, channel).await)
    };
    if is_large { heavy.heavy.run(judged).await? } else { judged.await }
}

async fn judge(app: &App, caller: &Caller, root: &str, mut asked: Asked, channel: Channel) -> Judged {
    tags::strip(&mut asked.personalisation);
    let values = Arc::new(Personalisation::new(std::mem::take(&mut asked.personalisation)));
    let (template, text) = check(app, caller, &asked, &values, channel).await?;
    let now = app.clock.now();
    let id = NotificationId::new(now);
    let links = Links::new(app, &template, (id, now), &asked.to.shown, root, None);
    can_be_rendered(app, &template, &values, &links).await?;
    let answer = Accepted {
        notification: Made { id },
        body: text.body,
        template_version: template.row.version,
        subject: text.subject,
    };
    let answer = serde_json::to_vec(&Wrapped { data: answer }).expect("texts and numbers are JSON");
    let simulated = asked.to.is_simulated();
    let message = message(app, caller, &template, asked.to, (id, now), links)?;
    let new = accept::notification(app, caller, &template, &values, message)?;
    // No number that 2016 took begins with anything but 44.
    Ok(Ready { id, answer, new: (!simulated).then_some(new), documents: Vec::new(), abroad: false })
}

/// What is sent.
struct Text {
    body: String,
    subject: Option<String>,
}

async fn check(
    app: &App,
    caller: &Caller,
    asked: &Asked,
    values: &Personalisation,
    channel: Channel,
) -> Result<(Arc<KnownTemplate>, Text), Problem> {
    // Unknown in 2016, when every service could do both.
    accept::permission(caller, channel)?;
    let template = template(app, caller, &asked.template, channel).await?;
    // Row 7.
    accept::nothing_missing(&template, values).map_err(|missing| about("template", missing))?;
    nothing_surplus(&template, values)?;
    let text = fill(&template, values, channel)?;
    // 2016 sent it, and providers refuse it.
    if shows_nothing(&text.body) {
        return Err(Problem::field("content", Unsendable::Empty.to_string()));
    }
    recipient_allowed(caller, &asked.to, channel)?;
    Ok((template, text))
}

/// Row 9. Measured before it is written: a short request can ask for a very long text.
fn fill(template: &KnownTemplate, values: &Personalisation, channel: Channel) -> Result<Text, Problem> {
    let (lists, limit) = match channel {
        Channel::Sms => (Lists::Sentence, SMS_BYTE_LIMIT),
        // 2016 sent mails of any size.
        Channel::Email => (Lists::Bullets, email::BYTE_LIMIT),
    };
    let fill = |template: &Template, lists| {
        let filling = template.filling(values, lists, Missing::AsTyped);
        if filling.size() > limit {
            let text = format!("Content has a character count greater than the limit of {limit}");
            return Err(Problem::field("content", text));
        }
        Ok(filling.text())
    };
    let subject = template.subject.as_ref().map(|subject| fill(subject, Lists::Sentence)).transpose()?;
    Ok(Text { body: fill(&template.body, lists)?, subject })
}

/// Unknown in 2016: what was too large to be sent was found out then.
async fn can_be_rendered(
    app: &App,
    template: &Arc<KnownTemplate>,
    values: &Arc<Personalisation>,
    links: &Links,
) -> Result<(), Problem> {
    if template.row.channel == Channel::Sms {
        return Ok(());
    }
    let filled =
        email::fill(template.row.subject.as_deref().unwrap_or_default(), &template.row.content, values);
    let rendered = accept::can_be_rendered(app, template, values, links, &filled).await;
    rendered.map_err(|problem| about("content", problem))
}

/// Rows 5 and 6. A text that is no id finds nothing, like one that is another service's.
async fn template(
    app: &App,
    caller: &Caller,
    id: &str,
    channel: Channel,
) -> Result<Arc<KnownTemplate>, Problem> {
    let id = TemplateId(parse_lenient(id).ok_or(Problem::NoResult)?);
    let template = app.lookup.template(caller.service_id(), id).await?.ok_or(Problem::NoResult)?;
    if template.row.archived {
        return Err(Problem::field("template", "Template has been deleted"));
    }
    if template.row.channel != channel {
        // 2016 took an e-mail for a text; what came of it nobody wanted to read.
        let text = format!("{} template is not suitable for {channel} notification", template.row.channel);
        return Err(Problem::field("template", text));
    }
    Ok(template)
}

/// Row 8.
fn nothing_surplus(template: &KnownTemplate, values: &Personalisation) -> Result<(), Problem> {
    let of_subject = template.subject.as_ref().map(|subject| subject.surplus(values));
    let is_surplus = |name: &&str| of_subject.as_ref().is_none_or(|names| names.contains(name));
    let surplus: Vec<&str> = template.body.surplus(values).into_iter().filter(is_surplus).collect();
    if surplus.is_empty() {
        Ok(())
    } else {
        let text = format!("Personalisation not needed for template: {}", surplus.join(", "));
        Err(Problem::field("template", text))
    }
}

/// Row 10. Nobody but the people who work with the service: there was no guest list.
fn recipient_allowed(caller: &Caller, to: &Recipient, channel: Channel) -> Result<(), Problem> {
    let service = &caller.service.service;
    let refusal = match caller.key_type {
        KeyType::Test => return Ok(()),
        KeyType::Team => accept::TEAM_ONLY,
        KeyType::Normal if service.restricted => accept::TRIAL_MODE,
        KeyType::Normal => return Ok(()),
    };
    if caller.service.is_member(channel, &to.normalised) {
        Ok(())
    } else {
        Err(Problem::field("to", refusal))
    }
}

fn message(
    app: &App,
    caller: &Caller,
    template: &KnownTemplate,
    to: Recipient,
    (id, now): (NotificationId, chrono::DateTime<chrono::Utc>),
    links: Links,
) -> Result<Message, Problem> {
    let channel = template.row.channel;
    // The same text costs the same through either API; Jersey, Guernsey and the Isle of Man are not the UK.
    let number = (channel == Channel::Sms).then(|| PhoneNumber::parse(&to.normalised).ok()).flatten();
    let sender = match channel {
        Channel::Sms => Some(accept::sms_sender(app, caller, template, None)?),
        Channel::Email => accept::reply_to(caller, template, None)?,
    };
    Ok(Message {
        id,
        created_at: now,
        recipient: to.shown,
        normalised_recipient: to.normalised,
        reference: None,
        sender: sender.map(ToOwned::to_owned),
        links,
        international: number.as_ref().is_some_and(PhoneNumber::is_international),
        phone_prefix: (channel == Channel::Sms)
            .then(|| number.as_ref().map_or("44", PhoneNumber::country_prefix).to_owned()),
        rate_multiplier: number.as_ref().map_or(1, PhoneNumber::rate_multiplier),
    })
}

/// A rule that both APIs have, told as what is wrong with a field.
fn about(field: &'static str, problem: Problem) -> Problem {
    match problem {
        Problem::BadRequest(text) => Problem::field(field, text),
        other => other,
    }
}
