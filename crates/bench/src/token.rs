//! Tokens as the official clients sign them.

use std::fmt;

use domain::{clock::Clock, id::ServiceId};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;

use crate::error::Error;

/// Of a hyphenated UUID.
const UUID_LEN: usize = 36;

/// The service and the secret at the end of an API key.
#[derive(Clone)]
pub(crate) struct ApiKey {
    pub(crate) service: ServiceId,
    secret: EncodingKey,
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKey").field("service", &self.service).finish_non_exhaustive()
    }
}

#[derive(Serialize)]
struct Claims {
    iss: String,
    iat: i64,
}

impl ApiKey {
    /// `NAME-SERVICE_ID-SECRET`, read from the right.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let end = |text: &'_ str| text.len().checked_sub(UUID_LEN).filter(|at| text.is_char_boundary(*at));
        let malformed = || Error::Wrong("the API key is not NAME-SERVICE_ID-SECRET".into());
        let (rest, secret) = text.split_at(end(text).ok_or_else(malformed)?);
        let rest = rest.strip_suffix('-').ok_or_else(malformed)?;
        let (_, service) = rest.split_at(end(rest).ok_or_else(malformed)?);
        Ok(Self {
            service: service.parse().map_err(|_| malformed())?,
            secret: EncodingKey::from_secret(secret.as_bytes()),
        })
    }

    /// The value of an `Authorization` header, good for 30 seconds from now.
    pub(crate) fn authorization(&self) -> Result<String, Error> {
        let claims = Claims { iss: self.service.to_string(), iat: Clock::System.now().timestamp() };
        let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.secret)
            .map_err(|error| Error::Wrong(format!("no token can be made: {error}")))?;
        Ok(format!("Bearer {token}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_from_the_right() {
        let (service, secret) =
            ("3ee52a8c-284e-47cb-b404-45fd74a9ea9e", "00000000-0000-0000-0000-000000000009");
        let key = ApiKey::parse(&format!("demo-normal-{service}-{secret}")).unwrap();
        assert_eq!(key.service.to_string(), service);
        assert!(key.authorization().unwrap().starts_with("Bearer ey"));
        for bad in ["", secret, &format!("x-{secret}"), &format!("{service}{secret}")] {
            assert!(ApiKey::parse(bad).is_err(), "{bad}");
        }
    }
}
