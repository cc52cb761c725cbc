//! Hand-overs that nobody noted, told of by a receipt.

use std::time::Duration;

use domain::{
    id::NotificationId,
    notification::{Attempt, Notification},
    status::{Channel, ProviderId},
};

use crate::{
    Delivery,
    send::{handed_over, render_sms, units},
};

impl Delivery {
    /// The attempt that its settle would have written down, had the yes been heard. Without the notification, which may be
    /// unreadable by now, a text's units stay those of an earlier attempt.
    #[must_use]
    pub fn taken(
        &self,
        id: NotificationId,
        by: ProviderId,
        international: bool,
        notification: Option<&Notification>,
    ) -> Attempt {
        let billable_units = match notification {
            Some(notification) if notification.channel == Channel::Sms => units(&render_sms(notification)),
            _ => 0,
        };
        let reference = self.providers.reference(by, id);
        let outcome = handed_over(by.channel(), international, reference, None);
        Attempt { provider: Some(by), took: Duration::ZERO, billable_units, outcome }
    }
}
