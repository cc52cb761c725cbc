//! `((placeholder))` templates: taken apart once, filled for each person.
//!
//! Values are put in as text and never looked at again for placeholders.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use crate::filling::Filling;
use crate::html;
use crate::personalisation::key;
pub use crate::personalisation::{Lists, Personalisation};

/// What stands in a filled text for a placeholder without a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Missing {
    /// `((name))`
    #[default]
    AsTyped,
    /// `name`; a conditional stays as typed.
    WithoutBrackets,
    /// `[hidden]`, for texts of which not even the names may be read.
    Hidden,
    /// The same three, in HTML that a style sheet can find.
    AsTypedInHtml,
    WithoutBracketsInHtml,
    HiddenInHtml,
    /// A mark that the caller finds again.
    StandIn(&'static str),
}

/// A template's text, taken apart once.
#[derive(Clone, Debug)]
pub struct Template {
    pub(crate) text: String,
    pub(crate) placeholders: Vec<Placeholder>,
    pub(crate) escapes_html: bool,
}

/// The names that the texts of one version of a template use, however they are spelt.
#[derive(Clone, Debug, Default)]
pub struct UsedNames {
    plain: HashSet<String>,
    /// Of the same texts escaped, where entities that stand for brackets make placeholders of their own.
    escaped: HashSet<String>,
}

impl UsedNames {
    #[must_use]
    pub fn of<'t>(texts: impl IntoIterator<Item = &'t str>) -> Self {
        let keys = |template: Template| template.placeholders.into_iter().map(|placeholder| placeholder.key);
        let mut names = Self::default();
        for text in texts {
            names.plain.extend(keys(Template::parse(text)));
            names.escaped.extend(keys(Template::parse_for_html(text)));
        }
        names
    }

    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.plain.contains(&key(name)) || self.escaped.contains(&key(&html::escape(name)))
    }
}

/// `((name))` or `((name??shown if the value is a yes))`: where in the text its parts are.
#[derive(Clone, Debug)]
pub(crate) struct Placeholder {
    pub(crate) whole: Range<usize>,
    pub(crate) name: Range<usize>,
    pub(crate) condition: Option<Range<usize>>,
    /// What its name is matched by.
    pub(crate) key: String,
}

impl Template {
    /// Never fails: what is not a placeholder is text.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        Self::take_apart(text.to_owned(), false)
    }

    /// For HTML: content, names and values come out escaped. Names are then spelt escaped too, so ask [`Self::parse`]d
    /// templates for placeholders and missing values.
    #[must_use]
    pub fn parse_for_html(text: &str) -> Self {
        Self::take_apart(html::escape(text), true)
    }

    fn take_apart(text: String, escapes_html: bool) -> Self {
        static PLACEHOLDER: LazyLock<Regex> =
            LazyLock::new(|| Regex::new(r"\(\(([^()]+)\)\)").expect("a constant pattern"));
        let placeholders = PLACEHOLDER
            .find_iter(&text)
            .map(|found| {
                let body = found.start() + 2..found.end() - 2;
                let (name, condition) = match text[body.clone()].find("??") {
                    Some(at) => (body.start..body.start + at, Some(body.start + at + 2..body.end)),
                    None => (body, None),
                };
                Placeholder { whole: found.range(), key: key(&text[name.clone()]), name, condition }
            })
            .collect();
        Self { text, placeholders, escapes_html }
    }

    /// The distinct names in order of first use, as first spelt.
    #[must_use]
    pub fn placeholders(&self) -> Vec<&str> {
        self.distinct().map(|placeholder| &self.text[placeholder.name.clone()]).collect()
    }

    pub(crate) fn distinct(&self) -> impl Iterator<Item = &Placeholder> {
        let mut seen = HashSet::new();
        self.placeholders.iter().filter(move |placeholder| seen.insert(placeholder.key.as_str()))
    }

    /// The names without a value, in order.
    #[must_use]
    pub fn missing(&self, values: &Personalisation) -> Vec<&str> {
        let values = self.values(values);
        self.distinct()
            .filter(|placeholder| values.get(&placeholder.key).is_none_or(|value| value.is_null()))
            .map(|placeholder| &self.text[placeholder.name.clone()])
            .collect()
    }

    /// The given names that no placeholder uses, sorted.
    #[must_use]
    pub fn surplus<'v>(&self, values: &'v Personalisation) -> Vec<&'v str> {
        let used: HashSet<&str> =
            self.placeholders.iter().map(|placeholder| placeholder.key.as_str()).collect();
        let mut surplus: Vec<&str> = values
            .as_map()
            .keys()
            .map(String::as_str)
            .filter(|name| !used.contains(key(name).as_str()))
            .collect();
        surplus.sort_unstable();
        surplus
    }

    /// The text with the values put in, as they are. A placeholder without a value stays as typed.
    #[must_use]
    pub fn fill(&self, values: &Personalisation, lists: Lists) -> String {
        self.fill_marking(values, lists, Missing::AsTyped)
    }

    /// [`Self::fill`], with a choice of what stands for a placeholder without a value.
    #[must_use]
    pub fn fill_marking(&self, values: &Personalisation, lists: Lists, missing: Missing) -> String {
        self.filling(values, lists, missing).text()
    }

    /// [`Self::fill_marking`] for whoever has to know how long it gets before it is written.
    #[must_use]
    pub fn filling(&self, values: &Personalisation, lists: Lists, missing: Missing) -> Filling<'_> {
        Filling::new(self, &self.values(values), lists, missing)
    }

    fn values<'v>(&self, values: &'v Personalisation) -> HashMap<String, &'v Value> {
        if self.placeholders.is_empty() {
            HashMap::new()
        } else if self.escapes_html {
            values.by_key(html::escape)
        } else {
            values.by_key(str::to_owned)
        }
    }
}
