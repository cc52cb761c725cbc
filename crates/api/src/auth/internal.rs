//! Internal clients: the front end, operators, whoever triggers deliveries. They sign with a secret from the configuration, and
//! each may do what its scopes say, which [`Scope::needed`] knows of every URL.

use actix_web::http::Method;
use jsonwebtoken::DecodingKey;

use super::{
    Denied,
    token::{Token, Verdict},
};

/// Lists of clients and scopes that cannot be used. Holds no secret, nor what may be one in the wrong place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadClients {
    #[error("internal.clients: an entry is `client-id:secret`, entries are separated by commas")]
    Entry,
    #[error(
        "internal.scopes: an entry is `client-id:scope`, entries are separated by commas; scopes are admin, deliver, read"
    )]
    Scope,
    #[error(
        "internal.scopes: nothing is said of entry {0} of internal.clients: `client-id:scope` is missing"
    )]
    NoScope(usize),
}

/// What an internal client may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// Everything.
    Admin,
    /// Have single notifications delivered, and nothing else.
    Deliver,
    /// Ask the internal API, and change nothing.
    Read,
}

/// URLs whose POST is a question: what is searched for stands in a body, so that it gets into nobody's logs.
const QUESTIONS: [&str; 2] = ["/service/{service}/notifications", "/service/{service}/inbound-sms"];
const DELIVERY: &str = "/deliver/notification/{id}";

impl Scope {
    /// What a request takes, by the pattern of its URL. What is not known here is for those who may do everything.
    pub(super) fn needed(method: &Method, pattern: Option<&str>) -> Self {
        match pattern {
            Some(DELIVERY) => Self::Deliver,
            _ if matches!(*method, Method::GET | Method::HEAD) => Self::Read,
            Some(pattern) if *method == Method::POST && QUESTIONS.contains(&pattern) => Self::Read,
            _ => Self::Admin,
        }
    }

    fn parse(word: &str) -> Option<Self> {
        match word {
            "admin" => Some(Self::Admin),
            "deliver" => Some(Self::Deliver),
            "read" => Some(Self::Read),
            _ => None,
        }
    }
}

/// An entry of the list: an id and one of its secrets.
pub(crate) struct Client {
    id: String,
    secret: DecodingKey,
    scopes: Vec<Scope>,
}

impl Client {
    pub(super) fn may(&self, needed: Scope) -> bool {
        self.scopes.iter().any(|scope| *scope == Scope::Admin || *scope == needed)
    }
}

#[derive(Default)]
pub(crate) struct Clients(Vec<Client>);

impl Clients {
    /// Every client must have a scope: none is everybody's.
    pub(crate) fn parse(clients: &str, scopes: &str) -> Result<Self, BadClients> {
        let scopes = entries(scopes)
            .map(|entry| {
                let (id, word) = entry.rsplit_once(':')?;
                Some((id.trim(), Scope::parse(word.trim())?))
            })
            .collect::<Option<Vec<_>>>()
            .ok_or(BadClients::Scope)?;
        let client = |(index, entry): (usize, &str)| {
            let (id, secret) = entry.split_once(':').ok_or(BadClients::Entry)?;
            if id.is_empty() || secret.is_empty() {
                return Err(BadClients::Entry);
            }
            let scopes: Vec<_> = scopes.iter().filter(|(of, _)| *of == id).map(|(_, scope)| *scope).collect();
            if scopes.is_empty() {
                return Err(BadClients::NoScope(index + 1));
            }
            Ok(Client { id: id.to_owned(), secret: DecodingKey::from_secret(secret.as_bytes()), scopes })
        };
        entries(clients).enumerate().map(client).collect::<Result<_, _>>().map(Self)
    }

    /// Whoever is not a client is turned away before any signature is looked at.
    pub(super) fn admit(&self, token: &Token<'_>, now: i64) -> Result<&Client, Denied> {
        let issuer = token.issuer()?.as_str();
        let mut known = false;
        for client in self.0.iter().filter(|client| Some(client.id.as_str()) == issuer) {
            known = true;
            match token.verdict(&client.secret, now) {
                Verdict::Good => return Ok(client),
                Verdict::NotThisKey => {}
                Verdict::Stop(denied) => return Err(denied),
            }
        }
        Err(if known { Denied::NoKeyMatches } else { Denied::NotAllowed })
    }
}

fn entries(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|entry| !entry.is_empty())
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{EncodingKey, Header, encode};
    use serde_json::{Value, json};

    use super::*;

    const NOW: i64 = 1_770_000_000;

    fn admit(claims: &Value, secret: &str) -> Result<String, Denied> {
        let clients = "notify-admin:old, notify-admin:new:er,cron:c";
        let clients = Clients::parse(clients, "notify-admin:admin, cron:deliver").unwrap();
        let key = EncodingKey::from_secret(secret.as_bytes());
        let token = encode(&Header::default(), claims, &key).unwrap();
        clients.admit(&Token::parse(&token).unwrap(), NOW).map(|client| client.id.clone())
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
        let nobody = Clients::parse(" ", "notify-admin:admin").unwrap();
        assert_eq!(nobody.admit(&parsed, NOW).err(), Some(Denied::NotAllowed));
    }

    #[test]
    fn bad_lists_are_refused() {
        for bad in ["notify-admin", "notify-admin:", ":secret", "a:b,c"] {
            assert_eq!(Clients::parse(bad, "a:read").err(), Some(BadClients::Entry), "{bad}");
        }
        for bad in ["a", "a:", "a:everything", "a:Admin", "a:read,admin"] {
            assert_eq!(Clients::parse("a:b", bad).err(), Some(BadClients::Scope), "{bad}");
        }
    }

    #[test]
    fn nobody_is_a_client_without_a_scope() {
        for scopes in ["", "notify-admin:admin", "a:read,b:read"] {
            let parsed = Clients::parse("a:x, cron:y", scopes);
            assert!(matches!(parsed, Err(BadClients::NoScope(1 | 2))), "{scopes}");
        }
    }

    #[test]
    fn scopes_add_up_and_admin_has_them_all() {
        let clients = Clients::parse("a:x,b:x,c:x", "a:read, a:deliver,b:admin,c:deliver").unwrap();
        let may: Vec<_> = clients
            .0
            .iter()
            .map(|client| [Scope::Admin, Scope::Deliver, Scope::Read].map(|scope| client.may(scope)))
            .collect();
        assert_eq!(may, [[false, true, true], [true, true, true], [false, true, false]]);
    }

    #[test]
    fn what_is_not_known_takes_everything() {
        use Scope::{Admin, Deliver, Read};
        for (method, pattern, needed) in [
            (Method::GET, Some("/service"), Read),
            (Method::HEAD, None, Read),
            (Method::POST, Some("/service"), Admin),
            (Method::POST, Some(QUESTIONS[0]), Read),
            (Method::PUT, Some(QUESTIONS[0]), Admin),
            (Method::POST, Some(DELIVERY), Deliver),
            (Method::DELETE, Some("/service"), Admin),
            (Method::POST, None, Admin),
            (Method::from_bytes(b"SEARCH").unwrap(), Some("/service"), Admin),
        ] {
            assert_eq!(Scope::needed(&method, pattern), needed, "{method} {pattern:?}");
        }
    }
}
