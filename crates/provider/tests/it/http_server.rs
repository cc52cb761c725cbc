//! An HTTP server that writes down what it is sent and answers by script, down to the byte.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

/// What the server does with a request.
#[derive(Clone)]
pub(crate) enum Act {
    /// Writes these bytes; the connection stays open.
    Write(Vec<u8>),
    /// Writes these bytes one by one, with a pause before each.
    WriteSlowly(Vec<u8>, Duration),
    /// Writes these bytes after a pause.
    WriteLater(Vec<u8>, Duration),
    /// Writes these bytes, then hangs up.
    WriteAndClose(Vec<u8>),
    /// Says nothing until the caller hangs up.
    Hang,
}

/// A whole answer with its length.
pub(crate) fn answer(status: &str, headers: &str, body: &str) -> Act {
    Act::Write(
        format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n{body}", body.len()).into_bytes(),
    )
}

#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) line: String,
    /// In order, names in lower case.
    pub(crate) headers: Vec<String>,
    pub(crate) body: String,
    /// Which connection it came on, from 0.
    pub(crate) connection: usize,
}

pub(crate) struct HttpServer {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl HttpServer {
    /// Answers the n-th request (from 0) by `script`.
    pub(crate) fn start(script: impl Fn(usize) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (script, log) = (Arc::new(script), Arc::clone(&seen));
        thread::spawn(move || {
            for (connection, stream) in listener.incoming().enumerate() {
                let (script, log) = (Arc::clone(&script), Arc::clone(&log));
                thread::spawn(move || serve(&stream.unwrap(), connection, &*script, &log));
            }
        });
        Self { address, seen }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/send?v=1", self.address)
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

fn serve(stream: &TcpStream, connection: usize, script: &dyn Fn(usize) -> Act, log: &Mutex<Vec<Seen>>) {
    let mut reader = BufReader::new(stream);
    let mut writer = stream;
    while let Some(seen) = read(&mut reader, connection) {
        let number = {
            let mut log = log.lock().unwrap();
            log.push(seen);
            log.len() - 1
        };
        match script(number) {
            Act::Write(bytes) => {
                if writer.write_all(&bytes).is_err() {
                    return;
                }
            }
            Act::WriteSlowly(bytes, pause) => {
                for byte in bytes {
                    thread::sleep(pause);
                    if writer.write_all(&[byte]).is_err() {
                        return;
                    }
                }
            }
            Act::WriteLater(bytes, pause) => {
                thread::sleep(pause);
                let _ = writer.write_all(&bytes);
            }
            Act::WriteAndClose(bytes) => {
                let _ = writer.write_all(&bytes);
                return;
            }
            Act::Hang => {
                let _ = reader.read_to_end(&mut Vec::new());
                return;
            }
        }
    }
}

fn read(reader: &mut impl BufRead, connection: usize) -> Option<Seen> {
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => head.push(line.to_owned()),
        }
    }
    let length = head.iter().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    reader.read_exact(&mut body).ok()?;
    let mut head = head.into_iter();
    Some(Seen {
        line: head.next()?,
        headers: head.collect(),
        body: String::from_utf8(body).unwrap(),
        connection,
    })
}
