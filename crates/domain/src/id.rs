//! Ids. All are UUIDs on the wire; those of rows that pile up are UUIDv7, so that the id is the primary key, the
//! partition key and the paging cursor at once.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::{Builder, Uuid};

/// Not a UUID in any spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a valid UUID")]
pub struct InvalidId;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new time-ordered id (UUIDv7) for something that happens at `now`.
            #[must_use]
            pub fn new(now: DateTime<Utc>) -> Self {
                Self(v7(now))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        /// Any spelling that the wire contract takes: any case, no hyphens, braces, `urn:uuid:`.
        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                parse_lenient(text).map(Self).ok_or(InvalidId)
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }
    )+};
}

ids! {
    /// A message to one recipient.
    NotificationId
    /// A team that sends.
    ServiceId
    /// A template of a service; its versions share the id.
    TemplateId
    /// An API key of a service.
    ApiKeyId
    /// A sender name or number that texts of a service come from.
    SmsSenderId
    /// An address that answers to a service's e-mails go to.
    ReplyToId
    /// What a provider told us about a notification.
    ReceiptId
    /// A file sent by e-mail.
    DocumentId
    /// A number that people can text a service at.
    InboundNumberId
    /// A text that somebody sent to a service.
    ReceivedTextId
    /// A recipient's wish to get no more of a service's e-mails.
    UnsubscribeRequestId
    /// Who holds what is due.
    LeaseId
}

/// Python's `uuid.UUID(text)`: hyphens, braces and `urn:uuid:` are dropped wherever they stand, 32 hex digits must remain.
#[must_use]
pub fn parse_lenient(text: &str) -> Option<Uuid> {
    if let Ok(id) = Uuid::try_parse(text) {
        return Some(id);
    }
    let digits = text.replace("urn:", "").replace("uuid:", "");
    let digits = digits.trim_matches(['{', '}']).replace('-', "");
    if digits.len() == 32 && digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        Uuid::try_parse(&digits).ok()
    } else {
        None
    }
}

/// RFC 9562, method 3: the 12 bits after the milliseconds hold the fraction of the millisecond, so that ids sort by
/// microseconds without any state; the rest is random.
fn v7(now: DateTime<Utc>) -> Uuid {
    let millis = u64::try_from(now.timestamp_millis()).unwrap_or(0);
    let fraction = now.timestamp_subsec_micros() % 1000 * 4096 / 1000;
    let mut random = [0; 10];
    random.copy_from_slice(&Uuid::new_v4().as_bytes()[6..]);
    random[..2].copy_from_slice(&fraction.to_be_bytes()[2..]);
    Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
}

/// When a UUIDv7 was made, to the millisecond; None for a UUID of another kind.
#[must_use]
pub fn made_at(id: Uuid) -> Option<DateTime<Utc>> {
    let millis = i64::try_from(id.as_u128() >> 80).ok()?;
    if id.get_version_num() == 7 { DateTime::from_timestamp_millis(millis) } else { None }
}

/// The smallest UUIDv7 of a millisecond: the bound of a partition, or of "older than".
#[must_use]
pub fn lowest_v7(at: DateTime<Utc>) -> Uuid {
    let millis = u64::try_from(at.timestamp_millis()).unwrap_or(0);
    Uuid::from_u128(u128::from(millis) << 80)
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn ids_sort_by_time_and_stay_within_their_bounds() {
        let early = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let late = DateTime::from_timestamp(1_700_000_001, 0).unwrap();
        let (a, b) = (NotificationId::new(early), NotificationId::new(late));
        assert!(a < b);
        assert!(lowest_v7(early) <= a.0 && a.0 < lowest_v7(late) && lowest_v7(late) <= b.0);
        assert_eq!(a.0.get_version_num(), 7);
        assert_eq!((made_at(a.0), made_at(Uuid::new_v4())), (Some(early), None));
        let later = NotificationId::new(early + TimeDelta::microseconds(1));
        assert!(a < later, "a microsecond apart");
    }

    #[test]
    fn every_spelling_of_a_uuid_is_read() {
        let id: NotificationId = "5f0c1f6e-6a3e-4b0c-9a53-0d5f6f4c0a11".parse().unwrap();
        for spelling in [
            "5F0C1F6E-6A3E-4B0C-9A53-0D5F6F4C0A11",
            "5f0c1f6e6a3e4b0c9a530d5f6f4c0a11",
            "{5f0c1f6e-6a3e-4b0c-9a53-0d5f6f4c0a11}",
            "urn:uuid:5f0c1f6e-6a3e-4b0c-9a53-0d5f6f4c0a11",
        ] {
            assert_eq!(spelling.parse(), Ok(id), "{spelling}");
        }
        for bad in ["", "5f0c", "5f0c1f6e-6a3e-4b0c-9a53-0d5f6f4c0a1g", "ſf0c1f6e6a3e4b0c9a530d5f6f4c0a11"] {
            assert_eq!(bad.parse::<NotificationId>(), Err(InvalidId), "{bad}");
        }
    }
}
