//! Phone numbers: parsed once at the door, never checked again.

/// What a service may send to, besides UK mobiles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SmsPermissions {
    pub international: bool,
    pub uk_landline: bool,
}

/// Why a number is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PhoneError {
    TooLong,
    TooShort,
    NotAUkMobile,
    UnknownCharacter,
    UnsupportedCountryCode,
    Invalid,
}

impl PhoneError {
    /// The text of the HTTP API, for example `Not enough digits`.
    #[must_use]
    pub fn api_message(self) -> &'static str {
        unimplemented!()
    }
}

/// A number that can be sent to.
#[derive(Clone, PartialEq, Eq)]
pub struct PhoneNumber {
    normalised: String,
}

impl PhoneNumber {
    /// # Errors
    /// When no number that can be sent to is meant; permissions of the service are [`Self::permitted`]'s matter.
    pub fn parse(_raw: &str) -> Result<Self, PhoneError> {
        unimplemented!()
    }

    /// # Errors
    /// When the service may not send to this number.
    pub fn permitted(&self, _permissions: SmsPermissions) -> Result<(), PhoneError> {
        unimplemented!()
    }

    /// Digits with the country code, without `+`.
    #[must_use]
    pub fn normalised(&self) -> &str {
        &self.normalised
    }

    /// Charged as international (also the Crown dependencies).
    #[must_use]
    pub fn is_international(&self) -> bool {
        unimplemented!()
    }

    /// Key into the price list: the country code, or four digits in the +1 plan.
    #[must_use]
    pub fn country_prefix(&self) -> &str {
        unimplemented!()
    }

    /// How many times the UK price one message costs.
    #[must_use]
    pub fn rate_multiplier(&self) -> u8 {
        unimplemented!()
    }
}

/// Whether networks of this country send receipts from handsets; without them `sent` is the last word.
#[must_use]
pub fn gives_receipts(_country_prefix: &str) -> bool {
    unimplemented!()
}
