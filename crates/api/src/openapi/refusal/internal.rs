//! What the internal API refuses, operation by operation.

use serde_json::json;
use utoipa::IntoResponses;

use super::{Answers, Case, EVERY, Form, Shared, WITH_BODY, WITH_TOKEN, not_json, reference, response, rule};
use crate::{
    accept,
    auth::Denied,
    error::Problem,
    internal::{
        fields::{Fields, MISSING},
        templates, users,
    },
    openapi::rules::too_many_today,
};

const BODY: &str = "The body is wrong, or a rule does not allow it.";
const QUERY: &str = "A parameter is wrong.";
const FOUND: [Shared; 1] = [Shared::NotFound];
const ID: &str = "9c1e0a5e-8f7d-4a43-9a6a-0b8d3a1f5c02";

refusals! {
    ReadAll(Form::Internal): [WITH_TOKEN, EVERY],;
    Read(Form::Internal): [WITH_TOKEN, FOUND, EVERY],;
    ListServices(Form::Internal): [WITH_TOKEN, FOUND, EVERY], "400" = (QUERY, [bad_date()]);
    FindServices(Form::Internal): [WITH_TOKEN, EVERY], "400" = (QUERY, [missing("service_name")]);
    CreateService(Form::Internal): [WITH_TOKEN, FOUND, WITH_BODY, EVERY], "400" = (BODY, {
        let mut rules = vec![not_json(), not_an_object(), missing("user_id")];
        rules.extend(service_rules());
        rules
    });
    UpdateService(Form::Internal): [WITH_TOKEN, FOUND, WITH_BODY, EVERY], "400" = (BODY, {
        let mut rules = vec![not_json(), not_an_object()];
        rules.extend(service_rules());
        rules
    });
    AddMember(Form::Internal): [WITH_TOKEN, FOUND, WITH_BODY, EVERY], "400" = (BODY, [
        not_json(), absent("permissions"),
        rule("a member", format!("User id: 6c3f5a52-1f0e-4c43-9d4f-0a8b7c6d5e01 already part of service id: {ID}")),
    ]);
    RemoveMember(Form::Internal): [WITH_TOKEN, EVERY],
        "400" = ("It is the only one.", [rule("the only one", "User cannot be removed from the service")]),
        "404" = ("There is no such service or member.", not_found("User not found"));
    CreateUser(Form::Internal): [WITH_TOKEN, WITH_BODY, EVERY], "400" = (BODY, [
        not_json(), not_an_object(), missing("name"),
        field("password", "password", users::NO_PASSWORDS), rule("no number", users::NO_NUMBER),
        field("taken", "email_address", "A user with this email address exists already"),
    ]);
    ReadKey(Form::Internal): [WITH_TOKEN, EVERY],
        "404" = ("There is none, or it is revoked. The message has the id of the service.",
            not_found(&format!("API key not found for id: {ID}")));
    CreateKey(Form::Internal): [WITH_TOKEN, FOUND, WITH_BODY, EVERY], "400" = (BODY, [
        not_json(), not_an_object(), missing("key_type"),
        field("no such type", "key_type", "Must be one of: normal, team, test."),
        field("duplicate", "name", "Duplicate API key name 'website'"), nobody(),
    ]);
    RevokeKey(Form::Internal): [WITH_TOKEN, FOUND, WITH_BODY, EVERY], "400" = (BODY, [
        not_json(), schema("other", "Additional properties are not allowed (name was unexpected)"), nobody(),
    ]);
    Preview(Form::Internal): [WITH_TOKEN, FOUND, EVERY], "400" = ("Values are missing, or what comes of them is too long.", [
        field("missing values", "template", "Missing personalisation: name"), too_long(),
    ]);
    CreateTemplate(Form::Internal): [WITH_TOKEN, FOUND, WITH_BODY, EVERY],
        "400" = (BODY, {
            let mut rules = template_rules();
            rules.extend([
                absent("name"), rule("folder", "parent_folder_id not found"),
                field("link in a text", "has_unsubscribe_link", templates::NO_LINKS_IN_TEXTS),
            ]);
            rules
        }),
        "403" = (NOT_PERMITTED, not_permitted("Creating text message templates is not allowed"));
    UpdateTemplate(Form::Internal): [WITH_TOKEN, FOUND, WITH_BODY, EVERY],
        "400" = (BODY, {
            let mut rules = template_rules();
            rules.push(field("redacted by nobody", "created_by", "Field is required"));
            rules.push(rule("unknown reply-to", format!("email_reply_to_id {ID} does not exist in database for service id {ID}")));
            rules
        }),
        "403" = (NOT_PERMITTED, not_permitted("Updating text message templates is not allowed"));
    ReadLog(Form::Internal): [WITH_TOKEN, FOUND, EVERY], "400" = (QUERY, log_rules());
    SearchLog(Form::Internal): [WITH_TOKEN, FOUND, WITH_BODY, EVERY], "400" = (BODY, {
        let mut rules = vec![not_json(), not_an_object()];
        rules.extend(log_rules());
        rules
    });
    SendOneOff(Form::Internal): [WITH_TOKEN, FOUND, WITH_BODY, EVERY],
        "400" = (BODY, one_off_rules()),
        "403" = (INACTIVE, inactive()),
        "429" = ("Too many messages today (UTC).", too_many_today());
    UpdateProvider(Form::Internal): [WITH_TOKEN, FOUND, WITH_BODY, EVERY], "400" = (BODY, [
        not_json(), not_an_object(), field("not permitted", "identifier", "Not permitted to be updated"),
        field("not a weight", "priority", "Must be greater than or equal to 0 and less than or equal to 100."),
    ]);
    ReplaceGuestList(Form::Internal): [WITH_TOKEN, FOUND, WITH_BODY, EVERY],
        "400" = ("The body is wrong, or an entry is; the old list is kept.", [
            not_json(), absent("phone_numbers"),
            rule("bad entry", "Invalid guest list: \"Rosa\" is not a valid email address or phone number"),
        ]);
    CreateRetention(Form::Internal): [WITH_TOKEN, FOUND, WITH_BODY, EVERY], "400" = (BODY, [
        not_json(), absent("notification_type"), few_days(),
        rule("there is one", "Service already has data retention for sms notification type"),
    ]);
    UpdateRetention(Form::Internal): [WITH_TOKEN, WITH_BODY, EVERY], "400" = (BODY, [not_json(), few_days()]),
        "404" = ("There is no such rule.",
            not_found(&format!("The service data retention for id: {ID} was not found for service: {ID}")));
    CreateCallback(Form::Internal): [WITH_TOKEN, FOUND, WITH_BODY, EVERY], "400" = (BODY, {
        let mut rules = callback_rules();
        rules.push(rule("there is one", "Service already has a callback for delivery_status"));
        rules
    });
    UpdateCallback(Form::Internal): [WITH_TOKEN, FOUND, WITH_BODY, EVERY], "400" = (BODY, callback_rules());
    DeleteCallback(Form::Internal): [WITH_TOKEN, EVERY], "404" = ("There is no such callback.", {
        let mut cases = not_found("Service inbound API not found");
        cases.push(("receipts", Problem::NotFound("Service delivery receipt API not found".into())));
        cases.push(("letters", Problem::NotFound("Service returned letter API not found".into())));
        cases
    });
    WriteReplyTo(Form::Internal): [WITH_TOKEN, FOUND, WITH_BODY, EVERY],
        "400" = (BODY, [
            not_json(), absent("email_address"),
            rule("no default", "You must have at least one reply to email address as the default."),
        ]),
        "409" = (TAKEN, taken());
    ArchiveReplyTo(Form::Internal): [WITH_TOKEN, FOUND, EVERY],
        "400" = ("It is the default.", [rule("default", "You cannot delete a default email reply to address")]);
    Verify(Form::Internal): [WITH_TOKEN, FOUND, WITH_BODY, EVERY],
        "400" = (BODY, [
            not_json(), not_an_object(), missing("email"), field("bad address", "email", "Not a valid email address"),
        ]),
        "403" = (INACTIVE, inactive()),
        "409" = (TAKEN, taken());
    AddSmsSender(Form::Internal): [WITH_TOKEN, FOUND, WITH_BODY, EVERY], "400" = (BODY, {
        let mut rules = sender_rules();
        rules.extend([rule("has a number", "Service already has an inbound number"),
            rule("not free", format!("Inbound number {ID} is not available"))]);
        rules
    });
    UpdateSmsSender(Form::Internal): [WITH_TOKEN, FOUND, WITH_BODY, EVERY], "400" = (BODY, {
        let mut rules = sender_rules();
        rules.push(rule("a number", format!("You can not change the inbound number for service {ID}")));
        rules
    });
    ArchiveSmsSender(Form::Internal): [WITH_TOKEN, FOUND, EVERY], "400" = ("It is the default, or a number.", [
        rule("a number", "You cannot delete an inbound number"), rule("default", "You cannot delete a default sms sender"),
    ]);
    GiveNumber(Form::Internal): [WITH_TOKEN, FOUND, WITH_BODY, EVERY], "400" = (BODY, [
        not_json(), schema("not an id", "inbound_number_id is not a valid UUID"),
        rule("has a number", "Service already has an inbound number"), rule("none is free", "No inbound number is available"),
        rule("not free", format!("Inbound number {ID} is not available")),
    ]);
    ReadTexts(Form::Internal): [WITH_TOKEN, FOUND, WITH_BODY, EVERY], "400" = (BODY, [
        not_json(), schema("not a text", "phone_number 1 is not of type string"),
    ]);
    ReadNewestTexts(Form::Internal): [WITH_TOKEN, FOUND, EVERY], "400" = (QUERY, [
        field("not positive", "page", "Not a positive integer"), field("not a number", "page", "Not a valid integer."),
    ]);
    ReadUsage(Form::Internal): [WITH_TOKEN, EVERY],;
    GiveUpNumber(Form::Internal): [WITH_TOKEN, FOUND, WITH_BODY, EVERY], "400" = (BODY, [
        not_json(), schema("not a boolean", "archive x is not of type boolean"),
    ]);
    ReadByDays(Form::Internal): [WITH_TOKEN, FOUND, EVERY],
        "400" = (QUERY, [field("not a number", "limit_days", "x is not an integer")]);
    ReadByWholeDays(Form::Internal): [WITH_TOKEN, FOUND, EVERY], "400" = (QUERY, [
        field("not a number", "whole_days", "x is not an integer"),
        field("too many", "whole_days", "whole_days must be between 0 and 7"),
    ]);
    ReadByYear(Form::Internal): [WITH_TOKEN, FOUND, EVERY], "400" = (QUERY, [rule("no year", "Year must be a number")]);
    ReadByDates(Form::Internal): [WITH_TOKEN, EVERY], "400" = (QUERY, [bad_date()]);
}

