//! Which brackets belong together. `[a [b] c](d)` is one link, and finding that out for every bracket of a long text
//! on its own would take for ever; so all are paired at once, from the end to the start.

use std::num::NonZeroU32;

use super::source::skip_white_space;
use crate::whitespace::is_space;

/// The brackets of a text, and for each opening one where the text of a link that begins there would end.
pub(super) struct Brackets<'t> {
    text: &'t str,
    /// The positions of all brackets.
    at: Vec<usize>,
    /// By index into `at`: the index after the group of brackets that begins there, or after a stray closing bracket.
    next: Vec<Index>,
    /// The closing bracket that a link's text would end with, counted from the bracket at this index on.
    link_end: Vec<Index>,
    reference_end: Vec<Index>,
    label_end: Vec<Index>,
    destination: DestinationMarks,
}

/// The index of a bracket, or none, in four bytes: a mail may be made of nothing but brackets.
#[derive(Clone, Copy, Default)]
struct Index(Option<NonZeroU32>);

impl Index {
    fn new(index: Option<usize>) -> Self {
        Self(index.and_then(|index| NonZeroU32::new(u32::try_from(index + 1).ok()?)))
    }

    fn get(self) -> Option<usize> {
        self.0.map(|more| more.get() as usize - 1)
    }
}

/// What could end the destination of a link.
struct DestinationMarks {
    /// Quotes with a closing parenthesis after them.
    closing_quotes: Vec<usize>,
    /// `>` with a closing parenthesis, or a title, after them.
    closing_angles: Vec<usize>,
    last_parenthesis: Option<usize>,
}

/// A `[text](target "title")` or `[text][label]`, by position.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Link<'t> {
    pub(super) text: &'t str,
    pub(super) target: &'t str,
    pub(super) title: Option<&'t str>,
    pub(super) end: usize,
}

impl<'t> Brackets<'t> {
    pub(super) fn find(text: &'t str) -> Self {
        let bytes = text.as_bytes();
        let at: Vec<usize> = text.match_indices(['[', ']']).map(|(at, _)| at).collect();
        let next = groups(text, &at);
        let destination = DestinationMarks::find(text);
        let is_closing = |index: usize| bytes[at[index]] == b']';
        let link_end = ends(&next, |index| {
            let target = at[index] + 2;
            is_closing(index)
                && bytes.get(at[index] + 1) == Some(&b'(')
                && destination.last_parenthesis.is_some_and(|last| last >= target)
        });
        let reference_end = ends(&next, |index| {
            let label = skip_white_space(text, at[index] + 1);
            is_closing(index)
                && at.get(index + 1) == Some(&label)
                && bytes[label] == b'['
                && next[index + 1].get().is_some()
        });
        let label_next = label_groups(text, &at);
        let label_end = ends(&label_next, is_closing);
        Self { text, at, next, link_end, reference_end, label_end, destination }
    }

    /// The index of the first bracket inside the link that opens at `at`.
    fn inside(&self, at: usize) -> usize {
        self.at.partition_point(|bracket| *bracket <= at)
    }

    fn text_from(&self, at: usize, ends: &[Index]) -> Option<(&'t str, usize)> {
        let end = ends.get(self.inside(at))?.get()?;
        Some((&self.text[at + 1..self.at[end]], end))
    }

    /// `[text](target "title")` with its bracket at `at`.
    pub(super) fn link(&self, at: usize) -> Option<Link<'t>> {
        let (text, closing) = self.text_from(at, &self.link_end)?;
        let (target, title, end) = self.destination.read(self.text, self.at[closing] + 2)?;
        Some(Link { text, target, title, end })
    }

    /// `[text][label]` with its bracket at `at`: text, label, end.
    pub(super) fn reference(&self, at: usize) -> Option<(&'t str, &'t str, usize)> {
        let (text, closing) = self.text_from(at, &self.reference_end)?;
        let label = self.at[closing + 1] + 1;
        let label_end = self.at[self.next[closing + 1].get()? - 1];
        let label = &self.text[label..label_end];
        Some((text, if label.is_empty() { text } else { label }, label_end + 1))
    }

    /// `[label]` with its bracket at `at`: label, end.
    pub(super) fn label(&self, at: usize) -> Option<(&'t str, usize)> {
        let (label, closing) = self.text_from(at, &self.label_end)?;
        Some((label, self.at[closing] + 1))
    }
}

/// How the text of a link goes on from each bracket: over a group (no `^` in it, but any opening brackets), or over a
/// closing bracket that another one follows before anything opens.
fn groups(text: &str, at: &[usize]) -> Vec<Index> {
    let is_closing = |index: usize| text.as_bytes()[at[index]] == b']';
    let mut next = vec![Index::default(); at.len()];
    let mut closing = None;
    let mut caret = text.len();
    for index in (0..at.len()).rev() {
        let following = at.get(index + 1).copied().unwrap_or(text.len());
        if let Some(found) = text[at[index]..following].find('^') {
            caret = at[index] + found;
        }
        if is_closing(index) {
            next[index] = Index::new(closing.filter(|closing| *closing == index + 1));
            closing = Some(index);
        } else {
            next[index] =
                Index::new(closing.filter(|closing| at[*closing] < caret).map(|closing| closing + 1));
        }
    }
    next
}

