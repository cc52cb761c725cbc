//! A template with a person's values: how long the text is going to be, and the text.
//!
//! In this order, because a short request can ask for a very long text: a thousand placeholders times a value of a
//! megabyte. The size is added up without writing anything, and whoever fills decides with it whether to write at all.

use std::collections::HashMap;

use serde_json::Value;

use crate::html;
use crate::personalisation::{Lists, is_yes, spelling};
use crate::template::{Missing, Placeholder, Template};
use crate::whitespace::is_space;

/// See the module. `Debug` shows no text.
pub struct Filling<'t> {
    template: &'t Template,
    missing: Missing,
    /// By key. Each value is spelt once, in however many places it stands.
    values: HashMap<&'t str, Spelt>,
}

struct Spelt {
    text: String,
    is_yes: bool,
    is_blank: bool,
}

/// What comes next in the text.
#[derive(Clone, Copy)]
struct Piece<'f> {
    text: &'f str,
    /// Nothing but white space.
    is_blank: bool,
}

impl<'f> Piece<'f> {
    const NONE: Self = Self { text: "", is_blank: true };

    fn new(text: &'f str) -> Self {
        Self { text, is_blank: is_blank(text) }
    }
}

fn is_blank(text: &str) -> bool {
    text.chars().all(is_space)
}

impl<'t> Filling<'t> {
    /// `given` by key, for which a null stands in no text.
    pub(crate) fn new(
        template: &'t Template,
        given: &HashMap<String, &Value>,
        lists: Lists,
        missing: Missing,
    ) -> Self {
        let spelt = |placeholder: &'t Placeholder| {
            let text = spelling(given.get(&placeholder.key)?, lists)?;
            let is_yes = is_yes(&text);
            let text = if template.escapes_html { html::escape(&text) } else { text };
            Some((placeholder.key.as_str(), Spelt { is_yes, is_blank: is_blank(&text), text }))
        };
        Self { template, missing, values: template.distinct().filter_map(spelt).collect() }
    }

    /// In bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.pieces().map(|piece| piece.text.len()).sum()
    }

    /// In bytes, without the white space at both ends.
    #[must_use]
    pub fn trimmed_size(&self) -> usize {
        let mut pieces = self.pieces().skip_while(|piece| piece.is_blank);
        let Some(first) = pieces.next() else { return 0 };
        let mut size = first.text.trim_start_matches(is_space).len();
        let mut last = (first.text, size);
        for piece in pieces {
            size += piece.text.len();
            if !piece.is_blank {
                last = (piece.text, size);
            }
        }
        let (text, size) = last;
        size - (text.len() - text.trim_end_matches(is_space).len())
    }

    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::with_capacity(self.size());
        out.extend(self.pieces().map(|piece| piece.text));
        out
    }

    /// Without the white space at both ends, which is not written either.
    #[must_use]
    pub fn trimmed(&self) -> String {
        let size = self.trimmed_size();
        let mut out = String::with_capacity(size);
        for piece in self.pieces().skip_while(|piece| piece.is_blank) {
            let text = if out.is_empty() { piece.text.trim_start_matches(is_space) } else { piece.text };
            // What is cut off is the white space at the end, so this falls between two characters.
            let text = &text[..text.len().min(size - out.len())];
            out.push_str(text);
            if out.len() == size {
                break;
            }
        }
        out
    }

    fn pieces(&self) -> impl Iterator<Item = Piece<'_>> {
        let placeholders = &self.template.placeholders;
        let ends = std::iter::once(0).chain(placeholders.iter().map(|placeholder| placeholder.whole.end));
        let starts = placeholders.iter().map(|placeholder| placeholder.whole.start);
        let between = ends.zip(starts.chain([self.template.text.len()]));
        let between = between.map(|(from, to)| Piece::new(&self.template.text[from..to]));
        let mut placeholders = placeholders.iter();
        between.flat_map(move |before| {
            let filled = placeholders.next().map(|placeholder| self.filled(placeholder));
            std::iter::once(before).chain(filled.into_iter().flatten())
        })
    }

    /// What stands for a placeholder, in up to five pieces.
    fn filled<'f>(&'f self, placeholder: &Placeholder) -> [Piece<'f>; 5] {
        let Some(value) = self.values.get(placeholder.key.as_str()) else {
            return self.stand_in(placeholder).map(Piece::new);
        };
        let shown = match &placeholder.condition {
            Some(shown) if value.is_yes => Piece::new(&self.template.text[shown.clone()]),
            Some(_) => Piece::NONE,
            None => Piece { text: &value.text, is_blank: value.is_blank },
        };
        [shown, Piece::NONE, Piece::NONE, Piece::NONE, Piece::NONE]
    }

    fn stand_in<'f>(&'f self, placeholder: &Placeholder) -> [&'f str; 5] {
        let text = &self.template.text;
        let typed = &text[placeholder.whole.clone()];
        let name = &text[placeholder.name.clone()];
        let condition = placeholder.condition.clone().map(|condition| &text[condition]);
        match (self.missing, condition) {
            (Missing::StandIn(mark), _) => [mark, "", "", "", ""],
            (Missing::Hidden, _) => ["[hidden]", "", "", "", ""],
            (Missing::HiddenInHtml, _) => {
                ["<span class='placeholder-redacted'>hidden</span>", "", "", "", ""]
            }
            (Missing::AsTyped, _) | (Missing::WithoutBrackets, Some(_)) => [typed, "", "", "", ""],
            (Missing::WithoutBrackets, None) => [name, "", "", "", ""],
            (Missing::AsTypedInHtml | Missing::WithoutBracketsInHtml, Some(condition)) => [
                "<span class='placeholder-conditional'>&#40;&#40;",
                name,
                "??</span>",
                condition,
                "&#41;&#41;",
            ],
            (Missing::AsTypedInHtml, None) => {
                ["<span class='placeholder'>&#40;&#40;", name, "&#41;&#41;</span>", "", ""]
            }
            (Missing::WithoutBracketsInHtml, None) => {
                ["<span class='placeholder-no-brackets'>", name, "</span>", "", ""]
            }
        }
    }
}

