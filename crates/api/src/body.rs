//! Request bodies: read with a limit, decoded and parsed as JSON whatever the content type says.

use std::{borrow::Cow, time::Duration};

use actix_web::web::{Bytes, BytesMut, Payload};
use futures_util::StreamExt;
use serde_json::{Map, Value};

use crate::error::Problem;

/// How much, and how slowly.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) bytes: usize,
    pub(crate) time: Duration,
}

/// The whole body.
pub(crate) async fn read(payload: Payload, limits: Limits) -> Result<Bytes, Problem> {
    tokio::time::timeout(limits.time, collect(payload, limits.bytes))
        .await
        .unwrap_or(Err(Problem::BodyTooSlow))
}

async fn collect(mut payload: Payload, limit: usize) -> Result<Bytes, Problem> {
    // Most bodies are one chunk, which is then not copied.
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| Problem::bad_request("The request body cannot be read"))?;
        if first.len() + all.len() + chunk.len() > limit {
            return Err(Problem::BodyTooLarge);
        }
        if first.is_empty() && all.is_empty() {
            first = chunk;
            continue;
        }
        if all.is_empty() {
            all.extend_from_slice(&std::mem::take(&mut first));
        }
        all.extend_from_slice(&chunk);
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}

pub(crate) const NOT_JSON: &str = "Invalid JSON supplied in POST data";

/// A body as JSON. A value that Python takes for false (`null`, `[]`, `""`, `0`, `false`) counts as `{}`.
pub(crate) fn json(body: &[u8]) -> Result<Value, Problem> {
    let invalid = || Problem::bad_request(NOT_JSON);
    let text = text(body).ok_or_else(invalid)?;
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
