//! Positions in the text: lines, runs of newlines and spaces. All positions are bytes, on character boundaries.

use std::cell::OnceCell;

use super::fence;
use super::tag;
use crate::whitespace::is_space;

/// A text whose blocks are being looked for, and what is found out about it once and used often.
pub(super) struct Source<'t> {
    pub(super) text: &'t str,
    /// Where the white space at its end begins.
    pub(super) visible_end: usize,
    fence_closers: OnceCell<fence::Closers>,
    tag_ends: OnceCell<tag::Ends<'t>>,
}

impl<'t> Source<'t> {
    /// Empty lines at the end do not count.
    pub(super) fn new(text: &'t str) -> Self {
        let text = text.trim_end_matches('\n');
        let visible_end = text.trim_end_matches(is_space).len();
        Self { text, visible_end, fence_closers: OnceCell::new(), tag_ends: OnceCell::new() }
    }

    pub(super) fn fence_closers(&self) -> &fence::Closers {
        self.fence_closers.get_or_init(|| fence::Closers::find(self.text))
    }

    pub(super) fn tag_ends(&self) -> &tag::Ends<'t> {
        self.tag_ends.get_or_init(|| tag::Ends::of_blocks(self.text, self.visible_end))
    }
}

const TAB_WIDTH: usize = 4;

/// One kind of line end, no tabs, and nothing on lines that look empty.
pub(super) fn tidied(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut column = 0;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\r' | '\n' | '\u{2424}' => {
                if c == '\r' {
                    chars.next_if_eq(&'\n');
                }
                end_line(&mut out);
                out.push('\n');
                // U+2424 stands for a line end, but tabs are measured before it does.
                column = if c == '\u{2424}' { column + 1 } else { 0 };
            }
            '\t' => {
                let width = TAB_WIDTH - column % TAB_WIDTH;
                out.extend(std::iter::repeat_n(' ', width));
                column += width;
            }
            _ => {
                out.push(c);
                column += 1;
            }
        }
    }
    end_line(&mut out);
    out
}

/// Forgets the spaces of a line of nothing else.
fn end_line(out: &mut String) {
    let without_spaces = out.trim_end_matches(' ').len();
    if without_spaces == 0 || out[..without_spaces].ends_with('\n') {
        out.truncate(without_spaces);
    }
}

/// Where the line at `at` ends: at its newline, or at the end of the text.
pub(super) fn line_end(text: &str, at: usize) -> usize {
    text[at..].find('\n').map_or(text.len(), |length| at + length)
}

pub(super) fn line(text: &str, at: usize) -> &str {
    &text[at..line_end(text, at)]
}

/// The start of the next line, if there is one.
pub(super) fn next_line(text: &str, at: usize) -> Option<usize> {
    let end = line_end(text, at);
    (end < text.len()).then_some(end + 1)
}

pub(super) fn skip(text: &str, at: usize, byte: u8) -> usize {
    at + text.as_bytes()[at..].iter().take_while(|b| **b == byte).count()
}

pub(super) fn skip_spaces(text: &str, at: usize) -> usize {
    skip(text, at, b' ')
}

pub(super) fn skip_newlines(text: &str, at: usize) -> usize {
    skip(text, at, b'\n')
}

/// White space of any kind.
pub(super) fn skip_white_space(text: &str, at: usize) -> usize {
    text.len() - text[at..].trim_start_matches(is_space).len()
}

/// What a regular expression calls `\w`.
pub(super) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

pub(super) fn skip_word(text: &str, at: usize) -> usize {
    text.len() - text[at..].trim_start_matches(is_word).len()
}

/// The position after the character at `at`, which must not be the end.
pub(super) fn after_char(text: &str, at: usize) -> usize {
    at + text[at..].chars().next().map_or(1, char::len_utf8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_tabs_and_empty_lines_are_tidied() {
        assert_eq!(tidied("a\r\nb\rc\n\t\n  \nd\te\u{2424}  "), "a\nb\nc\n\n\nd   e\n");
        assert_eq!(tidied(" "), "");
        assert_eq!(tidied("é\tx"), "é   x");
    }
}
