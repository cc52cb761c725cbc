//! Texts that people send to services, as MMG and Firetext post them. 200 follows the commit; whatever else is answered
//! makes the provider try again, and what it posts twice is stored once.
//!
//! What comes in here is shown to services as the words of a person, so nobody may post who is not configured: without
//! configured credentials nobody at all, unless the configuration says so by name.

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::ContentType,
    web::{Bytes, Data, Payload},
};
use db::received_text::{self, Reception};
use domain::received_text::IncomingText;
use serde_json::json;

use crate::{
    App,
    auth::{self, Credentials},
    body::{self, Limits},
    error::{PlainError, Problem},
    receipts,
};

/// A text of ten parts, each character percent-encoded as four bytes, is half of this.
const LIMIT: usize = 64 * 1024;

/// The contract gives Firetext no list of users.
const FIRETEXT_USER: &str = "notify";

pub(crate) async fn mmg(
    request: HttpRequest,
    payload: Payload,
    app: Data<App>,
) -> Result<HttpResponse, PlainError> {
    let (users, passwords) = (&app.config.inbound_mmg_users, &app.config.inbound_mmg_passwords);
    let body = read(&app, &request, payload, users, passwords.expose()).await?;
    let text = provider::inbound::read_mmg(receipts::json(&body).as_bytes(), app.clock.now());
    Ok(match store(&app, text.map_err(Problem::Receipt)?).await? {
        Reception::Stored | Reception::Repeated => ok(),
        Reception::Unwanted => HttpResponse::Ok().content_type(ContentType::plaintext()).body("RECEIVED"),
    })
}

pub(crate) async fn firetext(
    request: HttpRequest,
    payload: Payload,
    app: Data<App>,
) -> Result<HttpResponse, PlainError> {
    let passwords = &app.config.inbound_firetext_passwords;
    let body = read(&app, &request, payload, FIRETEXT_USER, passwords.expose()).await?;
    let text = provider::inbound::read_firetext(&body, app.clock.now());
    store(&app, text.map_err(Problem::Receipt)?).await?;
    Ok(ok())
}

async fn read(
    app: &App,
    request: &HttpRequest,
    payload: Payload,
    users: &str,
    passwords: &str,
) -> Result<Bytes, Problem> {
    if !app.config.inbound_without_credentials {
        let problem = match Credentials::of(request.headers()) {
            _ if users.is_empty() || passwords.is_empty() => Some(Problem::WrongCredentials),
            None => Some(Problem::NoCredentials),
            Some(given) => (!given.are_any_of(users, passwords)).then_some(Problem::WrongCredentials),
        };
        if let Some(problem) = problem {
            return Err(auth::refused(app, request, problem));
        }
    }
    body::read(payload, Limits { bytes: LIMIT, ..app.body_limits() }).await
}

async fn store(app: &App, text: IncomingText) -> Result<Reception, Problem> {
    let (provider, keyring, now) = (text.provider, app.keyring.clone(), app.clock.now());
    let stored =
        app.db.run("received_text.store", move |conn| received_text::store(conn, &keyring, &text, now));
    let reception = stored.await?;
    match reception {
        Reception::Stored => tracing::debug!(%provider, "received a text"),
        Reception::Repeated => tracing::info!(%provider, "posted a text that is stored already"),
        // Not the number: who knows what a provider takes for one.
        Reception::Unwanted => {
            tracing::warn!(%provider, "posted a text to a number that no service has, or none that may receive texts");
        }
    }
    Ok(reception)
}

fn ok() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "status": "ok" }))
}
