//! E-mails: from template to subject, plain text and HTML.

use crate::template::Personalisation;

/// The largest e-mail, in UTF-8 bytes of the filled Markdown.
pub const BYTE_LIMIT: usize = 2_000_000;

/// What the API answers: filled, not rendered.
#[derive(Clone, PartialEq, Eq)]
pub struct FilledEmail {
    pub subject: String,
    /// Markdown with the values put in, trimmed.
    pub body: String,
    /// The content was nothing but placeholders and they came to nothing.
    pub empty: bool,
}

/// Subject and Markdown with the values put in.
#[must_use]
pub fn fill(_subject: &str, _content: &str, _values: &Personalisation) -> FilledEmail {
    unimplemented!()
}

/// The parts of a mail.
#[derive(Clone, PartialEq, Eq)]
pub struct RenderedEmail {
    pub subject: String,
    pub plain: String,
    /// A whole page.
    pub html: String,
}

/// Renders a mail as it is sent.
#[must_use]
pub fn render(_subject: &str, _content: &str, _values: &Personalisation, _unsubscribe_url: Option<&str>) -> RenderedEmail {
    unimplemented!()
}
