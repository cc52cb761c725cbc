//! Request bodies: read with a limit, decoded and parsed as JSON whatever the content type says.

use std::{borrow::Cow, ops::Deref, time::Duration};

use actix_web::{
    HttpRequest,
    error::PayloadError,
    http::header::CONTENT_LENGTH,
    web::{Bytes, BytesMut, Payload},
};
use futures_util::StreamExt;
use serde_json::{Map, Value};

use crate::{
    App,
    budget::{Owner, Room, SMALL},
    error::Problem,
};

/// How much, and how slowly.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) bytes: usize,
    pub(crate) time: Duration,
}

/// The whole body of a request that is small by its nature.
pub(crate) async fn read(mut payload: Payload, limits: Limits) -> Result<Bytes, Problem> {
    let mut collected = Collected::default();
    let all = async {
        collected.fill(&mut payload, limits.bytes).await?;
        Ok(collected.into_bytes())
    };
    tokio::time::timeout(limits.time, all).await.unwrap_or(Err(Problem::BodyTooSlow))
}

/// The memory that a large body takes on its way, in its own lengths: itself, its values, and what is made of them.
const COPIES: usize = 4;

/// A whole body, and the room that it fills if it is large.
pub(crate) struct Body {
    bytes: Bytes,
    room: Option<Room>,
}

impl Deref for Body {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Body {
    /// What is made of it takes longer than other callers should wait.
    pub(crate) fn is_large(&self) -> bool {
        self.room.is_some()
    }
}

/// The whole body of a request that may be large, and then waits for room before the rest of it is read. `length` is what its
/// head says.
pub(crate) async fn read_large(
    app: &App,
    owner: Owner,
    length: Option<usize>,
    mut payload: Payload,
) -> Result<Body, Problem> {
    let Limits { bytes: limit, time } = app.body_limits();
    let in_time = async |collected: &mut Collected, payload: &mut Payload, limit| {
        let filled = tokio::time::timeout(time, collected.fill(payload, limit)).await;
        filled.unwrap_or(Err(Problem::BodyTooSlow))
    };
    let mut collected = Collected::default();
    match in_time(&mut collected, &mut payload, SMALL.min(limit)).await {
        Err(Problem::BodyTooLarge) if limit > SMALL => {}
        small => return small.map(|()| Body { bytes: collected.into_bytes(), room: None }),
    }
    // More than it says would not be read by the server either.
    let length = length.unwrap_or(limit).clamp(collected.len(), limit.max(collected.len()));
    let room = app.budget.room(owner, length * COPIES).await?;
    collected.reserve(length);
    in_time(&mut collected, &mut payload, limit).await?;
    Ok(Body { bytes: collected.into_bytes(), room: Some(room) })
}

/// A large body as JSON, where reading it holds up nobody.
pub(crate) async fn json_of(app: &App, body: Body) -> Result<Value, Problem> {
    if body.is_large() { app.heavy.run(async move { json(&body) }).await? } else { json(&body) }
}

/// Of a request's head.
pub(crate) fn length(request: &HttpRequest) -> Option<usize> {
    request.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// What has come of a body. Most are one chunk, which is then not copied.
#[derive(Default)]
struct Collected {
    first: Bytes,
    all: BytesMut,
}

impl Collected {
    fn len(&self) -> usize {
        self.first.len() + self.all.len()
    }

    fn reserve(&mut self, length: usize) {
        self.all.reserve(length.saturating_sub(self.all.len()));
        self.all.extend_from_slice(&std::mem::take(&mut self.first));
    }

    /// Until the end, or beyond the limit by one chunk.
    async fn fill(&mut self, payload: &mut Payload, limit: usize) -> Result<(), Problem> {
        while self.len() <= limit {
            let Some(chunk) = payload.next().await else { return Ok(()) };
            let chunk = chunk.map_err(|error| match error {
                PayloadError::EncodingCorrupted => Problem::EncodedBody,
                _ => Problem::bad_request("The request body cannot be read"),
            })?;
            if self.len() == 0 {
                self.first = chunk;
                continue;
            }
            if self.all.is_empty() {
                self.all.extend_from_slice(&std::mem::take(&mut self.first));
            }
            self.all.extend_from_slice(&chunk);
        }
        Err(Problem::BodyTooLarge)
    }

    fn into_bytes(self) -> Bytes {
        if self.all.is_empty() { self.first } else { self.all.freeze() }
    }
}

/// Values in one body. Each takes some dozen bytes of memory beside its own, in two bytes of a body; and a list with more could
/// not be sent, since each of its bullets takes a hundred bytes of a mail.
const MOST_VALUES: usize = domain::email::RENDERED_LIMIT / 100;

/// What is nested deeper is no JSON to serde_json, however much follows.
const DEEPEST: usize = 128;

/// Counts what separates values, outside of texts, as far as they will be read; a small body cannot have too many.
fn has_too_many_values(json: &str) -> bool {
    if json.len() <= MOST_VALUES {
        return false;
    }
    let (mut values, mut depth, mut in_text, mut is_escaped) = (0, 0_usize, false, false);
    for byte in json.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = in_text,
            b'"' => in_text = !in_text,
            b',' if !in_text => values += 1,
            b'[' | b'{' if !in_text => (values, depth) = (values + 1, depth + 1),
            b']' | b'}' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEEPEST {
            return false;
        }
        if values > MOST_VALUES {
            return true;
        }
    }
    false
}

pub(crate) const NOT_JSON: &str = "Invalid JSON supplied in POST data";

/// A body as JSON. A value that Python takes for false (`null`, `[]`, `""`, `0`, `false`) counts as `{}`.
pub(crate) fn json(body: &[u8]) -> Result<Value, Problem> {
    let invalid = || Problem::bad_request(NOT_JSON);
    let text = text(body).ok_or_else(invalid)?;
    if has_too_many_values(&text) {
        return Err(Problem::BodyTooLarge);
    }
    let value: Value = serde_json::from_str(&text).map_err(|_| invalid())?;
    // Unescaped NULs are no JSON, so only escaped ones can have come through.
    if text.contains("\\u0000") && has_nul(&value) {
        return Err(Problem::bad_request("Text must not contain NUL characters"));
    }
    Ok(if is_false(&value) { Value::Object(Map::new()) } else { value })
}

fn is_false(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
    }
}

