//! What is in a line: links, bare URLs, line breaks, and otherwise text.

use std::cell::{Cell, OnceCell};
use std::collections::HashMap;
use std::rc::Rc;

use super::brackets::Brackets;
use super::definition::Definitions;
use super::source::{after_char, skip_spaces, skip_word};
use super::{Block, Inline, LINE_BREAK, MAX_DEPTH, Markup, Target, html, label, tag};
use crate::whitespace::is_space;

/// Takes the texts of all blocks apart. Footnotes that something refers to move to the end, in the order in which they
/// are referred to; the others go.
pub(super) fn resolve(
    blocks: Vec<Block<String>>,
    definitions: &Definitions,
    markup: &mut Markup,
) -> Vec<Block<Vec<Inline>>> {
    let mut resolver = Resolver {
        definitions,
        markup,
        references: HashMap::new(),
        footnotes: Vec::new(),
        in_footnote: false,
        in_link: false,
        link_depth: 0,
    };
    let mut blocks = resolver.blocks(blocks);
    let Resolver { references, mut footnotes, .. } = resolver;
    footnotes.retain(|(label, _)| references.contains_key(label));
    footnotes.sort_by_key(|(label, _)| references.get(label).copied());
    blocks.extend(footnotes.into_iter().flat_map(|(_, footnote)| footnote));
    blocks
}

struct Resolver<'d> {
    definitions: &'d Definitions,
    markup: &'d mut Markup,
    /// The footnotes referred to, numbered in that order.
    references: HashMap<String, usize>,
    footnotes: Vec<(String, Vec<Block<Vec<Inline>>>)>,
    in_footnote: bool,
    in_link: bool,
    link_depth: usize,
}

