//! The text of an API key: `{safe name}-{service id}-{secret}`, the way official clients read it, from the right.

use domain::{id::ServiceId, sender_name::safe_key_name};
use uuid::Uuid;

/// Of a hyphenated UUID.
const UUID_LEN: usize = 36;

/// What a token is signed for and with.
pub(crate) struct ApiKeyText {
    pub(crate) service: ServiceId,
    pub(crate) secret: String,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the API key is not of the form NAME-SERVICE_ID-SECRET, with both as hyphenated UUIDs")]
pub(crate) struct NotAKey;

impl ApiKeyText {
    pub(crate) fn parse(text: &str) -> Result<Self, NotAKey> {
        let (rest, secret) = split_uuid(text).ok_or(NotAKey)?;
        let (_, service) = split_uuid(rest.strip_suffix('-').ok_or(NotAKey)?).ok_or(NotAKey)?;
        Ok(Self { service: service.parse().map_err(|_| NotAKey)?, secret: secret.into() })
    }
}

/// The UUID at the end, and what is before it.
fn split_uuid(text: &str) -> Option<(&str, &str)> {
    let (rest, id) = text.split_at_checked(text.len().checked_sub(UUID_LEN)?)?;
    Uuid::try_parse(id).ok()?;
    Some((rest, id))
}

/// What its user is given, once.
pub(crate) fn whole(name: &str, service: ServiceId, secret: &str) -> String {
    format!("{}-{service}-{secret}", safe_key_name(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_from_the_right() {
        let (service, secret) = (ServiceId(Uuid::from_u128(7)), Uuid::from_u128(9).to_string());
        for name in ["Live key", "", "with-hyphens", "日本"] {
            let key = ApiKeyText::parse(&whole(name, service, &secret)).unwrap();
            assert_eq!((key.service, &key.secret), (service, &secret), "{name}");
        }
        let whole = whole("x", service, &secret);
        for bad in [
            "",
            "x",
            &secret,
            &whole[..whole.len() - 1],
            &format!("{service}{secret}"),
            &format!("é{secret}"),
        ] {
            assert_eq!(ApiKeyText::parse(bad).err(), Some(NotAKey), "{bad}");
        }
    }
}
