//! A public API as far as `demo` sees it, played over real sockets: takes messages and tells the statuses it was given, one
//! at each look.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
};

use serde_json::{Value, json};
use uuid::Uuid;

/// More requests than any test lets happen unread.
const MANY: usize = 1000;

pub(crate) struct PlayedApi {
    pub(crate) url: String,
    requests: Receiver<Request>,
}

pub(crate) struct Request {
    pub(crate) line: String,
    pub(crate) authorization: String,
    pub(crate) body: Value,
}

impl PlayedApi {
    /// `statuses` by channel (`sms`, `email`); the last one stays. A channel without any is refused.
    pub(crate) fn start(statuses: &[(&'static str, &[&'static str])]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (sender, requests) = sync_channel(MANY);
        let mut to_tell: HashMap<&str, Vec<&str>> =
            statuses.iter().map(|(channel, statuses)| (*channel, statuses.to_vec())).collect();
        thread::spawn(move || {
            let mut ids = HashMap::new();
            // Ends with the test's process.
            for stream in listener.incoming() {
                answer(stream.unwrap(), &mut to_tell, &mut ids, &sender);
            }
        });
        Self { url, requests }
    }

    /// What came in so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.try_iter().collect()
    }
}

fn answer(
    stream: TcpStream,
    to_tell: &mut HashMap<&'static str, Vec<&'static str>>,
    ids: &mut HashMap<String, &'static str>,
    sender: &SyncSender<Request>,
) {
    let mut reader = BufReader::new(stream);
    let request = read(&mut reader);
    let path = request.line.split(' ').nth(1).unwrap().to_owned();
    let last = path.rsplit('/').next().unwrap();
    let (status, body) = match ids.get(last).copied() {
        Some(channel) => {
            let left = to_tell.get_mut(channel).unwrap();
            let status = if left.len() > 1 { left.remove(0) } else { left[0] };
            (200, json!({"id": last, "status": status}))
        }
        None => match to_tell.keys().copied().find(|channel| *channel == last) {
            Some(channel) => {
                let id = Uuid::new_v4().to_string();
                ids.insert(id.clone(), channel);
                (201, json!({"id": id}))
            }
            None => {
                let error = json!({"error": "BadRequestError", "message": "Template not found"});
                (400, json!({"status_code": 400, "errors": [error]}))
            }
        },
    };
    sender.send(request).unwrap();
    let body = body.to_string();
    let head = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    reader.get_mut().write_all((head + &body).as_bytes()).unwrap();
}

fn read(reader: &mut BufReader<TcpStream>) -> Request {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let header = |name: &str| {
        let field = |line: &String| {
            let (field, value) = line.split_once(": ")?;
            field.eq_ignore_ascii_case(name).then(|| value.to_owned())
        };
        lines.iter().find_map(field)
    };
    let length = header("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    Request {
        line: lines[0].clone(),
        authorization: header("authorization").unwrap_or_default(),
        body: serde_json::from_slice(&body).unwrap_or_default(),
    }
}
