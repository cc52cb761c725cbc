//! What else is known of a person, in the words of the wire contract.

use std::str::FromStr;

use domain::status::UnknownWord;

/// The second factor with which somebody signs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthType {
    Sms,
    Email,
    Webauthn,
}

impl AuthType {
    pub const ALL: [Self; 3] = [Self::Sms, Self::Email, Self::Webauthn];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sms => "sms_auth",
            Self::Email => "email_auth",
            Self::Webauthn => "webauthn_auth",
        }
    }
}

impl FromStr for AuthType {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let known = Self::ALL.into_iter().find(|known| known.as_str() == text);
        known.ok_or_else(|| UnknownWord(text.into(), "auth type"))
    }
}

/// Whether a person has proved to be who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Pending,
    Active,
    /// Archived.
    Inactive,
}

impl State {
    pub const ALL: [Self; 3] = [Self::Pending, Self::Active, Self::Inactive];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Inactive => "inactive",
        }
    }
}

impl FromStr for State {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let known = Self::ALL.into_iter().find(|known| known.as_str() == text);
        known.ok_or_else(|| UnknownWord(text.into(), "state of a person"))
    }
}

/// What is said of a person besides who they are.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    /// Runs the platform.
    pub platform_admin: bool,
    /// None: nobody said. A text to whoever has a number, an e-mail to the others.
    pub auth_type: Option<AuthType>,
    pub state: State,
    pub take_part_in_research: bool,
    pub receives_new_features_email: bool,
}

impl Standing {
    /// Of whom an operator makes.
    #[must_use]
    pub const fn of_operators(platform_admin: bool) -> Self {
        Self {
            platform_admin,
            auth_type: None,
            state: State::Active,
            take_part_in_research: true,
            receives_new_features_email: true,
        }
    }
}
