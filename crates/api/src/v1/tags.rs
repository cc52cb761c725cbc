//! Values lose their HTML tags on the way in, so that what is answered, stored and sent is the same.
//!
//! This is for the look of a message, not for safety: whatever is rendered as HTML is escaped then. Upstream's sanitiser also
//! wrote `&` as `&amp;`, which nobody wants to read in a text.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Map, Value};

/// Takes the tags out of every text in there.
pub(super) fn strip(values: &mut Map<String, Value>) {
    values.values_mut().for_each(strip_value);
}

fn strip_value(value: &mut Value) {
    // `<3` and `a < b` are no tags.
    static TAG: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"<[A-Za-z/!?][^>]*>").expect("a constant pattern"));
    match value {
        Value::String(text) if text.contains('<') => *text = TAG.replace_all(text, "").into_owned(),
        Value::Array(items) => items.iter_mut().for_each(strip_value),
        Value::Object(members) => strip(members),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tags_go_and_everything_else_stays() {
        for (given, left) in [
            ("<b class='x'>Rosa</b> &amp; <br/>Bert", "Rosa &amp; Bert"),
            ("I <3 you, 1 < 2 > 0", "I <3 you, 1 < 2 > 0"),
            ("<script>alert(1)</script><!-- x -->", "alert(1)"),
            ("an open <b", "an open <b"),
        ] {
            let mut value = json!({"a": given, "b": [given, {"c": given}], "d": 1});
            strip(value.as_object_mut().unwrap());
            assert_eq!(value, json!({"a": left, "b": [left, {"c": left}], "d": 1}));
        }
    }
}
