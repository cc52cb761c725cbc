//! The platform's end of the receipts: takes every request, notes it, and answers as the test says.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Response, StatusCode, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, task::JoinSet};

use crate::eventually;

#[derive(Clone, Debug)]
pub(crate) struct Caught {
    pub(crate) path: String,
    pub(crate) content_type: String,
    pub(crate) authorization: Option<String>,
    pub(crate) body: String,
    /// Which connection it came over, counted from 1.
    pub(crate) connection: u32,
}

#[derive(Default)]
struct State {
    caught: Vec<Caught>,
    /// Answers to the next requests; 200 after them.
    answers: VecDeque<StatusCode>,
}

pub(crate) struct Catcher {
    pub(crate) addr: SocketAddr,
    state: Arc<Mutex<State>>,
    _tasks: JoinSet<()>,
}

impl Catcher {
    pub(crate) async fn start() -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    pub(crate) async fn start_at(addr: SocketAddr) -> Self {
        let listener = TcpListener::bind(addr).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let mut tasks = JoinSet::new();
        tasks.spawn(take(listener, state.clone()));
        Self { addr, state, _tasks: tasks }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    pub(crate) fn answer_next(&self, answers: &[u16]) {
        let answers = answers.iter().map(|&status| StatusCode::from_u16(status).unwrap());
        self.state.lock().unwrap().answers.extend(answers);
    }

    pub(crate) fn caught(&self) -> Vec<Caught> {
        self.state.lock().unwrap().caught.clone()
    }

    /// Waits until so many requests have come.
    pub(crate) async fn wait_for(&self, number: usize) -> Vec<Caught> {
        eventually("a receipt", || Some(self.caught()).filter(|caught| caught.len() >= number)).await
    }
}

async fn take(listener: TcpListener, state: Arc<Mutex<State>>) {
    let mut connections = JoinSet::new();
    for number in 1.. {
        let (stream, _) = listener.accept().await.unwrap();
        let state = state.clone();
        connections.spawn(async move {
            let service = service_fn(|request| note(request, number, &state));
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn note(
    request: Request<Incoming>,
    connection: u32,
    state: &Mutex<State>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let header = |name| request.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let mut caught = Caught {
        path: request.uri().to_string(),
        content_type: header("content-type").unwrap_or_default(),
        authorization: header("authorization"),
        body: String::new(),
        connection,
    };
    caught.body = String::from_utf8(request.into_body().collect().await?.to_bytes().to_vec()).unwrap();
    let mut state = state.lock().unwrap();
    state.caught.push(caught);
    let mut response = Response::new(Full::new(Bytes::from_static(b"{\"result\":\"success\"}")));
    *response.status_mut() = state.answers.pop_front().unwrap_or(StatusCode::OK);
    Ok(response)
}
