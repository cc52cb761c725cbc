//! JSON values in Python's spelling, which callers of GOV.UK Notify see in messages and error texts.

use std::fmt::Write as _;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Number, Value};

/// Python's `str(value)`: text as it is, everything else as [`repr`].
#[must_use]
pub fn str(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => repr(other),
    }
}

/// Python's `repr(value)`: `{'x': [1, True, None]}`.
#[must_use]
pub fn repr(value: &Value) -> String {
    let mut out = String::new();
    write_repr(&mut out, value);
    out
}

fn write_repr(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("None"),
        Value::Bool(true) => out.push_str("True"),
        Value::Bool(false) => out.push_str("False"),
        Value::Number(number) => write_number(out, number),
        Value::String(text) => write_quoted(out, text),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { ", " });
                write_repr(out, item);
            }
            out.push(']');
        }
        Value::Object(members) => {
            out.push('{');
            for (index, (key, member)) in members.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { ", " });
                write_quoted(out, key);
                out.push_str(": ");
                write_repr(out, member);
            }
            out.push('}');
        }
    }
}

/// Whole numbers of any size keep their digits; the rest is a double, shortest spelling: `1.50` is `1.5`, `1e5` is `100000.0`.
fn write_number(out: &mut String, number: &Number) {
    let literal = number.as_str();
    if !literal.contains(['.', 'e', 'E']) {
        out.push_str(if literal == "-0" { "0" } else { literal });
        return;
    }
    let Ok(double) = literal.parse::<f64>() else {
        out.push_str(literal);
        return;
    };
    let rust = format!("{double:?}");
    match rust.split_once('e') {
        // Python writes an exponent of two digits at least, and always its sign.
        Some((mantissa, exponent)) => {
            let exponent: i32 = exponent.parse().unwrap_or_default();
            let _ = write!(out, "{mantissa}e{exponent:+03}");
        }
        None => out.push_str(&rust),
    }
}

/// Single quotes, unless there is one inside and no double quote.
fn write_quoted(out: &mut String, text: &str) {
    static NOT_PRINTABLE: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"[\p{Other}\p{Separator}--[ ]]").expect("a constant pattern"));
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for c in text.chars() {
        let code = u32::from(c);
        let _ = match c {
            '\\' => write!(out, "\\\\"),
            '\n' => write!(out, "\\n"),
            '\r' => write!(out, "\\r"),
            '\t' => write!(out, "\\t"),
            _ if c == quote => write!(out, "\\{c}"),
            ' '..='~' => write!(out, "{c}"),
            _ if !NOT_PRINTABLE.is_match(c.encode_utf8(&mut [0; 4])) => write!(out, "{c}"),
            _ if code <= 0xff => write!(out, "\\x{code:02x}"),
            _ if code <= 0xffff => write!(out, "\\u{code:04x}"),
            _ => write!(out, "\\U{code:08x}"),
        };
    }
    out.push(quote);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn python(json: &str) -> String {
        repr(&serde_json::from_str(json).unwrap())
    }

    #[test]
    fn numbers() {
        for (json, spelling) in [
            ("5", "5"),
            ("-0", "0"),
            ("123456789012345678901234567890", "123456789012345678901234567890"),
            ("1.50", "1.5"),
            ("1.0", "1.0"),
            ("-0.0", "-0.0"),
            ("1e5", "100000.0"),
            ("1E16", "1e+16"),
            ("1.5e300", "1.5e+300"),
            ("0.0001", "0.0001"),
            ("0.00001", "1e-05"),
            ("1e999", "inf"),
        ] {
            assert_eq!(python(json), spelling, "{json}");
        }
    }

    #[test]
    fn containers() {
        assert_eq!(
            python(r#"{"x": [1, "y", null, true], "it's": {}}"#),
            r#"{'x': [1, 'y', None, True], "it's": {}}"#
        );
    }

    #[test]
    fn text() {
        assert_eq!(python(r#""a\"b'c\\\n\u0000é\u00a0\u200b 😀""#), r#"'a"b\'c\\\n\x00é\xa0\u200b 😀'"#);
        assert_eq!(str(&Value::from("it's")), "it's");
    }
}