const NOT_PERMITTED: &str = "The service may not send this type, or the token cannot be accepted.";
const INACTIVE: &str = "The service is archived, or the token cannot be accepted.";
const TAKEN: &str = "The service has this address.";

pub(super) fn unauthorised() -> Vec<Case> {
    [("no token", Denied::NoToken), ("not bearer", Denied::NotBearer), ("no client", Denied::NotAllowed)]
        .map(|(name, denied)| (name, denied.into()))
        .into()
}

pub(super) fn forbidden() -> Vec<Case> {
    [
        ("not a token", Denied::BadToken),
        ("no iss", Denied::NoIssuer),
        ("clock", Denied::Clock),
        ("wrong algorithm", Denied::WrongAlgorithm),
        ("wrong secret", Denied::NoKeyMatches),
        ("out of scope", Denied::OutOfScope),
    ]
    .map(|(name, denied)| (name, denied.into()))
    .into()
}

fn field(name: &'static str, field: &'static str, message: &str) -> Case {
    (name, Problem::field(field, message))
}

fn schema(name: &'static str, message: &str) -> Case {
    (name, Problem::Validation(vec![message.into()]))
}

fn missing(name: &'static str) -> Case {
    field("missing", name, MISSING)
}

fn absent(name: &str) -> Case {
    schema("absent", &format!("{name} is a required property"))
}

