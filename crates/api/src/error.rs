//! What goes wrong, as callers see it: the only place with status codes.
//!
//! The wire contract has two forms, and a handler's return type says which one its errors take: [`V2Error`] for `/v2`,
//! [`PlainError`] for everything else. Failures of our own are logged here, once, under an id that the caller gets too.

use std::{borrow::Cow, collections::BTreeMap, fmt, sync::Arc, time::Duration};

use actix_web::{
    HttpResponse, HttpResponseBuilder, ResponseError,
    http::{
        StatusCode,
        header::{ACCEPT_ENCODING, ALLOW, ContentType, RETRY_AFTER, WWW_AUTHENTICATE},
    },
};
use chrono::TimeDelta;
use db::{
    DbError,
    limit::{Exceeded, Limit},
};
use domain::status::KeyType;
use provider::BadReceipt;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::auth::Denied;

/// Seconds after which a caller may try again what the database could not do.
const TRY_AGAIN: &str = "5";

const MAY_BE_STORED: &str = "The notification may have been stored all the same. A request that has an Idempotency-Key can be \
                             made again with it: it is stored once.";

/// Why a request is not done.
#[derive(Debug)]
pub(crate) enum Problem {
    Denied(Denied),
    /// Violations of the schema, each in the words of the contract.
    Validation(Vec<String>),
    /// What is wrong with each field, as the API of 2016 tells it.
    Fields(FieldErrors),
    /// The same of a field that is right, but not for this service.
    ForbiddenField(&'static str, Cow<'static, str>),
    /// A rule of the business.
    BadRequest(Cow<'static, str>),
    /// A number that is valid, but not for this service.
    InvalidPhone(&'static str),
    Receipt(BadReceipt),
    WrongReceiptPassword,
    /// Of a provider that posts a text.
    NoCredentials,
    WrongCredentials,
    LimitExceeded(Exceeded),
    /// With wrong tokens or passwords, from its address.
    TooManyFailures(Duration),
    /// Of its service at a time.
    TooManyReads,
    /// In a minute.
    TooManyReadsWithKey {
        per_minute: u32,
        retry_after: Duration,
    },
    /// Its `Idempotency-Key` came with another request before.
    IdempotencyKeyReused,
    /// Another request with its `Idempotency-Key` is not answered yet.
    IdempotencyKeyInFlight,
    NoResult,
    /// There is no such thing, in words of its own.
    NotFound(Cow<'static, str>),
    Forbidden(Cow<'static, str>),
    /// There is one already.
    Conflict(Cow<'static, str>),
    UnknownUrl,
    /// A link to unsubscribe that does not work, in the words of the contract.
    Unsubscribe(&'static str),
    /// These would be right.
    WrongMethod(&'static str),
    BodyTooLarge,
    BodyTooSlow,
    /// It came compressed.
    EncodedBody,
    TookTooLong,
    /// The same, after what it asks for was handed to the database.
    MayBeStored,
    /// The database is away, or cannot keep up.
    Unavailable(String),
    Internal(String),
}

/// By field: what is wrong with it.
pub(crate) type FieldErrors = BTreeMap<Cow<'static, str>, Vec<String>>;

impl Problem {
    /// One thing is wrong with one field.
    pub(crate) fn field(name: &'static str, message: impl Into<String>) -> Self {
        Self::Fields(FieldErrors::from([(name.into(), vec![message.into()])]))
    }

    pub(crate) fn bad_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::BadRequest(message.into())
    }

    /// A failure of ours, not of the request.
    pub(crate) fn is_ours(&self) -> bool {
        self.status().is_server_error()
    }

    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Denied(denied) => denied_status(*denied),
            Self::Validation(_)
            | Self::Fields(_)
            | Self::BadRequest(_)
            | Self::InvalidPhone(_)
            | Self::Receipt(_) => StatusCode::BAD_REQUEST,
            Self::LimitExceeded(_)
            | Self::TooManyFailures(_)
            | Self::TooManyReads
            | Self::TooManyReadsWithKey { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::IdempotencyKeyReused => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Forbidden(_) | Self::ForbiddenField(..) => StatusCode::FORBIDDEN,
            Self::IdempotencyKeyInFlight | Self::Conflict(_) => StatusCode::CONFLICT,
            Self::WrongReceiptPassword | Self::NoCredentials => StatusCode::UNAUTHORIZED,
            Self::WrongCredentials => StatusCode::FORBIDDEN,
            Self::NoResult | Self::NotFound(_) | Self::UnknownUrl | Self::Unsubscribe(_) => {
                StatusCode::NOT_FOUND
            }
            Self::WrongMethod(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyTooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::EncodedBody => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TookTooLong | Self::MayBeStored => StatusCode::GATEWAY_TIMEOUT,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The class that the contract names.
    fn class(&self) -> &'static str {
        match self {
            Self::Denied(_) | Self::WrongReceiptPassword | Self::NoCredentials | Self::WrongCredentials => {
                "AuthError"
            }
            Self::Validation(_) | Self::Fields(_) => "ValidationError",
            Self::BadRequest(_) | Self::Receipt(_) => "BadRequestError",
            Self::InvalidPhone(_) => "InvalidPhoneError",
            Self::LimitExceeded(exceeded) => match exceeded.of {
                Limit::Rate(_) => "RateLimitError",
                Limit::Daily(_) | Limit::DailyTogether | Limit::DailyInternational => "TooManyRequestsError",
            },
            Self::TooManyFailures(_) | Self::TooManyReads | Self::TooManyReadsWithKey { .. } => {
                "RateLimitError"
            }
            Self::IdempotencyKeyReused | Self::IdempotencyKeyInFlight => "IdempotencyKeyError",
            Self::NoResult | Self::NotFound(_) => "NoResultFound",
            Self::Forbidden(_) | Self::ForbiddenField(..) => "Forbidden",
            Self::Conflict(_) => "Conflict",
            Self::UnknownUrl | Self::Unsubscribe(_) => "NotFound",
            Self::WrongMethod(_) => "MethodNotAllowed",
            Self::BodyTooLarge => "RequestEntityTooLarge",
            Self::BodyTooSlow => "RequestTimeout",
            Self::EncodedBody => "UnsupportedMediaType",
            Self::TookTooLong | Self::MayBeStored => "GatewayTimeout",
            Self::Unavailable(_) => "ServiceUnavailable",
            Self::Internal(_) => "Exception",
        }
    }

    /// One message or several.
    fn messages(&self) -> Vec<Cow<'_, str>> {
        let one = match self {
            Self::Validation(messages) | Self::Receipt(BadReceipt::Missing(messages)) => {
                return messages.iter().map(|message| Cow::Borrowed(message.as_str())).collect();
            }
            Self::Fields(fields) => {
                let each =
                    |(name, texts): (&Cow<_>, &Vec<String>)| format!("{name} {}", texts.join(", ")).into();
                return fields.iter().map(each).collect();
            }
            Self::Denied(denied) => denied.message(),
            Self::BadRequest(message)
            | Self::NotFound(message)
            | Self::Forbidden(message)
            | Self::ForbiddenField(_, message)
            | Self::Conflict(message) => message,
            Self::InvalidPhone(message) | Self::Unsubscribe(message) => message,
            Self::Receipt(BadReceipt::Invalid(message)) => message,
            Self::WrongReceiptPassword | Self::NoCredentials => {
                "Unauthorized: authentication token must be provided"
            }
            Self::WrongCredentials => "Forbidden: invalid authentication token provided",
            Self::LimitExceeded(exceeded) => return vec![limit_message(exceeded).into()],
            Self::TooManyFailures(_) => "Too many failed authentications from your address",
            Self::TooManyReads => "Too many requests of your service are reading at the same time",
            Self::TooManyReadsWithKey { per_minute, .. } => {
                let message =
                    format!("Exceeded rate limit of {per_minute} reads per 60 seconds with this key");
                return vec![message.into()];
            }
            Self::IdempotencyKeyReused => {
                "Idempotency-Key was used for another request within the last 24 hours"
            }
            Self::IdempotencyKeyInFlight => "A request with this Idempotency-Key is still being worked on",
            Self::NoResult => "No result found",
            Self::UnknownUrl => {
                "The requested URL was not found on the server. If you entered the URL manually please check your \
                 spelling and try again."
            }
            Self::WrongMethod(_) => "The method is not allowed for the requested URL.",
            Self::BodyTooLarge => "The data value transmitted exceeds the capacity limit.",
            Self::BodyTooSlow => {
                "The server closed the network connection because the browser didn't finish the request within the \
                 specified time."
            }
            Self::EncodedBody => "Content-Encoding must be identity",
            Self::TookTooLong | Self::MayBeStored => "Timeout serving request",
            Self::Unavailable(_) => {
                "The server is temporarily unable to service your request. Please try again later."
            }
            Self::Internal(_) => "Internal server error",
        };
        vec![one.into()]
    }

    /// Whether the plain form has a list even for one message.
    fn is_list(&self) -> bool {
        matches!(self, Self::Validation(_) | Self::Receipt(BadReceipt::Missing(_)))
    }

    pub(crate) fn v2_body(&self) -> Value {
        if matches!(self, Self::UnknownUrl | Self::WrongMethod(_) | Self::TookTooLong | Self::MayBeStored) {
            return self.plain_body();
        }
        let errors: Vec<Value> = self
            .messages()
            .iter()
            .map(|message| json!({ "error": self.class(), "message": message }))
            .collect();
        json!({ "status_code": self.status().as_u16(), "errors": errors })
    }

    pub(crate) fn plain_body(&self) -> Value {
        let messages = self.messages();
        let message = match self {
            Self::Denied(_) => json!({ "token": messages }),
            Self::Unsubscribe(message) => json!({ "unsubscribe request": message }),
            Self::Fields(fields) => json!(fields),
            Self::ForbiddenField(field, message) => json!({ *field: [message] }),
            _ if self.is_list() => json!(messages),
            _ => json!(messages.first()),
        };
        match self {
            // The message is the contract's to the letter.
            Self::MayBeStored => json!({ "result": "error", "message": message, "detail": MAY_BE_STORED }),
            _ => json!({ "result": "error", "message": message }),
        }
    }

    pub(crate) fn internal_body(&self) -> Value {
        if matches!(self, Self::Validation(_)) { self.v2_body() } else { self.plain_body() }
    }

    fn respond(&self, body: &Value) -> HttpResponse {
        let mut response = HttpResponse::build(self.status());
        response.content_type(ContentType::json());
        match self {
            Self::Unavailable(reason) => {
                let request_id = named(&mut response);
                tracing::warn!(%request_id, reason, "a request cannot be served now");
                response.insert_header((RETRY_AFTER, TRY_AGAIN));
            }
            Self::TookTooLong | Self::MayBeStored => {
                let request_id = named(&mut response);
                tracing::warn!(%request_id, "a request took too long");
            }
            Self::Internal(reason) => {
                let request_id = named(&mut response);
                tracing::error!(%request_id, reason, "a request failed");
            }
            Self::LimitExceeded(exceeded) => {
                response.insert_header((RETRY_AFTER, whole_seconds(exceeded.retry_after)));
            }
            Self::TooManyFailures(wait) | Self::TooManyReadsWithKey { retry_after: wait, .. } => {
                let wait = TimeDelta::from_std(*wait).unwrap_or(TimeDelta::MAX);
                response.insert_header((RETRY_AFTER, whole_seconds(wait)));
            }
            Self::IdempotencyKeyInFlight | Self::TooManyReads => {
                response.insert_header((RETRY_AFTER, "1"));
            }
            Self::WrongReceiptPassword => {
                response.insert_header((WWW_AUTHENTICATE, "Basic realm=\"receipts\""));
            }
            // The contract says Bearer, though basic is what is wanted.
            Self::NoCredentials => {
                response.insert_header((WWW_AUTHENTICATE, "Bearer"));
            }
            Self::EncodedBody => {
                response.insert_header((ACCEPT_ENCODING, "identity"));
            }
            Self::WrongMethod(methods) => {
                response.insert_header((ALLOW, *methods));
            }
            _ => {}
        }
        if matches!(self, Self::TookTooLong | Self::MayBeStored | Self::Internal(_)) {
            // These may come from outside of what adds the headers to everything else.
            for header in crate::routes::HEADERS {
                response.insert_header(header);
            }
        }
        response.body(body.to_string())
    }
}

fn limit_message(exceeded: &Exceeded) -> String {
    let limit = exceeded.limit;
    let of = match exceeded.of {
        Limit::Rate(key_type) => {
            let key_type = match key_type {
                KeyType::Normal => "LIVE",
                KeyType::Team => "TEAM",
                KeyType::Test => "TEST",
            };
            return format!("Exceeded rate limit for key type {key_type} of {limit} requests per 60 seconds");
        }
        Limit::DailyTogether => return format!("Exceeded send limits ({limit}) for today"),
        Limit::Daily(channel) => channel.as_str(),
        Limit::DailyInternational => "international_sms",
    };
    format!("Exceeded send limits ({of}: {limit}) for today")
}

/// Rounded up: a second early would be refused again.
fn whole_seconds(wait: TimeDelta) -> String {
    (wait + TimeDelta::milliseconds(999)).num_seconds().to_string()
}

/// An answer that the caller can quote and we can find.
fn named(response: &mut HttpResponseBuilder) -> Uuid {
    let request_id = Uuid::new_v4();
    response.insert_header(("X-Request-Id", request_id.to_string()));
    request_id
}

fn denied_status(denied: Denied) -> StatusCode {
    match denied {
        Denied::NoToken | Denied::NotBearer | Denied::NotAllowed => StatusCode::UNAUTHORIZED,
        Denied::BadToken
        | Denied::NoIssuer
        | Denied::IssuerNotAnId
        | Denied::UnknownService
        | Denied::NoKeys
        | Denied::Archived
        | Denied::Clock
        | Denied::WrongAlgorithm
        | Denied::Revoked
        | Denied::NoKeyMatches
        | Denied::OutOfScope => StatusCode::FORBIDDEN,
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        Self::Denied(denied)
    }
}

impl From<&DbError> for Problem {
    fn from(error: &DbError) -> Self {
        if error.is_unavailable() {
            Self::Unavailable(error.to_string())
        } else {
            Self::Internal(error.to_string())
        }
    }
}

impl From<DbError> for Problem {
    fn from(error: DbError) -> Self {
        Self::from(&error)
    }
}

/// One failed look-up may have had many waiters.
impl From<Arc<DbError>> for Problem {
    fn from(error: Arc<DbError>) -> Self {
        Self::from(&*error)
    }
}

impl From<BadReceipt> for Problem {
    fn from(bad: BadReceipt) -> Self {
        Self::Receipt(bad)
    }
}

macro_rules! forms {
    ($($(#[$doc:meta])* $name:ident: $body:ident)+) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub(crate) struct $name(Problem);

        impl<P: Into<Problem>> From<P> for $name {
            fn from(problem: P) -> Self {
                Self(problem.into())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.0.class())
            }
        }

        impl ResponseError for $name {
            fn status_code(&self) -> StatusCode {
                self.0.status()
            }

            fn error_response(&self) -> HttpResponse {
                self.0.respond(&self.0.$body())
            }
        }
    )+};
}

forms! {
    /// `{"status_code": 400, "errors": [{"error": "BadRequestError", "message": "…"}]}`
    V2Error: v2_body
    /// `{"result": "error", "message": …}`
    PlainError: plain_body
    /// Plain, but violations of a schema as `/v2` has them.
    InternalError: internal_body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_to_the_byte() {
        let problem = Problem::bad_request("Template not found");
        assert_eq!(
            problem.v2_body().to_string(),
            r#"{"status_code":400,"errors":[{"error":"BadRequestError","message":"Template not found"}]}"#
        );
        assert_eq!(problem.plain_body().to_string(), r#"{"result":"error","message":"Template not found"}"#);
        let denied = Problem::Denied(Denied::NoToken);
        assert_eq!(
            denied.plain_body().to_string(),
            r#"{"result":"error","message":{"token":["Unauthorized: authentication token must be provided"]}}"#
        );
        assert_eq!(
            Problem::WrongMethod("GET").v2_body().to_string(),
            r#"{"result":"error","message":"The method is not allowed for the requested URL."}"#
        );
    }

    #[test]
    fn only_validation_has_several_messages_and_a_receipt_a_list_of_one() {
        let several = Problem::Validation(vec!["a".into(), "b".into()]);
        assert_eq!(several.v2_body()["errors"].as_array().map(Vec::len), Some(2));
        let receipt = Problem::Receipt(BadReceipt::Missing(vec!["MMG callback failed: CID missing".into()]));
        assert_eq!(
            receipt.plain_body().to_string(),
            r#"{"result":"error","message":["MMG callback failed: CID missing"]}"#
        );
    }

    #[test]
    fn a_database_that_is_away_says_when_to_try_again() {
        let response = V2Error::from(Problem::Unavailable("x".into())).error_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(response.headers().contains_key(RETRY_AFTER));
        assert!(response.headers().contains_key("X-Request-Id"));
    }
}
