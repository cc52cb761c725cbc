//! The state machine of a notification.
//!
//! ```text
//!                 handed over                receipt
//!  created ─────────────────────► sending ───────────► delivered | temporary- | permanent- | technical-failure
//!     │  │                          │  ▲  └─► pending ─┘
//!     │  └─► sent (international) ──┼──┘ receipt, where the country gives one
//!     └────── gave up ─► technical-failure (─► sending, when a hand-over is heard of after all)
//!                    └─► the recipient's permanent- | temporary-failure
//!                                                       created, sending, pending ── timed out ──► temporary-failure
//! ```
//!
//! Every UPDATE of a status is guarded by [`Trigger::from`]: a change that is not listed there does not happen and is
//! logged as a duplicate. The same rule stands in SQL as named CHECK constraints (`migrations/`), and a test proves that
//! the enums here equal those in Postgres.

use std::{fmt, str::FromStr};

/// A word that is not one of the enum's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a known {1}")]
pub struct UnknownWord(pub String, pub &'static str);

macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $what:literal, { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$vdoc])* $variant,)+ }

        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word on the wire and in Postgres.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;

            fn from_str(text: &str) -> Result<Self, UnknownWord> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(UnknownWord(text.into(), $what)),
                }
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    };
}

words! {
    /// How a notification travels.
    Channel, "channel", {
        Sms = "sms",
        Email = "email",
    }
}

words! {
    /// What an API key may do; a notification carries the type of the key that made it.
    KeyType, "key type", {
        /// Sends to anyone (a live service).
        Normal = "normal",
        /// Sends to team members and the guest list only.
        Team = "team",
        /// Sends to no one: the outcome is simulated.
        Test = "test",
    }
}

words! {
    /// A company that carries messages. Stored as `sent_by`.
    ProviderId, "provider", {
        Mmg = "mmg",
        Firetext = "firetext",
        Smtp = "smtp",
    }
}

words! {
    /// Where a notification stands.
    Status, "status", {
        /// Stored, waiting for a worker.
        Created = "created",
        /// Handed to the provider.
        Sending = "sending",
        /// The provider says that the network is still trying.
        Pending = "pending",
        /// An international text, handed over; most countries tell no more.
        Sent = "sent",
        Delivered = "delivered",
        /// Inbox full, phone off, or no word within the time-out.
        TemporaryFailure = "temporary-failure",
        /// The recipient does not exist, or refused.
        PermanentFailure = "permanent-failure",
        /// Our side gave up.
        TechnicalFailure = "technical-failure",
    }
}

impl ProviderId {
    /// What it carries.
    #[must_use]
    pub const fn channel(self) -> Channel {
        match self {
            Self::Mmg | Self::Firetext => Channel::Sms,
            Self::Smtp => Channel::Email,
        }
    }
}

impl Status {
    /// Where a hand-over leads.
    #[must_use]
    pub const fn once_handed_over(channel: Channel, international: bool) -> Self {
        match (channel, international) {
            (Channel::Sms, true) => Self::Sent,
            _ => Self::Sending,
        }
    }

    /// No further change is expected; `completed_at` of the public API is set.
    #[must_use]
    pub const fn is_completed(self) -> bool {
        match self {
            Self::Created | Self::Sending | Self::Pending => false,
            Self::Sent
            | Self::Delivered
            | Self::TemporaryFailure
            | Self::PermanentFailure
            | Self::TechnicalFailure => true,
        }
    }
}

/// What makes a status change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// The provider said yes, or spoke of it in a receipt. Our own giving up was an opinion; this is a fact, and may come
    /// later. Never a second time: only while nobody is known to have it (`sent_at` is empty).
    HandedOver,
    /// A receipt for a text.
    SmsReceipt,
    /// A receipt for an e-mail.
    EmailReceipt,
    /// Retries used up, a refusal, or an inactive service; or a recipient whom the provider cannot reach.
    GaveUp,
    /// No word within the time-out.
    TimedOut,
}

impl Trigger {
    pub const ALL: [Self; 5] =
        [Self::HandedOver, Self::SmsReceipt, Self::EmailReceipt, Self::GaveUp, Self::TimedOut];

    /// THE transition table: the statuses that this trigger may change.
    #[must_use]
    pub const fn from(self) -> &'static [Status] {
        use Status::{Created, Pending, PermanentFailure, Sending, Sent, TechnicalFailure, TemporaryFailure};
        match self {
            Self::HandedOver => &[Created, TemporaryFailure, PermanentFailure, TechnicalFailure],
            Self::SmsReceipt => &[Sending, Pending, Sent],
            Self::GaveUp => &[Created],
            Self::EmailReceipt => &[Sending, Pending],
            Self::TimedOut => &[Created, Sending, Pending],
        }
    }

    /// The statuses that this trigger may lead to.
    #[must_use]
    pub const fn to(self) -> &'static [Status] {
        use Status::{
            Delivered, Pending, PermanentFailure, Sending, Sent, TechnicalFailure, TemporaryFailure,
        };
        match self {
            Self::HandedOver => &[Sending, Sent],
            Self::SmsReceipt => &[Pending, Delivered, TemporaryFailure, PermanentFailure, TechnicalFailure],
            Self::EmailReceipt => &[Delivered, TemporaryFailure, PermanentFailure],
            Self::GaveUp => &[TemporaryFailure, PermanentFailure, TechnicalFailure],
            Self::TimedOut => &[TemporaryFailure],
        }
    }

    /// Which receipts change a notification of this channel.
    #[must_use]
    pub const fn receipt(channel: Channel) -> Self {
        match channel {
            Channel::Sms => Self::SmsReceipt,
            Channel::Email => Self::EmailReceipt,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_a_final_status_but_sent_and_giving_up() {
        for trigger in Trigger::ALL {
            for from in trigger.from() {
                let given_up = trigger == Trigger::HandedOver;
                assert!(!from.is_completed() || *from == Status::Sent || given_up, "{trigger:?} from {from}");
                assert!(!trigger.to().contains(&Status::Created), "{trigger:?}");
            }
        }
    }

    #[test]
    fn every_word_reads_back() {
        for status in Status::ALL {
            assert_eq!(status.as_str().parse(), Ok(*status));
        }
        assert!("Delivered".parse::<Status>().is_err());
    }
}
