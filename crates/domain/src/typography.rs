//! Nice quotes and dashes: `"a" it's -- b` becomes `“a” it’s – b`.
//!
//! Works on text and on HTML; within tags and links nothing changes, nor do the apostrophes of e-mail addresses. The
//! rules for quotes are those of SmartyPants (John Gruber, 2003; the Python port 2.0.2), in its order, each looking at
//! what the ones before it left.

use std::sync::LazyLock;

use regex::Regex;

use crate::whitespace::is_space;

/// Sets a text, or HTML, nicely.
pub(crate) fn typeset(text: &str) -> String {
    // One variable: a long text is not to be there four times.
    let mut text = without_space_before_punctuation(text);
    text = with_curly_quotes(&text);
    text = with_straight_quotes_in_addresses(&text);
    with_dashes(&text)
}

fn without_space_before_punctuation(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, ',' | '.') {
            out.truncate(out.trim_end_matches([' ', '\t']).len());
        }
        out.push(c);
    }
    out
}

/// One to three hyphens or dashes between white space are one en dash between spaces.
fn with_dashes(text: &str) -> String {
    static DASHES: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"[\s\x1c-\x1f]+[-–—]{1,3}[\s\x1c-\x1f]+").expect("a constant pattern"));
    DASHES.replace_all(text, " – ").into_owned()
}

/// Every run of characters with an `@` in it counts as an address. The white space after one cannot also be the white
/// space before the next, unless it is a line end.
fn with_straight_quotes_in_addresses(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut may_start = true;
    for run in text.split_inclusive(is_space) {
        let word = run.trim_end_matches(is_space);
        let mut inside = word.chars();
        inside.next();
        inside.next_back();
        if may_start && inside.any(|c| c == '@') {
            out.push_str(&word.replace(['‘', '’'], "'"));
            out.push_str(&run[word.len()..]);
            may_start = run.ends_with('\n');
        } else {
            out.push_str(run);
            may_start = true;
        }
    }
    out
}

/// Elements whose texts keep their quotes. A tag counts if its name merely starts like this.
const SKIPPED: [&str; 9] = ["pre", "samp", "code", "tt", "kbd", "script", "style", "math", "a"];

enum Token<'t> {
    Tag(&'t str),
    Text(&'t str),
}

fn with_curly_quotes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut skipped: Vec<&str> = Vec::new();
    let mut last_char = None;
    for token in tokens(text) {
        match token {
            Token::Tag(tag) => {
                out.push_str(tag);
                match skipped_element(tag) {
                    Some((element, true)) if skipped.last() == Some(&element) => {
                        skipped.pop();
                    }
                    Some((element, false)) => skipped.push(element),
                    _ => {}
                }
            }
            Token::Text(text) => {
                if skipped.is_empty() {
                    push_with_curly_quotes(&mut out, text, last_char);
                } else {
                    out.push_str(text);
                }
                last_char = text.chars().next_back();
            }
        }
    }
    out
}

/// Which element of [`SKIPPED`] a tag opens or (true) closes.
fn skipped_element(tag: &str) -> Option<(&'static str, bool)> {
    let inside = tag.strip_prefix('<')?;
    let name = inside.strip_prefix('/').unwrap_or(inside);
    let starts_with = |element: &str| {
        name.as_bytes()
            .get(..element.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(element.as_bytes()))
    };
    let element = SKIPPED.into_iter().find(|element| starts_with(element))?;
    Some((element, name.len() < inside.len()))
}

fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = text;
    let mut comments_end = true;
    while let Some(start) = rest.find('<') {
        let comment = comments_end.then(|| comment(&rest[start..])).flatten();
        // A comment that does not end here does not end later either.
        comments_end &= comment.is_some() || !rest[start..].starts_with("<!--");
        let Some(length) = comment.or_else(|| rest[start..].find('>').map(|end| end + 1)) else { break };
        if start > 0 {
            tokens.push(Token::Text(&rest[..start]));
        }
        let tag = &rest[start..start + length];
        tokens.push(if is_no_comment(tag) { Token::Text(tag) } else { Token::Tag(tag) });
        rest = &rest[start + length..];
    }
    if !rest.is_empty() {
        tokens.push(Token::Text(rest));
    }
    tokens
}

