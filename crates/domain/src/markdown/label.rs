//! The names by which links and footnotes refer to their definitions.

use crate::whitespace::is_space;

/// The longest label, in bytes as typed; a longer one is no label. (A limit, so that no text makes us look far ahead
/// again and again.)
pub(super) const LIMIT: usize = 500;

/// What counts of a label: no case, one kind of space.
pub(super) fn normalised(label: &str) -> Option<String> {
    if label.len() > LIMIT {
        return None;
    }
    let mut out = String::with_capacity(label.len());
    for c in label.to_lowercase().chars() {
        if !is_space(c) {
            out.push(c);
        } else if !out.ends_with(' ') {
            out.push(' ');
        }
    }
    Some(out)
}

/// The label that starts `text`: not empty, and up to the first of `ends`, which has to be a `]`.
pub(super) fn read<'t>(text: &'t str, ends: &[u8]) -> Option<&'t str> {
    let at = text.bytes().take(LIMIT + 1).position(|byte| ends.contains(&byte))?;
    (at > 0 && text[at..].starts_with(']')).then_some(&text[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_end_with_a_bracket_and_are_not_too_long() {
        assert_eq!(read("a b]: c", b"]^"), Some("a b"));
        assert_eq!(read("a^b]", b"]^"), None);
        assert_eq!(read("]", b"]"), None);
        assert_eq!(read(&format!("{}]", "a".repeat(LIMIT)), b"]").map(str::len), Some(LIMIT));
        assert_eq!(read(&format!("{}]", "a".repeat(LIMIT + 1)), b"]"), None);
        assert_eq!(normalised("A \n\u{a0}b").as_deref(), Some("a b"));
    }
}
