//! The whole URL table, and what every answer has in common.

use std::{cell::Cell, future::ready, panic::AssertUnwindSafe, time::Duration};

use actix_web::{
    Error, HttpResponse, Resource, Route,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    guard::{Get, Guard, Head, fn_guard},
    middleware::{DefaultHeaders, Next},
    web::{self, Data, ServiceConfig, post},
};
use futures_util::FutureExt;

use crate::{
    App, deliver, documents,
    error::{PlainError, Problem},
    internal, openapi, receipts, received, status, unsubscribe, v1,
    v2::{notifications, received_texts, send, templates},
};

#[rustfmt::skip]
pub(crate) fn table(config: &mut ServiceConfig) {
    config
        .service(at("/v2/notifications", READ).route(get().to(notifications::list)))
        .service(at("/v2/notifications/sms", WRITE).route(post().to(send::sms)))
        .service(at("/v2/notifications/email", WRITE).route(post().to(send::email)))
        .service(at("/v2/notifications/letter", WRITE).route(post().to(send::letter)))
        .service(at("/v2/notifications/{id}", READ).route(get().to(notifications::one)).route(post().to(unknown_url)))
        .service(at("/v2/notifications/{id}/pdf", READ).route(get().to(notifications::pdf)))
        .service(at("/v2/template/{id}", READ).route(get().to(templates::one)))
        .service(at("/v2/template/{id}/version/{version:-?[0-9]+}", READ).route(get().to(templates::version)))
        .service(at("/v2/template/{id}/preview", WRITE).route(post().to(templates::preview)))
        .service(at("/v2/templates", READ).route(get().to(templates::list)))
        .service(at("/v2/received-text-messages", READ).route(get().to(received_texts::list)))
        .service(at("/notifications/sms/receive/mmg", WRITE).route(post().to(received::mmg)))
        .service(at("/notifications/sms/receive/firetext", WRITE).route(post().to(received::firetext)))
        .service(at("/notifications/sms/mmg", WRITE).route(post().to(receipts::mmg)))
        .service(at("/notifications/sms/firetext", WRITE).route(post().to(receipts::firetext)))
        .service(at("/notifications/email/ses", WRITE).route(post().to(receipts::ses)))
        .service(at("/notifications", READ).route(get().to(v1::notifications::list)))
        .service(at("/notifications/sms", WRITE).route(post().to(v1::send::sms)))
        .service(at("/notifications/email", WRITE).route(post().to(v1::send::email)))
        .service(at(&format!("/notifications/{{id:{UUID}}}"), READ).route(get().to(v1::notifications::one)).route(post().to(unknown_url)))
        .service(at("/unsubscribe/{id}/{token}", BOTH).route(get().to(unsubscribe::ask)).route(post().to(unsubscribe::unsubscribe)))
        .configure(documents::table)
        .configure(internal::table)
        .service(at("/deliver/notification/{id}", WRITE).route(post().to(deliver::notification)))
        .service(at("/docs", READ).route(get().to(openapi::docs)))
        .service(at("/openapi.json", READ).route(get().to(openapi::json)))
        .service(at("/internal/docs", READ).route(get().to(openapi::internal::docs)))
        .service(at("/internal/openapi.json", READ).route(get().to(openapi::internal::json)))
        .service(at("/", READ).route(get().to(status::status)))
        .service(at("/_status", BOTH).route(get().to(status::status)).route(post().to(status::status_by_post)))
        .service(at("/healthz", READ).route(get().to(status::alive)))
        .service(at("/readyz", READ).route(get().to(status::ready)))
        .default_service(web::to(unknown_url));
}

/// An id in a path where other words may stand: a UUID as it is usually written. Whatever else does is another URL, or none.
pub(crate) const UUID: &str = "[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}";

pub(crate) const READ: &str = "GET, HEAD";
pub(crate) const WRITE: &str = "POST";
pub(crate) const BOTH: &str = "GET, HEAD, POST";

/// A URL, and the methods that whoever uses another one is told of.
pub(crate) fn at(path: &str, methods: &'static str) -> Resource {
    let wrong_method = move || ready(Err::<HttpResponse, PlainError>(Problem::WrongMethod(methods).into()));
    web::resource(path).default_service(web::to(wrong_method))
}

/// Whoever may read may also ask for the headers alone.
pub(crate) fn get() -> Route {
    web::route().guard(fn_guard(|context| Get().check(context) || Head().check(context)))
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

/// No request takes longer than the contract says, and one that panics is answered like any other failure of ours.
pub(crate) async fn guarded(
    app: Data<App>,
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    guard(app.config.request_timeout, next.call(request)).await
}

tokio::task_local! {
    static MAY_BE_STORED: Cell<bool>;
}

/// From here on a request that is not answered in time may have been stored all the same, and its caller is told so.
pub(crate) fn may_be_stored() {
    let _ = MAY_BE_STORED.try_with(|may_be| may_be.set(true));
}

async fn guard<T>(limit: Duration, answering: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let answering = AssertUnwindSafe(answering).catch_unwind();
    let guarded = MAY_BE_STORED.scope(Cell::new(false), async {
        match tokio::time::timeout(limit, answering).await {
            Ok(Ok(answered)) => answered.map_err(Ok),
            // What it panicked with may quote personal data.
            Ok(Err(_)) => Err(Err(Problem::Internal("a handler panicked".into()))),
            Err(_) if MAY_BE_STORED.with(Cell::get) => Err(Err(Problem::MayBeStored)),
            Err(_) => Err(Err(Problem::TookTooLong)),
        }
    });
    guarded.await.map_err(|error| error.unwrap_or_else(|problem| PlainError::from(problem).into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_panics_or_never_ends_is_answered_with_all_headers() {
        let limit = Duration::from_secs(30);
        let panics = async {
            if true {
                panic!("on purpose");
            }
            Ok(())
        };
        let never: Result<(), Error> = guard(limit, std::future::pending()).await;
        for (error, status) in [(guard(limit, panics).await, 500), (never, 504)] {
            let answer = error.unwrap_err().error_response();
            assert_eq!(answer.status().as_u16(), status);
            for (name, value) in HEADERS {
                assert_eq!(answer.headers().get(name).unwrap(), value, "{name}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_be_stored_by_then_is_said_to_be() {
        let storing = async {
            may_be_stored();
            std::future::pending::<Result<(), Error>>().await
        };
        let answer = guard(Duration::from_secs(30), storing).await.unwrap_err().error_response();
        assert_eq!(answer.status().as_u16(), 504);
        let body = answer.into_body().try_into_bytes().unwrap();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["message"], "Timeout serving request");
        assert!(body["detail"].as_str().unwrap().contains("Idempotency-Key"), "{body}");
    }
}
