//! Recipients: telephone numbers, and e-mail addresses beside them.
#![no_main]

use domain::{
    email_address::EmailAddress,
    phone::{PhoneNumber, SmsPermissions},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    let _ = PhoneNumber::parse_contact(input);
    if let Ok(number) = PhoneNumber::parse(input) {
        // Not that it reads back as the same number: libphonenumber keeps zeros of `+43 00…` that it drops from `+4300…`.
        let _ = PhoneNumber::parse(&format!("+{}", number.normalised()));
        assert!(number.normalised().bytes().all(|byte| byte.is_ascii_digit()));
        assert!(number.normalised().starts_with(number.country_prefix()));
        assert!(number.rate_multiplier() >= 1 && !number.human_readable().is_empty());
        for (international, uk_landline) in [(false, false), (true, false), (false, true), (true, true)] {
            let _ = number.permitted(SmsPermissions { international, uk_landline });
        }
    }
    if let Ok(address) = EmailAddress::parse(input) {
        assert_eq!(EmailAddress::parse(address.as_given()), Ok(address.clone()));
        assert!(address.normalised().is_ascii() || !address.normalised().is_empty());
        assert!(!address.normalised().contains(['\r', '\n', ' ', '<', '>']));
    }
});
