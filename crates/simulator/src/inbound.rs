//! The other way round: a text that a person sends to the platform, posted as MMG or Firetext would.

use std::{io, time::Duration};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    HeaderMap, Method, Request, StatusCode,
    body::Incoming,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, LOCATION},
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::json;
use tokio::time::timeout;

use crate::{
    Shared,
    control::Provider,
    endpoint::Endpoint,
    now,
    options::Options,
    receipts::{content_type, spaced},
    server::{self, Reply},
};

const PATIENCE: Duration = Duration::from_secs(30);
/// Of the platform's answer, which is shown to whoever sent the text.
const ANSWER_LIMIT: usize = 64 * 1024;

/// Where the platform takes texts.
pub(crate) struct Inbound {
    mmg: Option<Endpoint>,
    firetext: Option<Endpoint>,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Inbound {
    /// Fails when a URL cannot be used.
    pub(crate) fn new(options: &Options) -> io::Result<Self> {
        let endpoint = |url: &Option<String>| {
            let endpoint = url.as_deref().map(Endpoint::parse).transpose();
            endpoint.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
        };
        Ok(Self {
            mmg: endpoint(&options.mmg_inbound_url)?,
            firetext: endpoint(&options.firetext_inbound_url)?,
            client: Client::builder(TokioExecutor::new()).build_http(),
        })
    }

    /// The companies that can pass a text on.
    pub(crate) fn carriers(&self) -> Vec<Provider> {
        let both = [(Provider::Mmg, &self.mmg), (Provider::Firetext, &self.firetext)];
        both.into_iter().filter(|(_, endpoint)| endpoint.is_some()).map(|(provider, _)| provider).collect()
    }

    fn endpoint(&self, carrier: Carrier) -> Option<&Endpoint> {
        match carrier {
            Carrier::Mmg => self.mmg.as_ref(),
            Carrier::Firetext => self.firetext.as_ref(),
        }
    }

    /// The platform's answer; none when it gives none.
    async fn post(
        &self,
        endpoint: &Endpoint,
        carrier: Carrier,
        body: String,
    ) -> Option<(StatusCode, String)> {
        let mut request = Request::new(Full::new(body.into()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = endpoint.uri.clone();
        let provider = match carrier {
            Carrier::Mmg => Provider::Mmg,
            Carrier::Firetext => Provider::Firetext,
        };
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type(provider)));
        if let Some(authorization) = &endpoint.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        let response = self.client.request(request).await.ok()?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_LIMIT).collect().await.ok()?.to_bytes();
        Some((status, String::from_utf8_lossy(&body).into_owned()))
    }
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Carrier {
    #[default]
    Mmg,
    Firetext,
}

/// The form of `POST /inbound`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    #[serde(default)]
    provider: Carrier,
    from: String,
    to: String,
    #[serde(default)]
    message: String,
    /// MMG's own id of the text; the same one twice is the same text twice. By default a new one.
    #[serde(default)]
    id: String,
}

/// `POST /inbound`; a person's browser goes back to the page, which says what the platform answered.
pub(crate) async fn take(shared: &Shared, request: Request<Incoming>) -> Reply {
    let from_page = is_browser(request.headers());
    let Some(body) = server::body(request.into_body()).await else {
        return refused(StatusCode::PAYLOAD_TOO_LARGE, "the body is too long, or was cut off");
    };
    let text: Text = match serde_urlencoded::from_bytes(&body) {
        Ok(text) => text,
        Err(error) => return refused(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    let Some(endpoint) = shared.inbound.endpoint(text.provider) else {
        return refused(
            StatusCode::CONFLICT,
            "the simulator was not told where the platform takes texts of this provider",
        );
    };
    let carrier = text.provider;
    let body = match carrier {
        Carrier::Mmg => mmg(&text, shared.next_number(), now()),
        Carrier::Firetext => firetext(&text, now()),
    };
    let answer = timeout(PATIENCE, shared.inbound.post(endpoint, carrier, body)).await.unwrap_or(None);
    let Some((status, answer)) = answer else {
        return refused(StatusCode::BAD_GATEWAY, "the platform does not answer");
    };
    if from_page {
        let mut reply = server::typed(Bytes::new(), "text/plain; charset=utf-8");
        *reply.status_mut() = StatusCode::SEE_OTHER;
        let back = HeaderValue::try_from(format!("/?answered={}", status.as_u16()));
        reply.headers_mut().insert(LOCATION, back.expect("a number is a header value"));
        return reply;
    }
    let ours = if status.is_success() { StatusCode::OK } else { StatusCode::BAD_GATEWAY };
    server::json(ours, &json!({"answered": status.as_u16(), "body": answer}))
}

fn is_browser(headers: &HeaderMap) -> bool {
    headers.get(ACCEPT).is_some_and(|accepts| accepts.as_bytes().starts_with(b"text/html"))
}

fn refused(status: StatusCode, error: &str) -> Reply {
    server::json(status, &json!({ "error": error }))
}

/// MMG escapes what is not ASCII, percent-encodes that, and puts it into JSON.
fn mmg(text: &Text, number: u64, at: DateTime<Utc>) -> String {
    let id =
        if text.id.is_empty() { format!("mmg-{}-{number}", at.timestamp_micros()) } else { text.id.clone() };
    spaced(&[
        ("MSISDN", &text.from),
        ("Number", &text.to),
        ("Message", &encoded(&escaped(&text.message))),
        ("ID", &id),
        ("DateRecieved", &encoded(&utc(at))),
        ("Trigger", ""),
        ("Channel", "SMS"),
    ])
}

fn firetext(text: &Text, at: DateTime<Utc>) -> String {
    let time = utc(at);
    let form =
        [("source", &text.from), ("destination", &text.to), ("message", &text.message), ("time", &time)];
    serde_urlencoded::to_string(form).expect("pairs of strings are a form")
}

fn utc(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S").to_string()
}

fn escaped(text: &str) -> String {
    let escape = |unit: u16| match u8::try_from(unit) {
        Ok(b'\\') => r"\\".to_owned(),
        Ok(b'\n') => r"\n".to_owned(),
        Ok(byte @ b' '..=b'~') => char::from(byte).to_string(),
        _ => format!("\\u{unit:04x}"),
    };
    text.encode_utf16().map(escape).collect()
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string().replace("%20", "+")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(message: &str) -> Text {
        let form = [("from", "447700900123"), ("to", "40604"), ("message", message), ("id", "mmg-991")];
        serde_urlencoded::from_str(&serde_urlencoded::to_string(form).unwrap()).unwrap()
    }

    const AT: &str = "2026-03-02T10:11:12.5Z";

    #[test]
    fn mmg_writes_what_the_contract_shows() {
        assert_eq!(
            mmg(&text("Yes please!"), 1, AT.parse().unwrap()),
            concat!(
                r#"{"MSISDN": "447700900123", "Number": "40604", "Message": "Yes+please%21", "ID": "mmg-991", "#,
                r#""DateRecieved": "2026%2D03%2D02+10%3A11%3A12", "Trigger": "", "Channel": "SMS"}"#
            )
        );
        assert_eq!(escaped("it’s\n😀 C:\\n"), r"it\u2019s\n\ud83d\ude00 C:\\n");
        assert_eq!(encoded(r"a+b \n"), "a%2Bb+%5Cn");
    }

    #[test]
    fn firetext_writes_a_form() {
        assert_eq!(
            firetext(&text("100% é"), AT.parse().unwrap()),
            "source=447700900123&destination=40604&message=100%25+%C3%A9&time=2026-03-02+10%3A11%3A12"
        );
    }
}
