//! `((placeholder))` templates: taken apart once, filled for each person.
//!
//! Values are put in as text and never looked at again for placeholders.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use crate::html;
pub use crate::personalisation::{Lists, Personalisation};
use crate::personalisation::{is_yes, key, spelling};

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
    /// One character that the caller finds again.
    StandIn(char),
}

/// A template's text, taken apart once.
#[derive(Clone, Debug)]
pub struct Template {
    text: String,
    placeholders: Vec<Placeholder>,
    escapes_html: bool,
}

/// `((name))` or `((name??shown if the value is a yes))`: where in the text its parts are.
#[derive(Clone, Debug)]
struct Placeholder {
    whole: Range<usize>,
    name: Range<usize>,
    condition: Option<Range<usize>>,
    /// What its name is matched by.
    key: String,
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

    fn distinct(&self) -> impl Iterator<Item = &Placeholder> {
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
        let values = self.values(values);
        let mut out = String::with_capacity(self.text.len());
        let mut done = 0;
        for placeholder in &self.placeholders {
            out.push_str(&self.text[done..placeholder.whole.start]);
            match values.get(&placeholder.key).and_then(|value| spelling(value, lists)) {
                Some(value) => self.push_value(&mut out, placeholder, &value),
                None => self.push_missing(&mut out, placeholder, missing),
            }
            done = placeholder.whole.end;
        }
        out.push_str(&self.text[done..]);
        out
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

    fn push_value(&self, out: &mut String, placeholder: &Placeholder, value: &str) {
        match &placeholder.condition {
            Some(text) if is_yes(value) => out.push_str(&self.text[text.clone()]),
            Some(_) => {}
            None if self.escapes_html => out.push_str(&html::escape(value)),
            None => out.push_str(value),
        }
    }

    fn push_missing(&self, out: &mut String, placeholder: &Placeholder, missing: Missing) {
        let typed = &self.text[placeholder.whole.clone()];
        let name = &self.text[placeholder.name.clone()];
        let condition = placeholder.condition.clone().map(|text| &self.text[text]);
        match (missing, condition) {
            (Missing::StandIn(c), _) => out.push(c),
            (Missing::Hidden, _) => out.push_str("[hidden]"),
            (Missing::HiddenInHtml, _) => out.push_str("<span class='placeholder-redacted'>hidden</span>"),
            (Missing::AsTyped, _) | (Missing::WithoutBrackets, Some(_)) => out.push_str(typed),
            (Missing::WithoutBrackets, None) => out.push_str(name),
            (Missing::AsTypedInHtml | Missing::WithoutBracketsInHtml, Some(text)) => {
                out.extend([
                    "<span class='placeholder-conditional'>&#40;&#40;",
                    name,
                    "??</span>",
                    text,
                    "&#41;&#41;",
                ]);
            }
            (Missing::AsTypedInHtml, None) => {
                out.extend(["<span class='placeholder'>&#40;&#40;", name, "&#41;&#41;</span>"]);
            }
            (Missing::WithoutBracketsInHtml, None) => {
                out.extend(["<span class='placeholder-no-brackets'>", name, "</span>"]);
            }
        }
    }
}
