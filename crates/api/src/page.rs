//! Pages for people who came from a message. They work without scripts, load nothing, and tell no other site where their
//! reader came from: the URL is a secret.

use std::sync::LazyLock;

use actix_web::{
    HttpResponse,
    body::BoxBody,
    http::header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
        REFERRER_POLICY, X_FRAME_OPTIONS,
    },
};
use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine, prelude::BASE64_STANDARD};
use maud::{DOCTYPE, Markup, PreEscaped, html};

const STYLE: &str = include_str!("page.css");

static ROBOTS: HeaderName = HeaderName::from_static("x-robots-tag");

/// Nothing but our own style sheet, known by its hash.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| policy(STYLE));

/// A page may use this style sheet and nothing else.
pub(crate) fn policy(style: &str) -> HeaderValue {
    let style = BASE64_STANDARD.encode(digest(&SHA256, style.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style}'; img-src data:; form-action 'self'; base-uri 'none'; \
         frame-ancestors 'none'"
    );
    policy.try_into().expect("base64 is ASCII")
}

/// Puts a page into an answer, whatever body it had.
pub(crate) fn show(answer: HttpResponse, title: &str, content: &Markup) -> HttpResponse {
    show_whole(answer, title, &html! { h1 { (title) } (content) })
}

/// The same with a heading of its own.
pub(crate) fn show_whole(answer: HttpResponse, title: &str, content: &Markup) -> HttpResponse {
    let mut answer = answer.set_body(BoxBody::new(document(title, content).into_string()));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    keep_secret(headers, POLICY.clone());
    answer
}

/// What every answer needs whose URL is a secret.
pub(crate) fn keep_secret(headers: &mut HeaderMap, policy: HeaderValue) {
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(ROBOTS.clone(), HeaderValue::from_static("noindex, nofollow"));
}

fn document(title: &str, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en-GB" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="robots" content="noindex";
                title { (title) }
                link rel="icon" href="data:,";
                style { (PreEscaped(STYLE)) }
            }
            body { main { (content) } }
        }
    }
}
