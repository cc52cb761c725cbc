//! E-mail addresses: parsed once at the door, never checked again.

/// Not an address that mail can be sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Not a valid email address")]
pub struct InvalidEmailAddress;

#[derive(Clone, PartialEq, Eq)]
pub struct EmailAddress {
    address: String,
    normalised: String,
}

impl EmailAddress {
    /// # Errors
    /// When mail cannot be sent there.
    pub fn parse(_raw: &str) -> Result<Self, InvalidEmailAddress> {
        unimplemented!()
    }

    /// As given, cleaned of invisible characters.
    #[must_use]
    pub fn as_given(&self) -> &str {
        &self.address
    }

    /// Lower-cased: what is sent to and compared.
    #[must_use]
    pub fn normalised(&self) -> &str {
        &self.normalised
    }
}
