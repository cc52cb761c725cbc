//! `((placeholder))` templates.

use serde_json::{Map, Value};

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
}

impl std::fmt::Debug for Personalisation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Personalisation").finish_non_exhaustive()
    }
}

/// How a list value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lists {
    /// `a, b and c`.
    Sentence,
    /// A Markdown bullet per item.
    Bullets,
}

/// A template's text, taken apart once.
#[derive(Clone, Debug)]
pub struct Template {
    _text: String,
}

impl Template {
    /// Never fails: what is not a placeholder is text.
    #[must_use]
    pub fn parse(_text: &str) -> Self {
        unimplemented!()
    }

    /// The distinct names in order of first use, as first spelt.
    #[must_use]
    pub fn placeholders(&self) -> Vec<&str> {
        unimplemented!()
    }

    /// The names without a value, in order.
    #[must_use]
    pub fn missing(&self, _values: &Personalisation) -> Vec<&str> {
        unimplemented!()
    }

    /// The text with the values put in, as they are. A placeholder without a value stays as typed.
    #[must_use]
    pub fn fill(&self, _values: &Personalisation, _lists: Lists) -> String {
        unimplemented!()
    }
}
