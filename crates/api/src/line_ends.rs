//! Line feeds without a carriage return in what stands around bodies: they are refused.
//!
//! httparse, which reads heads of requests for actix, takes one for the end of a line, as RFC 9112 lets it; who stands in front of
//! us may not, and then the two see different requests. Afterwards nothing tells how a line ended, so bytes are looked at as they
//! come in: such a line feed is handed on as a carriage return that no line feed follows. Neither httparse nor actix takes
//! that, and the client gets 400. Bodies are left alone, so their ends must be known. Where we and actix could differ on
//! that (two lengths, a length and chunks), actix refuses the request.

/// What has come on a connection.
#[derive(Debug, Default)]
pub(crate) struct LineEnds {
    part: Part,
    /// The line so far, or as much of it as is of interest.
    line: Vec<u8>,
    /// The byte before, as it came.
    last: u8,
    /// How the body will end, by the head so far.
    body: Body,
}

#[derive(Clone, Copy, Debug, Default)]
enum Body {
    #[default]
    None,
    Length(u64),
    Chunked,
}

#[derive(Clone, Copy, Debug, Default)]
enum Part {
    /// Between requests; empty lines may stand there.
    #[default]
    Before,
    Head,
    /// So much of a body, or of a chunk.
    Bytes(u64, After),
    ChunkSize,
    Trailers,
}

#[derive(Clone, Copy, Debug)]
enum After {
    Request,
    Chunk,
}

/// Room for what tells a length; what is longer does not.
const LINE: usize = 128;

impl LineEnds {
    /// Looks at what came next.
    pub(crate) fn pass(&mut self, mut bytes: &mut [u8]) {
        while !bytes.is_empty() {
            let seen = match self.part {
                Part::Bytes(left, after) => {
                    let seen = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    self.part = match (left - seen as u64, after) {
                        (0, After::Request) => Part::Before,
                        (0, After::Chunk) => Part::ChunkSize,
                        (left, after) => Part::Bytes(left, after),
                    };
                    seen
                }
                Part::Before | Part::Head | Part::ChunkSize | Part::Trailers => self.line(bytes),
            };
            bytes = &mut bytes[seen..];
        }
    }

    /// Up to the end of the line, if it is there.
    fn line(&mut self, bytes: &mut [u8]) -> usize {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let text = &bytes[..end.unwrap_or(bytes.len())];
        self.line.extend_from_slice(&text[..text.len().min(LINE.saturating_sub(self.line.len()))]);
        self.last = text.last().copied().unwrap_or(self.last);
        let Some(end) = end else { return bytes.len() };
        if self.last == b'\r' {
            self.part = self.after_line();
            self.line.clear();
        } else {
            bytes[end] = b'\r';
        }
        self.last = b'\n';
        end + 1
    }

    fn after_line(&mut self) -> Part {
        let line = self.line.trim_ascii();
        match self.part {
            Part::Before if line.is_empty() => Part::Before,
            Part::Before => {
                self.body = Body::None;
                Part::Head
            }
            Part::Head if !line.is_empty() => {
                self.body = told(line).unwrap_or(self.body);
                Part::Head
            }
            Part::Head => match self.body {
                Body::None | Body::Length(0) => Part::Before,
                Body::Length(length) => Part::Bytes(length, After::Request),
                Body::Chunked => Part::ChunkSize,
            },
            // Its own line end is part of a chunk.
            Part::ChunkSize => match chunk_size(line) {
                0 => Part::Trailers,
                size => Part::Bytes(size.saturating_add(2), After::Chunk),
            },
            Part::Trailers if line.is_empty() => Part::Before,
            same @ (Part::Trailers | Part::Bytes(..)) => same,
        }
    }
}

/// What a header says of the body.
fn told(line: &[u8]) -> Option<Body> {
    let (name, value) = line.split_at(line.iter().position(|byte| *byte == b':')?);
    let value = std::str::from_utf8(&value[1..]).ok()?.trim();
    if name.eq_ignore_ascii_case(b"content-length") {
        value.parse().ok().map(Body::Length)
    } else if name.eq_ignore_ascii_case(b"transfer-encoding") && value.eq_ignore_ascii_case("chunked") {
        Some(Body::Chunked)
    } else {
        None
    }
}

