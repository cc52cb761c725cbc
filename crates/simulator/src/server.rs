//! The HTTP server: connections, the table of routes, and the small answers.

use std::{fmt, io, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{ALLOW, CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde_json::json;
use tokio::{
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tokio_util::task::TaskTracker;

use crate::{
    GOODBYE, Shared, inbound, inbox,
    sms::{self, Vendor},
};

/// Of a request's body: several times the longest text that a vendor takes.
const BODY_LIMIT: usize = 256 * 1024;

pub(crate) type Reply = Response<Full<Bytes>>;

/// The connection is to be closed without an answer.
#[derive(Debug)]
pub(crate) struct Dropped;

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("closed without an answer")
    }
}

impl std::error::Error for Dropped {}

/// Takes connections until the simulator stops.
pub(crate) async fn run(listener: TcpListener, shared: Arc<Shared>, tasks: TaskTracker) {
    while let Some(stream) = next_connection(&listener, &shared).await {
        tasks.spawn(connection(stream, shared.clone()));
    }
}

/// The next connection, or nothing when the simulator stops.
pub(crate) async fn next_connection(listener: &TcpListener, shared: &Shared) -> Option<TcpStream> {
    loop {
        let accepted: io::Result<_> = tokio::select! {
            () = shared.stop.cancelled() => return None,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                // Answers are small and nobody gains from waiting for more of them.
                let _ = stream.set_nodelay(true);
                return Some(stream);
            }
            Err(error) => {
                // Too many open files, most likely: it passes when connections end.
                tracing::warn!(%error, "cannot take a connection");
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, shared: Arc<Shared>) {
    let service = service_fn(|request| answer(&shared, request));
    let connection =
        http1::Builder::new().pipeline_flush(true).serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    // A connection that breaks, or that we close on purpose, is an error to hyper and daily life here.
    tokio::select! {
        _ = connection.as_mut() => {}
        () = shared.stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            let _ = timeout(GOODBYE / 2, connection).await;
        }
    }
}

/// The whole URL table.
async fn answer(shared: &Shared, request: Request<Incoming>) -> Result<Reply, Dropped> {
    let query = request.uri().query().unwrap_or_default();
    match (request.uri().path(), request.method()) {
        ("/mmg", &Method::POST) => sms::take(shared, Vendor::Mmg, request).await,
        ("/firetext", &Method::POST) => sms::take(shared, Vendor::Firetext, request).await,
        ("/", &Method::GET) => Ok(inbox::page(shared, query)),
        ("/inbox.css", &Method::GET) => Ok(typed(inbox::STYLE, "text/css; charset=utf-8")),
        ("/inbox.js", &Method::GET) => Ok(typed(inbox::SCRIPT, "text/javascript; charset=utf-8")),
        ("/messages.json", &Method::GET) => Ok(inbox::messages(shared, query)),
        ("/counts.json", &Method::GET) => Ok(inbox::counts(shared)),
        ("/inbound", &Method::POST) => Ok(inbound::take(shared, request).await),
        ("/clear", &Method::POST) => Ok(inbox::clear(shared, request.headers())),
        ("/control", &Method::GET) => Ok(json(StatusCode::OK, &shared.controls.show())),
        ("/control", &Method::POST) => Ok(control(shared, request).await),
        ("/healthz", &Method::GET) => Ok(typed("ok\n", "text/plain; charset=utf-8")),
        ("/mmg" | "/firetext" | "/inbound" | "/clear", _) => Ok(not_allowed("POST")),
        ("/control", _) => Ok(not_allowed("GET, POST")),
        ("/" | "/inbox.css" | "/inbox.js" | "/messages.json" | "/counts.json" | "/healthz", _) => {
            Ok(not_allowed("GET"))
        }
        _ => Ok(json(StatusCode::NOT_FOUND, &json!({"error": "no such page"}))),
    }
}

async fn control(shared: &Shared, request: Request<Incoming>) -> Reply {
    let changed = match body(request.into_body()).await {
        Some(body) => shared.controls.apply(&body),
        None => Err("the body is too long, or was cut off".to_owned()),
    };
    match changed {
        Ok(()) => json(StatusCode::OK, &shared.controls.show()),
        Err(error) => json(StatusCode::BAD_REQUEST, &json!({"error": error})),
    }
}

/// All of a body, unless it is too long or breaks off.
pub(crate) async fn body(body: Incoming) -> Option<Bytes> {
    Some(Limited::new(body, BODY_LIMIT).collect().await.ok()?.to_bytes())
}

pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Reply {
    let body = serde_json::to_vec(value).expect("our own types have string keys and finite numbers");
    let mut reply = typed(body, "application/json");
    *reply.status_mut() = status;
    reply
}

pub(crate) fn typed(body: impl Into<Bytes>, content_type: &'static str) -> Reply {
    let mut reply = Response::new(Full::new(body.into()));
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    reply
}

fn not_allowed(methods: &'static str) -> Reply {
    let mut reply = json(StatusCode::METHOD_NOT_ALLOWED, &json!({"error": "not with this method"}));
    reply.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    reply
}
