//! E-mails: from template to subject, plain text and HTML.
//!
//! Content, subject and values come from outside. For the HTML part they are escaped before anything else happens, so
//! that the only tags in it are ours.

use std::fmt;
use std::sync::LazyLock;

use regex::Regex;

use crate::email_page;
use crate::filling::Filling;
use crate::html::unescape;
use crate::markdown::{self, Markdown, html, plain};
use crate::rendered_size;
use crate::template::{Lists, Missing, Personalisation, Template};
use crate::typography::typeset;
use crate::whitespace::{is_space, normalised, shows_nothing};

/// The largest e-mail, in UTF-8 bytes of the filled Markdown.
pub const BYTE_LIMIT: usize = 2_000_000;

/// The largest HTML or plain text part, in bytes. Markup makes an ordinary mail less than twice as long as its Markdown,
/// but some texts (two list markers on every line) a hundred times. This is five times [`BYTE_LIMIT`], and as much as
/// relays take for a whole mail (Amazon SES: 10 MB, unless more is asked for).
pub const RENDERED_LIMIT: usize = 10_000_000;

/// Links by reference grow with the square of the text, half of it a target and half of it names for it, three bytes for each of
/// the target's. A mail of at most so many bytes renders whatever is in it.
const SURELY_RENDERED: usize = 4096;

/// A mail that no relay would take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("The message is longer than {RENDERED_LIMIT} bytes when rendered")]
pub struct TooLarge;

/// The longest link in a header, in bytes: with the header's name and angle brackets it fits on a line, which has at most
/// 998 (RFC 5322, 2.1.1) and cannot be broken within a link.
pub const LONGEST_HEADER_LINK: usize = 900;

/// Whether a link can stand between angle brackets in a header.
#[must_use]
pub fn fits_a_header(url: &str) -> bool {
    url.len() <= LONGEST_HEADER_LINK && url.chars().all(|c| c.is_ascii_graphic() && c != '<' && c != '>')
}

/// In characters; mail programs show fewer.
const PREHEADER_LENGTH: usize = 256;

/// What the API answers: filled, not rendered. `Debug` shows no text.
#[derive(Clone, PartialEq, Eq)]
pub struct FilledEmail {
    /// Empty if it alone is too long.
    pub subject: String,
    /// Markdown with the values put in, trimmed. Empty if it is too long.
    pub body: String,
    /// There is nothing to see in it. Content that was written as nothing but white space is not empty; what was filled with it
    /// is.
    pub empty: bool,
    size: usize,
}

impl fmt::Debug for FilledEmail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FilledEmail").field("empty", &self.empty).finish_non_exhaustive()
    }
}

impl FilledEmail {
    /// Of the body, or of what makes it too long, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    #[must_use]
    pub fn is_too_long(&self) -> bool {
        self.size > BYTE_LIMIT
    }

    /// Whether it is known without trying that [`render`] does not refuse it, with a link to unsubscribe or without.
    #[must_use]
    pub fn surely_renders(&self) -> bool {
        let most = || rendered_size::most(&self.body).unwrap_or(usize::MAX);
        !self.is_too_long() && (self.body.len() <= SURELY_RENDERED || most() <= RENDERED_LIMIT)
    }
}

/// Subject and Markdown with the values put in, unless they are too long: what is, is measured and not written.
#[must_use]
pub fn fill(subject: &str, content: &str, values: &Personalisation) -> FilledEmail {
    let (subject, template) = (Template::parse(subject), Template::parse(content));
    let subject = subject.filling(values, Lists::Sentence, MISSING);
    let body = template.filling(values, Lists::Bullets, MISSING);
    let (subject_size, body_size) = (subject.size(), body.trimmed_size());
    let could_be_empty = content.is_empty() || (content.starts_with("((") && content.ends_with("))"));
    let body = if body_size > BYTE_LIMIT { String::new() } else { body.trimmed() };
    FilledEmail {
        subject: if subject_size > BYTE_LIMIT { String::new() } else { one_line(&subject.text()) },
        empty: if body_size == 0 { could_be_empty } else { !body.is_empty() && shows_nothing(&body) },
        body,
        size: if body_size <= BYTE_LIMIT && subject_size > BYTE_LIMIT { subject_size } else { body_size },
    }
}

/// The parts of a mail. `Debug` shows no text.
#[derive(Clone, PartialEq, Eq)]
pub struct RenderedEmail {
    pub subject: String,
    pub plain: String,
    /// A whole page.
    pub html: String,
}

impl fmt::Debug for RenderedEmail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RenderedEmail").finish_non_exhaustive()
    }
}

/// Renders a mail as it is sent.
///
/// # Errors
/// When a part is too large for any relay.
pub fn render(
    subject: &str,
    content: &str,
    values: &Personalisation,
    unsubscribe_url: Option<&str>,
) -> Result<RenderedEmail, TooLarge> {
    let page = email_page::Page {
        title: &fill_subject_for_html(subject, values)?,
        preheader: &preheader(content, values)?,
        body: &html_body(content, values, unsubscribe_url)?,
    };
    Ok(RenderedEmail {
        subject: one_line(&fill_text(subject, values, Lists::Sentence)?),
        plain: plain_text(content, values, unsubscribe_url)?,
        html: page.to_string(),
    })
}

