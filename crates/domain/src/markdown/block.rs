//! Blocks: which one begins where. The first rule that fits wins, and there always is one.

use std::rc::Rc;

use super::block_rules as rules;
use super::definition::{self, Definitions};
use super::source::{Source, line_end, next_line, skip_newlines};
use super::{Block, Level, MAX_DEPTH, Markup, fence, html, list, tag};

#[derive(Clone, Copy, Debug)]
enum Rule {
    Newlines,
    Divider,
    Code,
    Fence,
    Heading,
    Table,
    Underlined,
    Inset,
    List,
    Html,
    LinkDefinition,
    FootnoteDefinition,
    TableWithEdges,
    Paragraph,
    Line,
}

/// In order of precedence.
const ANYWHERE: &[Rule] = &[
    Rule::Newlines,
    Rule::Divider,
    Rule::Code,
    Rule::Fence,
    Rule::Heading,
    Rule::Table,
    Rule::Underlined,
    Rule::Inset,
    Rule::List,
    Rule::Html,
    Rule::LinkDefinition,
    Rule::FootnoteDefinition,
    Rule::TableWithEdges,
    Rule::Paragraph,
];

const IN_LIST: &[Rule] = &[
    Rule::Newlines,
    Rule::Code,
    Rule::Fence,
    Rule::Underlined,
    Rule::Divider,
    Rule::Inset,
    Rule::List,
    Rule::Html,
    Rule::Line,
];

const IN_FOOTNOTE: &[Rule] = &[
    Rule::Newlines,
    Rule::Code,
    Rule::Fence,
    Rule::Heading,
    Rule::Table,
    Rule::Underlined,
    Rule::Divider,
    Rule::Inset,
    Rule::List,
    Rule::Html,
    Rule::TableWithEdges,
    Rule::Paragraph,
];

/// The blocks of a tidied text, and what is defined in it for use elsewhere in it.
pub(super) fn parse(text: &str, markup: &mut Markup) -> (Vec<Block<String>>, Definitions) {
    let mut parser = Parser { definitions: Definitions::default(), list_depth: 0, inset_depth: 0, markup };
    let blocks = parser.blocks(text, ANYWHERE);
    (blocks, parser.definitions)
}

struct Parser<'m> {
    definitions: Definitions,
    list_depth: usize,
    inset_depth: usize,
    /// Nothing more is looked for when it is too large.
    markup: &'m mut Markup,
}

