//! Who may be written to, by the rules of 2016: plainer than today's, and kept because callers rely on what they let
//! through. What a provider cannot reach after all ends as a failed notification.

use domain::whitespace::is_space;

/// Answered as usual, and nothing is stored. No outcome belongs to any of them.
const SIMULATED: [&str; 6] = [
    "447700900000",
    "447700900111",
    "447700900222",
    "simulate-delivered@notifications.service.gov.uk",
    "simulate-permanent-failure@notifications.service.gov.uk",
    "simulate-temporary-failure@notifications.service.gov.uk",
];

/// A person's number or address. No `Debug`: it is personal.
pub(super) struct Recipient {
    pub(super) shown: String,
    /// Digits with the country code, or the address in lower case: what is sent to and compared.
    pub(super) normalised: String,
}

impl Recipient {
    /// A UK mobile number.
    pub(super) fn mobile(raw: &str) -> Result<Self, &'static str> {
        let number = raw.replace(['(', ')', ' ', '-'], "");
        let number = number.trim_start_matches('+').trim_start_matches('0');
        if !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err("Must not contain letters or symbols");
        }
        let rest = ["7", "447", "4407"].iter().find_map(|start| number.strip_prefix(start));
        let rest = rest.ok_or("Not a UK mobile number")?;
        match rest.len() {
            9 => Ok(Self { shown: format!("+447{rest}"), normalised: format!("447{rest}") }),
            10.. => Err("Too many digits"),
            _ => Err("Not enough digits"),
        }
    }

    /// Anything with one `@`, and a dot after it that something follows.
    pub(super) fn address(raw: &str) -> Result<Self, &'static str> {
        let is_address = |local: &str, host: &str| {
            let has_dot = host.char_indices().any(|(at, c)| c == '.' && at > 0 && at + 1 < host.len());
            !local.is_empty() && !host.contains('@') && has_dot
        };
        match raw.split_once('@') {
            Some((local, host)) if is_address(local, host) && !raw.contains(is_space) => {
                Ok(Self { shown: raw.to_owned(), normalised: raw.to_lowercase() })
            }
            _ => Err("Not a valid email address"),
        }
    }

    pub(super) fn is_simulated(&self) -> bool {
        SIMULATED.contains(&self.normalised.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mobile(raw: &str) -> Result<String, &'static str> {
        Recipient::mobile(raw).map(|recipient| recipient.shown)
    }

    #[test]
    fn every_way_to_write_a_uk_mobile_number() {
        for raw in [
            "07700900855",
            "7700900855",
            "+447700900855",
            "00447700900855",
            "+44 (0)7700 900-855",
            "++0447700900855",
        ] {
            assert_eq!(mobile(raw).as_deref(), Ok("+447700900855"), "{raw}");
        }
    }

    #[test]
    fn numbers_that_are_none() {
        for (raw, error) in [
            ("07700 90085x", "Must not contain letters or symbols"),
            ("07700.900855", "Must not contain letters or symbols"),
            ("+44+7700900855", "Must not contain letters or symbols"),
            ("07700 ٩00855", "Must not contain letters or symbols"),
            ("07700\t900855", "Must not contain letters or symbols"),
            ("", "Not a UK mobile number"),
            ("020 7946 0958", "Not a UK mobile number"),
            ("+33612345678", "Not a UK mobile number"),
            ("0044007700900855", "Not a UK mobile number"),
            ("077009008555", "Too many digits"),
            ("0770090085", "Not enough digits"),
            ("7", "Not enough digits"),
        ] {
            assert_eq!(mobile(raw), Err(error), "{raw}");
        }
    }

    #[test]
    fn addresses_need_an_at_and_a_dot() {
        for raw in ["Rosa@example.com", "a;b\"@b.c", "a@b..c", "ü@ü.ü", "a@b.c."] {
            assert_eq!(Recipient::address(raw).map(|to| to.shown).as_deref(), Ok(raw));
        }
        for raw in ["", "a", "@b.c", "a@b", "a@b.", "a@.c", "a@b@c.d", "a b@c.d", " a@b.c", "a@b.c\n"] {
            assert!(Recipient::address(raw).is_err(), "{raw}");
        }
        assert_eq!(
            Recipient::address("Rosa@Example.com").map(|to| to.normalised).unwrap(),
            "rosa@example.com"
        );
    }
}
