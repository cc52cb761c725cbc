//! Answers that say no, as the document tells them. Each is made by what makes the real one: status, class, message and form
//! are `error.rs`'s, and what a schema complains about is said by its reader.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use db::limit::{Exceeded, Limit};
use domain::{
    sms::{self, Unsendable},
    status::{Channel, KeyType},
};
use serde_json::{Value, json};
use utoipa::{
    IntoResponses,
    openapi::{
        Ref, RefOr, Response, ResponseBuilder, Type,
        content::ContentBuilder,
        example::ExampleBuilder,
        header::HeaderBuilder,
        schema::{AnyOfBuilder, Components, ObjectBuilder, Schema, SchemaType},
    },
};

use super::mebibytes;
use crate::{
    accept,
    auth::Denied,
    config::ApiConfig,
    error::Problem,
    unsubscribe,
    v2::{notifications::query::ListQuery, received_texts, schema},
};

pub(crate) type Answers = BTreeMap<String, RefOr<Response>>;

/// What an answer is an example of, and what it is made from.
type Case = (&'static str, Problem);

/// Which of the contract's two forms errors take.
#[derive(Clone, Copy)]
enum Form {
    V2,
    Plain,
}

impl Form {
    fn body(self, problem: &Problem) -> Value {
        match self {
            Self::V2 => problem.v2_body(),
            Self::Plain => problem.plain_body(),
        }
    }

    fn prefix(self) -> &'static str {
        match self {
            Self::V2 => "",
            Self::Plain => "v1.",
        }
    }
}

pub(super) const ERRORS: &str = "Errors";
pub(super) const PLAIN_ERROR: &str = "Error";

/// Answers that many operations have, each told once.
#[derive(Clone, Copy)]
enum Shared {
    Unauthorised,
    Forbidden,
    NotFound,
    TooSlow,
    InFlight,
    TooLarge,
    KeyReused,
    TooMany,
    Failed,
    Unavailable,
    TimedOut,
}

const EVERY: [Shared; 3] = [Shared::Failed, Shared::Unavailable, Shared::TimedOut];
const WITH_TOKEN: [Shared; 2] = [Shared::Unauthorised, Shared::Forbidden];
const WITH_BODY: [Shared; 2] = [Shared::TooSlow, Shared::TooLarge];
const SENDING: [Shared; 3] = [Shared::InFlight, Shared::KeyReused, Shared::TooMany];

impl Shared {
    fn name(self) -> &'static str {
        match self {
            Self::Unauthorised => "Unauthorised",
            Self::Forbidden => "Forbidden",
            Self::NotFound => "NotFound",
            Self::TooSlow => "TooSlow",
            Self::InFlight => "IdempotencyKeyInFlight",
            Self::TooLarge => "TooLarge",
            Self::KeyReused => "IdempotencyKeyReused",
            Self::TooMany => "TooManyRequests",
            Self::Failed => "InternalError",
            Self::Unavailable => "Unavailable",
            Self::TimedOut => "TimedOut",
        }
    }

    fn description(self) -> String {
        let config = ApiConfig::default();
        let limits = db::service::Limits::LIVE;
        match self {
            Self::Unauthorised => "No token, or none that is sent as `Bearer`.".into(),
            Self::Forbidden => "The token cannot be accepted, and the message says why.".into(),
            Self::NotFound => "There is nothing with this id for this service, or no longer.".into(),
            Self::TooSlow => {
                format!("The body did not arrive within {} seconds.", config.client_timeout.as_secs())
            }
            Self::InFlight => "The first request with this `Idempotency-Key` is not answered yet.".into(),
            Self::TooLarge => {
                format!("The body is larger than {}.", mebibytes(config.body_limit))
            }
            Self::KeyReused => "This `Idempotency-Key` came with another request before.".into(),
            Self::TooMany => format!(
                "Too many requests within a minute ({} by default, for each type of key), or too many messages today (UTC; \
                 live services have {} texts, {} e-mails and {} texts abroad by default).",
                limits.rate, limits.sms, limits.email, limits.international_sms
            ),
            Self::Failed => "Something is broken on our side. Quote the header `X-Request-Id`.".into(),
            Self::Unavailable => "The database is away or cannot keep up. Nothing was stored.".into(),
            Self::TimedOut => format!(
                "It took more than {} seconds. The notification may have been stored: repeat it with an `Idempotency-Key`.",
                config.request_timeout.as_secs()
            ),
        }
    }

    fn cases(self, form: Form) -> Vec<Case> {
        let internal = || Problem::Internal(String::new());
        match self {
            Self::Unauthorised => [("no token", Denied::NoToken), ("not bearer", Denied::NotBearer)]
                .map(|(name, denied)| (name, denied.into()))
                .into(),
            Self::Forbidden => forbidden(),
            Self::NotFound => vec![("no result", Problem::NoResult)],
            Self::TooSlow => vec![("too slow", Problem::BodyTooSlow)],
            Self::InFlight => vec![("in flight", Problem::IdempotencyKeyInFlight)],
            Self::TooLarge => vec![("too large", Problem::BodyTooLarge)],
            Self::KeyReused => vec![("key reused", Problem::IdempotencyKeyReused)],
            Self::TooMany => too_many(form),
            Self::Failed => vec![("failure", internal())],
            Self::Unavailable => vec![("unavailable", Problem::Unavailable(String::new()))],
            Self::TimedOut => vec![("timeout", Problem::TookTooLong)],
        }
    }

    fn response(self, form: Form) -> Response {
        response(form, self.description(), &self.cases(form))
    }
}

