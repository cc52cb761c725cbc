//! What travels through the broker: "wake up, look at this". Never more than a kind and an id; Postgres decides the rest.

use std::fmt;

use uuid::Uuid;

use crate::status::Channel;

/// What is to be looked at. One kind is one queue, so that a slow mail provider never holds up text messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    DeliverSms,
    DeliverEmail,
    ApplyReceipt,
}

impl Kind {
    pub const ALL: [Self; 3] = [Self::DeliverSms, Self::DeliverEmail, Self::ApplyReceipt];
    /// The kinds whose subject is a notification to be delivered.
    pub const DELIVERIES: [Self; 2] = [Self::DeliverSms, Self::DeliverEmail];

    /// The name in Postgres (enum `wakeup_kind`) and, with dots for underscores, in the broker.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DeliverSms => "deliver_sms",
            Self::DeliverEmail => "deliver_email",
            Self::ApplyReceipt => "apply_receipt",
        }
    }

    /// How notifications of a channel are woken.
    #[must_use]
    pub const fn deliver(channel: Channel) -> Self {
        match channel {
            Channel::Sms => Self::DeliverSms,
            Channel::Email => Self::DeliverEmail,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One wake-up: losing it or doubling it changes nothing but the time at which the work is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WakeUp {
    pub kind: Kind,
    /// A notification's or a receipt's id, by `kind`.
    pub subject: Uuid,
}