impl std::fmt::Debug for Filling<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Filling").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;
    use crate::personalisation::Personalisation;

    fn values(pairs: &[(&str, Value)]) -> Personalisation {
        Personalisation::new(pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect())
    }

    #[test]
    fn sizes_are_those_of_the_texts() {
        let values = values(&[("a", json!(" \u{a0}é ")), ("blank", json!(" \n")), ("l", json!(["x", "y"]))]);
        for text in [
            "",
            " ",
            "x",
            " x ",
            "((blank))((a))((blank))",
            "((blank))((blank)) ",
            "((blank)) x ((a))((l))((none))((blank??y))\u{2003}",
            "((a)) ((a))",
            "((none??  ))",
        ] {
            let template = Template::parse(text);
            for missing in [Missing::AsTyped, Missing::AsTypedInHtml, Missing::StandIn("\u{fdd0}")] {
                let filling = template.filling(&values, Lists::Bullets, missing);
                let whole = filling.text();
                assert_eq!(filling.size(), whole.len(), "{text}");
                assert_eq!(filling.trimmed(), whole.trim_matches(is_space), "{text}");
                assert_eq!(filling.trimmed_size(), filling.trimmed().len(), "{text}");
            }
        }
    }

    #[test]
    fn a_size_that_no_memory_holds_is_known_at_once() {
        let template = Template::parse(&"((a))((blank))".repeat(100_000));
        let (value, blank) = ("x".repeat(8_000_000), " ".repeat(8_000_000));
        let values = values(&[("a", value.into()), ("blank", blank.into())]);
        let filling = template.filling(&values, Lists::Sentence, Missing::AsTyped);
        assert_eq!(filling.size(), 1_600_000_000_000);
        assert_eq!(filling.trimmed_size(), 1_600_000_000_000 - 8_000_000);
    }

    #[test]
    fn debug_shows_nothing_personal() {
        let template = Template::parse("((a))");
        let filling = template.filling(&Personalisation::new(Map::new()), Lists::Sentence, Missing::AsTyped);
        assert_eq!(format!("{filling:?}"), "Filling { .. }");
    }
}
