//! Markdown as the HTML of a mail: every style inline, lists in tables, because that is what mail programs understand.
//!
//! Texts come in escaped. What goes into attributes is made safe for them here: nothing from outside opens a tag or
//! leaves an attribute.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::{Block, Inline, Level, is_blank, push_lines, trim_from};
use crate::email::{RENDERED_LIMIT, TooLarge, within_limit};

const HEADING_ONE: &str = "Margin: 0 0 15px 0; padding: 10px 0 0 0; font-size: 27px; line-height: 35px; font-weight: bold; color: #0B0C0C;";
const HEADING_TWO: &str = "Margin: 0 0 15px 0; padding: 10px 0 0 0; font-size: 19px; line-height: 25px; font-weight: bold; color: #0B0C0C;";
const PARAGRAPH: &str = "Margin: 0 0 20px 0; font-size: 19px; line-height: 25px; color: #0B0C0C;";
const LIST_TABLE: &str = "padding: 0 0 20px 0;";
const LIST_CELL: &str = "font-family: Helvetica, Arial, sans-serif;";
const LIST: &str = "Margin: 0 0 0 20px; padding: 0;";
const ITEM: &str =
    "Margin: 5px 0 5px; padding: 0 0 0 5px; font-size: 19px;line-height: 25px; color: #0B0C0C;";
const INSET_SPACE: &str = "Margin: 0 0 20px 0;";
const INSET: &str = "Margin: 0; border-left: 10px solid #B1B4B6;padding: 15px 0 0.1px 15px; font-size: 19px; line-height: 25px;";
const RULE: &str = "border: 0; height: 1px; background: #B1B4B6; Margin: 30px 0 30px 0;";
const LINK: &str = "word-wrap: break-word; color: #1D70B8;";

/// The least that is written for a list's item, or for a link, beside its text.
pub(super) const OF_ITEM: usize = ITEM.len() + "<li style=\"\"></li>".len();
pub(super) const OF_LINK: usize = LINK.len() + "<a style=\"\" href=\"\"></a>".len();

/// The least that is written for a block, beside its text and what is within it.
pub(super) fn of_block<T>(block: &Block<T>) -> usize {
    match block {
        Block::Rule => RULE.len(),
        Block::Heading(Level::One, _) => HEADING_ONE.len(),
        Block::Heading(Level::Two, _) => HEADING_TWO.len(),
        Block::Paragraph(_) => PARAGRAPH.len(),
        Block::Inset(_) => INSET_SPACE.len() + INSET.len(),
        Block::List { .. } => LIST_TABLE.len() + LIST_CELL.len() + LIST.len(),
        Block::Gap | Block::Text(_) | Block::Verbatim(_) | Block::Footnote { .. } => 0,
    }
}

/// # Errors
/// When it is too large; then no more of it was written than that, and one piece.
pub(crate) fn render(blocks: &[Block<Vec<Inline>>]) -> Result<String, TooLarge> {
    let mut out = String::new();
    push_blocks(&mut out, blocks);
    within_limit(out)
}

fn push_blocks(out: &mut String, blocks: &[Block<Vec<Inline>>]) {
    for block in blocks {
        if out.len() > RENDERED_LIMIT {
            return;
        }
        match block {
            Block::Gap => out.push_str("<br>"),
            Block::Rule => out.extend(["<hr style=\"", RULE, "\">"]),
            Block::Heading(Level::One, text) => {
                out.extend(["<h2 style=\"", HEADING_ONE, "\">"]);
                push_inlines(out, text);
                out.push_str("</h2>");
            }
            Block::Heading(Level::Two, text) => {
                out.extend(["<h3 style=\"", HEADING_TWO, "\">"]);
                push_inlines(out, text);
                out.push_str("</h3>");
            }
            Block::Paragraph(text) => push_paragraph(out, text),
            Block::Text(text) => push_inlines(out, text),
            Block::Verbatim(text) => out.push_str(text),
            Block::Inset(blocks) => {
                out.extend(["<div style=\"", INSET_SPACE, "\"><blockquote style=\"", INSET, "\">"]);
                push_blocks(out, blocks);
                out.push_str("</blockquote></div>");
            }
            Block::Footnote { blocks, .. } => push_blocks(out, blocks),
            Block::List { ordered, items } => push_list(out, *ordered, items),
        }
    }
}