/// Postgres cannot store them. JSON is nested 128 deep at most, so this ends.
fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(members) => members.iter().any(|(name, value)| name.contains('\0') || has_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

#[derive(Clone, Copy)]
enum Order {
    Big,
    Little,
}

/// UTF-8, -16 or -32, recognised by a byte order mark or, as JSON begins with an ASCII character, by where the zeros are.
pub(crate) fn text(body: &[u8]) -> Option<Cow<'_, str>> {
    use Order::{Big, Little};
    match body {
        [0, 0, 0xfe, 0xff, rest @ ..] => utf_32(rest, Big),
        [0xff, 0xfe, 0, 0, rest @ ..] => utf_32(rest, Little),
        [0xfe, 0xff, rest @ ..] => utf_16(rest, Big),
        [0xff, 0xfe, rest @ ..] => utf_16(rest, Little),
        [0xef, 0xbb, 0xbf, rest @ ..] => utf_8(rest),
        [0, 0, _, _, ..] => utf_32(body, Big),
        [0, _, ..] => utf_16(body, Big),
        [_, 0, 0, 0, ..] => utf_32(body, Little),
        [_, 0, ..] => utf_16(body, Little),
        _ => utf_8(body),
    }
}

fn utf_8(bytes: &[u8]) -> Option<Cow<'_, str>> {
    std::str::from_utf8(bytes).ok().map(Cow::Borrowed)
}

fn utf_16(bytes: &[u8], order: Order) -> Option<Cow<'_, str>> {
    let (pairs, []) = bytes.as_chunks() else { return None };
    let units = pairs.iter().map(|pair| match order {
        Order::Big => u16::from_be_bytes(*pair),
        Order::Little => u16::from_le_bytes(*pair),
    });
    char::decode_utf16(units).collect::<Result<String, _>>().ok().map(Cow::Owned)
}

