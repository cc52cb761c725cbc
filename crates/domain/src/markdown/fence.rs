//! Code between fences: lines of three or more `` ` `` or `~`.

use super::source::{Source, line_end, skip, skip_newlines, skip_spaces};
use crate::whitespace::is_space;

const SHORTEST: usize = 3;

/// Where fences could end: runs of `` ` `` or `~` with nothing but spaces after them on their line. Found once for a
/// text, so that a thousand fences that never end cost no more than one.
pub(super) struct Closers {
    backticks: Vec<Run>,
    tildes: Vec<Run>,
}

#[derive(Clone, Copy, Debug)]
struct Run {
    end: usize,
    length: usize,
    /// The longest of this and all later runs.
    longest_ahead: usize,
}

impl Closers {
    pub(super) fn find(text: &str) -> Self {
        Self { backticks: runs(text, b'`'), tildes: runs(text, b'~') }
    }
}

fn runs(text: &str, byte: u8) -> Vec<Run> {
    let mut runs = Vec::new();
    let mut at = 0;
    while let Some(found) = text[at..].find(char::from(byte)) {
        let start = at + found;
        let end = skip(text, start, byte);
        at = end;
        let is_at_line_end = line_end(text, end) == skip_spaces(text, end);
        if end - start >= SHORTEST && is_at_line_end {
            runs.push(Run { end, length: end - start, longest_ahead: 0 });
        }
    }
    let mut longest = 0;
    for run in runs.iter_mut().rev() {
        longest = longest.max(run.length);
        run.longest_ahead = longest;
    }
    runs
}

/// The code in the fence that opens at `at`, and where the block ends.
pub(super) fn block<'t>(source: &Source<'t>, at: usize) -> Option<(&'t str, usize)> {
    let text = source.text;
    let start = skip_spaces(text, at);
    let byte = *text.as_bytes().get(start).filter(|byte| matches!(byte, b'`' | b'~'))?;
    let opener_end = skip(text, start, byte);
    let length = opener_end - start;
    if length < SHORTEST {
        return None;
    }
    let body = after_language(text, opener_end)?;
    // Tildes of the opener may also belong to the language, so that a shorter run can close it.
    let tail_is_a_word = !text[opener_end..].starts_with(' ');
    let closers = source.fence_closers();
    let (runs, shortest) = match byte {
        b'~' if tail_is_a_word => (&closers.tildes, SHORTEST),
        b'~' => (&closers.tildes, length),
        _ => (&closers.backticks, length),
    };
    let (closer, end) = closing(runs, body, length, shortest)?;
    let first_char = text[body..].chars().next().map_or(0, char::len_utf8);
    let code = &text[body..closer];
    let code = &code[..code.trim_end_matches(is_space).len().max(first_char)];
    Some((code, skip_newlines(text, skip_spaces(text, end))))
}

/// Where the code begins, if nothing but a language follows the opener.
fn after_language(text: &str, opener_end: usize) -> Option<usize> {
    let end = line_end(text, opener_end);
    let language = text[opener_end..end].trim_matches(' ');
    let is_one_word = !language.contains(|c| c == '`' || is_space(c));
    (is_one_word && end < text.len()).then_some(end + 1)
}

/// The first closer as long as the longest possible, but not longer than the opener: its start and its end. At least
/// one character comes before it.
fn closing(runs: &[Run], body: usize, longest: usize, shortest: usize) -> Option<(usize, usize)> {
    let first = runs.partition_point(|run| run.end <= body);
    let runs = &runs[first..];
    // A run right at the start of the body gives its first character to the code.
    let usable = |run: &Run| if run.end - run.length == body { run.length - 1 } else { run.length };
    let available = usable(runs.first()?).max(runs.get(1).map_or(0, |run| run.longest_ahead));
    let length = longest.min(available);
    if length < shortest {
        return None;
    }
    let run = runs.iter().find(|run| usable(run) >= length)?;
    Some((run.end - length, run.end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<(&str, &str)> {
        block(&Source::new(text), 0).map(|(code, end)| (code, &text[end..]))
    }

    #[test]
    fn fences_need_a_closer_of_their_length() {
        assert_eq!(parsed("```rust\na\n\n``` \n\nb"), Some(("a", "b")));
        assert_eq!(parsed("````\na\n```\n````\nb"), Some(("a\n```", "b")));
        assert_eq!(parsed("```\na````"), Some(("a`", "")));
        for text in ["```\na", "````\na\n```", "``` a b\nc\n```", "```\n```", "``\na\n``", "```"] {
            assert_eq!(parsed(text), None, "{text}");
        }
    }

    #[test]
    fn tildes_can_be_taken_for_a_language() {
        assert_eq!(parsed("~~~~~\na\n~~~"), Some(("a", "")));
        assert_eq!(parsed("~~~~~ x\na\n~~~"), None);
        assert_eq!(parsed("~~~\n~~~~"), Some(("~", "")));
    }
}
