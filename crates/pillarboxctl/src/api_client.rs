//! The public API, called the way a service would.

use std::{error::Error as _, time::Duration};

use bytes::Bytes;
use domain::clock::Clock;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, Uri,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;

use crate::{error::Error, key_text::ApiKeyText, token};

/// One request. The API itself gives up after 30 s.
const TIMEOUT: Duration = Duration::from_secs(35);
/// More than any single notification.
const LONGEST_ANSWER: usize = 4 * 1024 * 1024;

pub(crate) struct ApiClient {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    base: String,
    key: ApiKeyText,
    clock: Clock,
}

impl ApiClient {
    pub(crate) fn new(base: &str, key: ApiKeyText) -> Result<Self, Error> {
        let wrong = || Error::No("the API's URL is http:// or https:// and a host".into());
        let uri: Uri = base.parse().map_err(|_| wrong())?;
        if uri.host().is_none() || !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err(wrong());
        }
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls()).https_or_http().enable_http1().build();
        Ok(Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
            base: base.trim_end_matches('/').into(),
            key,
            clock: Clock::System,
        })
    }

    /// The body of a 201.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value, Error> {
        self.call(Method::POST, path, Bytes::from(body.to_string()), 201).await
    }

    /// The body of a 200.
    pub(crate) async fn get(&self, path: &str) -> Result<Value, Error> {
        self.call(Method::GET, path, Bytes::new(), 200).await
    }

    async fn call(&self, method: Method, path: &str, body: Bytes, wanted: u16) -> Result<Value, Error> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header(AUTHORIZATION, format!("Bearer {}", token::signed(&self.key, &self.clock)?))
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|error| Error::No(format!("the API cannot be asked for {path}: {error}")))?;
        match tokio::time::timeout(TIMEOUT, self.answer(request)).await {
            Ok(answer) => {
                let (status, body) = answer?;
                judge(status, &body, wanted)
            }
            Err(_) => Err(Error::ApiBroken(format!("nothing within {} s", TIMEOUT.as_secs()))),
        }
    }

    async fn answer(&self, request: Request<Full<Bytes>>) -> Result<(u16, Bytes), Error> {
        let response = self.client.request(request).await.map_err(|error| {
            let cause = error.source().map_or_else(|| error.to_string(), causes);
            if error.is_connect() { Error::ApiUnreachable(cause) } else { Error::ApiBroken(cause) }
        })?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), LONGEST_ANSWER).collect().await;
        Ok((status, body.map_err(|error| Error::ApiBroken(causes(error.as_ref())))?.to_bytes()))
    }
}

fn judge(status: u16, body: &[u8], wanted: u16) -> Result<Value, Error> {
    let json: Option<Value> = serde_json::from_slice(body).ok();
    match json {
        Some(json) if status == wanted => Ok(json),
        _ if status >= 500 => Err(Error::ApiBroken(format!("HTTP {status}"))),
        Some(json) => Err(Error::No(format!("the API said {status}: {}", complaints(&json)))),
        None => Err(Error::No(format!("the API said {status}, without JSON"))),
    }
}

/// The messages of an error body, whichever of the two forms it has.
fn complaints(body: &Value) -> String {
    let messages: Vec<&str> = body["errors"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|error| error["message"].as_str())
        .collect();
    if messages.is_empty() { body["message"].to_string() } else { messages.join("; ") }
}

/// An error with its causes.
fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// The system's roots. A machine without any (a bare container) still reaches an API over plain HTTP.
fn tls() -> ClientConfig {
    let builder = || {
        ClientConfig::builder_with_provider(rustls::crypto::aws_lc_rs::default_provider().into())
            .with_safe_default_protocol_versions()
            .expect("aws-lc-rs supports the default TLS versions")
    };
    builder()
        .with_native_roots()
        .unwrap_or_else(|_| builder().with_root_certificates(RootCertStore::empty()))
        .with_no_client_auth()
}
