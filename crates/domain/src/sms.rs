//! Text messages: from template to what is sent and what it is charged as.
//!
//! The order of the steps is GOV.UK Notify's: fill, prefix, white space, typographic characters.

use std::collections::HashSet;
use std::sync::LazyLock;

use regex::Regex;

use crate::gsm;
use crate::template::{Lists, Missing, Personalisation, Template};
use crate::whitespace::{self, is_space};

/// The longest text, in UTF-16 units, prefix excluded.
pub const CHARACTER_LIMIT: usize = 918;

/// How much fits into one message, and into each of several.
const GSM: Sizes = Sizes { alone: 160, joined: 153 };
const UCS2: Sizes = Sizes { alone: 70, joined: 67 };

#[derive(Clone, Copy)]
struct Sizes {
    alone: usize,
    joined: usize,
}

/// Stands for a placeholder while white space is cleaned, when no values are given at all. Looked for only in a template that
/// has placeholders, which is never sent without values.
const STAND_IN: char = '\u{fdd0}';
const STAND_IN_TEXT: &str = "\u{fdd0}";

/// In bytes, as filled. A longer text is not written; more than any one value of a request can be, and ten thousand times
/// what is sent.
const WRITING_LIMIT: usize = 10_000_000;

/// Why a text is not sent, in the words of the HTTP API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsendable {
    #[error("Your message is empty.")]
    Empty,
    #[error(
        "Your message is too long. Text messages cannot be longer than {CHARACTER_LIMIT} characters. \
         Your message is {length} characters long."
    )]
    TooLong { length: usize },
}

/// A text, ready to send.
#[derive(Clone, PartialEq, Eq)]
pub struct Sms {
    text: String,
    /// UTF-16 units of `text`.
    length: usize,
    length_without_prefix: usize,
    /// Characters that take two places in GSM.
    extended: usize,
    /// In order of first use.
    ucs2_characters: Vec<char>,
    is_written: bool,
}

impl Sms {
    /// Fills the template, puts `prefix` (a service's name) in front, cleans white space, replaces typographic characters.
    #[must_use]
    pub fn render(content: &str, values: &Personalisation, prefix: Option<&str>) -> Self {
        Self::from_template(&Template::parse(content), values, prefix)
    }

    /// [`Self::render`] with a template that is already taken apart.
    #[must_use]
    pub fn from_template(template: &Template, values: &Personalisation, prefix: Option<&str>) -> Self {
        let prefix = prefix.filter(|prefix| !prefix.is_empty());
        let shows_template = values.as_map().is_empty() && !template.placeholders.is_empty();
        let missing = if shows_template { Missing::StandIn(STAND_IN_TEXT) } else { Missing::AsTyped };
        let filling = template.filling(values, Lists::Sentence, missing);
        if filling.size() > WRITING_LIMIT {
            return Self::unwritten(filling.size());
        }
        let filled = filling.text();
        let mut text = gsm::replaced(&cleaned(&match prefix {
            Some(prefix) => format!("{}: {filled}", prefix.trim_matches(is_space)),
            None => filled,
        }));
        if shows_template {
            text.retain(|c| c != STAND_IN);
        }
        // The prefix counts as it was given, with its colon and space, whatever cleaning left of them.
        let prefix_length = prefix.map_or(0, |prefix| units(&gsm::replaced(prefix)) + 2);
        let length = units(&text);
        Self {
            length,
            length_without_prefix: length.saturating_sub(prefix_length),
            extended: text.chars().filter(|c| gsm::is_extended(*c)).count(),
            ucs2_characters: distinct(text.chars().filter(|c| !gsm::is_gsm(*c))),
            text,
            is_written: true,
        }
    }

    fn unwritten(bytes: usize) -> Self {
        Self {
            text: String::new(),
            length: bytes,
            length_without_prefix: bytes,
            extended: 0,
            ucs2_characters: Vec::new(),
            is_written: false,
        }
    }

    /// Whether there is a text. One of more than ten million bytes is not written, and its length is given in bytes.
    #[must_use]
    pub fn is_written(&self) -> bool {
        self.is_written
    }

    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// How many messages it is charged as.
    #[must_use]
    pub fn fragments(&self) -> usize {
        let (places, sizes) = self.places();
        if places <= sizes.alone { 1 } else { places.div_ceil(sizes.joined) }
    }

    /// How far it reaches into the last of its messages.
    #[must_use]
    pub fn places_in_last_fragment(&self) -> usize {
        let (places, sizes) = self.places();
        let before = match self.fragments() {
            1 => 0,
            2 => sizes.alone,
            fragments => (fragments - 1) * sizes.joined,
        };
        places.saturating_sub(before)
    }

    fn places(&self) -> (usize, Sizes) {
        if self.ucs2_characters.is_empty() { (self.length + self.extended, GSM) } else { (self.length, UCS2) }
    }

