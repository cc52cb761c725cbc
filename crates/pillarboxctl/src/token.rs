//! `token`: what goes behind `Authorization: Bearer`, for curl.

use clap::Args;
use domain::clock::Clock;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;

use crate::{database, error::Error, key_text::ApiKeyText, output::say};

/// Print a token for the public API, or the internal one; good for 30 seconds
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    key: KeyArgument,
    /// For the internal API: a client of `internal.clients` in the configuration, such as notify-admin
    #[arg(long, value_name = "ID")]
    client: Option<String>,
}

/// Whose key. Not parsed by clap, which would print it when it is malformed.
#[derive(Args)]
pub(crate) struct KeyArgument {
    /// The API key
    #[arg(long = "key", env = "API_KEY", hide_env_values = true, value_name = "KEY")]
    text: Option<String>,
}

impl std::fmt::Debug for KeyArgument {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyArgument").finish_non_exhaustive()
    }
}

impl KeyArgument {
    pub(crate) fn parse(&self) -> Result<ApiKeyText, Error> {
        let text =
            self.text.as_deref().ok_or_else(|| Error::No("no API key: give --key, or set API_KEY".into()))?;
        ApiKeyText::parse(text).map_err(|error| Error::No(error.to_string()))
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Error> {
    let token = match &arguments.client {
        Some(client) => client_token(client)?,
        None => signed(&arguments.key.parse()?, &Clock::System)?,
    };
    say(&token)
}

fn client_token(client: &str) -> Result<String, Error> {
    let settings = database::settings()?;
    let secret = settings.internal.secret_of(client);
    let secret = secret.ok_or_else(|| Error::No(format!("`internal.clients` has no client {client}")))?;
    sign(client.to_owned(), secret, &Clock::System)
}

/// A token of this moment.
pub(crate) fn signed(key: &ApiKeyText, clock: &Clock) -> Result<String, Error> {
    sign(key.service.to_string(), &key.secret, clock)
}

#[derive(Serialize)]
struct Claims {
    iss: String,
    iat: i64,
}

fn sign(issuer: String, secret: &str, clock: &Clock) -> Result<String, Error> {
    let claims = Claims { iss: issuer, iat: clock.now().timestamp() };
    let secret = EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &secret)
        .map_err(|error| Error::No(format!("no token can be made: {error}")))
}
