//! What providers say happened. Stored in their words and answered at once; a worker applies them.
//!
//! They carry no token but HTTP basic auth, whose credentials stand in the receipt URL that the provider is given. A receipt
//! decides what a team is told and charged, so nobody may post one who is not configured, unless the configuration says so by
//! name: then what stands in front of the API has to ask.

use std::borrow::Cow;

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Bytes, Data, Payload},
};
use db::receipt::{NewReceipt, Reception};
use domain::{id::ReceiptId, receipt::ReceiptWords};
use provider::{BadReceipt, ses_receipt::Posted};
use serde_json::json;

use crate::{
    App,
    auth::{self, Credentials},
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
    match app.delivery.providers.read_sns(json(&body).as_bytes()).map_err(Problem::Receipt)? {
        Posted::Receipt(words) => return store(&app, Ok(words)).await,
        Posted::Subscribed { topic, url } => {
            tracing::warn!(
                topic,
                url,
                "a topic of SNS waits to post receipts here: open its URL if it is yours"
            );
        }
        Posted::Unsubscribed { topic, url } => {
            tracing::warn!(topic, url, "a topic of SNS posts no more receipts here: its URL takes that back");
        }
    }
    Ok(success())
}

async fn read(app: &App, request: &HttpRequest, payload: Payload) -> Result<Bytes, Problem> {
    if !is_welcome(app, request) {
        return Err(auth::refused(app, request, Problem::WrongReceiptPassword));
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
    if app.receipts.submit(receipt).await? == Reception::NotOurs {
        app.strange_receipts.count(1, received_at, |receipts| {
            tracing::warn!(receipts, "receipts for no notification of ours: dropped");
        });
    }
    Ok(success())
}

fn success() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "result": "success" }))
}

fn is_welcome(app: &App, request: &HttpRequest) -> bool {
    let (user, password) = (&app.config.receipt_user, app.config.receipt_password.expose());
    let is_known = || Credentials::of(request.headers()).is_some_and(|given| given.are(user, password));
    app.config.receipts_without_credentials || (!user.is_empty() && is_known())
}
