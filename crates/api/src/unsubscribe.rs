//! One-click unsubscribing: the links that mails carry, and what they lead to.
//!
//! Mail programs POST to the link in the headers (RFC 8058), and are answered in JSON. People open the link in the text and
//! get a page with a button that works without scripts. To open a link changes nothing: scanners of mail open them all.
//!
//! A token is the recipient's address and the time it was made, sealed for the notification. Upstream's are Fernet tokens;
//! as nobody but the platform ever reads one, sealing does the same without another dependency, and its keys rotate.

use actix_web::{HttpRequest, HttpResponse, ResponseError, http::header::ACCEPT, web::Data};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use db::{notification, sealing::Keyring};
use domain::{
    email::fits_a_header,
    id::{NotificationId, ServiceId, UnsubscribeRequestId},
};
use maud::html;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::{
    App,
    config::ApiConfig,
    error::{PlainError, Problem},
    lookup::KnownTemplate,
    openapi::{self, example, refusal, request},
    page,
};

const VALID_FOR: TimeDelta = TimeDelta::days(365);

/// The token is not one of ours, of another notification, or too old.
pub(crate) const INVALID: Problem = Problem::Unsubscribe("This is not a valid unsubscribe link.");
/// The token is fine; the notification is gone.
pub(crate) const GONE: Problem = Problem::Unsubscribe("This unsubscribe link is invalid or expired.");

/// The links of one mail.
#[derive(Default)]
pub(crate) struct Links {
    /// For mail programs, in the headers.
    pub(crate) one_click: Option<String>,
    /// For people, in the text.
    pub(crate) page: Option<String>,
}

impl Links {
    /// The caller's, for mail programs; of a template with a link also ours, which people get in any case. `root` is what
    /// our URLs begin with unless the configuration knows better.
    pub(crate) fn new(
        app: &App,
        template: &KnownTemplate,
        (id, now): (NotificationId, DateTime<Utc>),
        address: &str,
        root: &str,
        callers: Option<String>,
    ) -> Self {
        if !template.row.has_unsubscribe_link {
            return Self { one_click: callers, page: None };
        }
        let [public, page] = bases(&app.config, root);
        let path = format!("unsubscribe/{id}/{}", token(&app.keyring, id, address, now));
        Self {
            // Made from what the caller called us, and a long address: too much for a header, perhaps. People have theirs.
            one_click: callers.or_else(|| Some(format!("{public}/{path}")).filter(|url| fits_a_header(url))),
            page: Some(format!("{page}/{path}")),
        }
    }
}

/// What links for programs begin with, and what those for people do.
fn bases<'a>(config: &'a ApiConfig, root: &'a str) -> [&'a str; 2] {
    let public = if config.public_url.is_empty() { root } else { &config.public_url };
    let page = if config.unsubscribe_url.is_empty() { public } else { &config.unsubscribe_url };
    [public, page].map(|base| base.trim_end_matches('/'))
}

/// An array, as personalisation, which is sealed for the same owner, never is one.
fn token(keyring: &Keyring, id: NotificationId, address: &str, now: DateTime<Utc>) -> String {
    let content = json!([now.timestamp(), address]).to_string();
    URL_SAFE_NO_PAD.encode(keyring.seal(id.0, content.as_bytes()))
}

/// Whose link it is, while it is valid.
fn address(keyring: &Keyring, id: NotificationId, token: &str, now: DateTime<Utc>) -> Option<String> {
    let sealed = URL_SAFE_NO_PAD.decode(token).ok()?;
    let content = keyring.open(id.0, &sealed).ok()?;
    let (made_at, address): (i64, String) = serde_json::from_slice(&content).ok()?;
    (now - DateTime::from_timestamp(made_at, 0)? <= VALID_FOR).then_some(address)
}

/// `GET /unsubscribe/{id}/{token}`: asks whether it is meant.
#[utoipa::path(
    get, path = "/unsubscribe/{id}/{token}", tag = openapi::UNSUBSCRIBING, operation_id = "unsubscribePage", security(()),
    summary = "The page for people",
    description = "Asks whether it is meant. To open it changes nothing.",
    params(request::UnsubscribeLink),
    responses(
        (status = 200, description = "A page with a button.", content_type = "text/html", body = String),
        (status = 404, description = "The link does not work, says a page.", content_type = "text/html", body = String),
    ),
)]
pub(crate) async fn ask(request: HttpRequest, app: Data<App>) -> HttpResponse {
    let name = async {
        let (id, _) = read(&app, &request)?;
        let service = app.lookup.sender_of(id).await?;
        service_name(&app, service.ok_or(GONE)?).await
    };
    match name.await {
        Ok(name) => {
            let content = html! {
                p { "You opened a link in an email from " (name) "." }
                form method="post" { button { "Unsubscribe" } }
                p.soft { "If you want to go on getting them, close this page." }
            };
            let title = format!("Do you want to stop emails from {name}?");
            page::show(HttpResponse::Ok().finish(), &title, &content)
        }
        Err(problem) => failed(problem),
    }
}

#[derive(Serialize, ToSchema)]
#[schema(examples(example::unsubscribed))]
struct Unsubscribed {
    result: &'static str,
    message: &'static str,
}

