//! What a relay answers, made readable.
//!
//! lettre's parser is strict: it wants UTF-8, at most 1,000 bytes a line, a space after the code, CR LF, the same code on
//! every line, and codes that RFC 5321 lists. Relays are not so exact, and an answer to the final dot that is not
//! understood means that the same mail is sent again. RFC 5321 (4.2, 4.3.2) has a client go by the code alone, and by its
//! first digit where it does not know it. So the stream beneath lettre hands it every answer in the one form that it
//! reads: lines of printable ASCII, with the code of the last.
//!
//! A line that begins with no code is part of no answer, and is left out.

use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, ready},
};

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::client::TlsStream;

/// Kept of a line, and lines kept of an answer: what is beyond is read and dropped.
const LONGEST_LINE: usize = 500;
const MOST_LINES: usize = 100;
const CHUNK: usize = 4096;

/// Either kind of stream. Its answers are what is read from it.
#[derive(Debug)]
pub(crate) struct Answers<S> {
    stream: S,
    answer: Answer,
    /// For lettre.
    readable: VecDeque<u8>,
    ended: bool,
}

/// The answer that is being read.
#[derive(Debug, Default)]
struct Answer {
    line: Vec<u8>,
    texts: Vec<Vec<u8>>,
}

impl<S> Answers<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, answer: Answer::default(), readable: VecDeque::new(), ended: false }
    }

    /// After STARTTLS: lettre begins anew, with a greeting that no server sends a second time.
    pub(crate) fn greeted(stream: S) -> Self {
        Self { readable: b"220 \r\n".iter().copied().collect(), ..Self::new(stream) }
    }

    fn take(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if *byte == b'\n' {
                self.answer.end_line(&mut self.readable);
            } else if self.answer.line.len() < LONGEST_LINE {
                self.answer.line.push(*byte);
            }
        }
    }

    /// A last line without its end counts if its code, and that it is the last, are beyond doubt.
    fn end(&mut self) {
        self.ended = true;
        if self.answer.line.get(3) == Some(&b' ') {
            self.answer.end_line(&mut self.readable);
        }
    }
}

impl Answer {
    fn end_line(&mut self, readable: &mut VecDeque<u8>) {
        let mut line = std::mem::take(&mut self.line);
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        let Some((code, rest)) = line.split_first_chunk::<3>() else { return };
        if !code.iter().all(u8::is_ascii_digit) {
            return;
        }
        let (is_last, text) = match rest {
            [] => (true, rest),
            [b' ', text @ ..] => (true, text),
            [b'-', text @ ..] => (false, text),
            _ => return,
        };
        if is_last || self.texts.len() < MOST_LINES {
            self.texts.push(text.iter().map(|byte| printable(*byte)).collect());
        }
        if is_last {
            self.write(known(*code), readable);
        }
    }

    fn write(&mut self, code: [u8; 3], readable: &mut VecDeque<u8>) {
        let last = self.texts.len() - 1;
        for (at, text) in self.texts.drain(..).enumerate() {
            readable.extend(code);
            readable.push_back(if at == last { b' ' } else { b'-' });
            readable.extend(text);
            readable.extend(b"\r\n");
        }
    }
}

fn printable(byte: u8) -> u8 {
    if byte == b' ' || byte.is_ascii_graphic() { byte } else { b'?' }
}

/// A code that lettre knows, and that means the same to us: 571 is a refusal like 554.
fn known(code: [u8; 3]) -> [u8; 3] {
    match code {
        [b'2', b'6'..=b'9', _] => *b"250",
        [b'3', b'6'..=b'9', _] => *b"354",
        [b'4', b'6'..=b'9', _] => *b"451",
        [b'5', b'6'..=b'9', _] => *b"554",
        known => known,
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Answers<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.readable.is_empty() && !self.ended {
            let mut chunk = [0; CHUNK];
            let mut chunk = ReadBuf::new(&mut chunk);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut chunk))?;
            match chunk.filled() {
                [] => self.end(),
                bytes => self.take(bytes),
            }
        }
        let (readable, _) = self.readable.as_slices();
        let length = readable.len().min(buffer.remaining());
        buffer.put_slice(&readable[..length]);
        self.readable.drain(..length);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Answers<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl AsyncTokioStream for Answers<TcpStream> {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream.peer_addr()
    }
}

