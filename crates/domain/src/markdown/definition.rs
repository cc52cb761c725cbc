//! `[label]: url "title"` and `[^label]: footnote`.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::LazyLock;

use regex::Regex;

use super::source::{line, line_end, next_line, skip_newlines, skip_spaces};
use super::{Target, label};

/// Everything a mail defines for use elsewhere in it.
#[derive(Debug, Default)]
pub(super) struct Definitions {
    pub(super) links: HashMap<String, Rc<Target>>,
    pub(super) footnotes: HashSet<String>,
}

/// The definition of a link at `at`: its label, where it leads, and where it ends.
pub(super) fn link(text: &str, at: usize) -> Option<(String, Target, usize)> {
    static TARGET: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r#"^ *<?([^\s\x1c-\x1f>]+)>?(?: +["(](.+)[")])? *$"#).expect("a constant pattern")
    });
    let start = skip_spaces(text, at);
    let inside = text[start..].strip_prefix('[')?;
    let label = label::read(inside, b"]^")?;
    let after = start + 1 + label.len() + 1;
    let after = text[after..].starts_with(':').then_some(after + 1)?;
    let found = TARGET.captures(line(text, after))?;
    let target = Target {
        url: found.get(1)?.as_str().to_owned(),
        title: found.get(2).map(|title| title.as_str().to_owned()),
    };
    Some((label::normalised(label)?, target, skip_newlines(text, line_end(text, after))))
}

/// The definition of a footnote at `at`: its label, where its text begins, and where it ends.
pub(super) fn footnote(text: &str, at: usize) -> Option<(String, usize, usize)> {
    let inside = text[at..].strip_prefix("[^")?;
    let label = label::read(inside, b"]")?;
    let after = at + 2 + label.len() + 1;
    let body = text[after..].starts_with(':').then(|| skip_spaces(text, after + 1))?;
    let mut end = skip_newlines(text, line_end(text, body));
    while text[end..].starts_with(' ') {
        end = skip_newlines(text, line_end(text, end));
    }
    Some((label::normalised(label)?, body, end))
}

/// The text of a footnote without the indentation that all its lines after the first share.
pub(super) fn outdented(body: &str) -> String {
    let Some(second) = next_line(body, 0) else { return body.to_owned() };
    let (first, rest) = body.split_at(second);
    let indent = |line: &str| line.chars().count() - line.trim_start().chars().count();
    let shared = rest.split('\n').map(indent).filter(|indent| *indent > 0).min().unwrap_or(0);
    let rest = rest.split('\n').map(|line| line.char_indices().nth(shared).map_or("", |(at, _)| &line[at..]));
    format!("{first}{}", rest.collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_defined_on_one_line() {
        let text = "  [A b]: <https://x.y> \"t\" \n\nmore";
        let (label, target, end) = link(text, 0).unwrap();
        assert_eq!(
            (label.as_str(), target.url.as_str(), target.title.as_deref()),
            ("a b", "https://x.y", Some("t"))
        );
        assert_eq!(&text[end..], "more");
        for text in ["[a] : b", "[]: b", "[a]: b c", "[a]:\nb", "[a^]: b"] {
            assert_eq!(link(text, 0), None, "{text}");
        }
    }

    #[test]
    fn footnotes_go_on_over_indented_lines() {
        let text = "[^1]: one\n  two\n\n   three\nfour";
        let (label, body, end) = footnote(text, 0).unwrap();
        assert_eq!((label.as_str(), &text[end..]), ("1", "four"));
        assert_eq!(outdented(&text[body..end]), "one\ntwo\n\n three\n");
    }
}
