//! `token`: what goes behind `Authorization: Bearer`, for curl.

use clap::Args;
use domain::clock::Clock;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;

use crate::{error::Error, key_text::ApiKeyText, output::say};

/// Print a token for the public API; good for 30 seconds
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    key: KeyArgument,
}

/// Whose key. Not parsed by clap, which would print it when it is malformed.
#[derive(Args)]
pub(crate) struct KeyArgument {
    /// The API key
    #[arg(long = "key", env = "API_KEY", hide_env_values = true, value_name = "KEY")]
    text: String,
}

impl std::fmt::Debug for KeyArgument {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyArgument").finish_non_exhaustive()
    }
}

impl KeyArgument {
    pub(crate) fn parse(&self) -> Result<ApiKeyText, Error> {
        ApiKeyText::parse(&self.text).map_err(|error| Error::No(error.to_string()))
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Error> {
    say(&signed(&arguments.key.parse()?, &Clock::System)?)
}

#[derive(Serialize)]
struct Claims {
    iss: String,
    iat: i64,
}

/// A token of this moment.
pub(crate) fn signed(key: &ApiKeyText, clock: &Clock) -> Result<String, Error> {
    let claims = Claims { iss: key.service.to_string(), iat: clock.now().timestamp() };
    let secret = EncodingKey::from_secret(key.secret.as_bytes());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &secret)
        .map_err(|error| Error::No(format!("no token can be made: {error}")))
}
