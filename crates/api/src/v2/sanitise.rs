//! `sanitise_content_for`: values that come from the public are kept from becoming links or Markdown.

use std::{collections::HashSet, sync::LazyLock};

use domain::personalisation::key;
use regex::Regex;
use serde_json::{Map, Value, json};

/// What Markdown may take for more than text.
const MARKDOWN: &str = r"`*_()\{}[]<>#+-.!|";

/// Changes the values that `names` ask for; answers each change under the name as the caller spelled it.
pub(super) fn sanitise(values: &mut Map<String, Value>, names: &[Value]) -> Map<String, Value> {
    let names: HashSet<String> = names.iter().filter_map(Value::as_str).map(key).collect();
    let mut changes = Map::new();
    for (name, value) in values.iter_mut().filter(|(name, _)| names.contains(&key(name))) {
        // What is not text has no links in it.
        let Value::String(text) = value else { continue };
        let sanitised = escaped(&without_links(text));
        if sanitised != *text {
            changes.insert(name.clone(), json!({ "unsanitised": text, "sanitised": sanitised }));
            *text = sanitised;
        }
    }
    changes
}

/// A bare host gets a space after each dot; anything that could be followed goes.
fn without_links(text: &str) -> String {
    static LINK: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(?i)(?:https?://)?(?:[\w-]+\.)+[a-z]{2,63}(?:[/?#][^<\s]*)?")
            .expect("a constant pattern")
    });
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for found in LINK.find_iter(text) {
        let (before, after) = (&text[..found.start()], &text[found.end()..]);
        if before.ends_with(['@', '.']) || after.starts_with('@') {
            continue;
        }
        out.push_str(&text[done..found.start()]);
        let run = found.as_str();
        if run.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '-')) {
            out.push_str(&run.replace('.', ". "));
        }
        done = found.end();
    }
    out.push_str(&text[done..]);
    out
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if MARKDOWN.contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_go_and_hosts_come_apart() {
        for (text, without) in [
            ("see https://evil.example/x?y now", "see  now"),
            ("HTTP://evil.example", ""),
            ("evil.example/path<b>", "<b>"),
            ("evil.example", "evil. example"),
            ("a-b.evil.co.uk!", "a-b. evil. co. uk!"),
            ("under_score.example", ""),
            ("rosa@example.com", "rosa@example.com"),
            ("first.last@example.com", "first.last@example.com"),
            ("1.5 and a.b", "1.5 and a.b"),
            ("no links", "no links"),
            ("é.example", "é. example"),
        ] {
            assert_eq!(without_links(text), without, "{text}");
        }
    }

    #[test]
    fn every_special_character_gets_a_backslash() {
        assert_eq!(escaped(r"a`*_()\{}[]<>#+-.!|z"), r"a\`\*\_\(\)\\\{\}\[\]\<\>\#\+\-\.\!\|z");
    }

    #[test]
    fn only_named_texts_change_and_the_answer_says_how() {
        let Value::Object(mut values) =
            json!({"First name": "*Rosa*", "town": "*Leeds*", "count": 5, "plain": "Rosa"})
        else {
            unreachable!()
        };
        let changes = sanitise(&mut values, &[json!("first_name"), json!("COUNT"), json!("plain"), json!(7)]);
        assert_eq!(
            Value::Object(changes),
            json!({"First name": {"unsanitised": "*Rosa*", "sanitised": r"\*Rosa\*"}})
        );
        assert_eq!(values["First name"], r"\*Rosa\*");
        assert_eq!((&values["town"], &values["count"]), (&json!("*Leeds*"), &json!(5)));
    }
}
