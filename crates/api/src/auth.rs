//! Who calls: a service with one of its keys, or an internal client.
//!
//! The service is looked up first, which limits and permissions need anyway: of one that is unknown there are no keys to ask
//! for. Then its keys are looped over; that a service is archived is told to whoever has one of them.
//!
//! Failures are counted by where they come from. Who has had too many is told so instead of what is wrong, and whom we have
//! not seen lately is looked up after all others like him; but a token that is right lets in, whoever else fails at the same
//! address.

mod basic;
mod internal;
mod token;

use std::sync::Arc;

use actix_web::{
    HttpRequest,
    http::header::{AUTHORIZATION, HeaderMap, HeaderValue},
};
use db::api_key::ApiKey;
use domain::{
    id::{ApiKeyId, ServiceId},
    status::KeyType,
};
use jsonwebtoken::DecodingKey;
use uuid::Uuid;

pub(crate) use self::{basic::Credentials, internal::Clients, token::LEEWAY};
use self::{
    internal::Scope,
    token::{Token, Verdict},
};
use crate::{
    App,
    caller_address::Origin,
    error::Problem,
    header::{self, Repeated},
    lookup::KnownService,
};

/// Why a caller is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    NoToken,
    NotBearer,
    /// It cannot be decoded, or breaks a rule for which the contract has no text of its own.
    BadToken,
    NoIssuer,
    IssuerNotAnId,
    UnknownService,
    NoKeys,
    Archived,
    Clock,
    WrongAlgorithm,
    Revoked,
    NoKeyMatches,
    /// An internal endpoint, and not one of its clients.
    NotAllowed,
    /// A client whose scopes do not go that far.
    OutOfScope,
}

impl Denied {
    pub(crate) fn message(self) -> &'static str {
        match self {
            Self::NoToken => "Unauthorized: authentication token must be provided",
            Self::NotBearer => "Unauthorized: authentication bearer scheme must be used",
            Self::BadToken => {
                "Invalid token: make sure your API token matches the example at \
                 https://docs.notifications.service.gov.uk/rest-api.html#authorisation-header"
            }
            Self::NoIssuer => "Invalid token: iss field not provided",
            Self::IssuerNotAnId => "Invalid token: service id is not the right data type",
            Self::UnknownService => "Invalid token: service not found",
            Self::NoKeys => "Invalid token: service has no API keys",
            Self::Archived => "Invalid token: service is archived",
            Self::Clock => "Error: Your system clock must be accurate to within 30 seconds",
            Self::WrongAlgorithm => "Invalid token: algorithm used is not HS256",
            Self::Revoked => "Invalid token: API key revoked",
            Self::NoKeyMatches => "Invalid token: API key not found",
            Self::NotAllowed => "Unauthorized: not allowed to perform this action",
            Self::OutOfScope => "Forbidden: this client is not allowed to perform this action",
        }
    }
}

/// A key as authentication needs it.
#[derive(Clone)]
pub(crate) struct KnownKey {
    id: ApiKeyId,
    key_type: KeyType,
    /// None: its secret was sealed with a key that we do not have, so nothing verifies.
    secret: Option<DecodingKey>,
    revoked: bool,
}

impl From<ApiKey> for KnownKey {
    fn from(key: ApiKey) -> Self {
        Self {
            id: key.id,
            key_type: key.key_type,
            secret: key.secret.as_deref().map(DecodingKey::from_secret),
            revoked: key.revoked,
        }
    }
}

/// A service that has proved who it is, or that somebody who did acts for.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) service: Arc<KnownService>,
    pub(crate) by: By,
    pub(crate) key_type: KeyType,
}

/// On whose word a service sends.
#[derive(Clone, Copy)]
pub(crate) enum By {
    Key(ApiKeyId),
    /// At the front end, if it says who.
    Person(Option<Uuid>),
}

impl Caller {
    pub(crate) fn service_id(&self) -> ServiceId {
        self.service.id()
    }
}

/// The service that makes this request.
pub(crate) async fn service(app: &App, request: &HttpRequest) -> Result<Caller, Problem> {
    let origin = app.proxies.origin(request);
    identify(app, request, origin).await.map_err(|problem| match problem {
        Problem::Denied(_) => failed(app, origin, problem),
        other => other,
    })
}

/// Counts an authentication that failed, and says what is to be said of it.
fn failed(app: &App, origin: Origin, problem: Problem) -> Problem {
    app.failures.take(origin).map_or_else(Problem::TooManyFailures, |()| problem)
}

