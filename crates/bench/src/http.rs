//! As little HTTP/1.1 as it takes: the bench shares two cores with what it measures, and a client that does everything would be
//! half of the figure.

use std::ops::Range;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::error::Error;

/// More than any answer here; one that is longer is refused.
const LONGEST: usize = 256 * 1024;

/// A kept connection. One request at a time.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    host: String,
    buffer: Vec<u8>,
}

/// The `host:port` of an `http` URL.
pub(crate) fn authority(url: &str) -> Result<&str, Error> {
    let rest = url.strip_prefix("http://").ok_or_else(|| Error::Wrong(format!("{url} is not http://")))?;
    Ok(rest.split('/').next().unwrap_or(rest))
}

/// The whole of a request. `authorization` may be empty.
pub(crate) fn request(method: &str, path: &str, host: &str, authorization: &str, body: &str) -> Vec<u8> {
    let authorization = match authorization {
        "" => String::new(),
        value => format!("Authorization: {value}\r\n"),
    };
    format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\n{authorization}Content-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

impl Connection {
    pub(crate) async fn open(host: &str) -> Result<Self, Error> {
        let stream = TcpStream::connect(host).await.map_err(Error::io("connecting"))?;
        stream.set_nodelay(true).map_err(Error::io("connecting"))?;
        Ok(Self { stream, host: host.to_owned(), buffer: Vec::with_capacity(4096) })
    }

    /// Sends a request and reads its answer: the status, and the body.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> Result<(u16, &[u8]), Error> {
        self.stream.write_all(request).await.map_err(Error::io("sending a request"))?;
        self.buffer.clear();
        loop {
            let read =
                self.stream.read_buf(&mut self.buffer).await.map_err(Error::io("reading an answer"))?;
            if read == 0 {
                return Err(Error::Wrong("the connection was closed in the middle of an answer".into()));
            }
            if let Some((status, body)) = whole(&self.buffer)? {
                return Ok((status, &self.buffer[body]));
            }
            if self.buffer.len() > LONGEST {
                return Err(Error::Wrong(format!("an answer is longer than {LONGEST} bytes")));
            }
        }
    }

    /// A request without ceremony, whose answer must be a success.
    pub(crate) async fn call(&mut self, method: &str, path: &str, body: &str) -> Result<&[u8], Error> {
        let request = request(method, path, &self.host, "", body);
        match self.exchange(&request).await? {
            (200..=299, body) => Ok(body),
            (status, body) => Err(refusal(status, 200, body)),
        }
    }
}

pub(crate) fn refusal(status: u16, expected: u16, body: &[u8]) -> Error {
    let body = String::from_utf8_lossy(&body[..body.len().min(500)]).into_owned();
    Error::Answer { status, expected, body }
}

/// Status and place of the body, when all of it is there.
fn whole(answer: &[u8]) -> Result<Option<(u16, Range<usize>)>, Error> {
    let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let unreadable = || Error::Wrong("an answer that is not HTTP/1.1 with a Content-Length".into());
    let head = std::str::from_utf8(&answer[..end]).map_err(|_| unreadable())?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).ok_or_else(unreadable)?;
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>())
    });
    let length = match length {
        Some(length) => length.map_err(|_| unreadable())?,
        None if status == 204 => 0,
        None => return Err(unreadable()),
    };
    let body = end + 4;
    Ok((answer.len() >= body + length).then_some((status, body..body + length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_with_its_last_byte() {
        let answer = b"HTTP/1.1 201 Created\r\nServer: x\r\ncontent-LENGTH: 4\r\n\r\n{\"\"}";
        for some in 0..answer.len() {
            assert!(whole(&answer[..some]).unwrap().is_none(), "{some}");
        }
        let (status, body) = whole(answer).unwrap().unwrap();
        assert_eq!((status, &answer[body]), (201, &b"{\"\"}"[..]));
    }

    #[test]
    fn no_content_has_none() {
        assert_eq!(whole(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap(), Some((204, 27..27)));
    }

    #[test]
    fn what_cannot_be_measured_is_refused() {
        assert!(whole(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").is_err());
        assert!(whole(b"what?\r\n\r\n").is_err());
        assert!(authority("https://127.0.0.1:1/").is_err());
        assert_eq!(authority("http://127.0.0.1:1/x").unwrap(), "127.0.0.1:1");
    }
}