    /// UTF-16 units.
    #[must_use]
    pub fn length(&self) -> usize {
        self.length
    }

    /// UTF-16 units without the prefix.
    #[must_use]
    pub fn length_without_prefix(&self) -> usize {
        self.length_without_prefix
    }

    /// How many characters take two places.
    #[must_use]
    pub fn extended_characters(&self) -> usize {
        self.extended
    }

    /// The characters, in order of first use, for which the whole message is sent as UCS-2.
    #[must_use]
    pub fn ucs2_characters(&self) -> &[char] {
        &self.ucs2_characters
    }

    /// # Errors
    /// When it is empty or too long to send.
    pub fn sendable(&self) -> Result<(), Unsendable> {
        if self.is_empty() {
            Err(Unsendable::Empty)
        } else if self.is_too_long() {
            Err(Unsendable::TooLong { length: self.length_without_prefix })
        } else {
            Ok(())
        }
    }

    #[must_use]
    pub fn is_too_long(&self) -> bool {
        self.length_without_prefix() > CHARACTER_LIMIT
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length_without_prefix() == 0
    }
}

impl std::fmt::Debug for Sms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sms(…)")
    }
}

/// UTF-16 units.
fn units(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

/// Each once, in order of first use.
fn distinct(characters: impl Iterator<Item = char>) -> Vec<char> {
    let mut seen = HashSet::new();
    characters.filter(|c| seen.insert(*c)).collect()
}

/// Single spaces, none before a comma or full stop, at most one empty line in a row, none at the ends.
fn cleaned(text: &str) -> String {
    static BEFORE_PUNCTUATION: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"[ \t]+([,.])").expect("a constant pattern"));
    let tight = BEFORE_PUNCTUATION.replace_all(text, "$1");
    let mut out = String::with_capacity(tight.len());
    let mut empty_lines = 0;
    for (index, line) in whitespace::lines(&tight).map(whitespace::normalised).enumerate() {
        empty_lines = if line.is_empty() { empty_lines + 1 } else { 0 };
        if empty_lines > 1 {
            continue;
        }
        if index > 0 {
            out.push('\n');
        }
        out.push_str(&line);
    }
    out.trim_matches(is_space).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(content: &str) -> String {
        Sms::render(content, &Personalisation::default(), None).text
    }

    #[test]
    fn white_space_is_cleaned_in_order() {
        assert_eq!(text("  a  \t b \n\n\n\n c  , d . e\u{a0}f"), "a b\n\nc, d. e f");
        assert_eq!(text("\n\n a\r\n\r\n\r\nb\n"), "a\n\nb");
    }

    #[test]
    fn the_prefix_is_sent_but_does_not_count() {
        let sms = Sms::render("b", &Personalisation::default(), Some(" Svc "));
        assert_eq!((sms.text(), sms.length(), sms.is_empty()), ("Svc: b", 6, true));
        assert_eq!(Sms::render("bb", &Personalisation::default(), Some("Svc")).length_without_prefix(), 2);
    }

    #[test]
    fn any_character_is_sent_and_counted_in_utf_16() {
        for (content, length, fragments) in [
            ("ж".repeat(70), 70, 1),
            ("ж".repeat(71), 71, 2),
            ("😀".repeat(35), 70, 1),
            ("😀".repeat(36), 72, 2),
            (format!("{}ж", "€".repeat(69)), 70, 1),
            (format!("{}ж", "€".repeat(70)), 71, 2),
            (format!("{}–", "a".repeat(159)), 160, 1),
            (format!("{}ж", "a".repeat(159)), 160, 3),
            ("ж".repeat(918), 918, 14),
            // Characters that no text holds while a template is shown without values.
            ("\u{fdd0}\u{fdd0}".to_owned(), 2, 1),
        ] {
            let sms = Sms::render(&content, &Personalisation::default(), None);
            assert_eq!((sms.length(), sms.fragments()), (length, fragments), "{content}");
            assert_eq!(sms.text(), content.replace('–', "-"));
        }
    }

    #[test]
    fn a_text_of_gigabytes_is_too_long_and_not_written() {
        let value = serde_json::Value::from("x".repeat(1_000_000));
        let values = Personalisation::new([("a".to_owned(), value)].into_iter().collect());
        let sms = Sms::render(&"((a))".repeat(1_000), &values, None);
        assert_eq!(sms.sendable(), Err(Unsendable::TooLong { length: 1_000_000_000 }));
        assert!(!sms.is_written());
        let sms = Sms::render("((a))", &values, Some("Svc"));
        assert_eq!(sms.sendable(), Err(Unsendable::TooLong { length: 1_000_000 }));
        assert!(sms.is_written());
    }

    #[test]
    fn debug_shows_no_text() {
        assert_eq!(format!("{:?}", Sms::render("Dear Rosa", &Personalisation::default(), None)), "Sms(…)");
    }
}