fn utf_32(bytes: &[u8], order: Order) -> Option<Cow<'_, str>> {
    let (quads, []) = bytes.as_chunks() else { return None };
    let code = |quad: &[u8; 4]| match order {
        Order::Big => u32::from_be_bytes(*quad),
        Order::Little => u32::from_le_bytes(*quad),
    };
    quads.iter().map(|quad| char::from_u32(code(quad))).collect::<Option<String>>().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{"name": "Zoë 😀"}"#;

    fn encoded(text: &str, width: usize, order: Order) -> Vec<u8> {
        let bytes = |code: u32| match order {
            Order::Big => code.to_be_bytes()[4 - width..].to_vec(),
            Order::Little => code.to_le_bytes()[..width].to_vec(),
        };
        match width {
            2 => text.encode_utf16().flat_map(|unit| bytes(unit.into())).collect(),
            _ => text.chars().flat_map(|c| bytes(c.into())).collect(),
        }
    }

    #[test]
    fn every_encoding_with_and_without_a_mark() {
        for mark in ["", "\u{feff}"] {
            let text = format!("{mark}{TEXT}");
            let mut bodies = vec![text.clone().into_bytes()];
            for width in [2, 4] {
                for order in [Order::Big, Order::Little] {
                    bodies.push(encoded(&text, width, order));
                }
            }
            for body in bodies {
                assert_eq!(json(&body).unwrap()["name"], "Zoë 😀", "{body:?}");
            }
        }
        assert_eq!(json(&encoded("{}", 2, Order::Little)).unwrap(), serde_json::json!({}));
    }

    #[test]
    fn what_python_takes_for_false_is_an_empty_object() {
        for body in ["null", "[]", "\"\"", "0", "0.0", "-0", "false", "{}", " {} \n"] {
            assert_eq!(json(body.as_bytes()).unwrap(), serde_json::json!({}), "{body}");
        }
        assert_eq!(json(b"[0]").unwrap(), serde_json::json!([0]));
    }

    #[test]
    fn what_is_not_json_is_refused_and_nothing_panics() {
        let nested = "[".repeat(100_000);
        for body in [
            &b""[..],
            b" ",
            b"{",
            b"{'a': 1}",
            b"{\"a\": \"\x00\"}",
            b"{\"a\": \"\xff\"}",
            br#"{"a": "\ud800"}"#,
            b"\xff\xfe{",
            b"\x00{\x00",
            b"\x00\x00\xfe\xff\x00\x11\x00\x00",
            b"\x00\x00\x00{\x00",
            b"\xd8\x00",
            b"NaN",
            br#"{"$serde_json::private::Number": "x"}"#,
            nested.as_bytes(),
        ] {
            let Err(Problem::BadRequest(message)) = json(body) else { panic!("{body:?}") };
            assert_eq!(message, "Invalid JSON supplied in POST data");
        }
    }

    #[test]
    fn more_values_than_memory_should_hold_are_too_large_and_texts_are_no_values() {
        let many = format!("[{}0]", "0,".repeat(MOST_VALUES));
        assert!(matches!(json(many.as_bytes()), Err(Problem::BodyTooLarge)));
        let objects = format!("[{}0]", r#"{},"#.repeat(MOST_VALUES / 2 + 1));
        assert!(matches!(json(objects.as_bytes()), Err(Problem::BodyTooLarge)));
        let text = format!(r#"{{"a": "{}"}}"#, r#",[{\",\\"#.repeat(MOST_VALUES));
        assert!(json(text.as_bytes()).is_ok());
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(body: Vec<u8>) {
            let _ = json(&body);
        }

        #[test]
        fn utf_16_and_32_read_as_utf_8(text in ".{1,20}") {
            let body = Value::from(format!("x{text}")).to_string();
            let expected = format!("{:?}", json(body.as_bytes()));
            for (width, order) in [(2, Order::Big), (2, Order::Little), (4, Order::Big), (4, Order::Little)] {
                proptest::prop_assert_eq!(&format!("{:?}", json(&encoded(&body, width, order))), &expected);
            }
        }
    }

    #[test]
    fn nul_characters_are_refused_wherever_they_hide() {
        for body in [r#"{"a": "\u0000"}"#, r#"{"\u0000": 1}"#, r#"{"a": [{"b": "x\u0000"}]}"#] {
            let Err(Problem::BadRequest(message)) = json(body.as_bytes()) else { panic!("{body}") };
            assert_eq!(message, "Text must not contain NUL characters");
        }
        assert!(json(br#"{"a": "\\u0000"}"#).is_ok(), "a backslash and five characters");
    }
}
