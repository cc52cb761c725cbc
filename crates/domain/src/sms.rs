//! Text messages: from template to what is sent and what it is charged as.

use crate::template::Personalisation;

/// The longest text, in UTF-16 units after downgrade, prefix excluded.
pub const CHARACTER_LIMIT: usize = 918;

/// A text, ready to send.
#[derive(Clone, PartialEq, Eq)]
pub struct Sms {
    text: String,
}

impl Sms {
    /// Fills the template, puts `prefix` (a service's name) in front, cleans white space, downgrades to GSM.
    #[must_use]
    pub fn render(_content: &str, _values: &Personalisation, _prefix: Option<&str>) -> Self {
        unimplemented!()
    }

    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// How many messages it is charged as.
    #[must_use]
    pub fn fragments(&self) -> usize {
        unimplemented!()
    }

    /// UTF-16 units without the prefix.
    #[must_use]
    pub fn length_without_prefix(&self) -> usize {
        unimplemented!()
    }

    #[must_use]
    pub fn is_too_long(&self) -> bool {
        self.length_without_prefix() > CHARACTER_LIMIT
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length_without_prefix() == 0
    }
}
