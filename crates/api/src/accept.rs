//! What every way of sending has in common: the rules after the schema, in the order of the wire contract. `admit` has the
//! limits, and stores.

use std::{collections::HashSet, sync::Arc};

use chrono::{DateTime, Utc};
use db::{intake::NewNotification, service::Permission};
use domain::{
    email::{self, FilledEmail},
    email_address::EmailAddress,
    id::{NotificationId, ReplyToId, ServiceId, SmsSenderId, TemplateId},
    personalisation,
    phone::{PhoneNumber, SmsPermissions},
    status::{Channel, KeyType},
    template::Personalisation,
};
use serde::Serializer;
use serde_json::Value;
use uuid::Uuid;

use crate::{
    App,
    auth::{By, Caller},
    error::Problem,
    lookup::KnownTemplate,
    unsubscribe::Links,
};

/// Whoever sends there gets an answer as usual, and nothing is stored.
const SIMULATED_NUMBERS: [&str; 3] = ["447700900000", "447700900111", "447700900222"];
const SIMULATED_ADDRESSES: [&str; 3] = [
    "simulate-delivered@notifications.service.gov.uk",
    "simulate-delivered-2@notifications.service.gov.uk",
    "simulate-delivered-3@notifications.service.gov.uk",
];

/// Row 4.
pub(crate) fn permission(caller: &Caller, channel: Channel) -> Result<(), Problem> {
    let (needed, refusal) = match channel {
        Channel::Sms => (Permission::Sms, "Service is not allowed to send text messages"),
        Channel::Email => (Permission::Email, "Service is not allowed to send emails"),
    };
    if has(caller, needed) { Ok(()) } else { Err(Problem::bad_request(refusal)) }
}

fn has(caller: &Caller, permission: Permission) -> bool {
    caller.service.service.permissions.contains(&permission)
}

/// Rows 5 to 7.
pub(crate) async fn template(
    app: &App,
    caller: &Caller,
    id: Uuid,
    channel: Channel,
) -> Result<Arc<KnownTemplate>, Problem> {
    let template = known_template(app, caller, id).await?;
    if template.row.channel != channel {
        let message = format!("{} template is not suitable for {channel} notification", template.row.channel);
        return Err(Problem::bad_request(message));
    }
    not_archived(&template)?;
    Ok(template)
}

/// Row 5.
pub(crate) async fn known_template(
    app: &App,
    caller: &Caller,
    id: Uuid,
) -> Result<Arc<KnownTemplate>, Problem> {
    let template = app.lookup.template(caller.service_id(), TemplateId(id)).await?;
    template.ok_or_else(|| Problem::bad_request("Template not found"))
}

/// Row 7.
pub(crate) fn not_archived(template: &KnownTemplate) -> Result<(), Problem> {
    if template.row.archived { Err(Problem::bad_request("Template has been deleted")) } else { Ok(()) }
}

/// Row 8. The subject's names come first; a name of both counts once.
pub(crate) fn nothing_missing(template: &KnownTemplate, values: &Personalisation) -> Result<(), Problem> {
    missing(template, values).map_or(Ok(()), |message| Err(Problem::bad_request(message)))
}

/// The message about values that a template needs and does not get.
pub(crate) fn missing(template: &KnownTemplate, values: &Personalisation) -> Option<String> {
    let mut missing = template.subject.as_ref().map(|subject| subject.missing(values)).unwrap_or_default();
    missing.extend(template.body.missing(values));
    let mut seen = HashSet::new();
    missing.retain(|name| seen.insert(personalisation::key(name)));
    (!missing.is_empty()).then(|| format!("Missing personalisation: {}", missing.join(", ")))
}

/// Whether a value is a file to be sent as a link.
pub(crate) fn is_file(value: &Value) -> bool {
    value.as_object().is_some_and(|object| object.contains_key("file"))
}

pub(crate) fn has_file(values: &Personalisation) -> bool {
    values.as_map().values().any(is_file)
}

/// Row 11: the sender is fixed now, whatever the service changes afterwards.
pub(crate) fn sms_sender<'a>(
    app: &'a App,
    caller: &'a Caller,
    template: &KnownTemplate,
    id: Option<Uuid>,
) -> Result<&'a str, Problem> {
    let Some(id) = id else {
        let sender = caller.service.sender_of(Channel::Sms, template.reply_to);
        return Ok(sender.unwrap_or(&app.accepting.default_sms_sender));
    };
    let known = caller.service.sms_sender(SmsSenderId(id));
    known.ok_or_else(|| unknown_sender("sms_sender_id", id, caller.service_id()))
}

/// Row 11: where answers go, which is nowhere for a service without an address.
pub(crate) fn reply_to<'a>(
    caller: &'a Caller,
    template: &KnownTemplate,
    id: Option<Uuid>,
) -> Result<Option<&'a str>, Problem> {
    let Some(id) = id else { return Ok(caller.service.sender_of(Channel::Email, template.reply_to)) };
    let known = caller.service.reply_to(ReplyToId(id));
    known.map(Some).ok_or_else(|| unknown_sender("email_reply_to_id", id, caller.service_id()))
}

pub(crate) fn unknown_sender(field: &str, id: Uuid, service: ServiceId) -> Problem {
    Problem::bad_request(format!("{field} {id} does not exist in database for service id {service}"))
}

pub(crate) const TEAM_ONLY: &str = "Can’t send to this recipient using a team-only API key";
pub(crate) const TRIAL_MODE: &str = "Can’t send to this recipient when service is in trial mode – see \
                                     https://www.notifications.service.gov.uk/trial-mode";

