//! Lists: where one ends, and what its items are.

use std::borrow::Cow;
use std::iter;
use std::sync::LazyLock;

use regex::Regex;

use super::block_rules::{is_rule, without_line_starts};
use super::definition;
use super::source::{Source, after_char, line, next_line, skip_newlines, skip_spaces};
use crate::whitespace::is_space;

/// The bullet or number at `at`: whether it is a number, and where it ends. No space has to follow.
fn marker(text: &str, at: usize) -> Option<(bool, usize)> {
    let rest = &text[at..];
    if rest.starts_with(['•', '*', '-']) {
        return Some((false, after_char(text, at)));
    }
    number_end(rest).map(|end| (true, at + end))
}

/// The end of `1.` at the start of `text`. Digits of every script count.
fn number_end(text: &str) -> Option<usize> {
    static NUMBER: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^\d+\.").expect("a constant pattern"));
    NUMBER.find(text).map(|number| number.end())
}

/// A list at `at`: whether its first item is numbered, and where it ends.
pub(super) fn list(source: &Source, at: usize) -> Option<(bool, usize)> {
    let text = source.text;
    let start = skip_spaces(text, at);
    let (ordered, marker_end) = marker(text, start)?;
    let indent = &text[at..start];
    if marker_end == text.len() {
        return None;
    }
    let first = after_char(text, marker_end);
    let visible_end = source.visible_end.max(first);
    let mut from = first;
    while let Some(newline) = text[from..].find('\n').map(|found| from + found) {
        if newline > visible_end {
            break;
        }
        let next = skip_newlines(text, newline);
        if ends_before(text, next, next - newline, indent) {
            return Some((ordered, next));
        }
        from = next;
    }
    Some((ordered, text.len()))
}

/// Whether a list ends before the line at `next`, after so many newlines.
fn ends_before(text: &str, next: usize, newlines: usize, indent: &str) -> bool {
    let line = line(text, next);
    is_rule(line.strip_prefix(indent).unwrap_or(line))
        || definition::link(text, next).is_some()
        || definition::footnote(text, next).is_some()
        || match newlines {
            1 => false,
            2 => !(line.starts_with(' ') || indent.is_empty() && is_spaced_item(text, next)),
            _ => true,
        }
}

fn is_spaced_item(text: &str, at: usize) -> bool {
    marker(text, at).is_some_and(|(_, end)| text[end..].starts_with(' '))
}

/// Whether a paragraph ends before this line because a list begins there. Other than for the list itself, a space has to
/// follow the marker; `•` is none, but `+` and `*1.` are.
pub(super) fn interrupts_paragraph(text: &str, at: usize) -> bool {
    let rest = &text[skip_spaces(text, at)..];
    let after_bullet = rest.strip_prefix(['*', '+', '-']).unwrap_or(rest);
    let has_bullet = after_bullet.len() < rest.len();
    let after_number = number_end(after_bullet).map_or(after_bullet, |end| &after_bullet[end..]);
    let has_number = after_number.len() < after_bullet.len();
    (has_bullet || has_number) && after_number.strip_prefix(' ').is_some_and(|rest| !rest.is_empty())
}

/// An item without its marker, and whether its texts are paragraphs.
pub(super) struct Item<'t> {
    pub(super) text: Cow<'t, str>,
    pub(super) loose: bool,
}

/// The items of the list that `text` consists of.
pub(super) fn items(text: &str) -> impl Iterator<Item = Item<'_>> {
    let mut sources = split(text).peekable();
    let mut gap_before = false;
    iter::from_fn(move || {
        let text = without_marker(sources.next()?);
        let mut loose = gap_before || has_gap(&text);
        if sources.peek().is_some() && !text.is_empty() {
            gap_before = text.ends_with('\n');
            loose = loose || gap_before;
        }
        Some(Item { text, loose })
    })
}

/// An item reaches to the next line with a marker at the same indentation.
fn split(text: &str) -> impl Iterator<Item = &str> {
    let indent = &text[..skip_spaces(text, 0)];
    let starts_item =
        move |at: &usize| text[*at..].starts_with(indent) && marker(text, at + indent.len()).is_some();
    let mut start = Some(0);
    iter::from_fn(move || {
        let from = start?;
        start = iter::successors(next_line(text, from), |at| next_line(text, *at)).find(starts_item);
        Some(&text[from..start.map_or(text.len(), |next| next - 1)])
    })
}

/// The item without its marker and, if a line of it is indented, without as much of each line's indentation as the
/// marker took up.
fn without_marker(item: &str) -> Cow<'_, str> {
    let Some((_, marker_end)) = marker(item, skip_spaces(item, 0)) else { return item.into() };
    let width = item[..marker_end].chars().count();
    let rest = &item[marker_end..];
    if !rest.contains("\n ") {
        return rest.into();
    }
    let outdented = without_line_starts(rest, |line| {
        let indent = line.len() - line.trim_start_matches(' ').len();
        &line[indent.min(width)..]
    });
    outdented.into()
}

/// Whether there is an empty line with anything after it.
fn has_gap(item: &str) -> bool {
    item.find("\n\n").is_some_and(|gap| item[gap..].contains(|c| !is_space(c)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rest(text: &str) -> Option<&str> {
        list(&Source::new(text), 0).map(|(_, end)| &text[end..])
    }

    #[test]
    fn lists_end_at_two_empty_lines_or_one_and_no_item() {
        for (text, after) in [
            ("* a\n* b", ""),
            ("* a\nb", ""),
            ("* a\n\nb", "b"),
            ("* a\n\n* b", ""),
            ("* a\n\n b", ""),
            ("* a\n\n*b", "*b"),
            ("* a\n\n\n* b", "* b"),
            ("* a\n---\n* b", "---\n* b"),
            ("* a\n[k]: u\n* b", "[k]: u\n* b"),
            ("*\n\n\nb", "b"),
        ] {
            assert_eq!(rest(text), Some(after), "{text}");
        }
        assert_eq!(rest("*"), None);
        assert_eq!(rest("1 a"), None);
    }

    #[test]
    fn items_lose_marker_and_indentation() {
        let found: Vec<_> =
            items("* a\n  b\n*c\n\n* d").map(|item| (item.text.into_owned(), item.loose)).collect();
        assert_eq!(found, [("a\n b".to_owned(), false), ("c\n".to_owned(), true), (" d".to_owned(), true)]);
    }

    #[test]
    fn digits_of_every_script_count() {
        assert_eq!(list(&Source::new("٣. a"), 0), Some((true, 5)));
        assert_eq!(list(&Source::new("½. a"), 0), None);
    }
}
