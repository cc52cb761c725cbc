//! What the document says before its operations, with the numbers that hold.

use db::service::Limits;
use domain::{email, sms};

use super::mebibytes;
use crate::{auth, config::ApiConfig, v2::notifications::PAGE};

/// In Markdown.
pub(super) fn text() -> String {
    let config = ApiConfig::default();
    [
        ("LEEWAY", auth::LEEWAY.to_string()),
        ("BODY_LIMIT", mebibytes(config.body_limit)),
        ("SMS_LIMIT", sms::CHARACTER_LIMIT.to_string()),
        ("EMAIL_LIMIT", email::BYTE_LIMIT.to_string()),
        ("FILE_LIMIT", mebibytes(config.file_limit)),
        ("RATE", Limits::LIVE.rate.to_string()),
        ("PAGE", PAGE.to_string()),
    ]
    .into_iter()
    .fold(include_str!("introduction.md").to_owned(), |text, (name, value)| text.replace(name, &value))
}

/// How to make the token of a request.
pub(super) fn token() -> String {
    format!(
        "A JSON Web Token: `iss` is the service id and `iat` the time now in whole seconds, signed with HS256 and the secret of \
         one of the service’s API keys (its last 36 characters). Good for {} seconds before and after `iat`.",
        auth::LEEWAY
    )
}
