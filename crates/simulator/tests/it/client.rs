//! The platform's end of the send calls: a plain HTTP client with the vendors' requests.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{
    HeaderMap, Method, Request, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use hyper_util::{
    client::legacy::{Client, Error},
    rt::TokioExecutor,
};
use serde_json::{Value, json};
use simulator::Simulator;

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// Fails when there is no answer.
pub(crate) async fn send(request: Request<Full<Bytes>>) -> Result<Answer, Error> {
    let client = Client::builder(TokioExecutor::new()).retry_canceled_requests(false).build_http();
    let response = client.request(request).await?;
    let (status, headers) = (response.status(), response.headers().clone());
    let body = response.into_body().collect().await.unwrap().to_bytes();
    Ok(Answer { status, headers, body: String::from_utf8(body.to_vec()).unwrap() })
}

pub(crate) async fn get(simulator: &Simulator, path: &str) -> Answer {
    let uri = format!("http://{}{path}", simulator.http_addr());
    send(Request::get(uri).body(Full::default()).unwrap()).await.unwrap()
}

pub(crate) async fn post(
    simulator: &Simulator,
    path: &str,
    content_type: &str,
    body: impl Into<Bytes>,
) -> Result<Answer, Error> {
    let uri = format!("http://{}{path}", simulator.http_addr());
    let request = Request::builder().method(Method::POST).uri(uri).header(CONTENT_TYPE, content_type);
    send(request.header(AUTHORIZATION, "Basic mmg-key").body(Full::new(body.into())).unwrap()).await
}

/// A text to `to` over MMG, as section 2.1 of the contract has it.
pub(crate) fn mmg_body(reference: &str, to: &str, delurl: Option<&str>) -> Value {
    let mut body = json!({"reqType": "BULK", "MSISDN": to, "msg": "Queue: your turn", "sender": "QUEUE",
        "cid": reference, "multi": true});
    if let Some(delurl) = delurl {
        body["delurl"] = delurl.into();
    }
    body
}

pub(crate) async fn mmg(
    simulator: &Simulator,
    reference: &str,
    to: &str,
    delurl: Option<&str>,
) -> Result<Answer, Error> {
    post(simulator, "/mmg", "application/json", mmg_body(reference, to, delurl).to_string()).await
}

/// A text to `to` over Firetext, as section 3.1 of the contract has it.
pub(crate) async fn firetext(
    simulator: &Simulator,
    reference: &str,
    to: &str,
    receipt: Option<&str>,
) -> Result<Answer, Error> {
    let mut fields = vec![
        ("apiKey", "firetext-key"),
        ("from", "QUEUE"),
        ("to", to),
        ("message", "Queue: your turn & more"),
        ("reference", reference),
    ];
    fields.extend(receipt.map(|url| ("receipt", url)));
    let body = serde_urlencoded::to_string(fields).unwrap();
    post(simulator, "/firetext", "application/x-www-form-urlencoded", body).await
}
