//! What a worker holds while it delivers: everything that one send needs, loaded once, and what came of it.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::{
    id::{NotificationId, ServiceId},
    receipt::ReceiptWords,
    retry::SendFailure,
    status::{Channel, KeyType, ProviderId, Status},
    template::Personalisation,
};

/// A claimed notification with its template version and what its service says about senders.
///
/// `Debug` shows the id only: the rest is personal data.
#[derive(Clone)]
pub struct Notification {
    pub id: NotificationId,
    pub service_id: ServiceId,
    pub channel: Channel,
    pub key_type: KeyType,
    /// As the caller gave it.
    pub recipient: String,
    /// Digits with country code, or a lower-cased address: what the provider gets.
    pub normalised_recipient: String,
    /// A text to another country: `sent` when handed over, and only providers that serve other countries may carry it.
    pub international: bool,
    /// The sender of a text, fixed when it was accepted; of an e-mail, the address that answers go to.
    pub sender: Option<String>,
    /// E-mails only.
    pub subject: Option<String>,
    /// The template version that was current when the notification was accepted.
    pub content: String,
    pub personalisation: Personalisation,
    /// E-mails only: what mail programs are told to post to.
    pub unsubscribe_url: Option<String>,
    /// E-mails only: the link in the text, for people.
    pub unsubscribe_page_url: Option<String>,
    pub service: Sender,
    pub created_at: DateTime<Utc>,
}

impl std::fmt::Debug for Notification {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Notification").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What recipients see of a service.
#[derive(Clone, Debug)]
pub struct Sender {
    /// An archived service sends nothing.
    pub active: bool,
    /// The service's name; in front of texts when `prefix_sms`, and the display name of e-mails.
    pub name: String,
    pub prefix_sms: bool,
    /// The part before the `@` of the From address.
    pub email_local_part: String,
}

/// What came of one attempt.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// None when no provider could be chosen.
    pub provider: Option<ProviderId>,
    pub took: Duration,
    /// What a text is charged as; 0 for e-mails. Kept even when the call failed.
    pub billable_units: i32,
    pub outcome: Outcome,
}

#[derive(Clone, Debug)]
pub enum Outcome {
    /// The provider took it.
    HandedOver {
        status: Status,
        /// The provider's own id, when it gives one.
        provider_reference: Option<String>,
        /// For a test key nothing leaves the platform: the receipt is made up, and processed like a real one.
        simulated_receipt: Option<ReceiptWords>,
    },
    /// The provider did not take it; the retry policy decides what follows.
    Failed(SendFailure),
    /// It must not be sent any more (the service is inactive).
    Refused(&'static str),
    /// Nobody was asked: there was no room for it, or no time. No attempt, and no step of the ladder; it waits for at least so
    /// long.
    NotBegun { after: Duration },
}
