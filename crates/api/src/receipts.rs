//! What providers say happened. Stored in their words and answered at once; a worker applies them.
//!
//! They carry no token. Whoever wants more than the secrecy of the URL configures HTTP basic auth, and puts the credentials
//! into the receipt URL that the provider is given.

use std::borrow::Cow;

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Bytes, Data, Payload},
};
use db::receipt::NewReceipt;
use domain::{id::ReceiptId, receipt::ReceiptWords};
use provider::BadReceipt;
use serde_json::json;

use crate::{
    App,
    auth::Credentials,
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
    store(&app, app.delivery.providers.read_email_receipt(json(&body).as_bytes())).await
}

async fn read(app: &App, request: &HttpRequest, payload: Payload) -> Result<Bytes, Problem> {
    if !is_welcome(app, request) {
        return Err(Problem::WrongReceiptPassword);
    }
    body::read(payload, Limits { bytes: LIMIT, ..app.body_limits() }).await
}

/// What can be read in no encoding is no JSON, and is refused as such by whoever reads it next.
pub(crate) fn json(body: &[u8]) -> Cow<'_, str> {
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
    Credentials::of(request.headers()).is_some_and(|given| given.are(user, password))
}
