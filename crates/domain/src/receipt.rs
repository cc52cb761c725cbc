//! What a provider says about a notification, in the provider's own words. What the words mean is decided in the
//! provider's file, when the receipt is applied: the meaning may depend on the status that the notification has by then.

use crate::status::ProviderId;

/// One receipt. No phone number and no address: the reference finds the notification.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ReceiptWords {
    pub provider: ProviderId,
    /// Ours for texts (the notification's id as we sent it), the provider's for e-mails.
    pub reference: String,
    /// MMG's and Firetext's `status`; for e-mails the kind of event.
    pub status: String,
    /// MMG's `substatus`, Firetext's `code`, a bounce type.
    pub detail: Option<String>,
}