fn push_paragraph(out: &mut String, pieces: &[Inline]) {
    let before = out.len();
    out.extend(["<p style=\"", PARAGRAPH, "\">"]);
    let start = out.len();
    push_inlines(out, pieces);
    if is_blank(&out[start..]) {
        out.truncate(before);
    } else {
        out.push_str("</p>");
    }
}

fn push_list(out: &mut String, ordered: bool, items: &[Vec<Block<Vec<Inline>>>]) {
    let (element, bullet) = if ordered { ("ol", "decimal") } else { ("ul", "disc") };
    out.extend([
        "<table role=\"presentation\" style=\"",
        LIST_TABLE,
        "\"><tr><td style=\"",
        LIST_CELL,
        "\"><",
    ]);
    out.extend([element, " style=\"", LIST, " list-style-type: ", bullet, ";\">"]);
    for item in items {
        if out.len() > RENDERED_LIMIT {
            return;
        }
        out.extend(["<li style=\"", ITEM, "\">"]);
        let start = out.len();
        push_blocks(out, item);
        trim_from(out, start);
        out.push_str("</li>");
    }
    out.extend(["</", element, "></td></tr></table>"]);
}

fn push_inlines(out: &mut String, pieces: &[Inline]) {
    for piece in pieces {
        if out.len() > RENDERED_LIMIT {
            return;
        }
        match piece {
            Inline::Text(text) => push_lines(out, text, "<br>"),
            Inline::Url(url) => {
                push_link_start(out, url, None);
                out.extend([url, "</a>"]);
            }
            Inline::Link { target, text } => {
                let url = with_angles(&target.url);
                push_link_start(out, &url, target.title.as_deref());
                let start = out.len();
                push_inlines(out, text);
                // A link without a text shows where it leads.
                out.push_str(if out.len() == start { &url } else { "" });
                out.push_str("</a>");
            }
        }
    }
}

/// A target in angle brackets loses them, which the mark of a placeholder without a value must not.
fn with_angles(target: &str) -> Cow<'_, str> {
    if target.starts_with("span class='placeholder") && target.ends_with("</span") {
        format!("<{target}>").into()
    } else {
        target.into()
    }
}

fn push_link_start(out: &mut String, target: &str, title: Option<&str>) {
    out.extend(["<a style=\"", LINK, "\" href=\""]);
    push_target(out, target);
    if let Some(title) = title.filter(|title| !title.is_empty()) {
        out.extend(["\" title=\"", &title.replace('"', "&quot;")]);
    }
    out.push_str("\">");
}

/// Percent-encoded, and with a harmless scheme: `javascript:` leads to a host of that name.
fn push_target(out: &mut String, target: &str) {
    const SCHEMES: [&str; 6] = ["ftp:", "file:", "http:", "https:", "mailto:", "tel:"];
    let has_scheme =
        |scheme: &&str| target.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    if !SCHEMES.iter().any(has_scheme) {
        out.push_str("http://");
    }
    for byte in target.bytes() {
        if byte.is_ascii_alphanumeric() || b"_.-~:/?#=&;%".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_harmless() {
        for (target, written) in [
            ("https://a.b/c d?e=f&amp;g#h", "https://a.b/c%20d?e=f&amp;g#h"),
            ("HTTPS://A.B", "HTTPS://A.B"),
            ("javascript:alert('x')", "http://javascript:alert%28%27x%27%29"),
            ("data:text/html,<b>", "http://data:text/html%2C%3Cb%3E"),
            ("\" onclick=\"x", "http://%22%20onclick=%22x"),
            ("é", "http://%C3%A9"),
            ("", "http://"),
        ] {
            let mut out = String::new();
            push_target(&mut out, target);
            assert_eq!(out, written, "{target}");
        }
    }

    #[test]
    fn a_title_stays_in_its_attribute() {
        let blocks = super::super::parse("[a](b \"c\" onclick=\"d\")".to_owned()).unwrap();
        assert!(render(&blocks).unwrap().contains("title=\"c&quot; onclick=&quot;d\">a</a>"));
    }
}
