//! E-mails: from template to subject, plain text and HTML.
//!
//! Content, subject and values come from outside. For the HTML part they are escaped before anything else happens, so
//! that the only tags in it are ours.

use std::fmt;
use std::sync::LazyLock;

use regex::Regex;

use crate::email_page;
use crate::html::{Semicolon, unescape};
use crate::markdown::{self, html, plain};
use crate::template::{Lists, Missing, Personalisation, Template};
use crate::typography::typeset;
use crate::whitespace::{is_space, normalised};

/// The largest e-mail, in UTF-8 bytes of the filled Markdown.
pub const BYTE_LIMIT: usize = 2_000_000;

/// In characters; mail programs show fewer.
const PREHEADER_LENGTH: usize = 256;

/// What the API answers: filled, not rendered. `Debug` shows no text.
#[derive(Clone, PartialEq, Eq)]
pub struct FilledEmail {
    pub subject: String,
    /// Markdown with the values put in, trimmed.
    pub body: String,
    /// The content was nothing but placeholders and they came to nothing.
    pub empty: bool,
}

impl fmt::Debug for FilledEmail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FilledEmail").field("empty", &self.empty).finish_non_exhaustive()
    }
}

impl FilledEmail {
    #[must_use]
    pub fn is_too_long(&self) -> bool {
        self.body.len() > BYTE_LIMIT
    }
}

/// Subject and Markdown with the values put in.
#[must_use]
pub fn fill(subject: &str, content: &str, values: &Personalisation) -> FilledEmail {
    let body = fill_text(content, values, Lists::Bullets).trim_matches(is_space).to_owned();
    let could_be_empty = content.is_empty() || (content.starts_with("((") && content.ends_with("))"));
    FilledEmail { subject: fill_subject(subject, values), empty: could_be_empty && body.is_empty(), body }
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
#[must_use]
pub fn render(
    subject: &str,
    content: &str,
    values: &Personalisation,
    unsubscribe_url: Option<&str>,
) -> RenderedEmail {
    let page = email_page::Page {
        title: &fill_subject_for_html(subject, values),
        preheader: &preheader(content, values),
        body: &html_body(content, values, unsubscribe_url),
    };
    RenderedEmail {
        subject: fill_subject(subject, values),
        plain: plain_text(content, values, unsubscribe_url),
        html: page.to_string(),
    }
}

/// The HTML made of the content, without the page around it.
#[must_use]
pub fn html_body(content: &str, values: &Personalisation, unsubscribe_url: Option<&str>) -> String {
    let filled = fill_html(&with_unsubscribe_link(content, unsubscribe_url), values, Lists::Bullets);
    typeset(&html::render(&markdown::parse(&prepared(&filled))))
}

/// The plain text part.
#[must_use]
pub fn plain_text(content: &str, values: &Personalisation, unsubscribe_url: Option<&str>) -> String {
    let filled = fill_text(&with_unsubscribe_link(content, unsubscribe_url), values, Lists::Bullets);
    let text = plain::render(&markdown::parse(&prepared(&filled)), plain::Form::Full);
    let text = unescape(&typeset(&text), Semicolon::Optional);
    format!("{}\n", text.trim_start_matches(is_space))
}

/// The first words, as HTML: mail programs show them next to the subject before the mail is opened.
#[must_use]
pub fn preheader(content: &str, values: &Personalisation) -> String {
    let filled = fill_html(content, values, Lists::Bullets);
    let text = plain::render(&markdown::parse(&prepared(&filled)), plain::Form::Words);
    let words: Vec<String> =
        typeset(&text).split(is_space).filter(|word| !word.is_empty()).map(ToOwned::to_owned).collect();
    let start: String = words.join(" ").chars().take(PREHEADER_LENGTH).collect();
    start.trim_end().to_owned()
}

fn fill_subject(subject: &str, values: &Personalisation) -> String {
    normalised(&typeset(&fill_text(subject, values, Lists::Sentence)))
}

/// The subject for the page's title.
#[must_use]
pub fn fill_subject_for_html(subject: &str, values: &Personalisation) -> String {
    normalised(&typeset(&fill_html(subject, values, Lists::Sentence)))
}

fn fill_text(text: &str, values: &Personalisation, lists: Lists) -> String {
    Template::parse(text).fill_marking(values, lists, Missing::AsTypedInHtml)
}

fn fill_html(text: &str, values: &Personalisation, lists: Lists) -> String {
    Template::parse_for_html(text).fill_marking(values, lists, Missing::AsTypedInHtml)
}

fn with_unsubscribe_link(content: &str, url: Option<&str>) -> String {
    match url {
        Some(url) => format!("{content}\n\n---\n\n[Unsubscribe from these emails]({url})"),
        None => content.to_owned(),
    }
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
