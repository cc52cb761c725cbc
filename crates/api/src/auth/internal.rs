//! Internal clients: the front end, operators, whoever triggers deliveries. They sign with a secret from the configuration.

use jsonwebtoken::DecodingKey;

use super::{
    Denied,
    token::{Token, Verdict},
};

/// A list of clients that cannot be used. Holds no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("internal.clients: an entry is `client-id:secret`, entries are separated by commas")]
pub(crate) struct BadClients;

/// Each entry is an id and one of its secrets.
#[derive(Default)]
pub(crate) struct Clients(Vec<(String, DecodingKey)>);

impl Clients {
    pub(crate) fn parse(text: &str) -> Result<Self, BadClients> {
        let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        let client = |entry: &str| match entry.split_once(':') {
            Some((id, secret)) if !id.is_empty() && !secret.is_empty() => {
                Ok((id.to_owned(), DecodingKey::from_secret(secret.as_bytes())))
            }
            _ => Err(BadClients),
        };
        entries.map(client).collect::<Result<_, _>>().map(Self)
    }

    /// Whoever is not a client is turned away before any signature is looked at.
    pub(super) fn admit(&self, token: &Token<'_>, now: i64) -> Result<&str, Denied> {
        let issuer = token.issuer()?.as_str();
        let mut known = false;
        for (id, secret) in self.0.iter().filter(|(id, _)| Some(id.as_str()) == issuer) {
            known = true;
            match token.verdict(secret, now) {
                Verdict::Good => return Ok(id),
                Verdict::NotThisKey => {}
                Verdict::Stop(denied) => return Err(denied),
            }
        }
        Err(if known { Denied::NoKeyMatches } else { Denied::NotAllowed })
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{EncodingKey, Header, encode};
    use serde_json::{Value, json};

    use super::*;

    const NOW: i64 = 1_770_000_000;

    fn admit(claims: &Value, secret: &str) -> Result<String, Denied> {
        let clients = Clients::parse("notify-admin:old, notify-admin:new:er,cron:c").unwrap();
        let key = EncodingKey::from_secret(secret.as_bytes());
        let token = encode(&Header::default(), claims, &key).unwrap();
        clients.admit(&Token::parse(&token).unwrap(), NOW).map(str::to_owned)
    }

    #[test]
    fn any_secret_of_the_client_opens_the_door() {
        for secret in ["old", "new:er"] {
            assert_eq!(admit(&json!({"iss": "notify-admin", "iat": NOW}), secret), Ok("notify-admin".into()));
        }
        assert_eq!(admit(&json!({"iss": "cron", "iat": NOW}), "c"), Ok("cron".into()));
    }

    #[test]
    fn wrong_iss_is_not_allowed_before_any_signature_check() {
        for iss in [json!("5f0c1f6e-6a3e-4b0c-9a53-0d5f6f4c0a11"), json!(""), json!(5), json!(null)] {
            assert_eq!(admit(&json!({"iss": iss, "iat": 1}), "wrong"), Err(Denied::NotAllowed), "{iss}");
        }
    }

    #[test]
    fn iss_absent() {
        assert_eq!(admit(&json!({"iat": NOW}), "old"), Err(Denied::NoIssuer));
    }

    #[test]
    fn signature_fails_with_all_secrets() {
        // The secret of another client is no secret of this one.
        for secret in ["wrong", "c"] {
            assert_eq!(admit(&json!({"iss": "notify-admin", "iat": NOW}), secret), Err(Denied::NoKeyMatches));
        }
    }

    #[test]
    fn clock_rules_hold() {
        assert_eq!(admit(&json!({"iss": "notify-admin", "iat": NOW - 31}), "new:er"), Err(Denied::Clock));
    }

    #[test]
    fn without_clients_nobody_is_allowed() {
        let token = encode(
            &Header::default(),
            &json!({"iss": "notify-admin", "iat": NOW}),
            &EncodingKey::from_secret(b""),
        );
        let token = token.unwrap();
        let parsed = Token::parse(&token).unwrap();
        assert_eq!(Clients::parse(" ").unwrap().admit(&parsed, NOW), Err(Denied::NotAllowed));
    }

    #[test]
    fn bad_lists_are_refused() {
        for bad in ["notify-admin", "notify-admin:", ":secret", "a:b,c"] {
            assert_eq!(Clients::parse(bad).err(), Some(BadClients), "{bad}");
        }
    }
}