fn not_an_object() -> Case {
    super::refused("not an object", Fields::of(json!([1])))
}

fn bad_date() -> Case {
    schema("not a date", "start_date time data x does not match format %Y-%m-%d")
}

fn few_days() -> Case {
    schema("too few", "days_of_retention 0 is less than the minimum of 1")
}

fn nobody() -> Case {
    field("nobody", "created_by", "User not found")
}

fn too_long() -> Case {
    rule(
        "too long",
        domain::sms::Unsendable::TooLong { length: domain::sms::CHARACTER_LIMIT + 2 }.to_string(),
    )
}

/// What is there no such of, in words of its own.
fn not_found(message: &str) -> Vec<Case> {
    vec![
        ("not found", Problem::NotFound(message.to_owned().into())),
        ("no result", Problem::NoResult),
        ("not an id", Problem::UnknownUrl),
    ]
}

fn not_permitted(message: &'static str) -> Vec<Case> {
    let mut cases = vec![("not permitted", Problem::ForbiddenField("template_type", message.into()))];
    cases.extend(forbidden());
    cases
}

fn inactive() -> Vec<Case> {
    let mut cases =
        vec![("archived", Problem::Forbidden("Sending is not allowed: service is inactive".into()))];
    cases.extend(forbidden());
    cases
}

