//! What a message looks like. A PUBLIC CONTRACT: other teams publish ids themselves.
//!
//! The body is the id of a notification as text, `5f0c1f6e-6a3e-4b0c-9a53-0d5f6f4c0a11`, in any spelling of a UUID, white
//! space around it allowed. Content type `text/plain`, delivery mode 2 (persistent). Publish it to the exchange
//! `pillarbox` with the routing key `deliver.sms` or `deliver.email`, or to the default exchange with the name of the
//! queue (`pillarbox.deliver.sms`, `pillarbox.deliver.email`) as the routing key. Anything else in a message is ignored:
//! what is sent, to whom and by which way stands in the database.
//!
//! The headers are ours: how often the id was not found, since when, and in the parked queue why it was given up.

use domain::id;
use lapin::{
    BasicProperties,
    types::{AMQPValue, FieldTable, LongString},
};
use uuid::Uuid;

/// How often the id has been looked for in vain.
pub(crate) const TRIES: &str = "not-found-tries";
/// When it was first looked for in vain (RFC 3339).
pub(crate) const FIRST_SEEN: &str = "first-seen";
/// Why, when and from which queue a message was parked.
pub(crate) const REASON: &str = "parked-reason";
pub(crate) const PARKED_AT: &str = "parked-at";
pub(crate) const FROM_QUEUE: &str = "parked-from";

const PERSISTENT: u8 = 2;
const CONTENT_TYPE: &str = "text/plain";

pub(crate) fn body(subject: Uuid) -> Vec<u8> {
    subject.hyphenated().to_string().into_bytes()
}

/// The id in a body; `None` when there is none.
pub(crate) fn subject(body: &[u8]) -> Option<Uuid> {
    // The longest spelling is a `urn:uuid:` in braces; what is far longer is not looked through.
    if body.len() > 256 {
        return None;
    }
    id::parse_lenient(std::str::from_utf8(body).ok()?.trim())
}

pub(crate) fn properties(headers: FieldTable) -> BasicProperties {
    let plain =
        BasicProperties::default().with_content_type(CONTENT_TYPE.into()).with_delivery_mode(PERSISTENT);
    if headers.inner().is_empty() { plain } else { plain.with_headers(headers) }
}

pub(crate) fn tries(properties: &BasicProperties) -> u32 {
    let Some(value) = header(properties, TRIES) else { return 0 };
    let number = match *value {
        AMQPValue::ShortShortInt(n) => i64::from(n),
        AMQPValue::ShortShortUInt(n) => i64::from(n),
        AMQPValue::ShortInt(n) => i64::from(n),
        AMQPValue::ShortUInt(n) => i64::from(n),
        AMQPValue::LongInt(n) => i64::from(n),
        AMQPValue::LongUInt(n) => i64::from(n),
        AMQPValue::LongLongInt(n) => n,
        _ => 0,
    };
    u32::try_from(number.max(0)).unwrap_or(u32::MAX)
}

pub(crate) fn first_seen(properties: &BasicProperties) -> Option<LongString> {
    match header(properties, FIRST_SEEN)? {
        AMQPValue::LongString(text) => Some(text.clone()),
        _ => None,
    }
}

fn header<'a>(properties: &'a BasicProperties, name: &str) -> Option<&'a AMQPValue> {
    properties.headers().as_ref()?.inner().get(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "5f0c1f6e-6a3e-4b0c-9a53-0d5f6f4c0a11";

    fn with(value: AMQPValue) -> BasicProperties {
        let mut headers = FieldTable::default();
        headers.insert(TRIES.into(), value);
        properties(headers)
    }

    #[test]
    fn an_id_is_read_as_we_write_it_and_as_others_may() {
        let id: Uuid = ID.parse().unwrap();
        assert_eq!(body(id), ID.as_bytes());
        for text in
            [ID, &ID.to_uppercase(), &ID.replace('-', ""), &format!(" {ID}\r\n"), &format!("urn:uuid:{ID}")]
        {
            assert_eq!(subject(text.as_bytes()), Some(id), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_id_is_malformed() {
        let long = " ".repeat(1_000_000) + ID;
        for bad in
            [&b""[..], b"{}", b"\xff\xfe", &ID.as_bytes()[1..], br#"{"id":"5f0c1f6e"}"#, long.as_bytes()]
        {
            assert_eq!(subject(bad), None);
        }
    }

    #[test]
    fn messages_are_persistent_text() {
        let properties = properties(FieldTable::default());
        assert_eq!(properties.content_type().as_ref().unwrap().as_str(), "text/plain");
        assert_eq!(*properties.delivery_mode(), Some(2));
        assert_eq!(*properties.headers(), None);
    }

    #[test]
    fn tries_are_counted_whatever_number_type_carries_them() {
        for (value, expected) in [
            (AMQPValue::LongUInt(3), 3),
            (AMQPValue::ShortShortInt(3), 3),
            (AMQPValue::LongLongInt(3), 3),
            (AMQPValue::LongLongInt(-3), 0),
            (AMQPValue::LongLongInt(i64::MAX), u32::MAX),
            (AMQPValue::LongString("3".into()), 0),
        ] {
            assert_eq!(tries(&with(value.clone())), expected, "{value:?}");
        }
        assert_eq!(tries(&BasicProperties::default()), 0);
    }
}
