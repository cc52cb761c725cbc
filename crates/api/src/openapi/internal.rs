//! The internal API as a document of its own: what services may call does not depend on it, and nobody who reads the public one
//! is to be led here. It is no secret: like the public one, it is served to whoever asks.

pub(crate) mod answer;

use std::sync::LazyLock;

use actix_web::{HttpResponse, http::header::ContentType};
use utoipa::{
    Modify, OpenApi,
    openapi::{
        self, RefOr, Required,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use super::{KEY, correct, page, pretty, refusal};
use crate::{auth, deliver, internal};

pub(crate) mod tag {
    pub(crate) const SERVICES: &str = "Services";
    pub(crate) const USERS: &str = "Users";
    pub(crate) const TEMPLATES: &str = "Templates";
    pub(crate) const KEYS: &str = "API keys";
    pub(crate) const LOG: &str = "Notifications";
    pub(crate) const SENDERS: &str = "Senders";
    pub(crate) const INBOUND: &str = "Received texts";
    pub(crate) const SETTINGS: &str = "Settings";
    pub(crate) const PROVIDERS: &str = "Providers";
    pub(crate) const STATISTICS: &str = "Statistics";
    pub(crate) const DELIVERY: &str = "Delivery";
}

const URL: &str = "/internal/openapi.json";

/// Operations whose bodies may be left out.
const BODY_OPTIONAL: [&str; 4] =
    ["revokeApiKey", "giveInboundNumber", "getReceivedTexts", "removeInboundNumber"];

#[derive(OpenApi)]
#[openapi(
    info(title = "Pillarbox internal", version = "1", license(name = "MIT", identifier = "MIT")),
    paths(
        internal::services::list,
        internal::services::find_by_name,
        internal::services::one,
        internal::services::create,
        internal::services::update,
        internal::services::archive,
        internal::services::changes,
        internal::services::members::list,
        internal::services::members::add,
        internal::services::members::remove,
        internal::users::create,
        internal::users::one,
        internal::api_keys::list,
        internal::api_keys::one,
        internal::api_keys::create,
        internal::api_keys::revoke,
        internal::templates::list,
        internal::templates::one,
        internal::templates::version,
        internal::templates::versions,
        internal::templates::preview,
        internal::templates::create,
        internal::templates::update,
        internal::log::list,
        internal::log::list_by_body,
        internal::log::one,
        internal::log::csv::rows,
        internal::one_off::send,
        internal::providers::list,
        internal::providers::one,
        internal::providers::update,
        internal::providers::versions,
        internal::guest_list::show,
        internal::guest_list::replace,
        internal::data_retention::list,
        internal::data_retention::of_type,
        internal::data_retention::one,
        internal::data_retention::create,
        internal::data_retention::set,
        internal::callbacks::create,
        internal::callbacks::update,
        internal::callbacks::show,
        internal::callbacks::remove,
        internal::senders::reply_tos,
        internal::senders::reply_to_by_id,
        internal::senders::add_reply_to,
        internal::senders::update_reply_to,
        internal::senders::archive_reply_to,
        internal::senders::sms_senders,
        internal::senders::sms_sender_by_id,
        internal::senders::add_sms_sender,
        internal::senders::update_sms_sender,
        internal::senders::archive_sms_sender,
        internal::senders::verify::verify,
        internal::inbound::numbers,
        internal::inbound::free_numbers,
        internal::inbound::number_of_service,
        internal::inbound::give_number,
        internal::inbound::switch_off,
        internal::inbound::messages,
        internal::inbound::most_recent,
        internal::inbound::summary,
        internal::inbound::most_recent_usage,
        internal::inbound::give_up_number,
        internal::inbound::message,
        internal::statistics::of_service,
        internal::statistics::monthly,
        internal::statistics::templates_monthly,
        internal::statistics::count,
        internal::statistics::by_template,
        internal::statistics::most_recently_used,
        internal::statistics::last_use,
        internal::statistics::by_provider_of_service,
        internal::statistics::by_provider,
        internal::statistics::of_platform,
        deliver::notification,
    ),
    tags(
        (name = tag::SERVICES, description = "Made, read, changed, archived; who works with them, and what became of them."),
        (name = tag::USERS, description = "So that services have somebody. How people sign in is the front end’s matter."),
        (name = tag::TEMPLATES, description = "Each change of what is sent makes a version. There are no folders and no letters."),
        (name = tag::KEYS, description = "Their secrets are shown once, when they are made."),
        (name = tag::LOG, description = "What a service has sent, whoever sent it; and one message without a key."),
        (name = tag::SENDERS, description = "Whom texts come from, and where answers to e-mails go."),
        (name = tag::INBOUND, description = "Numbers that people can text services at, and what they wrote."),
        (name = tag::SETTINGS, description = "The guest list, how long things are kept, and where a service is told of things."),
        (name = tag::PROVIDERS, description = "The companies that carry messages."),
        (name = tag::STATISTICS, description = "Figures. Days are London’s, and what test keys sent is told only where it says so."),
        (name = tag::DELIVERY, description = "One notification at once, within the request: adds throughput at peak."),
    ),
    security(("key" = [])),
    modifiers(&Finish),
)]
struct Internal;

struct Finish;

impl Modify for Finish {
    fn modify(&self, document: &mut openapi::OpenApi) {
        document.info.description = Some(introduction());
        correct(document);
        for operation in document.paths.paths.values_mut().filter_map(|item| item.post.as_mut()) {
            let id = operation.operation_id.as_deref().unwrap_or_default();
            if let Some(RefOr::T(body)) = &mut operation.request_body
                && BODY_OPTIONAL.contains(&id)
            {
                body.required = Some(Required::False);
            }
        }
        let components = document.components.get_or_insert_default();
        refusal::add_internal_to(components);
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .description(Some(token()))
            .build();
        components.add_security_scheme(KEY, SecurityScheme::Http(bearer));
    }
}

/// In Markdown.
fn introduction() -> String {
    "What a front end, an operator with `curl`, or another system of the house manages services with.\n\n\
     - Callers are internal clients, never services. `X-Notify-User-Id` says for which person one acts.\n\
     - A client may do what its scopes say (`internal.scopes` in the configuration): `read`, `deliver` or `admin`; else 403.\n\
     - Errors have the form `{\"result\": \"error\", \"message\": …}` with a text, or texts by field; a body that breaks a schema gets \
     `{\"status_code\": 400, \"errors\": […]}`.\n\
     - What stands for an id in a path and is none makes it no URL of ours: 404.\n\
     - Booleans in queries are the text `True`; anything else is false.\n\
     - Times are UTC, with six decimals, unless said otherwise; days begin at midnight in London.\n\
     - Changes take effect everywhere within two seconds."
        .into()
}

fn token() -> String {
    format!(
        "A JSON Web Token: `iss` is the client’s id and `iat` the time now in whole seconds, signed with HS256 and any of the \
         client’s secrets (`internal.clients` in the configuration). Good for {} seconds before and after `iat`.",
        auth::LEEWAY
    )
}

/// `GET /internal/openapi.json`.
pub(crate) async fn json() -> HttpResponse {
    static JSON: LazyLock<String> = LazyLock::new(|| pretty(&Internal::openapi()));
    HttpResponse::Ok().content_type(ContentType::json()).body(JSON.as_str())
}

/// `GET /internal/docs`.
pub(crate) async fn docs() -> HttpResponse {
    static PAGE: LazyLock<String> = LazyLock::new(|| page::of(&Internal::openapi(), URL));
    page::answer(&PAGE)
}
