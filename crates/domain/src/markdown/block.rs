//! Blocks: which one begins where. The first rule that fits wins, and there always is one.

use super::block_rules as rules;
use super::definition::{self, Definitions};
use super::source::{Source, line_end, next_line, skip_newlines};
use super::{Block, Level, MAX_DEPTH, fence, list, tag};

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
pub(super) fn parse(text: &str) -> (Vec<Block<String>>, Definitions) {
    let mut parser = Parser::default();
    let blocks = parser.blocks(text, ANYWHERE);
    (blocks, parser.definitions)
}

#[derive(Default)]
struct Parser {
    definitions: Definitions,
    list_depth: usize,
    inset_depth: usize,
}

impl Parser {
    fn blocks(&mut self, text: &str, rules: &[Rule]) -> Vec<Block<String>> {
        let source = Source::new(text);
        let mut blocks = Vec::new();
        let mut at = 0;
        while at < source.text.len() {
            at = rules
                .iter()
                .find_map(|rule| self.apply(*rule, &source, at, &mut blocks))
                .expect("the last rule of each list takes any line, and Newlines takes empty ones");
        }
        blocks
    }

    /// Where the block ends, if the rule fits.
    fn apply(
        &mut self,
        rule: Rule,
        source: &Source,
        at: usize,
        blocks: &mut Vec<Block<String>>,
    ) -> Option<usize> {
        let text = source.text;
        match rule {
            Rule::Newlines => {
                let end = skip_newlines(text, at);
                blocks.extend((end > at + 1).then_some(Block::Gap));
                (end > at).then_some(end)
            }
            Rule::Divider => {
                let end = rules::rule(text, at)?;
                blocks.push(Block::Rule);
                Some(end)
            }
            Rule::Code => {
                let end = rules::indented_code(text, at)?;
                let code = rules::without_line_starts(&text[at..end], |line| {
                    line.strip_prefix("    ").unwrap_or(line)
                });
                blocks.push(Block::Verbatim(code));
                Some(end)
            }
            Rule::Fence => {
                let (code, end) = fence::block(source, at)?;
                blocks.push(Block::Verbatim(code.to_owned()));
                Some(end)
            }
            Rule::Heading => {
                let (hashes, title, end) = rules::heading(text, at)?;
                blocks.push(heading(hashes, title));
                Some(end)
            }
            Rule::Underlined => {
                let (level, title, end) = rules::underlined(text, at)?;
                blocks.push(Block::Heading(level, title.to_owned()));
                Some(end)
            }
            Rule::Table => rules::table(text, at),
            Rule::TableWithEdges => rules::table_with_edges(text, at),
            Rule::Inset => {
                let end = rules::inset(text, at)?;
                blocks.push(Block::Inset(self.inset(&text[at..end])));
                Some(end)
            }
            Rule::List => {
                let (ordered, end) = list::list(source, at)?;
                blocks.push(Block::List { ordered, items: self.list_items(&text[at..end]) });
                Some(end)
            }
            Rule::Html => {
                let (html, end) = tag::block(source, at)?;
                blocks.push(Block::Verbatim(html.to_owned()));
                Some(end)
            }
            Rule::LinkDefinition => {
                let (label, target, end) = definition::link(text, at)?;
                self.definitions.links.insert(label, target);
                Some(end)
            }
            Rule::FootnoteDefinition => {
                let (label, body, end) = definition::footnote(text, at)?;
                // The first definition counts.
                if self.definitions.footnotes.insert(label.clone()) {
                    let body = definition::outdented(&text[body..end]);
                    let footnote = Block::Footnote { label, blocks: self.blocks(&body, IN_FOOTNOTE) };
                    blocks.push(footnote);
                }
                Some(end)
            }
            Rule::Paragraph => {
                let end = paragraph_end(source, at)?;
                blocks.push(Block::Paragraph(text[at..end].to_owned()));
                Some(skip_newlines(text, end))
            }
            Rule::Line => {
                let end = line_end(text, at);
                push_line(blocks, &text[at..end]);
                Some(end)
            }
        }
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
        let items = list::items(text).into_iter().map(|item| {
            let blocks = self.blocks(&item.text, IN_LIST);
            if item.loose { blocks.into_iter().map(as_paragraph).collect() } else { blocks }
        });
        let items = items.collect();
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
fn push_line(blocks: &mut Vec<Block<String>>, line: &str) {
    if let Some(Block::Text(text)) = blocks.last_mut() {
        text.push('\n');
        text.push_str(line);
    } else {
        blocks.push(Block::Text(line.to_owned()));
    }
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