fn taken() -> Vec<Case> {
    let message = "‘permits@example.com’ is already a reply-to email address for this service.";
    vec![("taken", Problem::Conflict(message.into()))]
}

fn service_rules() -> Vec<Case> {
    vec![
        field("taken", "name", "Duplicate service name 'Parking permits'"),
        field("no such permission", "permissions", "Invalid Service Permission: 'x'"),
        field("repeated", "permissions", "Duplicate Service Permission: ['sms']"),
    ]
}

fn template_rules() -> Vec<Case> {
    let limit = domain::sms::CHARACTER_LIMIT;
    vec![
        not_json(),
        nobody(),
        field(
            "too long",
            "content",
            &format!("Content has a character count greater than the limit of {limit}"),
        ),
        field("no subject", "subject", "Invalid template subject"),
    ]
}

fn log_rules() -> Vec<Case> {
    vec![
        field("not positive", "page", "Not a positive integer"),
        field("not a number", "page", "Not a valid integer."),
        field("not an id", "older_than", "Not a valid UUID."),
    ]
}

fn one_off_rules() -> Vec<Case> {
    vec![
        not_json(),
        missing("to"),
        rule(
            "not a member",
            "Can’t create notification - Ada is not part of the \"Parking permits\" service",
        ),
        rule("unknown template", "Template not found"),
        rule("archived template", "Template has been deleted"),
        rule("missing values", "Missing personalisation: name"),
        rule("trial mode", accept::TRIAL_MODE),
        rule("unknown reply-to", "Reply to email address not found"),
        rule("unknown sender", "SMS sender not found"),
        too_long(),
    ]
}

fn callback_rules() -> Vec<Case> {
    vec![
        not_json(),
        absent("updated_by_id"),
        schema("not https", "url is not a valid https url"),
        schema("not public", "url is not the url of a public host"),
        schema("short token", "bearer_token x is too short"),
    ]
}

fn sender_rules() -> Vec<Case> {
    vec![
        not_json(),
        absent("sms_sender"),
        rule("no default", "You must have at least one SMS sender as the default."),
    ]
}
