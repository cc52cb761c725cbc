//! What providers say happened. Stored in their words and answered at once; a worker applies them.
//!
//! They carry no token. Whoever wants more than the secrecy of the URL configures HTTP basic auth, and puts the credentials
//! into the receipt URL that the provider is given.

use std::borrow::Cow;

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::AUTHORIZATION,
    web::{Bytes, Data, Payload},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use db::receipt::NewReceipt;
use domain::{id::ReceiptId, receipt::ReceiptWords};
use provider::BadReceipt;
use serde_json::json;

use crate::{
    App,
    body::{self, Limits},
    error::{PlainError, Problem},
};

/// A receipt is a few hundred bytes, in Amazon's envelope a few thousand.
const LIMIT: usize = 256 * 1024;

pub(crate) async fn mmg(
    request: HttpRequest,
    payload: Payload,
    app: Data<App>,
) -> Result<HttpResponse, PlainError> {
    let body = read(&app, &request, payload).await?;
    store(&app, provider::mmg::read_receipt(json(&body).as_bytes())).await
}

pub(crate) async fn firetext(
    request: HttpRequest,
    payload: Payload,
    app: Data<App>,
) -> Result<HttpResponse, PlainError> {
    let body = read(&app, &request, payload).await?;
    store(&app, provider::firetext::read_receipt(&body)).await
}

pub(crate) async fn ses(
    request: HttpRequest,
    payload: Payload,
    app: Data<App>,
) -> Result<HttpResponse, PlainError> {
    let body = read(&app, &request, payload).await?;
    store(&app, app.providers.read_email_receipt(json(&body).as_bytes())).await
}

async fn read(app: &App, request: &HttpRequest, payload: Payload) -> Result<Bytes, Problem> {
    if !is_welcome(app, request) {
        return Err(Problem::WrongReceiptPassword);
    }
    body::read(payload, Limits { bytes: LIMIT, ..app.body_limits() }).await
}

/// What can be read in no encoding is no JSON, and is refused as such by whoever reads it next.
fn json(body: &[u8]) -> Cow<'_, str> {
    body::text(body).unwrap_or_default()
}

async fn store(app: &App, words: Result<ReceiptWords, BadReceipt>) -> Result<HttpResponse, PlainError> {
    let received_at = app.clock.now();
    let receipt = NewReceipt { id: ReceiptId::new(received_at), words: words?, received_at };
    app.receipts.submit(receipt).await?;
    Ok(HttpResponse::Ok().json(json!({ "result": "success" })))
}

fn is_welcome(app: &App, request: &HttpRequest) -> bool {
    let (user, password) = (&app.config.receipt_user, app.config.receipt_password.expose());
    if user.is_empty() {
        return true;
    }
    let credentials = request.headers().get(AUTHORIZATION).and_then(|value| {
        let (scheme, credentials) = value.to_str().ok()?.split_once(' ')?;
        let credentials = BASE64_STANDARD.decode(credentials.trim()).ok()?;
        scheme.eq_ignore_ascii_case("basic").then_some(credentials)
    });
    credentials.is_some_and(|given| equal(&given, format!("{user}:{password}").as_bytes()))
}

/// Takes as long for a wrong first byte as for a wrong last one.
fn equal(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}