impl Parser<'_> {
    fn blocks(&mut self, text: &str, rules: &[Rule]) -> Vec<Block<String>> {
        let source = Source::new(text);
        let mut blocks = Vec::new();
        let mut at = 0;
        while at < source.text.len() && !self.markup.is_too_large() {
            let (block, end) = rules
                .iter()
                .find_map(|rule| self.block(*rule, &source, at))
                .expect("the last rule of each list takes any line, and Newlines takes empty ones");
            if let Some(block) = block {
                self.markup.add(html::of_block(&block));
                push(&mut blocks, block);
            }
            at = end;
        }
        blocks.shrink_to_fit();
        blocks
    }

    /// If the rule fits: the block, unless it is one of which nothing is shown here, and where it ends.
    fn block(&mut self, rule: Rule, source: &Source, at: usize) -> Option<(Option<Block<String>>, usize)> {
        let text = source.text;
        let (block, end) = match rule {
            Rule::Newlines => {
                let end = skip_newlines(text, at);
                return (end > at).then(|| ((end > at + 1).then_some(Block::Gap), end));
            }
            Rule::Divider => (Block::Rule, rules::rule(text, at)?),
            Rule::Code => {
                let end = rules::indented_code(text, at)?;
                (Block::Verbatim(without_indentation(&text[at..end])), end)
            }
            Rule::Fence => {
                let (code, end) = fence::block(source, at)?;
                (Block::Verbatim(code.to_owned()), end)
            }
            Rule::Heading => {
                let (hashes, title, end) = rules::heading(text, at)?;
                (heading(hashes, title), end)
            }
            Rule::Underlined => {
                let (level, title, end) = rules::underlined(text, at)?;
                (Block::Heading(level, title.to_owned()), end)
            }
            Rule::Table => return Some((None, rules::table(text, at)?)),
            Rule::TableWithEdges => return Some((None, rules::table_with_edges(text, at)?)),
            Rule::Inset => {
                let end = rules::inset(text, at)?;
                (Block::Inset(self.inset(&text[at..end])), end)
            }
            Rule::List => {
                let (ordered, end) = list::list(source, at)?;
                (Block::List { ordered, items: self.list_items(&text[at..end]) }, end)
            }
            Rule::Html => {
                let (html, end) = tag::block(source, at)?;
                (Block::Verbatim(html.to_owned()), end)
            }
            Rule::LinkDefinition => {
                let (label, target, end) = definition::link(text, at)?;
                self.definitions.links.insert(label, Rc::new(target));
                return Some((None, end));
            }
            Rule::FootnoteDefinition => {
                let (label, body, end) = definition::footnote(text, at)?;
                return Some((self.footnote(label, &text[body..end]), end));
            }
            Rule::Paragraph => {
                let end = paragraph_end(source, at)?;
                (Block::Paragraph(text[at..end].to_owned()), skip_newlines(text, end))
            }
            Rule::Line => {
                let end = line_end(text, at);
                (Block::Text(text[at..end].to_owned()), end)
            }
        };
        Some((Some(block), end))
    }

    /// Of several with the same label the first one counts.
    fn footnote(&mut self, label: String, body: &str) -> Option<Block<String>> {
        let is_new = self.definitions.footnotes.insert(label.clone());
        is_new.then(|| Block::Footnote {
            label,
            blocks: self.blocks(&definition::outdented(body), IN_FOOTNOTE),
        })
    }

    fn inset(&mut self, text: &str) -> Vec<Block<String>> {
        if self.inset_depth == MAX_DEPTH {
            return vec![Block::Paragraph(text.to_owned())];
        }
        let content = rules::without_line_starts(text, |line| {
            let content = line.trim_start_matches(' ').strip_prefix('^');
            content.map_or(line, |content| content.strip_prefix(' ').unwrap_or(content))
        });
        self.inset_depth += 1;
        let blocks = self.blocks(&content, ANYWHERE);
        self.inset_depth -= 1;
        blocks
    }

    fn list_items(&mut self, text: &str) -> Vec<Vec<Block<String>>> {
        if self.list_depth == MAX_DEPTH {
            return vec![vec![Block::Text(text.to_owned())]];
        }
        self.list_depth += 1;
        let mut items = Vec::new();
        for item in list::items(text) {
            if self.markup.is_too_large() {
                break;
            }
            self.markup.add(html::OF_ITEM);
            let blocks = self.blocks(&item.text, IN_LIST);
            items.push(if item.loose { blocks.into_iter().map(as_paragraph).collect() } else { blocks });
        }
        self.list_depth -= 1;
        items
    }
}

fn heading(hashes: usize, title: &str) -> Block<String> {
    match hashes {
        1 => Block::Heading(Level::One, title.to_owned()),
        2 => Block::Heading(Level::Two, title.to_owned()),
        _ => Block::Paragraph(title.to_owned()),
    }
}

fn as_paragraph(block: Block<String>) -> Block<String> {
    match block {
        Block::Text(text) => Block::Paragraph(text),
        other => other,
    }
}

/// Lines with nothing between them are one text.
fn push(blocks: &mut Vec<Block<String>>, block: Block<String>) {
    match (blocks.last_mut(), block) {
        (Some(Block::Text(text)), Block::Text(line)) => {
            text.push('\n');
            text.push_str(&line);
        }
        (_, block) => blocks.push(block),
    }
}

fn without_indentation(code: &str) -> String {
    rules::without_line_starts(code, |line| line.strip_prefix("    ").unwrap_or(line))
}

/// A paragraph ends before an empty line, or before a line with which something else begins. Where its last line ends.
fn paragraph_end(source: &Source, at: usize) -> Option<usize> {
    let text = source.text;
    let mut end = line_end(text, at);
    if end == at {
        return None;
    }
    while let Some(next) = next_line(text, end) {
        let next_end = line_end(text, next);
        if next_end == next || interrupts_paragraph(source, next) {
            break;
        }
        end = next_end;
    }
    Some(end)
}

/// Here `>` begins a quote, which it does nowhere else, and `^` begins nothing.
fn interrupts_paragraph(source: &Source, at: usize) -> bool {
    let text = source.text;
    fence::block(source, at).is_some()
        || list::interrupts_paragraph(text, at)
        || rules::rule(text, at).is_some()
        || rules::heading(text, at).is_some()
        || rules::underlined(text, at).is_some()
        || rules::starts_with_mark_and_more(text, at, '>')
        || definition::link(text, at).is_some()
        || definition::footnote(text, at).is_some()
        || tag::opens_block(text, at)
}