/// The length of the comment that `text` starts with.
fn comment(text: &str) -> Option<usize> {
    static COMMENT_END: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"--[\s\x1c-\x1f]*>").expect("a constant pattern"));
    let content = text.strip_prefix("<!--")?;
    COMMENT_END.find(content).map(|end| text.len() - content.len() + end.end())
}

/// Comments must not contain `--`; what does is text.
fn is_no_comment(tag: &str) -> bool {
    tag.strip_prefix("<!--").is_some_and(|content| {
        content.trim_end_matches('>').trim_end_matches(is_space).trim_end_matches('-').contains("--")
    })
}

fn push_with_curly_quotes(out: &mut String, text: &str, before: Option<char>) {
    if !text.contains(['"', '\'', '\\', '&']) {
        out.push_str(text);
        return;
    }
    let text = with_escapes(text);
    let after_word = before.is_some_and(|c| !is_space(c));
    match text.as_str() {
        "'" => out.push(if after_word { '’' } else { '‘' }),
        "\"" => out.push(if after_word { '”' } else { '“' }),
        _ => {
            let mut chars: Vec<char> = text.chars().collect();
            curl_quotes(&mut chars);
            out.push_str(&with_characters(&chars.into_iter().collect::<String>()));
        }
    }
}

/// A backslash keeps the character after it from being changed.
fn with_escapes(text: &str) -> String {
    let escapes = [
        (r"\\", "&#92;"),
        (r#"\""#, "&#34;"),
        (r"\'", "&#39;"),
        (r"\.", "&#46;"),
        (r"\-", "&#45;"),
        (r"\`", "&#96;"),
    ];
    if !text.contains('\\') {
        return text.to_owned();
    }
    escapes.into_iter().fold(text.to_owned(), |text, (typed, entity)| text.replace(typed, entity))
}

/// Entities for what is set here are set as well.
fn with_characters(text: &str) -> String {
    let entities = [
        ("&#8211;", "–"),
        ("&#8212;", "—"),
        ("&#8216;", "‘"),
        ("&#8217;", "’"),
        ("&#8220;", "“"),
        ("&#8221;", "”"),
        ("&#8230;", "…"),
    ];
    if !text.contains("&#82") {
        return text.to_owned();
    }
    entities.into_iter().fold(text.to_owned(), |text, (entity, character)| text.replace(entity, character))
}

fn curl_quotes(text: &mut [char]) {
    curl_pairs(text, ['"', '\''], ['“', '‘']);
    curl_pairs(text, ['\'', '"'], ['‘', '“']);
    curl_decades(text);
    curl_opening(text, '\'', '‘');
    curl_closing_single(text);
    curl_closing_single_before_space_or_s(text);
    curl_all(text, '\'', '‘');
    curl_opening(text, '"', '“');
    for at in 0..text.len() {
        if text[at] == '"' && text.get(at + 1).copied().is_some_and(is_space) {
            text[at] = '”';
        }
    }
    if let ['"', next, ..] = text
        && is_punctuation(*next)
    {
        text[0] = '”';
    }
    for_each_after_closing_place(text, |text, at| {
        let is_quote = text[at] == '"';
        if is_quote {
            text[at] = '”';
        }
        is_quote.then_some(at + 1)
    });
    curl_all(text, '"', '“');
}

fn curl_all(text: &mut [char], quote: char, curly: char) {
    for c in text.iter_mut().filter(|c| **c == quote) {
        *c = curly;
    }
}

/// `"'` before a word.
fn curl_pairs(text: &mut [char], quotes: [char; 2], curly: [char; 2]) {
    for at in 0..text.len().saturating_sub(2) {
        if text[at..at + 2] == quotes && is_word(text[at + 2]) {
            text[at..at + 2].copy_from_slice(&curly);
        }
    }
}

/// The quote of the `'80s`, but only directly after a word.
fn curl_decades(text: &mut [char]) {
    for at in 1..text.len().saturating_sub(3) {
        if text[at] == '\''
            && is_word(text[at - 1])
            && text[at + 1].is_ascii_digit()
            && text[at + 2].is_ascii_digit()
            && text[at + 3] == 's'
        {
            text[at] = '’';
        }
    }
}

/// Before a word, and after white space or a dash.
fn curl_opening(text: &mut [char], quote: char, curly: char) {
    for at in 1..text.len().saturating_sub(1) {
        if text[at] == quote && is_word(text[at + 1]) && ends_like_a_gap(&text[..at]) {
            text[at] = curly;
        }
    }
}

fn ends_like_a_gap(text: &[char]) -> bool {
    const GAPS: [&str; 8] =
        ["&nbsp;", "--", "&ndash;", "&mdash;", "&#8211;", "&#8212;", "&#x2013;", "&#x2014;"];
    text.last().copied().is_some_and(is_space)
        || GAPS.iter().any(|gap| gap.chars().rev().eq(text.iter().rev().copied().take(gap.len())))
}

/// A quote after anything but space, an opening bracket or a hyphen closes.
fn is_closing_place(c: char) -> bool {
    !matches!(c, ' ' | '\t' | '\r' | '\n' | '[' | '{' | '(' | '-')
}

/// Goes over the text as a regular expression does that starts with such a character: `at` is the position after it, and
/// what `curl` takes (up to the position it returns) is not looked at again.
fn for_each_after_closing_place(text: &mut [char], curl: impl Fn(&mut [char], usize) -> Option<usize>) {
    let mut at = 1;
    while at < text.len() {
        let taken = if is_closing_place(text[at - 1]) { curl(text, at) } else { None };
        at = taken.unwrap_or(at) + 1;
    }
}

fn curl_closing_single(text: &mut [char]) {
    for_each_after_closing_place(text, |text, at| {
        let after = &text[at + 1..];
        let stays =
            after.first().is_some_and(|c| is_space(*c) || c.is_ascii_digit()) || starts_with_lone_s(after);
        if text[at] != '\'' || stays {
            return None;
        }
        text[at] = '’';
        Some(at + 1)
    });
}

fn curl_closing_single_before_space_or_s(text: &mut [char]) {
    for_each_after_closing_place(text, |text, at| {
        let after = &text[at + 1..];
        let follows = after.first().copied().is_some_and(is_space) || starts_with_lone_s(after);
        if text[at] != '\'' || !follows {
            return None;
        }
        text[at] = '’';
        Some(at + 2)
    });
}

/// The `s` of `it's`.
fn starts_with_lone_s(text: &[char]) -> bool {
    text.first() == Some(&'s') && !text.get(1).copied().is_some_and(is_word)
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn is_punctuation(c: char) -> bool {
    c.is_ascii_punctuation() && c != '&'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_dashes() {
        for (typed, set) in [
            (r#""a" it's -- b"#, "“a” it’s – b"),
            ("the 'quick' fox's tail , and so on .", "the ‘quick’ fox’s tail, and so on."),
            (r#"he said "'quoted' words""#, "he said “‘quoted’ words”"),
            ("'80s 1980's", "‘80s 1980’s"),
            ("a - b—c — d", "a – b—c – d"),
            (r#"\"straight\""#, "&#34;straight&#34;"),
            ("o'neill@example.com isn't", "o'neill@example.com isn’t"),
            ("\"\"", "””"),
            ("'", "‘"),
        ] {
            assert_eq!(typeset(typed), set, "{typed}");
        }
    }

    #[test]
    fn tags_and_links_stay() {
        assert_eq!(
            typeset("<p class='x'>'a' <a href=\"y\">it's</a> it's</p> < 'b'"),
            "<p class='x'>‘a’ <a href=\"y\">it's</a> it’s</p> < ‘b’"
        );
        assert_eq!(typeset("<b>a</b>'"), "<b>a</b>’");
    }
}
