//! Answers that say no, as the document tells them. Each is made by what makes the real one: status, class, message and form
//! are `error.rs`'s, and what a schema complains about is said by its reader.

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;
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

use super::{
    mebibytes,
    rules::{
        Case, email_rules, forbidden, not_an_id, not_json, preview_rules, query_rules, refused, rule,
        sms_rules, too_many, too_many_failures, too_many_in_2016, too_many_today, v1_rules,
    },
};
use crate::{
    auth::Denied,
    config::ApiConfig,
    error::Problem,
    unsubscribe,
    v2::{received_texts, schema},
};

pub(crate) type Answers = BTreeMap<String, RefOr<Response>>;

/// Which of the contract's forms errors take.
#[derive(Clone, Copy)]
enum Form {
    V2,
    Plain,
    /// In a document of its own.
    Internal,
}

impl Form {
    fn body(self, problem: &Problem) -> Value {
        match self {
            Self::V2 => problem.v2_body(),
            Self::Plain => problem.plain_body(),
            Self::Internal => problem.internal_body(),
        }
    }

    fn prefix(self) -> &'static str {
        match self {
            Self::V2 | Self::Internal => "",
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
    Encoded,
    KeyReused,
    TooMany,
    TooManyFailures,
    TooManyReads,
    Failed,
    Unavailable,
    TimedOut,
}

const EVERY: [Shared; 3] = [Shared::Failed, Shared::Unavailable, Shared::TimedOut];
const WITH_TOKEN: [Shared; 3] = [Shared::Unauthorised, Shared::Forbidden, Shared::TooManyFailures];
/// With a token, too.
const READING: [Shared; 1] = [Shared::TooManyReads];
const WITH_BODY: [Shared; 3] = [Shared::TooSlow, Shared::TooLarge, Shared::Encoded];
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
            Self::Encoded => "Encoded",
            Self::KeyReused => "IdempotencyKeyReused",
            Self::TooMany => "TooManyRequests",
            Self::TooManyFailures => "TooManyFailures",
            Self::TooManyReads => "TooManyReads",
            Self::Failed => "InternalError",
            Self::Unavailable => "Unavailable",
            Self::TimedOut => "TimedOut",
        }
    }

    fn description(self, form: Form) -> String {
        let config = ApiConfig::default();
        let limits = db::service::Limits::LIVE;
        match self {
            Self::Unauthorised if matches!(form, Form::Internal) => {
                "No token, none that is sent as `Bearer`, or one of nobody who is a client.".into()
            }
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
            Self::Encoded => "The body is compressed, which no body may be.".into(),
            Self::KeyReused => "This `Idempotency-Key` came with another request before.".into(),
            Self::TooMany => format!(
                "Too many requests within a minute ({} by default, for each type of key), or too many messages today (UTC; \
                 live services have {} texts, {} e-mails and {} texts abroad by default).",
                limits.rate, limits.sms, limits.email, limits.international_sms
            ),
            Self::TooManyFailures => format!(
                "Too many failed authentications from this address ({} a minute by default). A token that is right is \
                 not refused for that.",
                config.failed_authentications_per_minute
            ),
            Self::TooManyReads => format!(
                "Too many reads by one service: {} of them are done at a time, {} may wait for {} seconds, and {} a minute \
                 with one key are allowed (by default). Or too many failed authentications from this address.",
                config.reads.at_once,
                config.reads.waiting,
                config.reads.longest_wait.as_secs(),
                config.reads.per_minute
            ),
            Self::Failed => "Something is broken on our side. Quote the header `X-Request-Id`.".into(),
            Self::Unavailable => "The database is away or cannot keep up. Nothing was stored.".into(),
            Self::TimedOut if matches!(form, Form::Internal) => format!(
                "It took more than {} seconds. What was asked for may have been done.",
                config.request_timeout.as_secs()
            ),
            Self::TimedOut => format!(
                "It took more than {} seconds. The notification may have been stored: repeat it with an `Idempotency-Key`.",
                config.request_timeout.as_secs()
            ),
        }
    }

    fn cases(self, form: Form) -> Vec<Case> {
        let internal = || Problem::Internal(String::new());
        match self {
            Self::Unauthorised if matches!(form, Form::Internal) => internal::unauthorised(),
            Self::Forbidden if matches!(form, Form::Internal) => internal::forbidden(),
            Self::NotFound if matches!(form, Form::Internal) => {
                vec![("no result", Problem::NoResult), ("not an id", Problem::UnknownUrl)]
            }
            Self::Unauthorised => [("no token", Denied::NoToken), ("not bearer", Denied::NotBearer)]
                .map(|(name, denied)| (name, denied.into()))
                .into(),
            Self::Forbidden => forbidden(),
            Self::NotFound => vec![("no result", Problem::NoResult)],
            Self::TooSlow => vec![("too slow", Problem::BodyTooSlow)],
            Self::InFlight => vec![("in flight", Problem::IdempotencyKeyInFlight)],
            Self::TooLarge => vec![("too large", Problem::BodyTooLarge)],
            Self::Encoded => vec![("encoded", Problem::EncodedBody)],
            Self::KeyReused => vec![("key reused", Problem::IdempotencyKeyReused)],
            Self::TooMany => match form {
                Form::V2 => too_many(),
                Form::Plain => too_many_in_2016(),
                Form::Internal => too_many_today(),
            },
            Self::TooManyFailures => vec![too_many_failures()],
            Self::TooManyReads => {
                let per_minute = ApiConfig::default().reads.per_minute;
                let retry_after = Duration::from_secs(1);
                vec![
                    ("at the same time", Problem::TooManyReads),
                    ("a minute", Problem::TooManyReadsWithKey { per_minute, retry_after }),
                    too_many_failures(),
                ]
            }
            Self::Failed => vec![("failure", internal())],
            Self::Unavailable => vec![("unavailable", Problem::Unavailable(String::new()))],
            Self::TimedOut => vec![("timeout", Problem::TookTooLong)],
        }
    }

    fn response(self, form: Form) -> Response {
        response(form, self.description(form), &self.cases(form))
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

pub(crate) mod internal;

const RULES: &str = "The body breaks the schema (`ValidationError`, one element for each violation), or a rule of the service \
                     does not allow it. Rules are checked in the order of these examples.";
const QUERY: &str = "A parameter is wrong.";

refusals! {
    SendSms(Form::V2): [WITH_TOKEN, WITH_BODY, SENDING, EVERY], "400" = (RULES, sms_rules());
    SendEmail(Form::V2): [WITH_TOKEN, WITH_BODY, SENDING, EVERY], "400" = (RULES, email_rules());
    SendLetter(Form::V2): [WITH_TOKEN, WITH_BODY, [Shared::TooMany], EVERY],
        "400" = ("Always: letters are not carried yet.", [
            not_json(), rule("no letters", "Service is not allowed to send letters"),
        ]);
    ReadNotification(Form::V2): [WITH_TOKEN, READING, [Shared::NotFound], EVERY],
        "400" = ("The id is none.", [not_an_id("notification_id")]);
    ReadPdf(Form::V2): [WITH_TOKEN, READING, [Shared::NotFound], EVERY],
        "400" = ("Always, of a notification that there is.", [
            not_an_id("notification_id"), rule("no letter", "Notification is not a letter"),
        ]);
    ReadNotifications(Form::V2): [WITH_TOKEN, READING, EVERY], "400" = (QUERY, query_rules());
    ReadTemplate(Form::V2): [WITH_TOKEN, READING, [Shared::NotFound], EVERY], "400" = ("The id is none.", [not_an_id("id")]);
    ReadTemplates(Form::V2): [WITH_TOKEN, READING, EVERY],
        "400" = (QUERY, [refused("not one of", schema::template_type("type=fax"))]);
    Preview(Form::V2): [WITH_TOKEN, READING, [Shared::NotFound], WITH_BODY, EVERY],
        "400" = ("The body is wrong, or values are missing.", preview_rules());
    ReadReceivedTexts(Form::V2): [WITH_TOKEN, READING, EVERY],
        "400" = (QUERY, [refused("not an id", received_texts::older_than("older_than=1"))]);
    V1Send(Form::Plain): [WITH_TOKEN, [Shared::NotFound], WITH_BODY, [Shared::TooMany], EVERY],
        "400" = ("A field is wrong.", v1_rules());
    V1ReadNotification(Form::Plain): [WITH_TOKEN, READING, [Shared::NotFound], EVERY],;
    V1ReadNotifications(Form::Plain): [WITH_TOKEN, READING, [Shared::NotFound], EVERY],
        "400" = (QUERY, [("not a number", Problem::field("page", "Not a valid integer."))]);
    Unsubscribe(Form::Plain): [EVERY],
        "404" = ("The link does not work.", [
            ("bad token", unsubscribe::INVALID), ("no notification", unsubscribe::GONE), ("not an id", Problem::UnknownUrl),
        ]);
    Status(Form::Plain): [EVERY],;
}

fn reference(form: Form, shared: Shared) -> (String, RefOr<Response>) {
    let status = shared.cases(form).first().map_or(500, |(_, problem)| problem.status().as_u16());
    let name = format!("{}{}", form.prefix(), shared.name());
    (status.to_string(), Ref::from_response_name(name).into())
}

fn response(form: Form, description: String, cases: &[Case]) -> Response {
    let bodies: Vec<(&str, Value)> =
        cases.iter().map(|(name, problem)| (*name, form.body(problem))).collect();
    let schema = schema_of(&bodies);
    // Their keys keep them in order.
    let examples = bodies.into_iter().enumerate().map(|(index, (name, body))| {
        (format!("{:02}", index + 1), ExampleBuilder::new().summary(name).value(Some(body)).build())
    });
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

/// Some have one form whichever API is asked, and some operations have both.
fn schema_of(bodies: &[(&str, Value)]) -> RefOr<Schema> {
    let is_plain = |(_, body): &(&str, Value)| body.get("result").is_some();
    if bodies.iter().all(is_plain) {
        Ref::from_schema_name(PLAIN_ERROR).into()
    } else if bodies.iter().any(is_plain) {
        let either = AnyOfBuilder::new().item(Ref::from_schema_name(PLAIN_ERROR));
        either.item(Ref::from_schema_name(ERRORS)).into()
    } else {
        Ref::from_schema_name(ERRORS).into()
    }
}

fn headers(problem: &Problem) -> Vec<(&'static str, &'static str)> {
    let retry = ("Retry-After", "Seconds after which it is worth trying again.");
    let id = ("X-Request-Id", "Under which we find in our logs what went wrong.");
    match problem {
        Problem::LimitExceeded(_)
        | Problem::TooManyFailures(_)
        | Problem::TooManyReads
        | Problem::TooManyReadsWithKey { .. }
        | Problem::IdempotencyKeyInFlight => vec![retry],
        Problem::Unavailable(_) => vec![retry, id],
        Problem::Internal(_) | Problem::TookTooLong | Problem::MayBeStored => vec![id],
        _ => Vec::new(),
    }
}

/// What the operations refer to.
pub(super) fn add_to(components: &mut Components) {
    let every = [&WITH_TOKEN[..], &READING, &[Shared::NotFound], &WITH_BODY, &SENDING, &EVERY].concat();
    for shared in &every {
        components.responses.insert(shared.name().into(), shared.response(Form::V2).into());
    }
    for shared in every.into_iter().filter(|shared| !matches!(shared, Shared::InFlight | Shared::KeyReused)) {
        let name = format!("{}{}", Form::Plain.prefix(), shared.name());
        components.responses.insert(name, shared.response(Form::Plain).into());
    }
    components.schemas.insert(ERRORS.into(), errors());
    components.schemas.insert(
        PLAIN_ERROR.into(),
        plain_error("What is wrong with a request of the API of 2016, or with a URL."),
    );
}

/// What those of the internal API refer to.
pub(super) fn add_internal_to(components: &mut Components) {
    for shared in [&WITH_TOKEN[..], &[Shared::NotFound], &WITH_BODY, &EVERY].concat() {
        components.responses.insert(shared.name().into(), shared.response(Form::Internal).into());
    }
    components.schemas.insert(ERRORS.into(), errors());
    components.schemas.insert(PLAIN_ERROR.into(), plain_error("What is wrong with a request."));
}

/// Classes of errors, as the contract names them.
const CLASSES: [&str; 14] = [
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
    "UnsupportedMediaType",
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

fn plain_error(description: &str) -> RefOr<Schema> {
    let any_of = AnyOfBuilder::new()
        .description(Some("A text, or by the name of each wrong field what is wrong with it."))
        .item(ObjectBuilder::new().schema_type(Type::String))
        .item(ObjectBuilder::new().schema_type(Type::Object).additional_properties(Some(
            ObjectBuilder::new().schema_type(SchemaType::from_iter([Type::Array, Type::String])),
        )));
    let detail =
        "Of a 504 to a request that sends: that it may have been stored all the same, and what to do.";
    let detail = ObjectBuilder::new().schema_type(Type::String).description(Some(detail));
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some(description))
        .property("result", ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["error"])))
        .required("result")
        .property("message", any_of)
        .required("message")
        .property("detail", detail)
        .into()
}

#[cfg(test)]
mod tests {
    use actix_web::ResponseError;

    use super::*;
    use crate::error::V2Error;

    #[test]
    fn headers_are_those_of_the_real_answers() {
        let every = [&WITH_TOKEN[..], &READING, &[Shared::NotFound], &WITH_BODY, &SENDING, &EVERY].concat();
        for (name, problem) in every.into_iter().flat_map(|shared| shared.cases(Form::V2)) {
            let documented: Vec<&str> = headers(&problem).into_iter().map(|(header, _)| header).collect();
            let answer = V2Error::from(problem).error_response();
            for header in ["Retry-After", "X-Request-Id"] {
                assert_eq!(
                    answer.headers().contains_key(header),
                    documented.contains(&header),
                    "{header}: {name}"
                );
            }
        }
    }

    #[test]
    fn readers_refuse_what_examples_are_made_from() {
        let rules = [sms_rules(), email_rules(), query_rules(), preview_rules(), v1_rules()];
        for (name, problem) in rules.into_iter().flatten() {
            assert_eq!(problem.status(), 400, "{name}: {problem:?}");
        }
    }
}
