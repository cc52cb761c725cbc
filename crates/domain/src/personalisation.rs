//! What a caller knows about a person, and how it is written into a text.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::python;
use crate::whitespace::without_invisible;

/// A person's details by placeholder name; names match without case, spaces, `_` and `-`. `Debug` shows no values.
#[derive(Clone, Default)]
pub struct Personalisation {
    values: Map<String, Value>,
}

impl Personalisation {
    #[must_use]
    pub fn new(values: Map<String, Value>) -> Self {
        Self { values }
    }

    /// As the caller spelled it.
    #[must_use]
    pub fn as_map(&self) -> &Map<String, Value> {
        &self.values
    }

    /// By [`key`] of the name, after `spelling` was applied to it. Of two names with the same key the later one counts;
    /// a null is no value, but hides an earlier one.
    pub(crate) fn by_key(&self, spelling: impl Fn(&str) -> String) -> HashMap<String, &Value> {
        self.values.iter().map(|(name, value)| (key(&spelling(name)), value)).collect()
    }
}

impl std::fmt::Debug for Personalisation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Personalisation").finish_non_exhaustive()
    }
}

/// What of a name counts when names are matched.
#[must_use]
pub fn key(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, ' ' | '_' | '-')).collect::<String>().to_lowercase()
}

/// How a list value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lists {
    /// `a, b and c`.
    Sentence,
    /// A Markdown bullet per item.
    Bullets,
}

/// A value as text; `None` for null, which is no value.
pub(crate) fn spelling(value: &Value, lists: Lists) -> Option<String> {
    match value {
        Value::Null => None,
        Value::Array(items) => Some(join(items, lists)),
        other => Some(python::str(other)),
    }
}

fn join(items: &[Value], lists: Lists) -> String {
    let items: Vec<String> = items
        .iter()
        .filter(|item| !item.is_null())
        .map(|item| without_invisible(&python::str(item)))
        .filter(|item| !item.is_empty())
        .collect();
    match (items.as_slice(), lists) {
        ([], _) => String::new(),
        (items, Lists::Bullets) => format!("\n\n* {}", items.join("\n* ")),
        ([only], Lists::Sentence) => only.clone(),
        ([first @ .., last], Lists::Sentence) => format!("{} and {last}", first.join(", ")),
    }
}

/// Whether a conditional's text is shown for this value.
pub(crate) fn is_yes(spelling: &str) -> bool {
    matches!(spelling.to_lowercase().as_str(), "yes" | "y" | "true" | "t" | "1" | "include" | "show")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn debug_shows_nothing_personal() {
        let Value::Object(values) = json!({"name": "Rosa"}) else { unreachable!() };
        assert_eq!(format!("{:?}", Personalisation::new(values)), "Personalisation { .. }");
    }

    #[test]
    fn lists_are_cleaned_and_joined() {
        let list = json!(["a", null, "", " b\u{200b}", 1.5]);
        assert_eq!(spelling(&list, Lists::Sentence).unwrap(), "a, b and 1.5");
        assert_eq!(spelling(&list, Lists::Bullets).unwrap(), "\n\n* a\n* b\n* 1.5");
        assert_eq!(spelling(&json!([]), Lists::Bullets).unwrap(), "");
    }
}
