//! Receipts of every provider: what makes one unreadable, what its words mean, and made-up ones for test keys.
//!
//! The words themselves are each vendor's matter and stand in the vendor's file.

use domain::{
    receipt::ReceiptWords,
    status::{ProviderId, Status},
};
use serde_json::Value;

use crate::{firetext, mmg, ses_receipt};

/// Why a receipt is refused, in the words of the wire contract. All are answered with 400.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadReceipt {
    /// One text for each field that is absent or empty; on the wire always a list.
    #[error("{}", .0.join(", "))]
    Missing(Vec<String>),
    /// One text.
    #[error("{0}")]
    Invalid(String),
}

/// What a receipt's words mean for the notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meaning {
    /// The new status; none when the words leave it as it is (a complaint).
    pub status: Option<Status>,
    /// The provider used a word that we do not know: an error is to be logged.
    pub unknown: bool,
}

impl Meaning {
    pub(crate) fn becomes(status: Status) -> Self {
        Self { status: Some(status), unknown: false }
    }

    /// A word for a text that nobody told us of ends it as our own failure.
    pub(crate) const UNKNOWN: Self = Self { status: Some(Status::TechnicalFailure), unknown: true };
}

/// What `words` mean for a notification that is in `current` and was handed to `sent_by` (none: the receipt outran our
/// own note of who carried it, and so the reporting provider did).
#[must_use]
pub fn meaning(words: &ReceiptWords, current: Status, sent_by: Option<ProviderId>) -> Meaning {
    match words.provider {
        ProviderId::Mmg => mmg::meaning(words),
        ProviderId::Firetext => firetext::meaning(words, current, sent_by),
        ProviderId::Smtp => ses_receipt::meaning(words),
    }
}

/// What a receipt for a test key's message is to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Simulated {
    Delivered,
    TemporaryFailure,
    PermanentFailure,
}

/// The receipt that `provider` would send if it had met with `end`.
#[must_use]
pub fn simulate(provider: ProviderId, reference: String, end: Simulated) -> ReceiptWords {
    let (status, detail) = match provider {
        ProviderId::Mmg => mmg::simulate(end),
        ProviderId::Firetext => firetext::simulate(end),
        ProviderId::Smtp => ses_receipt::simulate(end),
    };
    ReceiptWords { provider, reference, status: status.into(), detail: detail.map(Into::into) }
}

/// Puts words together that fit into the database: not endless, and without the NUL that Postgres refuses.
pub(crate) fn words(
    vendor: &str,
    provider: ProviderId,
    reference: String,
    status: String,
    detail: Option<String>,
) -> Result<ReceiptWords, BadReceipt> {
    const LONGEST: usize = 255;
    let fits = |word: &str| word.len() <= LONGEST && !word.contains(char::is_control);
    if fits(&reference) && fits(&status) && detail.as_deref().is_none_or(fits) {
        Ok(ReceiptWords { provider, reference, status, detail })
    } else {
        Err(BadReceipt::Invalid(format!("{vendor} callback failed: a field is too long or not text")))
    }
}

/// The texts for the required fields that are absent or empty.
pub(crate) fn missing(vendor: &str, fields: &[(&str, bool)]) -> BadReceipt {
    let missing = fields.iter().filter(|(_, is_missing)| *is_missing);
    BadReceipt::Missing(
        missing.map(|(name, _)| format!("{vendor} callback failed: {name} missing")).collect(),
    )
}

/// A JSON field as a word: a string as it is, anything else as it is written; none if absent or empty.
pub(crate) fn word(object: &Value, name: &str) -> Option<String> {
    let word = match object.get(name)? {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    Some(word).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn simulated_receipts_mean_what_they_were_made_for() {
        for &provider in ProviderId::ALL {
            for (end, status) in [
                (Simulated::Delivered, Status::Delivered),
                (Simulated::TemporaryFailure, Status::TemporaryFailure),
                (Simulated::PermanentFailure, Status::PermanentFailure),
            ] {
                let words = simulate(provider, "ref".into(), end);
                assert_eq!((words.provider, words.reference.as_str()), (provider, "ref"));
                for current in [Status::Created, Status::Sending, Status::Sent] {
                    let meaning = meaning(&words, current, Some(provider));
                    assert_eq!(meaning, Meaning::becomes(status), "{words:?} while {current}");
                }
            }
        }
    }

    #[test]
    fn words_that_the_database_cannot_hold_are_refused() {
        let read = |status: &str| words("MMG", ProviderId::Mmg, "r".into(), status.into(), None);
        assert!(read("3").is_ok());
        assert!(read(&"é".repeat(127)).is_ok());
        for bad in ["3\0", "3\n", &"é".repeat(128)] {
            assert!(matches!(read(bad), Err(BadReceipt::Invalid(_))), "{bad:?}");
        }
    }
}