impl Resolver<'_> {
    fn blocks(&mut self, blocks: Vec<Block<String>>) -> Vec<Block<Vec<Inline>>> {
        blocks.into_iter().filter_map(|block| self.block(block)).collect()
    }

    fn block(&mut self, block: Block<String>) -> Option<Block<Vec<Inline>>> {
        Some(match block {
            Block::Gap => Block::Gap,
            Block::Rule => Block::Rule,
            Block::Heading(level, text) => Block::Heading(level, self.inlines(&text)),
            Block::Paragraph(text) => Block::Paragraph(self.inlines(&text)),
            Block::Text(text) => Block::Text(self.inlines(&text)),
            Block::Verbatim(text) => Block::Verbatim(text),
            Block::Inset(blocks) => Block::Inset(self.blocks(blocks)),
            Block::List { ordered, items } => {
                Block::List { ordered, items: items.into_iter().map(|item| self.blocks(item)).collect() }
            }
            Block::Footnote { label, blocks } => {
                self.in_footnote = true;
                let blocks = self.blocks(blocks);
                self.in_footnote = false;
                self.footnotes.push((label, blocks));
                return None;
            }
        })
    }

    fn inlines(&mut self, text: &str) -> Vec<Inline> {
        let text = text.trim_end_matches('\n');
        let source = Source::new(text);
        let mut pieces = Pieces::default();
        let mut at = 0;
        while at < source.visible_end && !self.markup.is_too_large() {
            at = self.piece(&source, at, &mut pieces).unwrap_or_else(|| {
                let end = text_end(text, at);
                pieces.push_text(&escaped(&text[at..end]));
                end
            });
        }
        pieces.push_text(&text[at..]);
        pieces.finish()
    }

    /// Where the piece that begins at `at` ends; `None` if it is text.
    fn piece(&mut self, source: &Source, at: usize, pieces: &mut Pieces) -> Option<usize> {
        let text = source.text;
        match text.as_bytes()[at] {
            b'\\' => {
                let mark = text[at + 1..].chars().next().filter(|c| r"\`*{}[]()#+-.!_>~|".contains(*c))?;
                pieces.push_text(&escaped(mark.encode_utf8(&mut [0; 4])));
                Some(at + 2)
            }
            b' ' | b'\n' => {
                let end = skip_spaces(text, at);
                text[end..].starts_with('\n').then(|| pieces.text.push(LINE_BREAK))?;
                Some(end + 1)
            }
            b'<' => {
                if let Some(end) = tag::inline_end(text, at, source.tag_ends()) {
                    pieces.push_text(&text[at..end]);
                    return Some(end);
                }
                let (address, end) = source.address_in_angles(at)?;
                self.markup.add(html::OF_LINK);
                pieces.push(Inline::Url(address.to_owned()));
                Some(end)
            }
            b'h' => {
                let end = url_end(text, at)?;
                if self.in_link {
                    pieces.push_text(&escaped(&text[at..end]));
                } else {
                    self.markup.add(html::OF_LINK);
                    pieces.push(Inline::Url(text[at..end].to_owned()));
                }
                Some(end)
            }
            b'!' if text[at + 1..].starts_with('[') => self.link(source, at + 1).map(|(_, end)| end),
            b'[' => {
                if let Some(end) = self.footnote_mark(text, at) {
                    return Some(end);
                }
                let (link, end) = self.link(source, at)?;
                self.markup.add(html::OF_LINK);
                let text = self.link_text(link.text);
                pieces.push(Inline::Link { target: link.target, text });
                Some(end)
            }
            _ => None,
        }
    }

    /// Footnote marks are not shown; a footnote can be referred to once.
    fn footnote_mark(&mut self, text: &str, at: usize) -> Option<usize> {
        if self.definitions.footnotes.is_empty() || self.in_footnote {
            return None;
        }
        let label = label::read(text[at..].strip_prefix("[^")?, b"]")?;
        let key = label::normalised(label).filter(|key| self.definitions.footnotes.contains(key))?;
        if self.references.contains_key(&key) {
            return None;
        }
        self.references.insert(key, self.references.len());
        Some(at + 2 + label.len() + 1)
    }

    fn link<'t>(&self, source: &Source<'t>, at: usize) -> Option<(LinkFound<'t>, usize)> {
        if self.link_depth == MAX_DEPTH {
            return None;
        }
        let brackets = source.brackets();
        if let Some(link) = brackets.link(at) {
            let title = link.title.map(ToOwned::to_owned);
            let target = Rc::new(Target { url: link.target.to_owned(), title });
            return Some((LinkFound { text: link.text, target }, link.end));
        }
        if self.definitions.links.is_empty() {
            return None;
        }
        let defined = |label| self.definitions.links.get(&label::normalised(label)?).cloned();
        let reference =
            brackets.reference(at).and_then(|(text, label, end)| Some((text, defined(label)?, end)));
        let (text, target, end) = reference
            .or_else(|| brackets.label(at).and_then(|(label, end)| Some((label, defined(label)?, end))))?;
        Some((LinkFound { text, target }, end))
    }

    fn link_text(&mut self, text: &str) -> Vec<Inline> {
        self.in_link = true;
        self.link_depth += 1;
        let inlines = self.inlines(text);
        self.link_depth -= 1;
        self.in_link = false;
        inlines
    }
}

struct LinkFound<'t> {
    text: &'t str,
    target: Rc<Target>,
}

/// The text of one block, and what is found out about it once and used often.
struct Source<'t> {
    text: &'t str,
    /// Where the white space at its end begins, in which nothing is a line break.
    visible_end: usize,
    brackets: OnceCell<Brackets<'t>>,
    tag_ends: OnceCell<tag::Ends<'t>>,
    /// The first space or `>` from the last place on that was asked about.
    address_end: Cell<usize>,
}

impl<'t> Source<'t> {
    fn new(text: &'t str) -> Self {
        let visible_end = text.trim_end_matches(is_space).len();
        Self {
            text,
            visible_end,
            brackets: OnceCell::new(),
            tag_ends: OnceCell::new(),
            address_end: Cell::new(0),
        }
    }

    fn brackets(&self) -> &Brackets<'t> {
        self.brackets.get_or_init(|| Brackets::find(self.text))
    }

    fn tag_ends(&self) -> &tag::Ends<'t> {
        self.tag_ends.get_or_init(|| tag::Ends::anywhere(self.text))
    }

    /// `<https://…>` or `<name@…>` at `at`: the address, and the end.
    fn address_in_angles(&self, at: usize) -> Option<(&'t str, usize)> {
        let start = at + 1;
        if self.address_end.get() < start {
            let found = self.text[start..].find([' ', '>']);
            self.address_end.set(found.map_or(self.text.len(), |length| start + length));
        }
        let end = self.address_end.get();
        let is_closed = self.text[end..].starts_with('>') && end - start < tag::LIMIT;
        let address = is_closed.then(|| &self.text[start..end])?;
        let mut chars = address.chars();
        chars.next();
        chars.next_back();
        chars.any(|c| matches!(c, '@' | ':')).then_some((address, end + 1))
    }
}

