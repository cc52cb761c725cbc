//! What a template may be made of, whoever makes it.

use domain::{
    email,
    sms::{self, Sms},
    status::Channel,
    template::Personalisation,
};

use crate::service::Permission;

/// Why a template is not made or changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    #[error("Content has a character count greater than the limit of {0}")]
    TooLong(usize),
    #[error("Invalid template subject")]
    Subject,
}

/// What a service needs to have templates of a channel.
#[must_use]
pub const fn needed(channel: Channel) -> Permission {
    match channel {
        Channel::Sms => Permission::Sms,
        Channel::Email => Permission::Email,
    }
}

/// Whatever its placeholders stand for comes on top of this.
///
/// # Errors
/// When it is too long.
pub fn check_content(channel: Channel, content: &str) -> Result<(), Unfit> {
    let (too_long, limit) = match channel {
        Channel::Sms => {
            (Sms::render(content, &Personalisation::default(), None).is_too_long(), sms::CHARACTER_LIMIT)
        }
        Channel::Email => (content.len() > email::BYTE_LIMIT, email::BYTE_LIMIT),
    };
    if too_long { Err(Unfit::TooLong(limit)) } else { Ok(()) }
}

/// Of an e-mail.
///
/// # Errors
/// When there is nothing to read in it.
pub fn check_subject(subject: &str) -> Result<(), Unfit> {
    if subject.trim().is_empty() { Err(Unfit::Subject) } else { Ok(()) }
}
