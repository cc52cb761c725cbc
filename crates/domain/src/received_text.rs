//! A text that somebody sends to one of our numbers, as a provider tells us of it.

use std::fmt;

use chrono::{DateTime, Utc};

use crate::status::ProviderId;

/// One text. `Debug` shows no personal data.
#[derive(Clone, PartialEq, Eq)]
pub struct IncomingText {
    pub provider: ProviderId,
    /// Our number, as people dial it: `07…` or a short code. Whether it is ours is not known yet.
    pub notify_number: String,
    /// Whom it comes from: digits with the country code; what is no phone number, as it came.
    pub user_number: String,
    pub content: String,
    /// The provider's own id for it.
    pub provider_reference: Option<String>,
    pub provider_date: Option<DateTime<Utc>>,
    /// The words that tell this text from every other one of the provider, so that it is stored once however often it is
    /// posted. None: there are no such words.
    pub identity: Option<Vec<String>>,
}

impl fmt::Debug for IncomingText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IncomingText").field("provider", &self.provider).finish_non_exhaustive()
    }
}