/// None at all is refused by actix.
fn chunk_size(line: &[u8]) -> u64 {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let digits = std::str::from_utf8(&line[..digits]).unwrap_or_default();
    u64::from_str_radix(digits, 16).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is handed on of this when it comes in such pieces.
    fn passed(text: &str, pieces: usize) -> String {
        let mut ends = LineEnds::default();
        let mut bytes = text.as_bytes().to_vec();
        for piece in bytes.chunks_mut(pieces) {
            ends.pass(piece);
        }
        String::from_utf8(bytes).unwrap()
    }

    const LENGTH: &str = "POST / HTTP/1.1\r\nHost: x\r\ncontent-LENGTH:  9 \r\n\r\n{\n\"a\":\n1}";
    const CHUNKS: &str = "POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n\
                          3;x=1\r\n{\n}\r\nA \r\n\n\r\n\n\n\n\n\n\n\n\r\n0\r\nTrailer: x\r\n\r\n";
    const NONE: &str = "\r\n\r\nGET /x HTTP/1.1\r\nContent-Length: 0\r\n\r\n";

    #[test]
    fn bodies_are_left_alone_one_after_the_other_however_they_come() {
        let all = [LENGTH, NONE, CHUNKS, LENGTH, CHUNKS, NONE, NONE].concat();
        for pieces in 1..=all.len() {
            assert_eq!(passed(&all, pieces), all, "{pieces}");
        }
    }

    #[test]
    fn a_line_feed_by_itself_becomes_what_nobody_takes() {
        for (text, expected) in [
            ("\nGET / HTTP/1.1\r\n", "\rGET / HTTP/1.1\r\n"),
            ("GET / HTTP/1.1\nHost: x\n\n", "GET / HTTP/1.1\rHost: x\r\r"),
            ("GET / HTTP/1.1\r\nHost: x\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\r\n"),
            ("GET / HTTP/1.1\r\nHost: x\r\n\n", "GET / HTTP/1.1\r\nHost: x\r\n\r"),
            (
                "GET / HTTP/1.1\r\nA: b\nContent-Length: 9\r\n\r\n",
                "GET / HTTP/1.1\r\nA: b\rContent-Length: 9\r\n\r\n",
            ),
        ] {
            for pieces in 1..=text.len() {
                assert_eq!(passed(text, pieces), expected, "{text:?} by {pieces}");
            }
        }
        assert_eq!(passed(&CHUNKS.replace("x=1\r\n", "x=1\n"), 1).matches("x=1\r{").count(), 1);
        assert_eq!(passed(&CHUNKS.replace("x\r\n\r\n", "x\n\r\n"), 1).matches("x\r\r\n").count(), 1);
        assert_eq!(passed(&[LENGTH, "\nGET"].concat(), 1), [LENGTH, "\rGET"].concat(), "after a body");
    }

    proptest! {
        #[test]
        fn no_bytes_panic_and_nothing_but_line_feeds_changes(mut bytes: Vec<u8>, pieces in 1_usize..20) {
            let before = bytes.clone();
            let mut ends = LineEnds::default();
            bytes.chunks_mut(pieces).for_each(|piece| ends.pass(piece));
            for (before, after) in before.iter().zip(&bytes) {
                prop_assert!(before == after || (*before, *after) == (b'\n', b'\r'));
            }
        }

        #[test]
        fn any_body_of_a_known_length_is_left_alone(body: Vec<u8>, pieces in 1_usize..50) {
            let head = format!("POST / HTTP/1.1\r\nContent-Length: {}\r\n\r\n", body.len());
            let mut bytes = [head.as_bytes(), &body, NONE.as_bytes()].concat();
            let before = bytes.clone();
            let mut ends = LineEnds::default();
            bytes.chunks_mut(pieces).for_each(|piece| ends.pass(piece));
            prop_assert_eq!(bytes, before);
        }
    }
}
