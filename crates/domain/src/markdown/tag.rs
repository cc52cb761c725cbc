//! HTML in the source. It is shown as typed, but nothing in it is Markdown. (In the HTML part of a mail everything from
//! outside is escaped before it comes here.)

use std::collections::HashMap;
use std::sync::LazyLock;

use regex::Regex;

use super::source::{Source, is_word, skip, skip_spaces, skip_word};
use crate::whitespace::is_space;

/// The longest opening tag, in bytes; a longer one is text. (A limit, so that no text makes us look far ahead again and
/// again.)
pub(super) const LIMIT: usize = 500;

/// Elements that do not begin a block.
const WITHIN_LINES: [&str; 33] = [
    "a", "em", "strong", "small", "s", "cite", "q", "dfn", "abbr", "data", "time", "code", "var", "samp",
    "kbd", "sub", "sup", "i", "b", "u", "mark", "ruby", "rt", "rp", "bdi", "bdo", "span", "br", "wbr", "ins",
    "del", "img", "font",
];

/// Where elements and comments could end, found once for a text.
pub(super) struct Ends<'t> {
    /// By the name of the element, the ends of its closing tags.
    elements: HashMap<&'t str, Vec<usize>>,
    comments: Vec<usize>,
}

impl<'t> Ends<'t> {
    /// Those anywhere in the text.
    pub(super) fn anywhere(text: &'t str) -> Self {
        Self::find(text, |_| true)
    }

    /// Those before an empty line or the end of the text.
    pub(super) fn of_blocks(text: &'t str, visible_end: usize) -> Self {
        Self::find(text, |end| block_end(text, end, visible_end).is_some())
    }

    fn find(text: &'t str, is_end: impl Fn(usize) -> bool) -> Self {
        let mut elements: HashMap<&str, Vec<usize>> = HashMap::new();
        for (start, opener) in text.match_indices("</") {
            let name = start + opener.len();
            let name_end = skip_word(text, name);
            if text[name_end..].starts_with('>') && is_end(name_end + 1) {
                elements.entry(&text[name..name_end]).or_default().push(name_end + 1);
            }
        }
        let comments = text.match_indices("-->").map(|(at, end)| at + end.len()).filter(|end| is_end(*end));
        Self { comments: comments.collect(), elements }
    }

    fn of_element(&self, name: &str, content: usize) -> Option<usize> {
        let ends = self.elements.get(name)?;
        first_from(ends, content + "</>".len() + name.len())
    }

    fn of_comment(&self, content: usize) -> Option<usize> {
        first_from(&self.comments, content + "-->".len())
    }
}

fn first_from(sorted: &[usize], from: usize) -> Option<usize> {
    sorted.get(sorted.partition_point(|end| *end < from)).copied()
}

/// Where a block that ends at `at` leaves off: after the empty lines, or at the end of the text.
fn block_end(text: &str, at: usize, visible_end: usize) -> Option<usize> {
    let after = skip_spaces(text, at);
    let newlines = skip(text, after, b'\n');
    if newlines >= after + 2 { Some(newlines) } else { (after >= visible_end).then_some(text.len()) }
}

/// The name of the element that opens at `at`, unless it is an address in angle brackets.
fn name(text: &str, at: usize) -> Option<&str> {
    let start = text[at..].starts_with('<').then_some(at + 1)?;
    let end = skip_word(text, start);
    let after = &text[end..];
    if end == start || after.starts_with(":/") {
        return None;
    }
    let is_address = after.trim_start_matches(|c| !is_word(c) && !is_space(c) && c != '@').starts_with('@');
    (!is_address).then(|| &text[start..end])
}

/// Whether an element that is a block of its own opens at `at`.
pub(super) fn opens_block(text: &str, at: usize) -> bool {
    name(text, at).is_some_and(|name| !WITHIN_LINES.contains(&name))
}

/// How an opening tag goes on after its name.
struct TagEnds {
    of_block: Regex,
    of_inline: Regex,
    alone: Regex,
}

