//! What refusals are examples of: the rules of the contract, in its order.

use chrono::{DateTime, TimeDelta, Utc};
use db::limit::{Exceeded, Limit};
use domain::{
    sms::{self, Unsendable},
    status::{Channel, KeyType},
};
use serde_json::{Value, json};

use crate::{
    accept,
    auth::Denied,
    body,
    error::Problem,
    v1,
    v2::{files, notifications::query::ListQuery, schema},
};

/// What an answer is an example of, and what it is made from.
pub(super) type Case = (&'static str, Problem);

pub(super) fn forbidden() -> Vec<Case> {
    [
        ("not a token", Denied::BadToken),
        ("no iss", Denied::NoIssuer),
        ("iss not an id", Denied::IssuerNotAnId),
        ("unknown service", Denied::UnknownService),
        ("no keys", Denied::NoKeys),
        ("archived service", Denied::Archived),
        ("clock", Denied::Clock),
        ("wrong algorithm", Denied::WrongAlgorithm),
        ("revoked key", Denied::Revoked),
        ("unknown key", Denied::NoKeyMatches),
    ]
    .map(|(name, denied)| (name, denied.into()))
    .into()
}

fn exceeded(of: Limit, limit: i32, wait: TimeDelta) -> Problem {
    Problem::LimitExceeded(Exceeded { limit, of, retry_after: wait })
}

pub(super) fn too_many() -> Vec<Case> {
    let limits = db::service::Limits::LIVE;
    let day = TimeDelta::hours(9);
    vec![
        ("a minute", exceeded(Limit::Rate(KeyType::Normal), limits.rate, TimeDelta::seconds(1))),
        ("a day", exceeded(Limit::Daily(Channel::Sms), limits.sms, day)),
        ("abroad", exceeded(Limit::DailyInternational, limits.international_sms, day)),
        too_many_failures(),
    ]
}

pub(super) fn too_many_failures() -> Case {
    ("failed authentications", Problem::TooManyFailures(std::time::Duration::from_secs(1)))
}

pub(super) fn too_many_today() -> Vec<Case> {
    too_many().split_off(1)
}

pub(super) fn too_many_in_2016() -> Vec<Case> {
    vec![
        ("a day", exceeded(Limit::DailyTogether, db::service::Limits::TRIAL.sms, TimeDelta::hours(9))),
        too_many_failures(),
    ]
}

pub(super) fn rule(name: &'static str, message: impl Into<std::borrow::Cow<'static, str>>) -> Case {
    (name, Problem::bad_request(message))
}

pub(super) fn not_json() -> Case {
    rule("not JSON", body::NOT_JSON)
}

pub(super) fn not_an_id(name: &str) -> Case {
    ("not an id", Problem::Validation(vec![format!("{name} {}", schema::NOT_A_UUID)]))
}

/// What a reader says to something wrong.
pub(super) fn refused<T>(name: &'static str, read: Result<T, Problem>) -> Case {
    (name, read.err().unwrap_or_else(|| Problem::Internal(format!("nothing is wrong with {name}"))))
}

pub(super) fn sms_rules() -> Vec<Case> {
    let read = |name, body: Value| refused(name, schema::SmsRequest::read(body, DateTime::<Utc>::MIN_UTC));
    let id = "2b9d6f0c-53a1-4c7e-8d9b-1f2e3d4c5b6a";
    let to = |number: &str| json!({ "phone_number": number, "template_id": id });
    let too_long = Unsendable::TooLong { length: sms::CHARACTER_LIMIT + 2 };
    let mut rules = vec![
        not_json(),
        read("several violations", json!({ "template_id": "17", "personalisation": "Rosa", "to": "Rosa" })),
        read("too few digits", to("07700")),
        read("not digits", to("Rosa")),
        read("no such country", to("+210 1234 5678")),
        read("impossible number", to("+44 1111 111111")),
    ];
    rules.extend(template_rules("Service is not allowed to send text messages", "email", "sms"));
    rules.extend([
        rule("empty", Unsendable::Empty.to_string()),
        rule("file", "Can only send a file by email"),
        rule("unknown sender", unknown_sender("sms_sender_id")),
        rule("team key", accept::TEAM_ONLY),
        rule("trial mode", accept::TRIAL_MODE),
        rule("abroad", "Cannot send to international mobile numbers"),
        ("landline", Problem::InvalidPhone("Not a UK mobile number")),
        rule("too long", too_long.to_string()),
    ]);
    rules
}

pub(super) fn email_rules() -> Vec<Case> {
    let read = |name, body: Value| refused(name, schema::EmailRequest::read(body, DateTime::<Utc>::MIN_UTC));
    let id = "77aa31c8-6c1d-4be5-b0f4-9d8c7b6a5f4e";
    let mut rules = vec![
        not_json(),
        read("several violations", json!({ "template_id": "17", "personalisation": "Rosa", "to": "Rosa" })),
        read("not an address", json!({ "email_address": "rosa@example", "template_id": id })),
        read(
            "not https",
            json!({
                "email_address": "rosa@example.com", "template_id": id, "one_click_unsubscribe_url": "http://www.example.com",
            }),
        ),
    ];
    rules.extend(template_rules("Service is not allowed to send emails", "sms", "email"));
    rules.extend([
        rule("empty", Unsendable::Empty.to_string()),
        rule("unknown reply-to", unknown_sender("email_reply_to_id")),
        rule("team key", accept::TEAM_ONLY),
        rule("trial mode", accept::TRIAL_MODE),
        rule("no contact link", "Send files by email has not been set up - add contact details for your service at \
             https://admin.example/services/9c1e0a5e-8f7d-4a43-9a6a-0b8d3a1f5c02/service-settings/send-files-by-email"),
        rule("file in the subject", files::IN_SUBJECT),
        rule("too long", format!(
            "Your message is too long. Emails cannot be longer than {limit} bytes. Your message is {} bytes.",
            domain::email::BYTE_LIMIT + 5, limit = domain::email::BYTE_LIMIT,
        )),
    ]);
    rules
}

/// Rows 4 to 8 of the contract.
fn template_rules(not_allowed: &'static str, other: &str, this: &str) -> [Case; 5] {
    [
        rule("not allowed", not_allowed),
        rule("unknown template", "Template not found"),
        rule("other template", format!("{other} template is not suitable for {this} notification")),
        rule("archived template", "Template has been deleted"),
        rule("missing values", "Missing personalisation: name, date"),
    ]
}

fn unknown_sender(field: &str) -> String {
    format!(
        "{field} 1c5a44d0-f3b2-4e8f-9b7d-6a5c4d3e2f10 does not exist in database for service id \
         9c1e0a5e-8f7d-4a43-9a6a-0b8d3a1f5c02"
    )
}

pub(super) fn query_rules() -> Vec<Case> {
    [("not one of", "status=lost"), ("not an id", "older_than=1"), ("unknown parameter", "page=2")]
        .map(|(name, query)| refused(name, ListQuery::read(query)))
        .into()
}

pub(super) fn preview_rules() -> Vec<Case> {
    vec![
        not_json(),
        refused("not an id, and not an object", schema::preview("17", json!({ "personalisation": "Rosa" }))),
        rule("missing values", "Missing personalisation: name"),
    ]
}

pub(super) fn v1_rules() -> Vec<Case> {
    let to = |message| Problem::field("to", message);
    let template = |message| Problem::field("template", message);
    vec![
        ("missing", to("Missing data for required field.")),
        ("bad number", to("Invalid phone number: Not enough digits")),
        ("bad address", to("Not a valid email address")),
        ("archived template", template("Template has been deleted")),
        ("missing values", template("Missing personalisation: name, date")),
        ("other values", template("Personalisation not needed for template: town")),
        (
            "too long",
            Problem::field(
                "content",
                format!(
                    "Content has a character count greater than the limit of {}",
                    v1::send::SMS_BYTE_LIMIT
                ),
            ),
        ),
        ("empty", Problem::field("content", Unsendable::Empty.to_string())),
        ("team key", to(accept::TEAM_ONLY)),
        ("trial mode", to(accept::TRIAL_MODE)),
    ]
}
