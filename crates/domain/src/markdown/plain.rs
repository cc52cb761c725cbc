//! Markdown as plain text: for the mail's text part, and for the first words that mail programs show.
//!
//! The result is still escaped for HTML, because quotes are set typographically afterwards, and not within tags.

use super::{Block, Inline, Level, is_blank, push_lines, trim_from};
use crate::email::{RENDERED_LIMIT, TooLarge, within_limit};

const COLUMNS: usize = 65;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Headings underlined, URLs after the texts of their links.
    Full,
    /// Words only: no underlining, no rules, no URLs of links.
    Words,
}

/// # Errors
/// When it is too large; then no more of it was written than that, and one piece.
pub(crate) fn render(blocks: &[Block<Vec<Inline>>], form: Form) -> Result<String, TooLarge> {
    let mut out = String::new();
    push_blocks(&mut out, blocks, form);
    within_limit(out)
}

fn push_blocks(out: &mut String, blocks: &[Block<Vec<Inline>>], form: Form) {
    for block in blocks {
        if out.len() > RENDERED_LIMIT {
            return;
        }
        match block {
            Block::Gap => out.push('\n'),
            Block::Rule if form == Form::Words => {}
            Block::Rule => out.extend(["\n\n", &"=-".repeat(COLUMNS)[..COLUMNS]]),
            Block::Heading(level, text) if form == Form::Full => {
                out.push_str("\n\n\n");
                push_inlines(out, text, form);
                out.push('\n');
                out.push_str(&if *level == Level::One { "=" } else { "-" }.repeat(COLUMNS));
            }
            Block::Heading(_, text) | Block::Paragraph(text) => push_paragraph(out, text, form),
            Block::Text(text) => push_inlines(out, text, form),
            Block::Verbatim(text) => out.push_str(text),
            Block::Inset(blocks) | Block::Footnote { blocks, .. } => push_blocks(out, blocks, form),
            Block::List { ordered, items } => push_list(out, *ordered, items, form),
        }
    }
}

fn push_paragraph(out: &mut String, pieces: &[Inline], form: Form) {
    let before = out.len();
    out.push_str("\n\n");
    push_inlines(out, pieces, form);
    if is_blank(&out[before..]) {
        out.truncate(before);
    }
}

/// Numbers start at 1, whatever the source says.
fn push_list(out: &mut String, ordered: bool, items: &[Vec<Block<Vec<Inline>>>], form: Form) {
    out.push('\n');
    for (index, item) in items.iter().enumerate() {
        if out.len() > RENDERED_LIMIT {
            return;
        }
        let marker = if ordered { format!("{}.", index + 1) } else { "•".to_owned() };
        out.extend(["\n", &marker, " "]);
        let start = out.len();
        push_blocks(out, item, form);
        trim_from(out, start);
    }
}

fn push_inlines(out: &mut String, pieces: &[Inline], form: Form) {
    for piece in pieces {
        if out.len() > RENDERED_LIMIT {
            return;
        }
        match piece {
            Inline::Text(text) => push_lines(out, text, "\n"),
            Inline::Url(url) if form == Form::Full => push_url(out, url),
            Inline::Url(url) => out.push_str(url),
            Inline::Link { target, text } => {
                push_inlines(out, text, form);
                if let Some(title) = target.title.as_deref().filter(|title| !title.is_empty()) {
                    out.extend([" (", title, ")"]);
                }
                if form == Form::Full {
                    out.push_str(": ");
                    push_url(out, &target.url);
                }
            }
        }
    }
}

/// An apostrophe in a web address is written as the entity that it is read from again when the quotes have been set:
/// `/o’neill` leads nowhere. Upstream sets the quotes of addresses as those of any text; where a vector says so (`mailto:`, and
/// after a slash), so do we.
fn push_url(out: &mut String, url: &str) {
    let is_web = ["http://", "https://"].iter().any(|scheme| url.starts_with(scheme));
    let mut before = None;
    for c in url.chars() {
        match c {
            '\'' if is_web && before != Some('/') => out.push_str("&#39;"),
            _ => out.push(c),
        }
        before = Some(c);
    }
}