impl AsyncTokioStream for Answers<TlsStream<TcpStream>> {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream.get_ref().0.peer_addr()
    }
}

#[cfg(test)]
mod tests {
    use lettre::transport::smtp::response::Response;

    use super::*;

    /// What lettre gets to read until the connection ends.
    fn read(bytes: &[u8]) -> String {
        let mut answers = Answers::new(());
        answers.take(bytes);
        answers.end();
        String::from_utf8(answers.readable.into()).unwrap()
    }

    #[test]
    fn the_code_counts_and_not_the_text() {
        for (said, read_as) in [
            (&b"250 2.0.0 ok\r\n"[..], "250 2.0.0 ok\r\n"),
            (b"250 Gr\xfc\xdfe \xe9\r\n", "250 Gr??e ?\r\n"),
            ("250 Grüße\r\n".as_bytes(), "250 Gr????e\r\n"),
            (b"250 \0\x1b[31m\t\r\n", "250 ??[31m?\r\n"),
            (b"250\r\n", "250 \r\n"),
            (b"250 \r\n", "250 \r\n"),
            (b"250 ok\n", "250 ok\r\n"),
            (b"250\n", "250 \r\n"),
            (b"250 a\rb\r\n", "250 a?b\r\n"),
            (b"250-a\r\n250-\r\n250 b\r\n", "250-a\r\n250-\r\n250 b\r\n"),
            (b"250-a\n250 b\n", "250-a\r\n250 b\r\n"),
            // The last line's code, which is the only one that Postfix looks at.
            (b"220-a\r\n550 b\r\n", "550-a\r\n550 b\r\n"),
            (b"571 no\r\n", "554 no\r\n"),
            (b"298 yes\r\n", "250 yes\r\n"),
            (b"490 later\r\n", "451 later\r\n"),
            // No code, no answer.
            (b"what?\r\n250 ok\r\n", "250 ok\r\n"),
            (b"\r\n\r\n250 ok\r\n", "250 ok\r\n"),
            (b"250-a\r\nb\r\n250 c\r\n", "250-a\r\n250 c\r\n"),
            (b"2500 ok\r\n", ""),
            (b"It works!\r\n", ""),
            // Cut off, and yet beyond doubt.
            (b"250 queued as 4", "250 queued as 4\r\n"),
            (b"250", ""),
            (b"250-a\r\n25", ""),
            (b"250-a\r\n", ""),
            (b"", ""),
        ] {
            assert_eq!(read(said), read_as, "{}", said.escape_ascii());
            if !read_as.is_empty() {
                read_as.parse::<Response>().unwrap();
            }
        }
    }

    #[test]
    fn what_is_too_long_to_be_read_is_cut() {
        let line = [b"250 ".to_vec(), vec![b'x'; 1_000_000], b"\r\n354 next\r\n".to_vec()].concat();
        assert_eq!(read(&line), format!("250 {}\r\n354 next\r\n", "x".repeat(LONGEST_LINE - 4)));
        let lines = [b"250-line\r\n".repeat(100_000), b"250 last\r\n".to_vec()].concat();
        let read = read(&lines);
        assert_eq!(read.lines().count(), MOST_LINES + 1);
        assert!(read.ends_with("\r\n250 last\r\n"));
        read.parse::<Response>().unwrap();
    }

    proptest::proptest! {
        #[test]
        fn lettre_reads_any_text_after_a_code(text: Vec<u8>, more: Vec<u8>, code in 200_u16..=599) {
            let line = |separator: char, text: &[u8]| {
                let text: Vec<u8> = text.iter().copied().filter(|byte| *byte != b'\n').collect();
                [format!("{code}{separator}").as_bytes(), &text, b"\r\n"].concat()
            };
            let said = [line('-', &text), line(' ', &more)].concat();
            let response: Response = read(&said).parse().unwrap();
            assert_eq!(u16::from(response.code()) / 100, code / 100);
            assert_eq!(response.message().count(), 2);
        }
    }
}
