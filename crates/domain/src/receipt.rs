//! What a provider says about a notification, in the provider's own words. What the words mean is decided in the
//! provider's file, when the receipt is applied: the meaning may depend on the status that the notification has by then.

use crate::{id::NotificationId, status::ProviderId};

/// One receipt. No phone number and no address: the reference finds the notification.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ReceiptWords {
    pub provider: ProviderId,
    /// For texts the notification's id as we sent it, for e-mails the Message-ID, which we make as `{id}@{domain}`.
    pub reference: String,
    /// MMG's and Firetext's `status`; for e-mails the kind of event.
    pub status: String,
    /// MMG's `substatus`, Firetext's `code`, a bounce type.
    pub detail: Option<String>,
}

impl ReceiptWords {
    /// The notification that is meant; None when the reference is none of ours.
    #[must_use]
    pub fn notification_id(&self) -> Option<NotificationId> {
        self.reference.split('@').next()?.parse().ok()
    }
}
