//! The whole URL table, and what every answer has in common.

use std::future::ready;

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
        .service(at("/v2/notifications", READ).route(get().to(notifications::list)))
        .service(at("/v2/notifications/{id:sms}", BOTH).route(get().to(notifications::one)).route(post().to(send::sms)))
        .service(at("/v2/notifications/{id:email}", BOTH).route(get().to(notifications::one)).route(post().to(send::email)))
        .service(at("/v2/notifications/{id:letter}", BOTH).route(get().to(notifications::one)).route(post().to(send::letter)))
        .service(at("/v2/notifications/{id}", READ).route(get().to(notifications::one)).route(post().to(unknown_url)))
        .service(at("/v2/template/{id}", READ).route(get().to(templates::one)))
        .service(at("/v2/template/{id}/version/{version:[0-9]+}", READ).route(get().to(templates::one)))
        .service(at("/v2/template/{id}/preview", WRITE).route(post().to(templates::preview)))
        .service(at("/v2/templates", READ).route(get().to(templates::list)))
        .service(at("/notifications/sms/mmg", WRITE).route(post().to(receipts::mmg)))
        .service(at("/notifications/sms/firetext", WRITE).route(post().to(receipts::firetext)))
        .service(at("/notifications/email/ses", WRITE).route(post().to(receipts::ses)))
        .service(at("/deliver/notification/{id}", WRITE).route(post().to(deliver::notification)))
        .service(at("/", READ).route(get().to(status::status)))
        .service(at("/_status", BOTH).route(get().to(status::status)).route(post().to(status::status)))
        .service(at("/healthz", READ).route(get().to(status::alive)))
        .service(at("/readyz", READ).route(get().to(status::ready)))
        .default_service(web::to(unknown_url));
}

const READ: &str = "GET, HEAD";
const WRITE: &str = "POST";
const BOTH: &str = "GET, HEAD, POST";

/// A URL, and the methods that whoever uses another one is told of.
fn at(path: &str, methods: &'static str) -> Resource {
    let wrong_method = move || ready(Err::<HttpResponse, PlainError>(Problem::WrongMethod(methods).into()));
    web::resource(path).default_service(web::to(wrong_method))
}

/// Whoever may read may also ask for the headers alone.
fn get() -> Route {
    web::route().guard(guard::fn_guard(|context| guard::Get().check(context) || guard::Head().check(context)))
}

async fn unknown_url() -> Result<HttpResponse, PlainError> {
    Err(Problem::UnknownUrl.into())
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