/// Row 12. Test keys reach everyone, as they reach no one.
pub(crate) fn recipient_allowed(caller: &Caller, channel: Channel, normalised: &str) -> Result<(), Problem> {
    let service = &caller.service.service;
    let refusal = match caller.key_type {
        KeyType::Test => return Ok(()),
        KeyType::Team => TEAM_ONLY,
        KeyType::Normal if service.restricted => TRIAL_MODE,
        KeyType::Normal => return Ok(()),
    };
    // Guests are whom programs may try things out with.
    let is_guest = || matches!(caller.by, By::Key(_)) && caller.service.is_guest(channel, normalised);
    let reaches = caller.service.is_member(channel, normalised) || is_guest();
    if reaches { Ok(()) } else { Err(Problem::bad_request(refusal)) }
}

/// Rows 13 and 14.
pub(crate) fn number_permitted(caller: &Caller, number: &PhoneNumber) -> Result<(), Problem> {
    let permissions = SmsPermissions {
        international: has(caller, Permission::InternationalSms),
        uk_landline: has(caller, Permission::SmsToUkLandlines),
    };
    if !number.is_uk() && !permissions.international {
        return Err(Problem::bad_request("Cannot send to international mobile numbers"));
    }
    number.permitted(permissions).map_err(|error| Problem::InvalidPhone(error.api_message()))
}

pub(crate) fn is_simulated_number(number: &PhoneNumber) -> bool {
    SIMULATED_NUMBERS.contains(&number.normalised())
}

pub(crate) fn is_simulated_address(address: &EmailAddress) -> bool {
    SIMULATED_ADDRESSES.contains(&address.normalised())
}

/// A mail that would be too large to be sent when its markup is written out, as it will be with these links.
pub(crate) async fn can_be_rendered(
    app: &App,
    template: &Arc<KnownTemplate>,
    values: &Arc<Personalisation>,
    links: &Links,
    filled: &FilledEmail,
) -> Result<(), Problem> {
    if filled.surely_renders() {
        return Ok(());
    }
    let (template, values, page) = (template.clone(), values.clone(), links.page.clone());
    let rendered = app.heavy.run(async move {
        let subject = template.row.subject.as_deref().unwrap_or_default();
        email::render(subject, &template.row.content, &values, page.as_deref()).map(drop)
    });
    rendered.await?.map_err(|too_large| Problem::bad_request(too_large.to_string()))
}

/// What storing needs besides the caller and the template.
pub(crate) struct Message {
    pub(crate) id: NotificationId,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) recipient: String,
    pub(crate) normalised_recipient: String,
    pub(crate) reference: Option<String>,
    pub(crate) sender: Option<String>,
    pub(crate) links: Links,
    pub(crate) international: bool,
    pub(crate) phone_prefix: Option<String>,
    pub(crate) rate_multiplier: u8,
}

/// The most that is stored of one message beside its template: more than can be sent.
const SMS_STORED_LIMIT: usize = 64 * 1024;
const EMAIL_STORED_LIMIT: usize = email::BYTE_LIMIT + 64 * 1024;

/// A notification as it is to be stored, with those values that its template uses.
///
/// The last rule, after those of the contract about what is too long: conditions, white space and the like can be long without
/// being sent.
pub(crate) fn notification(
    app: &App,
    caller: &Caller,
    template: &KnownTemplate,
    values: &Personalisation,
    message: Message,
) -> Result<NewNotification, Problem> {
    let row = &template.row;
    let (api_key_id, created_by) = match caller.by {
        By::Key(id) => (Some(id), None),
        By::Person(id) => (None, id),
    };
    let values = used_values(template, values);
    let limit = match row.channel {
        Channel::Sms => SMS_STORED_LIMIT,
        Channel::Email => EMAIL_STORED_LIMIT,
    };
    let texts = [&message.reference, &message.sender, &message.links.one_click, &message.links.page];
    let texts = texts.into_iter().flatten().chain([&message.recipient, &message.normalised_recipient]);
    if values.as_ref().map_or(0, Vec::len) + texts.map(String::len).sum::<usize>() > limit {
        return Err(Problem::BodyTooLarge);
    }
    let personalisation = values.map(|json| app.keyring.seal(message.id.0, &json));
    Ok(NewNotification {
        id: message.id,
        service_id: caller.service_id(),
        channel: row.channel,
        key_type: caller.key_type,
        api_key_id,
        created_by,
        template_id: row.id,
        template_version: row.version,
        recipient: message.recipient,
        normalised_recipient: message.normalised_recipient,
        personalisation,
        client_reference: message.reference,
        sender: message.sender,
        unsubscribe_url: message.links.one_click,
        unsubscribe_page_url: message.links.page,
        international: message.international,
        phone_prefix: message.phone_prefix,
        rate_multiplier: message.rate_multiplier.into(),
        created_at: message.created_at,
        wake_follows: app.announcer.is_connected(),
    })
}

/// As JSON; None when there are none.
fn used_values(template: &KnownTemplate, values: &Personalisation) -> Option<Vec<u8>> {
    let used: Vec<_> = values.as_map().iter().filter(|(name, _)| template.used.contains(name)).collect();
    let mut json = Vec::new();
    let written = serde_json::Serializer::new(&mut json).collect_map(used.iter().copied());
    written.expect("a map of strings to JSON is JSON");
    (!used.is_empty()).then_some(json)
}