/// The HTML made of the content, without the page around it.
///
/// # Errors
/// When it is too large.
pub fn html_body(
    content: &str,
    values: &Personalisation,
    unsubscribe_url: Option<&str>,
) -> Result<String, TooLarge> {
    let filled = fill_html(&with_unsubscribe_link(content, unsubscribe_url), values, Lists::Bullets)?;
    let html = html::render(&parsed(filled)?)?;
    within_limit(typeset(&html))
}

/// The plain text part.
///
/// # Errors
/// When it is too large.
pub fn plain_text(
    content: &str,
    values: &Personalisation,
    unsubscribe_url: Option<&str>,
) -> Result<String, TooLarge> {
    let filled = fill_text(&with_unsubscribe_link(content, unsubscribe_url), values, Lists::Bullets)?;
    let text = plain::render(&parsed(filled)?, plain::Form::Full)?;
    let text = unescape(&typeset(&text));
    within_limit(format!("{}\n", text.trim_start_matches(is_space)))
}

/// The first words, as HTML: mail programs show them next to the subject before the mail is opened.
///
/// # Errors
/// When the text is too large that they are the first words of.
pub fn preheader(content: &str, values: &Personalisation) -> Result<String, TooLarge> {
    let filled = fill_html(content, values, Lists::Bullets)?;
    let text = plain::render(&parsed(filled)?, plain::Form::Words)?;
    let text = typeset(&text);
    let words = text.split(is_space).filter(|word| !word.is_empty());
    let start: String = words.flat_map(|word| word.chars().chain([' '])).take(PREHEADER_LENGTH).collect();
    Ok(start.trim_end().to_owned())
}

fn one_line(subject: &str) -> String {
    normalised(&typeset(subject))
}

/// The subject for the page's title.
///
/// # Errors
/// When it is too large.
pub fn fill_subject_for_html(subject: &str, values: &Personalisation) -> Result<String, TooLarge> {
    Ok(one_line(&fill_html(subject, values, Lists::Sentence)?))
}

const MISSING: Missing = Missing::AsTypedInHtml;

fn fill_text(text: &str, values: &Personalisation, lists: Lists) -> Result<String, TooLarge> {
    written(&Template::parse(text).filling(values, lists, MISSING))
}

fn fill_html(text: &str, values: &Personalisation, lists: Lists) -> Result<String, TooLarge> {
    written(&Template::parse_for_html(text).filling(values, lists, MISSING))
}

fn written(filling: &Filling) -> Result<String, TooLarge> {
    if filling.size() > RENDERED_LIMIT { Err(TooLarge) } else { Ok(filling.text()) }
}

pub(crate) fn within_limit(text: String) -> Result<String, TooLarge> {
    if text.len() > RENDERED_LIMIT { Err(TooLarge) } else { Ok(text) }
}

fn with_unsubscribe_link(content: &str, url: Option<&str>) -> String {
    match url {
        Some(url) => format!("{content}\n\n---\n\n[Unsubscribe from these emails]({url})"),
        None => content.to_owned(),
    }
}

/// Takes the text, so that it goes as soon as the next form of it is there: all of them would be many times the mail.
fn parsed(filled: String) -> Result<Markdown, TooLarge> {
    let prepared = prepared(&filled);
    drop(filled);
    markdown::parse(prepared)
}

/// Mail programs make links of anything that looks like a host name: `GOV.UK` gets an invisible space against that.
/// Two characters that mail programs show badly go.
fn prepared(markdown: &str) -> String {
    static HOST: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"(?i)(?:^|[\s\x1c-\x1f])[#*^]?gov\.uk").expect("a constant pattern"));
    const ZERO_WIDTH_SPACE: char = '\u{200b}';
    let mut out = String::with_capacity(markdown.len() + 16);
    let mut done = 0;
    for found in HOST.find_iter(markdown) {
        if !markdown[found.end()..].starts_with(['/', '?', '#']) {
            let dot = found.start() + found.as_str().rfind('.').expect("the pattern has a dot");
            out.push_str(&markdown[done..=dot]);
            out.push(ZERO_WIDTH_SPACE);
            done = dot + 1;
        }
    }
    out.push_str(&markdown[done..]);
    out.retain(|c| !matches!(c, '\u{2028}' | '\u{3164}'));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bare_gov_uk_is_broken_up() {
        assert_eq!(prepared("GOV.UK #gov.uk"), "GOV.\u{200b}UK #gov.\u{200b}uk");
        for text in ["www.gov.uk", "GOV.UK/x", "x@GOV.UK"] {
            assert_eq!(prepared(text), text);
        }
    }
}
