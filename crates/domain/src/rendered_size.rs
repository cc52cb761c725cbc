//! How large a mail can be at most when its markup is written out, known without writing it: for most mails, however long, that
//! is little enough.

use crate::whitespace::is_space;

/// Of each line that is not blank: a paragraph's, a heading's or a rule's markup, or the signs that stand for it in plain text.
const LINE: usize = 160;
/// Of each sign at the beginning of a line that can begin a list, or an inset, within the one before.
const NESTED: usize = 350;
/// Of each link, beside its target and its text.
const LINK: usize = 100;
/// The page's own, and a link to unsubscribe.
const PAGE: usize = 8 * 1024;

/// The most bytes that any part of a mail with this Markdown can have. None when nobody can tell before it is written: a target
/// that is named once can be linked to from everywhere, and an entity can stand for any sign.
pub(crate) fn most(markdown: &str) -> Option<usize> {
    if markdown.contains("]:") || markdown.contains('&') {
        return None;
    }
    let of_signs: usize = markdown.chars().map(of_sign).sum();
    let lines = markdown.split(['\n', '\r', '\u{2424}']);
    let of_lines: usize = lines.map(of_line).sum();
    let links = markdown.matches('[').count() + markdown.matches("://").count();
    // The target is written with up to three bytes for each, and again when it has no text.
    let of_links = if links == 0 { 0 } else { links * LINK + markdown.len() * 4 };
    Some(PAGE + markdown.len() + of_signs + of_lines + of_links)
}

/// What a sign grows by: escaped, typeset, or as the spaces that a tab stands for.
fn of_sign(sign: char) -> usize {
    match sign {
        '<' | '>' | '"' | '\'' | '-' | '.' | '\t' => 5,
        _ => 0,
    }
}

fn of_line(line: &str) -> usize {
    let mut nested = 0;
    for sign in line.chars() {
        match sign {
            '*' | '-' | '+' | '•' | '^' | '.' => nested += 1,
            '#' => {}
            sign if sign.is_numeric() || is_space(sign) || sign == '\u{200b}' => {}
            _ => return LINE + nested * NESTED,
        }
    }
    if nested == 0 { 8 } else { LINE + nested * NESTED }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::email::{self, RENDERED_LIMIT};
    use crate::template::Personalisation;

    #[test]
    fn long_mails_of_words_are_known_to_be_small() {
        let paragraphs = "Your permit for a car is ready to collect.\n\n".repeat(43_000);
        assert!(most(&paragraphs).unwrap() < RENDERED_LIMIT);
        let lines = "A line of about eighty letters, as people write them when they write a long mail.\n"
            .repeat(24_000);
        assert!(most(&lines).unwrap() < RENDERED_LIMIT);
    }

    const PARTS: [&str; 33] = [
        "*",
        "* ",
        "- * ",
        "1. ",
        "1.",
        "^",
        "^ * ",
        "* \n",
        "# a\n",
        "## a\n",
        "a\n---\n",
        "---\n",
        "***\n\n",
        "http://a ",
        "[a](b)",
        "[](é)",
        "[a](b \"c\")\n",
        "https://é\n\n",
        "<",
        "\"",
        "'a' ",
        "a -- b ",
        "\ta",
        ".\n\n",
        "a\n\n\n",
        "a\u{2424}",
        "GOV.UK ",
        "• a\n",
        "a|b\n--|--\n",
        "```\n\na\n",
        "    a\n\n",
        "٣. a\n",
        "é",
    ];

    fn check(markdown: &str) {
        let none = Personalisation::default();
        let html = email::html_body(markdown, &none, None).unwrap().len();
        let plain = email::plain_text(markdown, &none, None).unwrap().len();
        let most = most(markdown).unwrap() - PAGE;
        assert!(html.max(plain) <= most + 100, "{html}, {plain} > {most}: {markdown:?}");
    }

    #[test]
    fn nothing_grows_more_than_is_known() {
        for first in PARTS {
            for count in [1, 3, 1000] {
                check(&first.repeat(count));
            }
            for second in PARTS {
                check(&format!("{first}{second}").repeat(20));
            }
        }
    }
}