static TAG_ENDS: LazyLock<TagEnds> = LazyLock::new(|| {
    const SPACE: &str = r"[\s\x1c-\x1f]*";
    let value = r#"(?:"[^"]*"|'[^']*'|[^\s\x1c-\x1f'">]+)"#;
    let attributes = format!("(?:{SPACE}[a-zA-Z-](?:{SPACE}={SPACE}{value})?)*?");
    let compiled = |end: &str| Regex::new(&format!("^{attributes}{end}")).expect("a constant pattern");
    TagEnds {
        of_block: compiled(">"),
        of_inline: compiled(&format!("{SPACE}>")),
        alone: compiled(&format!("{SPACE}/?>")),
    }
});

fn tag_end(text: &str, after_name: usize, pattern: &Regex) -> Option<usize> {
    let window = text.floor_char_boundary(after_name + LIMIT);
    pattern.find(&text[after_name..window]).map(|found| after_name + found.end())
}

/// A block of HTML at `at`: what is shown of it, and where it ends.
pub(super) fn block<'t>(source: &Source<'t>, at: usize) -> Option<(&'t str, usize)> {
    let text = source.text;
    let start = skip_spaces(text, at);
    let leave = |end: usize| block_end(text, end, source.visible_end);
    if text[start..].starts_with("<!--") {
        let end = leave(source.tag_ends().of_comment(start + 4)?)?;
        return Some((&text[at..end], end));
    }
    let name = name(text, start).filter(|name| !WITHIN_LINES.contains(name))?;
    let after_name = start + 1 + name.len();
    let tag = tag_end(text, after_name, &TAG_ENDS.alone)?;
    let element = tag_end(text, after_name, &TAG_ENDS.of_block)
        .and_then(|tag| source.tag_ends().of_element(name, tag))
        .and_then(|element| Some((&text[start..element], leave(element)?)));
    element.or_else(|| leave(tag).map(|end| (&text[at..end], end)))
}

/// Where the HTML in a line that begins at `at` ends: a comment, an element, or a tag.
pub(super) fn inline_end(text: &str, at: usize, ends: &Ends) -> Option<usize> {
    if text[at..].starts_with("<!--") {
        return ends.of_comment(at + 4);
    }
    let name = name(text, at)?;
    let after_name = at + 1 + name.len();
    let tag = tag_end(text, after_name, &TAG_ENDS.alone)?;
    tag_end(text, after_name, &TAG_ENDS.of_inline).and_then(|tag| ends.of_element(name, tag)).or(Some(tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Option<(&str, &str)> {
        block(&Source::new(text), 0).map(|(shown, end)| (shown, &text[end..]))
    }

    #[test]
    fn blocks_end_before_an_empty_line() {
        assert_eq!(
            shown(" <div a='>'>\n\nx</div> </div>\n\n\ny"),
            Some(("<div a='>'>\n\nx</div> </div>", "y"))
        );
        assert_eq!(shown(" <hr /> \n\ny"), Some((" <hr /> \n\n", "y")));
        assert_eq!(shown("<!-- a\n\nb -->"), Some(("<!-- a\n\nb -->", "")));
        for text in ["<div>\nx", "<b>x</b>", "<a@b.c>", "<https://x.y>", "<div", "< div>", "<!-- a"] {
            assert_eq!(shown(text), None, "{text}");
        }
    }

    #[test]
    fn inline_elements_end_at_their_closing_tag() {
        for (text, html) in [
            ("<b>*x*</b></b>", Some("<b>*x*</b>")),
            ("<i >x</b>", Some("<i >")),
            ("<br/>x", Some("<br/>")),
            ("<!-- <b> --> x", Some("<!-- <b> -->")),
            ("<a@b.c>", None),
            ("<mailto:a@b.c>", None),
            ("<3", None),
        ] {
            assert_eq!(inline_end(text, 0, &Ends::anywhere(text)).map(|end| &text[..end]), html, "{text}");
        }
    }
}
