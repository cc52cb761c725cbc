//! How the simple blocks look: each function says whether its block starts at a position, what is in it, and where it
//! ends.

use std::sync::LazyLock;

use regex::Regex;

use super::Level;
use super::source::{line, line_end, next_line, skip_newlines, skip_spaces};
use crate::whitespace::is_space;

/// `---`, and any other three of `-`, `*` and `_`.
pub(super) fn rule(text: &str, at: usize) -> Option<usize> {
    (skip_spaces(text, at) - at <= 3 && is_rule(line(text, at).trim_start_matches(' ')))
        .then(|| skip_newlines(text, line_end(text, at)))
}

/// Three or more of the marks, and spaces after each.
pub(super) fn is_rule(line: &str) -> bool {
    let marks = line.bytes().filter(|b| matches!(b, b'-' | b'*' | b'_')).count();
    marks >= 3 && !line.starts_with(' ') && line.bytes().all(|b| matches!(b, b'-' | b'*' | b'_' | b' '))
}

/// `# x`: how many hashes, the text, the end.
pub(super) fn heading(text: &str, at: usize) -> Option<(usize, &str, usize)> {
    static HEADING: LazyLock<Regex> =
        LazyLock::new(|| Regex::new("^ *(#{1,6}) *([^\n]+?) *#* *$").expect("a constant pattern"));
    if !text[skip_spaces(text, at)..].starts_with('#') {
        return None;
    }
    let found = HEADING.captures(line(text, at))?;
    let end = skip_newlines(text, line_end(text, at));
    Some((found.get(1)?.len(), found.get(2)?.as_str(), end))
}

/// A line with `===` or `---` under it.
pub(super) fn underlined(text: &str, at: usize) -> Option<(Level, &str, usize)> {
    let title = line(text, at);
    let under = next_line(text, at)?;
    let marks = line(text, under).trim_matches(' ');
    let is_underline = !marks.is_empty() && marks.bytes().all(|b| matches!(b, b'=' | b'-'));
    // Of mixed marks the last one counts.
    let level = if marks.ends_with('=') { Level::One } else { Level::Two };
    (!title.is_empty() && is_underline).then(|| (level, title, skip_newlines(text, line_end(text, under))))
}

/// Lines indented by four spaces, and the empty lines among and after them.
pub(super) fn indented_code(text: &str, at: usize) -> Option<usize> {
    let mut end = at;
    while text[end..].starts_with("    ") && line(text, end).len() > 4 {
        end = skip_newlines(text, line_end(text, end));
    }
    (end > at).then_some(end)
}

/// `^ x`, the lines that follow it, and the insets that follow those.
pub(super) fn inset(text: &str, at: usize) -> Option<usize> {
    let mut end = at;
    while starts_with_mark_and_more(text, end, '^') {
        while !line(text, end).is_empty() {
            end = (line_end(text, end) + 1).min(text.len());
        }
        end = skip_newlines(text, end);
    }
    (end > at).then_some(end)
}

/// After any spaces the mark, and anything after it.
pub(super) fn starts_with_mark_and_more(text: &str, at: usize, mark: char) -> bool {
    line(text, skip_spaces(text, at)).strip_prefix(mark).is_some_and(|more| !more.is_empty())
}

/// A table whose rows begin with `|`.
pub(super) fn table_with_edges(text: &str, at: usize) -> Option<usize> {
    let head = line(text, at).trim_start_matches(' ').strip_prefix('|')?;
    let second = next_line(text, at)?;
    let marks = line(text, second).trim_start_matches(' ').strip_prefix('|')?.trim_start_matches(' ');
    let is_table = !head.is_empty() && marks.starts_with(['-', ':']) && marks.bytes().all(is_alignment);
    let rows = next_line(text, second).filter(|_| is_table)?;
    Some(skip_rows(text, rows, |row| row.trim_start_matches(' ').starts_with('|')))
}

/// A table whose rows have a `|` somewhere.
pub(super) fn table(text: &str, at: usize) -> Option<usize> {
    let head = line(text, at).trim_start_matches(' ');
    let mut chars = head.chars();
    let starts_visibly = chars.next().is_some_and(|c| !is_space(c));
    let second = next_line(text, at).filter(|_| starts_visibly && chars.as_str().contains('|'))?;
    let marks = line(text, second).trim_start_matches(' ');
    let after_first = marks.trim_start_matches(['-', ':']);
    let is_table = after_first.len() < marks.len()
        && after_first.trim_start_matches(' ').starts_with('|')
        && after_first.bytes().all(is_alignment);
    let rows = next_line(text, second).filter(|_| is_table)?;
    Some(skip_rows(text, rows, |row| row.contains('|')))
}

fn is_alignment(byte: u8) -> bool {
    matches!(byte, b'-' | b'|' | b' ' | b':')
}

fn skip_rows(text: &str, rows: usize, is_row: impl Fn(&str) -> bool) -> usize {
    let mut end = rows;
    while end < text.len() && is_row(line(text, end)) {
        end = next_line(text, end).unwrap_or(text.len());
    }
    skip_newlines(text, end)
}

/// Each line without what `pattern` (anchored to the start) takes off it.
pub(super) fn without_line_starts(text: &str, strip: impl Fn(&str) -> &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (index, line) in text.split('\n').enumerate() {
        if index > 0 {
            out.push('\n');
        }
        out.push_str(strip(line));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_take_three_marks_of_any_kind() {
        for text in ["---", "   * - _  ", "______"] {
            assert_eq!(rule(text, 0), Some(text.len()), "{text}");
        }
        for text in ["--", "    ---", "--- x", " "] {
            assert_eq!(rule(text, 0), None, "{text}");
        }
    }

    #[test]
    fn headings_keep_at_least_one_character() {
        for (text, hashes, title) in [
            ("# H ##", 1, "H"),
            ("  ##H", 2, "H"),
            ("##", 1, "#"),
            ("#   ", 1, " "),
            ("# #", 1, "#"),
            ("####### x", 6, "# x"),
            ("# a # b", 1, "a # b"),
        ] {
            assert_eq!(heading(text, 0), Some((hashes, title, text.len())), "{text}");
        }
        assert_eq!(heading("#", 0), None);
        assert_eq!(heading("x # y", 0), None);
    }

    #[test]
    fn of_mixed_underlines_the_last_mark_counts() {
        assert_eq!(underlined("a\n-=\n\nb", 0), Some((Level::One, "a", 6)));
        assert_eq!(underlined("a\n =- ", 0), Some((Level::Two, "a", 6)));
        assert_eq!(underlined("a\n", 0), None);
        assert_eq!(underlined("a\n- x", 0), None);
    }

    #[test]
    fn tables_need_a_line_of_marks() {
        assert_eq!(table("a | b\n--|--\nc|d\ne", 0), Some(16));
        assert_eq!(table_with_edges("|a|\n|-|\n|b|\n\nx", 0), Some(13));
        assert_eq!(table("a | b\nc | d\n", 0), None);
    }
}
