//! What becomes of messages that test keys send, by recipient.

use domain::{notification::Notification, status::Channel};
use provider::Simulated;

/// The end that the recipient asks for. Compared as the caller typed it, so that `07700 900003` with a space is an
/// ordinary number; that is the wire contract.
pub(crate) fn end(notification: &Notification) -> Simulated {
    let recipient = notification.recipient.trim();
    let (temporary, permanent) = match notification.channel {
        Channel::Sms => (recipient.ends_with("7700900003"), recipient.ends_with("7700900002")),
        Channel::Email => {
            (recipient == "temp-fail@simulator.notify", recipient == "perm-fail@simulator.notify")
        }
    };
    match (temporary, permanent) {
        (true, _) => Simulated::TemporaryFailure,
        (_, true) => Simulated::PermanentFailure,
        _ => Simulated::Delivered,
    }
}
