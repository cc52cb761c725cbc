//! As much of Markdown as our own descriptions use: headings, lists, paragraphs, `code`.

use maud::{Markup, html};

pub(super) fn blocks(text: &str) -> Markup {
    html! {
        @for block in text.split("\n\n").filter(|block| !block.trim().is_empty()) {
            @if let Some(heading) = block.strip_prefix("## ") {
                h2 { (inline(heading)) }
            } @else if block.starts_with("- ") {
                ul { @for item in block.lines() { li { (inline(item.trim_start_matches("- "))) } } }
            } @else {
                p { (inline(block)) }
            }
        }
    }
}

/// Every second piece between backticks is code.
pub(super) fn inline(text: &str) -> Markup {
    html! {
        @for (index, piece) in text.split('`').enumerate() {
            @if index % 2 == 1 { code { (piece) } } @else { (piece) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_lists_paragraphs_and_code() {
        let text = "## A `b`\n\none\ntwo <\n\n- x\n- `y`\n";
        let expected =
            "<h2>A <code>b</code></h2><p>one\ntwo &lt;</p><ul><li>x</li><li><code>y</code></li></ul>";
        assert_eq!(blocks(text).into_string(), expected);
        assert_eq!(blocks("").into_string(), "");
    }
}
