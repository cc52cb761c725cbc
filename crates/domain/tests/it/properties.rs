//! What holds for any input: nothing panics, and what was let in stays the same when it comes again.

use domain::email_address::EmailAddress;
use domain::gsm;
use domain::phone::{PhoneNumber, SmsPermissions};
use domain::sms::Sms;
use domain::template::{Lists, Missing, Personalisation, Template};
use proptest::prelude::*;
use serde_json::{Map, Value};

/// Any text, and texts of pieces that mean something to the code under test, which random characters rarely hit.
fn text_of(pieces: &'static [&'static str]) -> impl Strategy<Value = String> {
    let of_pieces = prop::collection::vec(
        prop_oneof![4 => prop::sample::select(pieces).prop_map(ToOwned::to_owned), 1 => ".{0,3}".boxed()],
        0..24,
    );
    prop_oneof![1 => any::<String>(), 3 => of_pieces.prop_map(|pieces| pieces.concat())]
}

fn template_text() -> impl Strategy<Value = String> {
    text_of(&[
        "((", "))", "(", ")", "??", "a", "B ", "_", "&", ";", "&amp", "&#", "x41", "lt", "<b>", "\n", "\r\n",
        " ,", "ŵ", "€",
    ])
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        template_text().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((template_text(), inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn personalisation() -> impl Strategy<Value = Personalisation> {
    prop::collection::vec(
        (prop_oneof![Just("a".to_owned()), Just("b".to_owned()), template_text()], json()),
        0..4,
    )
    .prop_map(|values| Personalisation::new(values.into_iter().collect::<Map<_, _>>()))
}

proptest! {
    #[test]
    fn a_template_without_values_is_the_text_itself(text in template_text()) {
        let filled = Template::parse(&text).fill(&Personalisation::default(), Lists::Bullets);
        prop_assert_eq!(filled, text);
    }

    #[test]
    fn a_template_takes_any_values(text in template_text(), values in personalisation()) {
        let template = Template::parse(&text);
        let missing = template.missing(&values);
        prop_assert!(missing.iter().all(|name| template.placeholders().contains(name)));
        let hidden = template.fill_marking(&values, Lists::Bullets, Missing::Hidden);
        prop_assert!(missing.is_empty() || hidden.contains("[hidden]"));
        // `<` can come from the markup only.
        let html = Template::parse_for_html(&text).fill_marking(&values, Lists::Sentence, Missing::AsTyped);
        prop_assert!(!html.contains('<'));
    }

    #[test]
    fn a_text_message_says_what_was_typed_in_as_few_places_as_it_can(
        text in template_text(), values in personalisation(), prefix in prop::option::of(template_text()),
    ) {
        let sms = Sms::render(&text, &values, prefix.as_deref());
        prop_assert_eq!(gsm::replaced(sms.text()), sms.text());
        prop_assert_eq!(sms.ucs2_characters().is_empty(), sms.text().chars().all(gsm::is_gsm));
        prop_assert_eq!(sms.length(), sms.text().encode_utf16().count());
        prop_assert!(sms.length_without_prefix() <= sms.length());
        prop_assert!(sms.fragments() >= 1 && sms.places_in_last_fragment() <= 160);
    }

    #[test]
    fn an_accepted_phone_number_has_digits_a_country_and_a_price(
        raw in text_of(&["+", "44", "0", "7", "7700", "900", "123", "1", "6", "(", ")", "-", " ", "–", "353", "999", "\u{200b}"]),
    ) {
        PhoneNumber::parse_contact(&raw).ok();
        if let Ok(number) = PhoneNumber::parse(&raw) {
            // Not that it reads back as the same number: of `+4)300770044900`, which fuzzing found, libphonenumber keeps
            // the zeros that it drops from `+430077…`.
            prop_assert!(number.normalised().bytes().all(|byte| byte.is_ascii_digit()));
            number.permitted(SmsPermissions { international: true, uk_landline: true }).ok();
            prop_assert!(number.normalised().starts_with(number.country_prefix()));
            prop_assert!(number.rate_multiplier() >= 1 && !number.human_readable().is_empty());
        }
    }

    #[test]
    fn an_accepted_address_is_accepted_again(
        raw in text_of(&["a", "B", "@", ".", "-", "com", "xn--", "ü", "例", "。", " ", "\u{200b}", "1", "+", "א", "\u{ad}"]),
    ) {
        if let Ok(address) = EmailAddress::parse(&raw) {
            prop_assert_eq!(EmailAddress::parse(address.as_given()), Ok(address.clone()));
        }
    }
}
