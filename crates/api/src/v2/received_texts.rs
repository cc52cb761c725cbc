//! `GET /v2/received-text-messages`: texts that people sent to the service. Keys of every type may read them.

use actix_web::{HttpRequest, HttpResponse, web::Data};
use db::received_text::{self, ReceivedText};
use domain::id::{ReceivedTextId, ServiceId, parse_lenient};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    Links, root,
    schema::{NOT_A_UUID, additional},
    timestamp,
};
use crate::{
    App,
    budget::Owner,
    error::{Problem, V2Error},
    openapi::{self, example, refusal, request},
    pages, reads,
};

/// Texts on a page.
const PAGE: i64 = 250;

/// A text that a person sent. The clients' schemas forbid other keys.
#[derive(Serialize, ToSchema)]
#[schema(as = ReceivedText)]
pub(crate) struct Shown {
    #[schema(value_type = Uuid)]
    id: ReceivedTextId,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(value_type = Uuid)]
    service_id: ServiceId,
    /// The number of the service that the text was sent to.
    notify_number: String,
    /// The number that it came from.
    user_number: String,
    content: String,
}

impl Shown {
    /// What does not open is shown as empty: one bad row must not hide the rest of a page.
    pub(crate) fn new(service_id: ServiceId, text: ReceivedText) -> Self {
        if text.content.is_none() {
            tracing::error!(received_text = %text.id, "the content does not open with our sealing keys");
        }
        Self {
            id: text.id,
            created_at: timestamp(text.created_at),
            service_id,
            notify_number: text.notify_number,
            user_number: text.user_number,
            content: text.content.unwrap_or_default(),
        }
    }
}

/// A page of a list, the newest first.
#[derive(Serialize, ToSchema)]
#[schema(as = ReceivedTexts, examples(example::received_texts))]
struct Page {
    received_text_messages: Vec<Shown>,
    links: Links,
}

#[utoipa::path(
    get, path = "/v2/received-text-messages", tag = openapi::RECEIVED, operation_id = "getReceivedTexts",
    summary = "Received texts",
    description = "The newest first. Keys of every type may read them. Other parameters are refused.",
    params(request::OlderReceivedTexts),
    responses((status = 200, description = "A page of the list.", body = Page), refusal::ReadReceivedTexts),
)]
pub(crate) async fn list(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, V2Error> {
    let caller = reads::caller(&app, &request).await?;
    let older_than = older_than(request.query_string())?;
    let (service, keyring) = (caller.service_id(), app.keyring.clone());
    let found = app.reads.run(service, "received_text.list", move |conn| {
        received_text::list(conn, &keyring, service, older_than, PAGE)
    });
    let found = found.await?;
    let current = format!("{}/v2/received-text-messages", root(&request));
    // Unlike the list of notifications: `current` never has the cursor.
    let next = found.last().map(|oldest| format!("{current}?older_than={}", oldest.id));
    let received_text_messages = found.into_iter().map(|text| Shown::new(service, text)).collect();
    let page = Page { received_text_messages, links: Links { current, next } };
    Ok(pages::whole(&app, Owner::Service(service), &page).await?)
}

/// The one parameter that there is; its first value counts.
pub(crate) fn older_than(query: &str) -> Result<Option<ReceivedTextId>, Problem> {
    let pairs: Vec<(String, String)> = serde_urlencoded::from_str(query).unwrap_or_default();
    let given = pairs.iter().find(|(name, _)| name == "older_than");
    let cursor = given.map(|(_, id)| parse_lenient(id).map(ReceivedTextId));
    let mut errors = Vec::new();
    if cursor == Some(None) {
        errors.push(format!("older_than {NOT_A_UUID}"));
    }
    errors.extend(additional(pairs.iter().map(|(name, _)| name).filter(|name| *name != "older_than")));
    if errors.is_empty() { Ok(cursor.flatten()) } else { Err(Problem::Validation(errors)) }
}
