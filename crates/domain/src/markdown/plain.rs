//! Markdown as plain text: for the mail's text part, and for the first words that mail programs show.
//!
//! The result is still escaped for HTML, because quotes are set typographically afterwards, and not within tags.

use super::{Block, Inline, Level};
use crate::whitespace::is_space;

const COLUMNS: usize = 65;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Headings underlined, URLs after the texts of their links.
    Full,
    /// Words only: no underlining, no rules, no URLs of links.
    Words,
}

pub(crate) fn render(blocks: &[Block<Vec<Inline>>], form: Form) -> String {
    let mut out = String::new();
    push_blocks(&mut out, blocks, form);
    out
}

fn push_blocks(out: &mut String, blocks: &[Block<Vec<Inline>>], form: Form) {
    for block in blocks {
        match block {
            Block::Gap => out.push('\n'),
            Block::Rule if form == Form::Words => {}
            Block::Rule => push_paragraph(out, &"=-".repeat(COLUMNS)[..COLUMNS]),
            Block::Heading(level, text) if form == Form::Full => {
                out.push_str("\n\n\n");
                push_inlines(out, text, form);
                out.push('\n');
                out.push_str(&if *level == Level::One { "=" } else { "-" }.repeat(COLUMNS));
            }
            Block::Heading(_, text) | Block::Paragraph(text) => push_paragraph(out, &inlines(text, form)),
            Block::Text(text) => push_inlines(out, text, form),
            Block::Verbatim(text) => out.push_str(text),
            Block::Inset(blocks) | Block::Footnote { blocks, .. } => push_blocks(out, blocks, form),
            Block::List { ordered, items } => push_list(out, *ordered, items, form),
        }
    }
}

fn push_paragraph(out: &mut String, text: &str) {
    if !text.trim_matches(is_space).is_empty() {
        out.push_str("\n\n");
        out.push_str(text);
    }
}

/// Numbers start at 1, whatever the source says.
fn push_list(out: &mut String, ordered: bool, items: &[Vec<Block<Vec<Inline>>>], form: Form) {
    out.push('\n');
    for (index, item) in items.iter().enumerate() {
        let marker = if ordered { format!("{}.", index + 1) } else { "•".to_owned() };
        let body = render(item, form);
        out.extend(["\n", &marker, " ", body.trim_matches(is_space)]);
    }
}

fn inlines(pieces: &[Inline], form: Form) -> String {
    let mut out = String::new();
    push_inlines(&mut out, pieces, form);
    out
}

fn push_inlines(out: &mut String, pieces: &[Inline], form: Form) {
    for piece in pieces {
        match piece {
            Inline::Text(text) => out.push_str(text),
            Inline::Url(url) => out.push_str(url),
            Inline::LineBreak => out.push('\n'),
            Inline::Link { target, title, text } => {
                push_inlines(out, text, form);
                if let Some(title) = title.as_deref().filter(|title| !title.is_empty()) {
                    out.extend([" (", title, ")"]);
                }
                if form == Form::Full {
                    out.extend([": ", target]);
                }
            }
        }
    }
}
