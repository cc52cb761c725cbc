//! White space as GOV.UK Notify means it, which is how Python means it: what is a space, what is a line, what is invisible.

use std::sync::LazyLock;

use regex::Regex;

/// Takes no room on the screen; removed from numbers, addresses and the items of a list.
pub const ZERO_WIDTH: [char; 8] =
    ['\u{180e}', '\u{200b}', '\u{200c}', '\u{200d}', '\u{2060}', '\u{feff}', '\u{2028}', '\u{2029}'];

/// The same without U+200D, which makes one picture of several: removed where people read.
pub const ZERO_WIDTH_IN_TEXT: [char; 7] =
    ['\u{180e}', '\u{200b}', '\u{200c}', '\u{2060}', '\u{feff}', '\u{2028}', '\u{2029}'];

/// Looks like a space, but joins the words around it.
pub const NON_BREAKING: [char; 2] = ['\u{a0}', '\u{202f}'];

/// Python's `str.isspace`: Unicode's white space and the four ASCII separators.
#[must_use]
pub fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{1c}'..='\u{1f}')
}

/// Python's `string.whitespace`.
#[must_use]
pub fn is_ascii_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{b}' | '\u{c}')
}

/// Whether nobody would see anything: white space, controls, what Unicode says that a program shows as nothing (U+200B and
/// all its kin), and Braille's pattern without a dot.
#[must_use]
pub fn shows_nothing(text: &str) -> bool {
    static NOTHING: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"^[\p{White_Space}\p{Cc}\p{Default_Ignorable_Code_Point}\x{2800}]*$")
            .expect("a constant pattern")
    });
    NOTHING.is_match(text)
}

/// Zero-width characters and non-breaking spaces go, wherever they are; then the ends are trimmed of ASCII spaces.
#[must_use]
pub fn without_invisible(text: &str) -> String {
    let visible: String =
        text.chars().filter(|c| !ZERO_WIDTH.contains(c) && !NON_BREAKING.contains(c)).collect();
    visible.trim_matches(is_ascii_space).to_owned()
}

/// One line: invisible characters go, the ends are trimmed, every run of white space becomes one space.
#[must_use]
pub fn normalised(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut space_due = false;
    for c in line.chars().filter(|c| !ZERO_WIDTH_IN_TEXT.contains(c)) {
        if is_space(c) {
            space_due = !out.is_empty();
        } else {
            if std::mem::take(&mut space_due) {
                out.push(' ');
            }
            out.push(c);
        }
    }
    out
}

/// Python's `str.splitlines`: every kind of line end ends a line, and the last line needs none.
pub fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let Some((at, end)) = rest.char_indices().find(|(_, c)| is_line_end(*c)) else {
            return Some(std::mem::take(&mut rest));
        };
        let line = &rest[..at];
        let end_length = if rest[at..].starts_with("\r\n") { 2 } else { end.len_utf8() };
        rest = &rest[at + end_length..];
        Some(line)
    })
}

fn is_line_end(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_white_space_become_one_space_and_ends_are_trimmed() {
        assert_eq!(normalised(" \u{a0}a \t\u{200b} b\u{202f}c\u{1f}"), "a b c");
        assert_eq!(normalised(" 👩\u{200d}👧 "), "👩\u{200d}👧");
    }

    #[test]
    fn every_line_end_counts_and_a_last_one_opens_no_line() {
        assert_eq!(lines("a\r\nb\rc\u{2028}d\n\ne\n").collect::<Vec<_>>(), ["a", "b", "c", "d", "", "e"]);
        assert_eq!(lines("").count(), 0);
    }

    #[test]
    fn what_is_invisible_shows_nothing() {
        for text in [
            "",
            " \n\u{a0}\u{3000}",
            "\u{200b}",
            "\u{200c}\u{200d}\u{2060}\u{feff}\u{180e}\u{2028}",
            "\u{ad}\u{34f}\u{61c}\u{115f}\u{200e}\u{202e}\u{2063}\u{3164}\u{fe0f}\u{ffa0}\u{e0041}",
            "\u{7f}\u{1f}\u{85}\u{2800}",
        ] {
            assert!(shows_nothing(text), "{text:?}");
        }
        for text in ["a", "\u{200b}.", "\u{200d}❤\u{fe0f}", "\u{fffd}", "\u{301}"] {
            assert!(!shows_nothing(text), "{text:?}");
        }
    }

    #[test]
    fn invisible_characters_go_but_spaces_inside_stay() {
        assert_eq!(without_invisible("\u{feff} a\u{a0} b \n"), "a b");
    }
}
