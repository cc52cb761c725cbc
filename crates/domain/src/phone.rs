//! Phone numbers: parsed once at the door, never checked again.
//!
//! What a number is, libphonenumber says; this module adds what GOV.UK Notify makes of it: which kinds can be sent to,
//! a second look at numbers typed in a way the library does not read, and what a service may send to at what price.

use rlibphonenumber::{
    NumberLengthType, PHONE_NUMBER_UTIL, PhoneNumber as Parsed, PhoneNumberFormat, PhoneNumberType, Region,
    ValidationError,
};

pub use crate::country::gives_receipts;
use crate::country::{self, Prefix};
use crate::whitespace::{NON_BREAKING, ZERO_WIDTH, is_ascii_space};

const UK: i32 = 44;

/// Longer input is not looked at (libphonenumber's limit, which the Rust port leaves to its caller).
const CHARACTER_LIMIT: usize = 250;

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
    /// Only of numbers that a service shows to the public.
    EmergencyNumber,
}

impl PhoneError {
    /// The text of the HTTP API, for example `Not enough digits`.
    #[must_use]
    pub fn api_message(self) -> &'static str {
        match self {
            Self::TooLong => "Too many digits",
            Self::TooShort => "Not enough digits",
            Self::NotAUkMobile => "Not a UK mobile number",
            Self::UnknownCharacter => "Must not contain letters or symbols",
            Self::UnsupportedCountryCode => "Not a valid country prefix",
            Self::Invalid | Self::EmergencyNumber => self.message(),
        }
    }

    /// The text for people in front of a form.
    #[must_use]
    pub fn message(self) -> &'static str {
        match self {
            Self::TooLong => "Mobile number is too long",
            Self::TooShort => "Mobile number is too short",
            Self::NotAUkMobile => {
                "This does not look like a UK mobile number – double check the mobile number you entered"
            }
            Self::UnknownCharacter => "Mobile numbers can only include: 0 1 2 3 4 5 6 7 8 9 ( ) + -",
            Self::UnsupportedCountryCode => {
                "Country code not found - double check the mobile number you entered"
            }
            Self::Invalid => "Number is not valid – double check the phone number you entered",
            Self::EmergencyNumber => "Phone number cannot be an emergency number",
        }
    }

    /// A stable identifier.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::TooLong => "too_long",
            Self::TooShort => "too_short",
            Self::NotAUkMobile => "not_a_uk_mobile",
            Self::UnknownCharacter => "unknown_character",
            Self::UnsupportedCountryCode => "unsupported_country_code",
            Self::Invalid => "invalid_number",
            Self::EmergencyNumber => "unsupported_emergency_number",
        }
    }
}

impl std::fmt::Display for PhoneError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for PhoneError {}

/// A number that can be sent to.
#[derive(Clone, PartialEq, Eq)]
pub struct PhoneNumber {
    normalised: String,
    country_code: u16,
    /// How many digits of `normalised` are the key into the price list.
    prefix_length: usize,
    kind: Kind,
    is_international: bool,
}

/// What permission depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Uk,
    UkLandline,
    Abroad,
}

impl PhoneNumber {
    /// # Errors
    /// When no number that can be sent to is meant; permissions of the service are [`Self::permitted`]'s matter.
    pub fn parse(raw: &str) -> Result<Self, PhoneError> {
        look_twice(raw, Use::Recipient)
    }

    /// A number that a service shows to the public, which may also be one of three digits, such as 111.
    ///
    /// # Errors
    /// When no such number is meant, or an emergency number is.
    pub fn parse_contact(raw: &str) -> Result<Self, PhoneError> {
        look_twice(raw, Use::Contact)
    }

    fn new(number: &Parsed, number_type: PhoneNumberType) -> Self {
        let normalised = number.format_as(PhoneNumberFormat::E164).trim_start_matches('+').to_owned();
        let country_code =
            u16::try_from(number.country_code).expect("a parsed country code has one to three digits");
        let kind = match number_type {
            _ if number.country_code != UK => Kind::Abroad,
            PhoneNumberType::FixedLine | PhoneNumberType::FixedLineOrMobile | PhoneNumberType::UAN => {
                Kind::UkLandline
            }
            _ => Kind::Uk,
        };
        let is_international = number.get_region_code() != Some(Region::GB) && !is_drama_number(number);
        let has_own_price =
            country_code == 1 && normalised.get(..4).is_some_and(|four| country::prefix(four).is_some());
        let prefix_length = if has_own_price { 4 } else { country_code.to_string().len() };
        Self { normalised, country_code, prefix_length, kind, is_international }
    }

