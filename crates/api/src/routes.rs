//! The whole URL table, and what every answer has in common.

use actix_web::{
    Error, HttpResponse, Resource, Route,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    guard::{self, Guard},
    middleware::{DefaultHeaders, Next},
    web::{self, Data, ServiceConfig, post},
};

use crate::{
    App, deliver,
    error::{PlainError, Problem},
    receipts, status,
    v2::{notifications, send, templates},
};

#[rustfmt::skip]
pub(crate) fn table(config: &mut ServiceConfig) {
    config
        .service(at("/v2/notifications").route(get().to(notifications::list)))
        .service(at("/v2/notifications/{id:sms}").route(get().to(notifications::one)).route(post().to(send::sms)))
        .service(at("/v2/notifications/{id:email}").route(get().to(notifications::one)).route(post().to(send::email)))
        .service(at("/v2/notifications/{id:letter}").route(get().to(notifications::one)).route(post().to(send::letter)))
        .service(at("/v2/notifications/{id}").route(get().to(notifications::one)).route(post().to(unknown_url)))
        .service(at("/v2/template/{id}").route(get().to(templates::one)))
        .service(at("/v2/template/{id}/version/{version:[0-9]+}").route(get().to(templates::one)))
        .service(at("/v2/template/{id}/preview").route(post().to(templates::preview)))
        .service(at("/v2/templates").route(get().to(templates::list)))
        .service(at("/notifications/sms/mmg").route(post().to(receipts::mmg)))
        .service(at("/notifications/sms/firetext").route(post().to(receipts::firetext)))
        .service(at("/notifications/email/ses").route(post().to(receipts::ses)))
        .service(at("/deliver/notification/{id}").route(post().to(deliver::notification)))
        .service(at("/_status").route(get().to(status::status)).route(post().to(status::status)))
        .service(at("/healthz").route(get().to(status::alive)))
        .service(at("/readyz").route(get().to(status::ready)))
        .default_service(web::to(unknown_url));
}

fn at(path: &str) -> Resource {
    web::resource(path).default_service(web::to(wrong_method))
}

/// Whoever may read may also ask for the headers alone.
fn get() -> Route {
    web::route().guard(guard::fn_guard(|context| guard::Get().check(context) || guard::Head().check(context)))
}

async fn unknown_url() -> Result<HttpResponse, PlainError> {
    Err(Problem::UnknownUrl.into())
}

async fn wrong_method() -> Result<HttpResponse, PlainError> {
    Err(Problem::WrongMethod.into())
}

/// On every answer, as upstream's own.
pub(crate) const HEADERS: [(&str, &str); 8] = [
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Allow-Headers", "Content-Type,Authorization"),
    ("Access-Control-Allow-Methods", "GET,PUT,POST,DELETE"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "SAMEORIGIN"),
    ("X-Permitted-Cross-Domain-Policies", "none"),
    ("Strict-Transport-Security", "max-age=31536000; includeSubDomains; preload"),
    ("Cache-Control", "no-store, no-cache, private, must-revalidate"),
];

pub(crate) fn extra_headers() -> DefaultHeaders {
    HEADERS.into_iter().fold(DefaultHeaders::new(), DefaultHeaders::add)
}

/// No request takes longer than the contract says.
pub(crate) async fn within_time(
    app: Data<App>,
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    tokio::time::timeout(app.config.request_timeout, next.call(request))
        .await
        .unwrap_or_else(|_| Err(PlainError::from(Problem::TookTooLong).into()))
}