/// The same for those who name a password instead of a token.
pub(crate) fn refused(app: &App, request: &HttpRequest, problem: Problem) -> Problem {
    failed(app, app.proxies.origin(request), problem)
}

async fn identify(app: &App, request: &HttpRequest, origin: Origin) -> Result<Caller, Problem> {
    let token = Token::parse(bearer(request.headers())?)?;
    let id = token.service()?;
    let _turn = if app.failures.was_empty(&origin) && !app.lookup.remembers(id) {
        Some(app.lookup.turn_of_strangers().await)
    } else {
        None
    };
    let service = app.lookup.service(id).await?.ok_or(Denied::UnknownService)?;
    let keys = app.lookup.keys(id).await?;
    let matched = matching(&token, &keys, app.clock.now().timestamp())?;
    if keys.is_empty() {
        return Err(Denied::NoKeys.into());
    }
    if !service.is_active() {
        return Err(Denied::Archived.into());
    }
    match matched {
        None => Err(Denied::NoKeyMatches.into()),
        Some(key) if key.revoked => Err(Denied::Revoked.into()),
        Some(key) => Ok(Caller { service, by: By::Key(key.id), key_type: key.key_type }),
    }
}

fn matching<'k>(token: &Token<'_>, keys: &'k [KnownKey], now: i64) -> Result<Option<&'k KnownKey>, Denied> {
    for key in keys {
        let Some(secret) = &key.secret else { continue };
        match token.verdict(secret, now) {
            Verdict::Good => return Ok(Some(key)),
            Verdict::NotThisKey => {}
            Verdict::Stop(denied) => return Err(denied),
        }
    }
    Ok(None)
}

/// Turns away whoever is no internal client, or none that may do this.
pub(crate) fn internal(app: &App, request: &HttpRequest) -> Result<(), Problem> {
    let admitted = bearer(request.headers())
        .and_then(Token::parse)
        .and_then(|token| app.clients.admit(&token, app.clock.now().timestamp()));
    let client = admitted.map_err(|denied| refused(app, request, denied.into()))?;
    let needed = Scope::needed(request.method(), request.match_pattern().as_deref());
    if client.may(needed) { Ok(()) } else { Err(Denied::OutOfScope.into()) }
}

/// What stands behind `Bearer`, whatever its case.
fn bearer(headers: &HeaderMap) -> Result<&str, Denied> {
    const SCHEME: &[u8] = b"bearer ";
    let header = header::only(headers, AUTHORIZATION).map_err(|Repeated| Denied::BadToken)?;
    let header = header.map(HeaderValue::as_bytes).unwrap_or_default();
    if header.is_empty() {
        return Err(Denied::NoToken);
    }
    match header.split_at_checked(SCHEME.len()) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(SCHEME) => {
            std::str::from_utf8(token).map_err(|_| Denied::BadToken)
        }
        _ => Err(Denied::NotBearer),
    }
}

/// Only whether it panics is of interest.
#[cfg(feature = "fuzzing")]
pub(crate) fn judge(text: &str, secret: &[u8], now: i64) {
    if let Ok(token) = Token::parse(text) {
        let _ = (token.service(), token.verdict(&DecodingKey::from_secret(secret), now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(header: &'static [u8]) -> Result<String, Denied> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_bytes(header).unwrap());
        bearer(&headers).map(str::to_owned)
    }

    #[test]
    fn the_scheme_is_bearer_in_any_case() {
        for header in [&b"Bearer x"[..], b"bearer x", b"BEARER x"] {
            assert_eq!(of(header), Ok("x".into()));
        }
        for header in [&b"Basic eDp5"[..], b"Bearer", b"Bearerx", b"x", "Bärer x".as_bytes()] {
            assert_eq!(of(header), Err(Denied::NotBearer));
        }
        assert_eq!(of(b"Bearer \xff"), Err(Denied::BadToken));
        assert_eq!(of(b""), Err(Denied::NoToken));
        assert_eq!(bearer(&HeaderMap::new()), Err(Denied::NoToken));
    }

    #[test]
    fn of_two_headers_neither_counts() {
        let mut headers = HeaderMap::new();
        for header in ["Bearer x", "Bearer x"] {
            headers.append(AUTHORIZATION, HeaderValue::from_static(header));
        }
        assert_eq!(bearer(&headers), Err(Denied::BadToken));
    }
}