/// The same for a mere label: any group may be in it, but no stray closing bracket.
fn label_groups(text: &str, at: &[usize]) -> Vec<Index> {
    let mut next = vec![Index::default(); at.len()];
    let mut closing: Option<usize> = None;
    for index in (0..at.len()).rev() {
        if text.as_bytes()[at[index]] == b']' {
            closing = Some(index);
        } else {
            next[index] = Index::new(closing.map(|closing| closing + 1));
        }
    }
    next
}

/// From each bracket on, the last one that can be reached and accepted.
fn ends(next: &[Index], accepts: impl Fn(usize) -> bool) -> Vec<Index> {
    let mut ends = vec![Index::default(); next.len()];
    for index in (0..next.len()).rev() {
        let later = next[index].get().and_then(|next| ends.get(next)?.get());
        ends[index] = Index::new(later.or_else(|| accepts(index).then_some(index)));
    }
    ends
}

const QUOTES: [char; 2] = ['"', '\''];

impl DestinationMarks {
    fn find(text: &str) -> Self {
        let bytes = text.as_bytes();
        let closes = |at: usize| bytes.get(skip_white_space(text, at + 1)) == Some(&b')');
        let closing_quotes: Vec<usize> =
            text.match_indices(QUOTES).map(|(at, _)| at).filter(|at| closes(*at)).collect();
        let mut marks =
            Self { closing_quotes, closing_angles: Vec::new(), last_parenthesis: text.rfind(')') };
        let angles = text.match_indices('>').map(|(at, _)| at);
        marks.closing_angles =
            angles.filter(|at| closes(*at) || marks.title(text, at + 1).is_some()).collect();
        marks
    }

    /// Target, title and end of what stands after `](`. Of nearly everything it can be said that it is a target.
    fn read<'t>(&self, text: &'t str, at: usize) -> Option<(&'t str, Option<&'t str>, usize)> {
        let start = skip_white_space(text, at);
        self.read_in_angles(text, start).or_else(|| self.read_plain(text, start))
    }

    fn read_in_angles<'t>(&self, text: &'t str, at: usize) -> Option<(&'t str, Option<&'t str>, usize)> {
        let start = text[at..].starts_with('<').then_some(at + 1)?;
        let end = first_from(&self.closing_angles, start)?;
        let (title, close) = match self.title(text, end + 1) {
            Some((title, close)) => (Some(title), close),
            None => (None, skip_white_space(text, end + 1)),
        };
        Some((&text[start..end], title, close + 1))
    }

    /// Up to the first title, or closing parenthesis, or white space before one of them.
    fn read_plain<'t>(&self, text: &'t str, start: usize) -> Option<(&'t str, Option<&'t str>, usize)> {
        let mut at = start;
        loop {
            at += text[at..].find(|c: char| c == ')' || is_space(c))?;
            if let Some((title, close)) = self.title(text, at) {
                return Some((&text[start..at], Some(title), close + 1));
            }
            let after = skip_white_space(text, at);
            if text[after..].starts_with(')') {
                return Some((&text[start..at], None, after + 1));
            }
            at = after;
        }
    }

    /// A quoted title after white space at `at`, and the parenthesis after it.
    fn title<'t>(&self, text: &'t str, at: usize) -> Option<(&'t str, usize)> {
        let quote = skip_white_space(text, at);
        if quote == at || !text[quote..].starts_with(QUOTES) {
            return None;
        }
        let end = first_from(&self.closing_quotes, quote + 1)?;
        Some((&text[quote + 1..end], skip_white_space(text, end + 1)))
    }
}

fn first_from(sorted: &[usize], from: usize) -> Option<usize> {
    sorted.get(sorted.partition_point(|at| *at < from)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(text: &str) -> Option<(&str, &str, Option<&str>, &str)> {
        let link = Brackets::find(text).link(0)?;
        Some((link.text, link.target, link.title, &text[link.end..]))
    }

    #[test]
    fn the_text_goes_as_far_as_it_can() {
        assert_eq!(link("[a](b) c"), Some(("a", "b", None, " c")));
        assert_eq!(link("[a [b] c](d)"), Some(("a [b] c", "d", None, "")));
        assert_eq!(link("[a] b](c)"), Some(("a] b", "c", None, "")));
        assert_eq!(link("[a](b) c](d)"), Some(("a](b) c", "d", None, "")));
        assert_eq!(link("[a [^b] c](d)"), None);
        assert_eq!(link("[a](b"), None);
        assert_eq!(link("[a] (b)"), None);
    }

    #[test]
    fn destinations_are_hardly_ever_wrong() {
        assert_eq!(link("[a]( b )"), Some(("a", "b", None, "")));
        assert_eq!(link("[a](b \"c\" d') e)"), Some(("a", "b", Some("c\" d"), " e)")));
        assert_eq!(link("[a](<b c> 'd')"), Some(("a", "b c", Some("d"), "")));
        assert_eq!(link("[a](<b)"), Some(("a", "<b", None, "")));
        assert_eq!(link("[a](b c\n)"), Some(("a", "b c", None, "")));
        assert_eq!(link("[a]()"), Some(("a", "", None, "")));
    }

    #[test]
    fn references_name_a_label() {
        let text = "[a] [b]";
        assert_eq!(Brackets::find(text).reference(0), Some(("a", "b", 7)));
        assert_eq!(Brackets::find("[a][]").reference(0), Some(("a", "a", 5)));
        assert_eq!(Brackets::find("[a [^b]]").label(0), Some(("a [^b]", 8)));
        assert_eq!(Brackets::find("[a").label(0), None);
    }
}