    /// # Errors
    /// When the service may not send to this number.
    pub fn permitted(&self, permissions: SmsPermissions) -> Result<(), PhoneError> {
        match self.kind {
            Kind::Uk => Ok(()),
            Kind::UkLandline if permissions.uk_landline => Ok(()),
            Kind::Abroad if permissions.international => match self.prefix() {
                Some(_) => Ok(()),
                None => Err(PhoneError::UnsupportedCountryCode),
            },
            Kind::UkLandline | Kind::Abroad => Err(PhoneError::NotAUkMobile),
        }
    }

    /// Digits with the country code, without `+`.
    #[must_use]
    pub fn normalised(&self) -> &str {
        &self.normalised
    }

    /// For display: the national format with the country code 44, otherwise the international one.
    #[must_use]
    pub fn human_readable(&self) -> String {
        let format =
            if self.is_uk() { PhoneNumberFormat::National } else { PhoneNumberFormat::International };
        match PHONE_NUMBER_UTIL.parse(format!("+{}", self.normalised), None) {
            Ok(number) => number.format_as(format).into_owned(),
            Err(_) => format!("+{}", self.normalised),
        }
    }

    #[must_use]
    pub fn country_code(&self) -> u16 {
        self.country_code
    }

    /// The country code is 44; Crown dependencies have it too.
    #[must_use]
    pub fn is_uk(&self) -> bool {
        i32::from(self.country_code) == UK
    }

    /// In Jersey, Guernsey or on the Isle of Man.
    #[must_use]
    pub fn is_crown_dependency(&self) -> bool {
        self.is_uk() && self.is_international
    }

    /// Charged as international (also the Crown dependencies).
    #[must_use]
    pub fn is_international(&self) -> bool {
        self.is_international
    }

    /// Key into the price list: the country code, or four digits in the +1 plan.
    #[must_use]
    pub fn country_prefix(&self) -> &str {
        &self.normalised[..self.prefix_length]
    }

    /// How many times the UK price one message costs.
    #[must_use]
    pub fn rate_multiplier(&self) -> u8 {
        match self.prefix() {
            Some(prefix) if self.is_international() => prefix.rate_multiplier,
            _ => 1,
        }
    }

    /// Networks there take no sender made of letters.
    #[must_use]
    pub fn needs_numeric_sender(&self) -> bool {
        self.prefix().is_some_and(Prefix::needs_numeric_sender)
    }

    fn prefix(&self) -> Option<&'static Prefix> {
        country::prefix(self.country_prefix())
    }
}

impl std::fmt::Debug for PhoneNumber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PhoneNumber(…)")
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Recipient,
    Contact,
}

/// As typed, and if that is no number, once more without what people put in front of one; the second look's error counts.
fn look_twice(raw: &str, wanted: Use) -> Result<PhoneNumber, PhoneError> {
    look(raw, wanted).or_else(|_| look(&plainly_typed(raw), wanted))
}

/// Without any `+` and leading zeros, with typographic dashes and spaces as ASCII.
fn plainly_typed(raw: &str) -> String {
    let without_plus: String = raw.chars().filter(|c| *c != '+').collect();
    without_plus
        .trim_start_matches('0')
        .chars()
        .filter(|c| !ZERO_WIDTH.contains(c))
        .map(|c| match c {
            '‑' | '–' | '—' | '−' => '-',
            '\t' => ' ',
            c if NON_BREAKING.contains(&c) => ' ',
            ' '..='~' => c,
            _ => '?',
        })
        .collect()
}

