//! The public API that the official clients call.

pub(crate) mod files;
pub(crate) mod notifications;
pub(crate) mod received_texts;
mod sanitise;
pub(crate) mod schema;
pub(crate) mod send;
pub(crate) mod templates;

use std::net::SocketAddr;

use actix_web::{
    HttpRequest,
    http::header::{HOST, HeaderName},
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

/// From a page of a list to itself and on.
#[derive(Serialize, ToSchema)]
struct Links {
    /// This page.
    current: String,
    /// What follows; there whenever the page is not empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<String>,
}

static FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// `https://host`, as the caller sees it: what URIs in answers begin with. TLS ends in front of us.
pub(crate) fn root(request: &HttpRequest) -> String {
    let header = |name: &HeaderName| request.headers().get(name).and_then(|value| value.to_str().ok());
    let scheme = match header(&FORWARDED_PROTO).and_then(|list| list.split(',').next()).map(str::trim) {
        Some("https") => "https",
        Some(_) | None => "http",
    };
    // Only HTTP/1.0 knows requests without one.
    let listening = || request.app_data::<SocketAddr>().map(ToString::to_string).unwrap_or_default();
    let host = header(&HOST).map_or_else(listening, ToOwned::to_owned);
    format!("{scheme}://{host}")
}

/// Six decimals and `Z`, always.
pub(crate) fn timestamp(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

/// Only whether it panics is of interest.
#[cfg(feature = "fuzzing")]
pub(crate) fn read_in_every_way(body: &serde_json::Value) {
    let now = domain::clock::Clock::System.now();
    drop((schema::SmsRequest::read(body.clone(), now), schema::preview("", body.clone())));
    if let Ok(mut asked) = schema::EmailRequest::read(body.clone(), now) {
        sanitise::sanitise(&mut asked.personalisation, &asked.sanitise_content_for);
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn the_root_is_what_the_caller_called() {
        let of = |headers: &[(&'static str, &'static str)]| {
            let listening = TestRequest::default().app_data(SocketAddr::from(([127, 0, 0, 1], 6011)));
            let request = headers.iter().fold(listening, |r, h| r.insert_header(*h));
            root(&request.to_http_request())
        };
        assert_eq!(of(&[("host", "api.example:6011")]), "http://api.example:6011");
        assert_eq!(
            of(&[("host", "api.example"), ("x-forwarded-proto", "https, http")]),
            "https://api.example"
        );
        assert_eq!(of(&[("host", "api.example"), ("x-forwarded-proto", "javascript")]), "http://api.example");
        assert_eq!(of(&[]), "http://127.0.0.1:6011");
    }

    #[test]
    fn timestamps_have_six_decimals() {
        let time = DateTime::from_timestamp_micros(1_772_442_900_000_000).unwrap();
        assert_eq!(timestamp(time), "2026-03-02T09:15:00.000000Z");
    }
}