fn forbidden() -> Vec<Case> {
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

fn too_many(form: Form) -> Vec<Case> {
    let limits = db::service::Limits::LIVE;
    let exceeded = |of, limit, retry_after| Problem::LimitExceeded(Exceeded { limit, of, retry_after });
    let (minute, day) = (TimeDelta::seconds(1), TimeDelta::hours(9));
    match form {
        Form::V2 => vec![
            ("a minute", exceeded(Limit::Rate(KeyType::Normal), limits.rate, minute)),
            ("a day", exceeded(Limit::Daily(Channel::Sms), limits.sms, day)),
            ("abroad", exceeded(Limit::DailyInternational, limits.international_sms, day)),
        ],
        Form::Plain => {
            vec![("a day", exceeded(Limit::DailyTogether, db::service::Limits::TRIAL.sms, day))]
        }
    }
}

/// Types that stand for all refusals of an operation: shared ones, and its own.
macro_rules! refusals {
    ($($name:ident($form:expr): [$($shared:expr),*], $($status:literal = ($description:expr, $cases:expr)),*;)+) => {$(
        pub(crate) enum $name {}

        impl IntoResponses for $name {
            fn responses() -> Answers {
                let shared = [$(&$shared[..]),*].concat();
                let own = [$(($status.into(), response($form, $description.into(), &$cases).into())),*];
                shared.into_iter().map(|shared| reference($form, shared)).chain(own).collect()
            }
        }
    )+};
}

const RULES: &str = "The body breaks the schema (`ValidationError`, one element for each violation), or a rule of the service \
                     does not allow it. Rules are checked in the order of these examples.";
const QUERY: &str = "A parameter is wrong.";

refusals! {
    SendSms(Form::V2): [WITH_TOKEN, WITH_BODY, SENDING, EVERY], "400" = (RULES, sms_rules());
    SendEmail(Form::V2): [WITH_TOKEN, WITH_BODY, SENDING, EVERY], "400" = (RULES, email_rules());
    SendLetter(Form::V2): [WITH_TOKEN, WITH_BODY, [Shared::TooMany], EVERY],
        "400" = ("Always: letters are not carried yet.", vec![NOT_JSON(), rule("no letters", "Service is not allowed to send letters")]);
    ReadNotification(Form::V2): [WITH_TOKEN, [Shared::NotFound], EVERY],
        "400" = ("The id is none.", vec![not_an_id("notification_id")]);
    ReadPdf(Form::V2): [WITH_TOKEN, [Shared::NotFound], EVERY],
        "400" = ("Always, of a notification that there is.", vec![not_an_id("notification_id"), rule("no letter", "Notification is not a letter")]);
    ReadNotifications(Form::V2): [WITH_TOKEN, EVERY], "400" = (QUERY, query_rules());
    ReadTemplate(Form::V2): [WITH_TOKEN, [Shared::NotFound], EVERY], "400" = ("The id is none.", vec![not_an_id("id")]);
    ReadTemplates(Form::V2): [WITH_TOKEN, EVERY],
        "400" = (QUERY, vec![refused("not one of", schema::template_type("type=fax"))]);
    Preview(Form::V2): [WITH_TOKEN, [Shared::NotFound], WITH_BODY, EVERY],
        "400" = ("The body is wrong, or values are missing.", preview_rules());
    ReadReceivedTexts(Form::V2): [WITH_TOKEN, EVERY],
        "400" = (QUERY, vec![refused("not an id", received_texts::older_than("older_than=1"))]);
    V1Send(Form::Plain): [WITH_TOKEN, [Shared::NotFound], WITH_BODY, [Shared::TooMany], EVERY],
        "400" = ("A field is wrong.", v1_rules());
    V1ReadNotification(Form::Plain): [WITH_TOKEN, [Shared::NotFound], EVERY],;
    V1ReadNotifications(Form::Plain): [WITH_TOKEN, [Shared::NotFound], EVERY],
        "400" = (QUERY, vec![("not a number", Problem::field("page", "Not a valid integer."))]);
    Unsubscribe(Form::Plain): [EVERY],
        "404" = ("The link does not work.", vec![
            ("bad token", unsubscribe::INVALID), ("no notification", unsubscribe::GONE), ("not an id", Problem::UnknownUrl),
        ]);
    Status(Form::Plain): [EVERY],;
}

fn rule(name: &'static str, message: impl Into<std::borrow::Cow<'static, str>>) -> Case {
    (name, Problem::bad_request(message))
}

#[expect(non_snake_case, reason = "as good as a constant")]
fn NOT_JSON() -> Case {
    rule("not JSON", crate::body::NOT_JSON)
}

fn not_an_id(name: &str) -> Case {
    ("not an id", Problem::Validation(vec![format!("{name} {}", schema::NOT_A_UUID)]))
}

/// What a reader says to something wrong.
fn refused<T>(name: &'static str, read: Result<T, Problem>) -> Case {
    (name, read.err().unwrap_or_else(|| Problem::Internal(format!("nothing is wrong with {name}"))))
}

fn sms_rules() -> Vec<Case> {
    let read = |name, body: Value| refused(name, schema::SmsRequest::read(body, DateTime::<Utc>::MIN_UTC));
    let id = "2b9d6f0c-53a1-4c7e-8d9b-1f2e3d4c5b6a";
    let to = |number: &str| json!({ "phone_number": number, "template_id": id });
    let too_long = Unsendable::TooLong { length: sms::CHARACTER_LIMIT + 2 };
    let mut rules = vec![
        NOT_JSON(),
        read("several violations", json!({ "template_id": "17", "personalisation": "Rosa", "to": "Rosa" })),
        read("too few digits", to("07700")),
        read("not digits", to("Rosa")),
        read("no such country", to("+999 7700 900855")),
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

fn email_rules() -> Vec<Case> {
    let read = |name, body: Value| refused(name, schema::EmailRequest::read(body, DateTime::<Utc>::MIN_UTC));
    let id = "77aa31c8-6c1d-4be5-b0f4-9d8c7b6a5f4e";
    let mut rules = vec![
        NOT_JSON(),
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

fn query_rules() -> Vec<Case> {
    [("not one of", "status=lost"), ("not an id", "older_than=1"), ("unknown parameter", "page=2")]
        .map(|(name, query)| refused(name, ListQuery::read(query)))
        .into()
}

fn preview_rules() -> Vec<Case> {
    vec![
        not_an_id("id"),
        NOT_JSON(),
        refused("not an object", schema::preview(json!({ "personalisation": "Rosa" }))),
        rule("missing values", "Missing personalisation: name"),
    ]
}

fn v1_rules() -> Vec<Case> {
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
                    crate::v1::send::SMS_BYTE_LIMIT
                ),
            ),
        ),
        ("team key", to(accept::TEAM_ONLY)),
        ("trial mode", to(accept::TRIAL_MODE)),
    ]
}

fn reference(form: Form, shared: Shared) -> (String, RefOr<Response>) {
    let status = shared.cases(form).first().map_or(500, |(_, problem)| problem.status().as_u16());
    let name = format!("{}{}", form.prefix(), shared.name());
    (status.to_string(), Ref::from_response_name(name).into())
}

fn response(form: Form, description: String, cases: &[Case]) -> Response {
    let bodies: Vec<(&str, Value)> =
        cases.iter().map(|(name, problem)| (*name, form.body(problem))).collect();
    // Some have one form whichever API is asked.
    let is_plain = bodies.iter().all(|(_, body)| body.get("result").is_some());
    let schema = Ref::from_schema_name(if is_plain { PLAIN_ERROR } else { ERRORS });
    let examples =
        bodies.into_iter().map(|(name, body)| (name, ExampleBuilder::new().value(Some(body)).build()));
    let content = ContentBuilder::new().schema(Some(schema)).examples_from_iter(examples).build();
    let headers = cases.first().map(|(_, problem)| headers(problem)).unwrap_or_default();
    let response = ResponseBuilder::new().description(description).content("application/json", content);
    headers
        .iter()
        .fold(response, |response, (name, description)| {
            let text = ObjectBuilder::new().schema_type(Type::String);
            let header = HeaderBuilder::new().schema(Some(text)).description(Some(*description));
            response.header(*name, header.build())
        })
        .build()
}

fn headers(problem: &Problem) -> Vec<(&'static str, &'static str)> {
    let retry = ("Retry-After", "Seconds after which it is worth trying again.");
    let id = ("X-Request-Id", "Under which we find in our logs what went wrong.");
    match problem {
        Problem::LimitExceeded(_) | Problem::IdempotencyKeyInFlight => vec![retry],
        Problem::Unavailable(_) => vec![retry, id],
        Problem::Internal(_) | Problem::TookTooLong => vec![id],
        _ => Vec::new(),
    }
}

/// What the operations refer to.
pub(super) fn add_to(components: &mut Components) {
    let every = [&WITH_TOKEN[..], &[Shared::NotFound], &WITH_BODY, &SENDING, &EVERY].concat();
    for shared in &every {
        components.responses.insert(shared.name().into(), shared.response(Form::V2).into());
    }
    for shared in every.into_iter().filter(|shared| !matches!(shared, Shared::InFlight | Shared::KeyReused)) {
        let name = format!("{}{}", Form::Plain.prefix(), shared.name());
        components.responses.insert(name, shared.response(Form::Plain).into());
    }
    components.schemas.insert(ERRORS.into(), errors());
    components.schemas.insert(PLAIN_ERROR.into(), plain_error());
}

/// Classes of errors, as the contract names them.
const CLASSES: [&str; 13] = [
    "AuthError",
    "ValidationError",
    "BadRequestError",
    "InvalidPhoneError",
    "RateLimitError",
    "TooManyRequestsError",
    "IdempotencyKeyError",
    "NoResultFound",
    "RequestEntityTooLarge",
    "RequestTimeout",
    "ServiceUnavailable",
    "GatewayTimeout",
    "Exception",
];

fn errors() -> RefOr<Schema> {
    let text =
        |description: &str| ObjectBuilder::new().schema_type(Type::String).description(Some(description));
    let error = ObjectBuilder::new()
        .schema_type(Type::Object)
        .property("error", text("The class of the error, for programs.").enum_values(Some(CLASSES)))
        .required("error")
        .property("message", text("For people."))
        .required("message");
    let status =
        ObjectBuilder::new().schema_type(Type::Integer).description(Some("The status of the answer."));
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some(
            "What is wrong with a request. Only a `ValidationError` has more than one element.",
        ))
        .property("status_code", status)
        .required("status_code")
        .property("errors", error.to_array_builder().min_items(Some(1)))
        .required("errors")
        .into()
}

fn plain_error() -> RefOr<Schema> {
    let any_of = AnyOfBuilder::new()
        .description(Some("A text, or by the name of each wrong field what is wrong with it."))
        .item(ObjectBuilder::new().schema_type(Type::String))
        .item(ObjectBuilder::new().schema_type(Type::Object).additional_properties(Some(
            ObjectBuilder::new().schema_type(SchemaType::from_iter([Type::Array, Type::String])),
        )));
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some("What is wrong with a request of the API of 2016, or with a URL."))
        .property("result", ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["error"])))
        .required("result")
        .property("message", any_of)
        .required("message")
        .into()
}