fn look(raw: &str, wanted: Use) -> Result<PhoneNumber, PhoneError> {
    if !raw.chars().all(is_allowed) {
        return Err(PhoneError::UnknownCharacter);
    }
    if raw.is_empty() {
        return Err(PhoneError::TooShort);
    }
    if raw.chars().nth(CHARACTER_LIMIT).is_some() {
        return Err(PhoneError::Invalid);
    }
    let mut number = PHONE_NUMBER_UTIL.parse(raw, Some(Region::GB)).map_err(|_| PhoneError::Invalid)?;
    if wanted == Use::Contact && (100..=999).contains(&number.national_number) {
        return if matches!(number.national_number, 112 | 999) {
            Err(PhoneError::EmergencyNumber)
        } else {
            Ok(PhoneNumber::new(&number, PhoneNumberType::Unknown))
        };
    }
    if let Err(error) = check_length(&number) {
        number = PHONE_NUMBER_UTIL
            .parse(format!("+{raw}"), None)
            .ok()
            .filter(|number| number.is_possible_with_reason().is_ok())
            .ok_or(error)?;
    }
    let number_type = number.get_type();
    let can_be_sent_to = matches!(
        number_type,
        PhoneNumberType::FixedLine
            | PhoneNumberType::Mobile
            | PhoneNumberType::FixedLineOrMobile
            | PhoneNumberType::UAN
            | PhoneNumberType::PersonalNumber
    );
    if (can_be_sent_to && number.is_valid()) || is_drama_number(&number) {
        Ok(PhoneNumber::new(&number, number_type))
    } else {
        Err(PhoneError::Invalid)
    }
}

fn is_allowed(c: char) -> bool {
    c.is_ascii_digit()
        || matches!(c, '(' | ')' | '-' | '+')
        || is_ascii_space(c)
        || ZERO_WIDTH.contains(&c)
        || NON_BREAKING.contains(&c)
}

/// Whether the country has numbers of this length that can be dialled from anywhere.
fn check_length(number: &Parsed) -> Result<(), PhoneError> {
    match number.is_possible_with_reason() {
        Ok(NumberLengthType::IsPossible) => Ok(()),
        Ok(NumberLengthType::IsPossibleLocalOnly) | Err(ValidationError::TooShort) => {
            Err(PhoneError::TooShort)
        }
        Err(ValidationError::TooLong) => Err(PhoneError::TooLong),
        Err(ValidationError::InvalidLength) => Err(PhoneError::Invalid),
        Err(ValidationError::InvalidCountryCode) => Err(PhoneError::UnsupportedCountryCode),
    }
}

/// Ofcom keeps 07700 900000 to 900999 for film and television, and people test with them. Upstream means those, and takes
/// every number that goes on like this.
fn is_drama_number(number: &Parsed) -> bool {
    number
        .national_number
        .to_string()
        .strip_prefix("7700")
        .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_are_those_of_the_service() {
        let cases = [
            ("07700 900123", Ok(()), Ok(())),
            ("+44 7797 292290", Ok(()), Ok(())),
            ("020 7946 0958", Err(PhoneError::NotAUkMobile), Ok(())),
            ("+33 6 12 34 56 78", Err(PhoneError::NotAUkMobile), Ok(())),
            ("+870 773111632", Err(PhoneError::NotAUkMobile), Err(PhoneError::UnsupportedCountryCode)),
        ];
        let all = SmsPermissions { international: true, uk_landline: true };
        for (raw, with_none, with_all) in cases {
            let number = PhoneNumber::parse(raw).unwrap();
            assert_eq!(number.permitted(SmsPermissions::default()), with_none, "{raw}");
            assert_eq!(number.permitted(all), with_all, "{raw}");
        }
    }

    #[test]
    fn places_in_the_north_american_plan_have_their_own_price() {
        let (us, bahamas) =
            (PhoneNumber::parse("12025550123").unwrap(), PhoneNumber::parse("+12423591234").unwrap());
        assert_eq!((us.country_prefix(), us.rate_multiplier()), ("1", 1));
        assert_eq!((bahamas.country_prefix(), bahamas.rate_multiplier()), ("1242", 3));
    }

    #[test]
    fn debug_shows_no_number() {
        assert_eq!(format!("{:?}", PhoneNumber::parse("07700900123")), "Ok(PhoneNumber(…))");
    }
}