/// `POST /unsubscribe/{id}/{token}`. The body, if any, is not looked at.
#[utoipa::path(
    post, path = "/unsubscribe/{id}/{token}", tag = openapi::UNSUBSCRIBING, operation_id = "unsubscribe", security(()),
    summary = "Unsubscribe",
    description = "Mail programs post here (`List-Unsubscribe-Post`). The body, if any, is not looked at; to repeat it \
                   does no harm. Links are valid for a year. Whoever accepts `text/html` gets a page.",
    params(request::UnsubscribeLink),
    responses((status = 200, description = "The service has been told.", content(
        (Unsubscribed = "application/json"),
        (String = "text/html"),
    )), refusal::Unsubscribe),
)]
pub(crate) async fn unsubscribe(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, PlainError> {
    let stored = store(&app, &request).await;
    if !is_browser(&request) {
        stored?;
        let done = Unsubscribed { result: "success", message: "Unsubscribe successful" };
        return Ok(HttpResponse::Ok().json(done));
    }
    let name = async { service_name(&app, stored?).await };
    Ok(match name.await {
        Ok(name) => {
            let content = html! {
                p { (name) " has been asked to send you no more emails like this one. It may take a few days." }
                p.soft { "You can close this page." }
            };
            page::show(HttpResponse::Ok().finish(), "You have unsubscribed", &content)
        }
        Err(problem) => failed(problem),
    })
}

/// Answers whose mail it was.
async fn store(app: &App, request: &HttpRequest) -> Result<ServiceId, Problem> {
    let (id, address) = read(app, request)?;
    let (keyring, now) = (app.keyring.clone(), app.clock.now());
    let stored = app.db.run("unsubscribe.store", move |conn| {
        let Some(found) = notification::find(conn, id)? else { return Ok(None) };
        db::unsubscribe::store(conn, &keyring, UnsubscribeRequestId::new(now), &found, &address, now)?;
        Ok(Some(found.service_id))
    });
    stored.await?.ok_or(GONE)
}

fn read(app: &App, request: &HttpRequest) -> Result<(NotificationId, String), Problem> {
    let part = |name| request.match_info().get(name).unwrap_or_default();
    let id = part("id").parse().map_err(|_| Problem::UnknownUrl)?;
    let address = address(&app.keyring, id, part("token"), app.clock.now()).ok_or(INVALID)?;
    Ok((id, address))
}

async fn service_name(app: &App, id: ServiceId) -> Result<String, Problem> {
    let known = app.lookup.service(id).await?.ok_or(GONE)?;
    Ok(known.service.name.clone())
}

/// Mail programs post for a person who sees no answer; only browsers ask for pages.
fn is_browser(request: &HttpRequest) -> bool {
    let accept = request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}

/// The answer that a program gets, with words for people.
fn failed(problem: Problem) -> HttpResponse {
    let (title, advice) = match problem {
        Problem::Unsubscribe(_) | Problem::UnknownUrl => (
            "This link does not work",
            "It may be too old, or a part of it is missing. Try the link in a newer email, or reply to one and ask.",
        ),
        _ => ("Something went wrong", "Please try again in a few minutes."),
    };
    page::show(PlainError::from(problem).error_response(), title, &html! { p { (advice) } })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyring() -> Keyring {
        testkit::keyring()
    }

    #[test]
    fn a_token_is_for_one_notification_and_one_year() {
        let (ring, now) = (keyring(), DateTime::from_timestamp(1_772_442_900, 0).unwrap());
        let (id, other) = (NotificationId::new(now), NotificationId::new(now));
        let made = token(&ring, id, "Rosa@example.com", now);
        let opened = |id, token: &str, days| address(&ring, id, token, now + TimeDelta::days(days));
        assert_eq!(opened(id, &made, 0).as_deref(), Some("Rosa@example.com"));
        assert_eq!(opened(id, &made, 365).as_deref(), Some("Rosa@example.com"));
        assert_eq!(opened(id, &made, 366), None);
        assert_eq!(opened(other, &made, 0), None);
        for bad in
            ["", "x", "é", &made[1..], &made[..made.len() - 1], &format!("{made}="), &format!("{made}AAAA")]
        {
            assert_eq!(opened(id, bad, 0), None, "{bad}");
        }
    }

    #[test]
    fn what_else_is_sealed_for_a_notification_is_no_token() {
        let (ring, now) = (keyring(), DateTime::from_timestamp(1_772_442_900, 0).unwrap());
        let id = NotificationId::new(now);
        for content in [r#"{"0":1,"1":"x"}"#, "{}", "[]", r#"[1,"x",2]"#, "[9223372036854775807,\"x\"]", "x"]
        {
            let sealed = URL_SAFE_NO_PAD.encode(ring.seal(id.0, content.as_bytes()));
            assert_eq!(address(&ring, id, &sealed, now), None, "{content}");
        }
    }

    #[test]
    fn a_token_of_the_longest_address_leaves_room_on_a_header_line() {
        let address = format!("{}@{}", "a".repeat(64), "b".repeat(255));
        let made_at = DateTime::from_timestamp(1_772_442_900, 0).unwrap();
        let made = token(&keyring(), NotificationId::new(made_at), &address, made_at);
        assert!(made.len() < 500, "{}", made.len());
    }

    #[test]
    fn links_begin_with_what_is_configured_and_else_with_what_the_caller_called() {
        let config = |public: &str, page: &str| ApiConfig {
            public_url: public.into(),
            unsubscribe_url: page.into(),
            ..ApiConfig::default()
        };
        let root = "http://127.0.0.1:6011";
        for (public, page, expected) in [
            ("", "", [root, root]),
            ("https://api.example/", "", ["https://api.example", "https://api.example"]),
            ("", "https://www.example", [root, "https://www.example"]),
            ("https://api.example", "https://www.example/", ["https://api.example", "https://www.example"]),
        ] {
            assert_eq!(bases(&config(public, page), root), expected);
        }
    }
}
