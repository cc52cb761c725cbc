//! The Markdown of e-mails: a dialect of its own, older than CommonMark, that people's templates are written in.
//!
//! Headings (`#`, `##` or underlined), lists (`*`, `-`, `•`, `1.`), insets (`^`), rules (`---`), links and bare URLs.
//! Emphasis, code and quotes with `>` mean nothing and show as typed; images, tables and footnote marks are dropped.
//! What counts as what is as the Python library mistune 0.8.4 has it, down to its surprises, because templates rely on
//! them. [`parse`] takes a text apart into [`Block`]s and [`Inline`]s; [`html`] and [`plain`] write them out.
//!
//! Any text is Markdown: nothing here fails, and nothing takes more than linear time. Three limits keep it so, which
//! no sensible mail reaches: [`MAX_DEPTH`], [`label::LIMIT`] and [`tag::LIMIT`].

mod block;
mod block_rules;
mod brackets;
mod definition;
mod fence;
pub(crate) mod html;
mod inline;
mod label;
mod list;
pub(crate) mod plain;
mod source;
mod tag;

use std::rc::Rc;

use crate::email::{RENDERED_LIMIT, TooLarge};
use crate::whitespace::is_space;

/// How deep lists, insets and links may be nested, each for itself; what is deeper is text.
const MAX_DEPTH: usize = 6;

/// A part of a mail that stands by itself. `T` is what its texts are made of.
pub(crate) enum Block<T> {
    /// Empty lines at the start, or within a list item.
    Gap,
    Rule,
    Heading(Level, T),
    Paragraph(T),
    /// The text of a list item that needs no paragraph around it.
    Text(T),
    /// Shown as it is: code, or a block of HTML tags.
    Verbatim(String),
    Inset(Vec<Block<T>>),
    List {
        ordered: bool,
        items: Vec<Vec<Block<T>>>,
    },
    /// Moves to the end of the mail if something refers to it, else it is dropped.
    Footnote {
        label: String,
        blocks: Vec<Block<T>>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    One,
    Two,
}

/// A piece of a line.
pub(crate) enum Inline {
    /// Escaped for HTML, with [`LINE_BREAK`] where a line is broken.
    Text(String),
    /// A URL in the middle of the text.
    Url(String),
    Link {
        /// Shared, because a text can refer to one long definition again and again.
        target: Rc<Target>,
        text: Vec<Inline>,
    },
}

/// A sign that no tidied text has. A mail may be made of little else than line breaks, and pieces of their own would take thirty
/// times the memory.
const LINE_BREAK: char = '\u{2424}';

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) url: String,
    pub(crate) title: Option<String>,
}

/// A whole mail, taken apart.
pub(crate) type Markdown = Vec<Block<Vec<Inline>>>;

/// Takes a whole mail apart.
///
/// # Errors
/// When its markup alone makes it too large. What it was taken apart into would need many times the memory of the text.
pub(crate) fn parse(text: String) -> Result<Markdown, TooLarge> {
    let mut markup = Markup::default();
    let tidied = source::tidied(&text);
    drop(text);
    let (blocks, definitions) = block::parse(&tidied, &mut markup);
    drop(tidied);
    let blocks = inline::resolve(blocks, &definitions, &mut markup);
    if markup.is_too_large() { Err(TooLarge) } else { Ok(blocks) }
}

/// How many bytes the markup has at least that is to be written around what was found.
#[derive(Default)]
struct Markup(usize);

impl Markup {
    fn add(&mut self, bytes: usize) {
        self.0 += bytes;
    }

    fn is_too_large(&self) -> bool {
        self.0 > RENDERED_LIMIT
    }
}

fn is_blank(text: &str) -> bool {
    text.chars().all(is_space)
}

fn push_lines(out: &mut String, text: &str, line_break: &str) {
    for (index, line) in text.split(LINE_BREAK).enumerate() {
        out.push_str(if index == 0 { "" } else { line_break });
        out.push_str(line);
    }
}

/// Takes the white space off both ends of what was written from `start` on; off nothing that was given up for its size,
/// so that it still shows.
fn trim_from(out: &mut String, start: usize) {
    if out.len() > RENDERED_LIMIT {
        return;
    }
    let written = &out[start..];
    let (end, leading) = (
        written.trim_end_matches(is_space).len(),
        written.len() - written.trim_start_matches(is_space).len(),
    );
    out.truncate(start + end);
    out.drain(start..start + leading.min(end));
}
