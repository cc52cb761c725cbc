//! The public API as an OpenAPI 3.1 document, and a page to read it on.
//!
//! The document is made from the code: operations from the attributes of their handlers, answers from the structs that they
//! are serialised from, refusals from what refuses (`refusal`), limits from their constants. What bodies may hold is described
//! in `request`, because they are read by hand. The internal API has a document of its own (`internal`).

mod answer;
pub(crate) mod example;
pub(crate) mod internal;
mod introduction;
mod markdown;
mod page;
pub(crate) mod refusal;
pub(crate) mod request;
mod rules;

use std::sync::LazyLock;

use actix_web::{HttpResponse, http::header::ContentType};
use domain::status::{Channel, KeyType, ProviderId, Status};
use serde_json::Value;
use utoipa::{
    Modify, OpenApi,
    openapi::{
        self, PathItem, Type,
        path::Operation,
        schema::{ObjectBuilder, SchemaType},
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use crate::{status, unsubscribe, v1, v2};

pub(crate) const SENDING: &str = "Sending";
pub(crate) const NOTIFICATIONS: &str = "Notifications";
pub(crate) const TEMPLATES: &str = "Templates";
pub(crate) const RECEIVED: &str = "Received texts";
pub(crate) const UNSUBSCRIBING: &str = "Unsubscribing";
pub(crate) const STATUS: &str = "Status";
pub(crate) const V1: &str = "The API of 2016";

const KEY: &str = "key";

#[derive(OpenApi)]
#[openapi(
    info(title = "Pillarbox", version = "2", license(name = "MIT", identifier = "MIT")),
    paths(
        v2::send::sms,
        v2::send::email,
        v2::send::letter,
        v2::notifications::one,
        v2::notifications::pdf,
        v2::notifications::list,
        v2::templates::one,
        v2::templates::version,
        v2::templates::list,
        v2::templates::preview,
        v2::received_texts::list,
        unsubscribe::ask,
        unsubscribe::unsubscribe,
        status::status,
        status::status_by_post,
        v1::send::sms,
        v1::send::email,
        v1::notifications::one,
        v1::notifications::list,
    ),
    tags(
        (name = SENDING, description = "A template, a recipient, and what is to be filled in. 201 means stored: the message is \
            delivered or its failure reported, whatever breaks in between."),
        (name = NOTIFICATIONS, description = "What became of notifications, for as long as they are kept."),
        (name = TEMPLATES, description = "The templates of the service, and what a message would look like."),
        (name = RECEIVED, description = "Texts that people sent to the numbers of the service."),
        (name = UNSUBSCRIBING, description = "Where the links lead that e-mails carry (RFC 8058). No token is needed."),
        (name = STATUS, description = "How the platform is. No token is needed."),
        (name = V1, description = "For integrations that are older than `/v2`. Either API shows what the other one sent, in its own \
            form. Keys see only what was made with keys of their own type."),
    ),
    security(("key" = [])),
    modifiers(&Finish),
)]
struct Public;

/// What attributes cannot say.
struct Finish;

impl Modify for Finish {
    fn modify(&self, document: &mut openapi::OpenApi) {
        document.info.description = Some(introduction::text());
        correct(document);
        let components = document.components.get_or_insert_default();
        refusal::add_to(components);
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .description(Some(introduction::token()))
            .build();
        components.add_security_scheme(KEY, SecurityScheme::Http(bearer));
    }
}

/// What holds of every document.
fn correct(document: &mut openapi::OpenApi) {
    for item in document.paths.paths.values_mut() {
        for operation in operations(item) {
            // Of comments that have but one paragraph.
            operation.description.take_if(|description| description.is_empty());
        }
    }
    answer::correct(&mut document.paths, document.components.get_or_insert_default());
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.post, &mut item.put, &mut item.delete].into_iter().flatten()
}

/// The document of what services may call.
pub(crate) fn public() -> openapi::OpenApi {
    Public::openapi()
}

/// `GET /openapi.json`.
pub(crate) async fn json() -> HttpResponse {
    static JSON: LazyLock<String> = LazyLock::new(|| pretty(&public()));
    HttpResponse::Ok().content_type(ContentType::json()).body(JSON.as_str())
}

/// As in `docs/openapi`.
fn pretty(document: &openapi::OpenApi) -> String {
    let mut json = document.to_pretty_json().expect("a document is text, numbers and maps with text as keys");
    json.push('\n');
    json
}

/// `GET /docs`.
pub(crate) async fn docs() -> HttpResponse {
    static PAGE: LazyLock<String> = LazyLock::new(|| page::of(&public(), "/openapi.json"));
    page::answer(&PAGE)
}

/// For fields whose types are the domain's, which knows nothing of schemas.
pub(crate) fn channel() -> ObjectBuilder {
    words([Channel::Sms, Channel::Email].map(Channel::as_str))
}

pub(crate) fn status() -> ObjectBuilder {
    words(Status::ALL.iter().map(|status| status.as_str()))
}

pub(crate) fn optional_provider() -> ObjectBuilder {
    let words = ProviderId::ALL.iter().map(|provider| Value::from(provider.as_str())).chain([Value::Null]);
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
        .enum_values(Some(words))
}

pub(crate) fn provider() -> ObjectBuilder {
    words(ProviderId::ALL.iter().map(|provider| provider.as_str()))
}

pub(crate) fn key_type() -> ObjectBuilder {
    words([KeyType::Normal, KeyType::Team, KeyType::Test].map(KeyType::as_str))
}

fn mebibytes(bytes: usize) -> String {
    format!("{} MiB", bytes as f64 / 1024.0 / 1024.0)
}

/// Empty for an e-mail, and for a text until they are known.
pub(crate) fn cost_details() -> ObjectBuilder {
    let number = |kind| ObjectBuilder::new().schema_type(kind);
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some("What a text is made up of; empty until that is known, and for an e-mail."))
        .property("billable_sms_fragments", number(Type::Integer))
        .property("international_rate_multiplier", number(Type::Number))
        .property("sms_rate", number(Type::Number))
}

fn words<'w>(words: impl IntoIterator<Item = &'w str>) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words))
}