/// Neighbouring texts become one.
#[derive(Default)]
struct Pieces {
    pieces: Vec<Inline>,
    text: String,
}

impl Pieces {
    fn push_text(&mut self, text: &str) {
        self.text.push_str(text);
    }

    fn push(&mut self, piece: Inline) {
        self.end_text();
        self.pieces.push(piece);
    }

    fn end_text(&mut self) {
        if !self.text.is_empty() {
            self.pieces.push(Inline::Text(std::mem::take(&mut self.text)));
        }
    }

    fn finish(mut self) -> Vec<Inline> {
        self.end_text();
        self.pieces.shrink_to_fit();
        self.pieces
    }
}

/// Text goes on to the next character that could be something else; the first one has been tried.
fn text_end(text: &str, at: usize) -> usize {
    let bytes = text.as_bytes();
    let mut at = after_char(text, at);
    while at < bytes.len() {
        match bytes[at] {
            b'\\' | b'<' | b'!' | b'[' | b'_' | b'*' | b'`' | b'~' | b'\n' => break,
            b' ' => {
                let end = skip_spaces(text, at);
                if bytes.get(end) == Some(&b'\n') {
                    break;
                }
                at = end;
            }
            b'h' if url_start(&text[at..]).is_some() => break,
            _ => at += 1,
        }
    }
    at
}

/// The length of `https://`.
fn url_start(text: &str) -> Option<usize> {
    ["https://", "http://"].into_iter().find(|scheme| text.starts_with(scheme)).map(str::len)
}

/// A bare URL ends before white space or `<`, and before punctuation there, but not before a `]` that it has the `[` of.
fn url_end(text: &str, at: usize) -> Option<usize> {
    let rest = at + url_start(&text[at..])?;
    let mut run = text[rest..].split(|c| c == '<' || is_space(c)).next()?;
    let opened = run.matches('[').count();
    let mut closed = run.matches(']').count();
    while let Some(shorter) = run.strip_suffix(['.', ',', ':', '"', '\'', ')', ']']) {
        if run.ends_with(']') {
            if closed <= opened {
                break;
            }
            closed -= 1;
        }
        run = shorter;
    }
    (run.chars().nth(1).is_some()).then_some(rest + run.len())
}

/// Text made safe for HTML, except that what looks like an entity stays one.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        match c {
            '&' if !is_entity(text, at) => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            _ => out.push(c),
        }
    }
    out
}

fn is_entity(text: &str, at: usize) -> bool {
    let name = at + if text[at + 1..].starts_with('#') { 2 } else { 1 };
    let end = skip_word(text, name);
    end > name && text[end..].starts_with(';')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_leave_punctuation_behind() {
        for (text, url) in [
            ("https://a.b/c?d=e;).", Some("https://a.b/c?d=e;")),
            ("http://ab", Some("http://ab")),
            ("https://a", None),
            ("https://....", None),
            ("https://é.x<y", Some("https://é.x")),
            ("https://a.b/?c[]", Some("https://a.b/?c[]")),
            ("https://a.b/c[1][2]]).", Some("https://a.b/c[1][2]")),
            ("https://a.b/c]", Some("https://a.b/c")),
            ("ftp://a.b", None),
        ] {
            assert_eq!(url_end(text, 0).map(|end| &text[..end]), url, "{text}");
        }
    }

    #[test]
    fn entities_are_not_escaped_again() {
        assert_eq!(escaped("a & b &amp; &#40; &x <"), "a &amp; b &amp; &#40; &amp;x &lt;");
    }

    #[test]
    fn an_address_has_something_on_both_sides_of_its_mark() {
        assert_eq!(Source::new("<a@b>c").address_in_angles(0), Some(("a@b", 5)));
        for text in ["<@b>", "<a:>", "<a b:c>", "<a:b"] {
            assert_eq!(Source::new(text).address_in_angles(0), None, "{text}");
        }
    }
}
