//! Texts that people send to our numbers, as MMG and Firetext post them.
//!
//! A person waits for an answer to these, so as little as possible is refused: a date that means nothing is now, an odd
//! sender is kept as it came, and what cannot be decoded stays as it is.

use chrono::{DateTime, Datelike as _, NaiveDateTime, Utc};
use domain::{phone::PhoneNumber, received_text::IncomingText, status::ProviderId};
use percent_encoding::percent_decode_str;
use serde_json::Value;

use crate::receipt::{self, BadReceipt};

/// Of a sender, a number or a reference. Real ones are far shorter.
const LONGEST_WORD: usize = 255;

/// What a vendor's fields hold, before our rules are applied to it.
struct Words {
    from: String,
    to: String,
    content: String,
    reference: Option<String>,
    date: Option<String>,
}

/// Reads what MMG posts: JSON, whose text is encoded once more.
///
/// # Errors
/// When it is not JSON, or `MSISDN`, `Number` or `Message` is missing.
pub fn read_mmg(body: &[u8], now: DateTime<Utc>) -> Result<IncomingText, BadReceipt> {
    const NAME: &str = "MMG";
    let json: Value = serde_json::from_slice(body)
        .map_err(|_| BadReceipt::Invalid(format!("{NAME} callback failed: invalid json")))?;
    let word = |name| if json[name].is_null() { None } else { receipt::word(&json, name) };
    // People do send texts without a word in them.
    let message = if json["Message"] == "" { Some(String::new()) } else { word("Message") };
    let (from, to) = (word("MSISDN"), word("Number"));
    let missing = [("MSISDN", from.is_none()), ("Number", to.is_none()), ("Message", message.is_none())];
    let (Some(from), Some(to), Some(message)) = (from, to, message) else {
        return Err(receipt::missing(NAME, &missing));
    };
    let (reference, date) = (word("ID"), word("DateRecieved"));
    let words = Words { from, to, content: decode(&message), reference, date };
    Ok(words.understood(ProviderId::Mmg, now))
}

/// Reads what Firetext posts: a form.
///
/// # Errors
/// When `source`, `destination` or `message` is missing.
pub fn read_firetext(body: &[u8], now: DateTime<Utc>) -> Result<IncomingText, BadReceipt> {
    const NAME: &str = "Firetext";
    let form: Vec<(String, String)> = serde_urlencoded::from_bytes(body)
        .map_err(|_| BadReceipt::Invalid(format!("{NAME} callback failed: not a form")))?;
    let field = |name| form.iter().find(|(field, _)| field == name).map(|(_, value)| value.clone());
    let word = |name| field(name).filter(|word| !word.is_empty());
    let message = field("message");
    let (from, to) = (word("source"), word("destination"));
    let missing = [("source", from.is_none()), ("destination", to.is_none()), ("message", message.is_none())];
    let (Some(from), Some(to), Some(content)) = (from, to, message) else {
        return Err(receipt::missing(NAME, &missing));
    };
    let words = Words { from, to, content, reference: None, date: word("time") };
    Ok(words.understood(ProviderId::Firetext, now))
}

impl Words {
    fn understood(self, provider: ProviderId, now: DateTime<Utc>) -> IncomingText {
        let Self { from, to, content, reference, date } = self;
        let identity = match (&reference, &date) {
            (Some(reference), _) => Some(vec![reference.clone()]),
            // The same words from the same person in the same second are the same text.
            (None, Some(date)) => Some(vec![from.clone(), to.clone(), date.clone(), content.clone()]),
            (None, None) => None,
        };
        IncomingText {
            provider,
            notify_number: storable(&as_dialled(&to)),
            user_number: PhoneNumber::parse(&from)
                .map_or_else(|_| storable(&from), |number| number.normalised().to_owned()),
            content,
            provider_reference: reference.as_deref().map(storable),
            provider_date: date.map(|date| time(&decode(&date)).unwrap_or(now)),
            identity,
        }
    }
}

fn as_dialled(number: &str) -> String {
    number.strip_prefix("44").map_or_else(|| number.to_owned(), |rest| format!("0{rest}"))
}

/// Not endless, and without the NUL that Postgres refuses.
fn storable(word: &str) -> String {
    word.chars().filter(|c| !c.is_control()).take(LONGEST_WORD).collect()
}

/// ISO, in UTC where it does not say otherwise.
fn time(text: &str) -> Option<DateTime<Utc>> {
    const FORMATS: [&str; 4] =
        ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M"];
    let text = text.trim();
    let naive = || {
        let formats = FORMATS.into_iter();
        formats.filter_map(|format| NaiveDateTime::parse_from_str(text, format).ok()).next()
    };
    let time = text.parse().ok().or_else(|| naive().map(|naive| naive.and_utc()))?;
    // chrono knows years that Postgres does not.
    (1970..=9999).contains(&DateTime::year(&time)).then_some(time)
}

/// MMG's way with a text: `+` is a space, then percent-encoding, then the backslash escapes of Python.
fn decode(text: &str) -> String {
    let text = text.replace('+', " ");
    unescape(&percent_decode_str(&text).decode_utf8_lossy())
}

/// By way of UTF-16: a character beyond its first 65,536 is escaped as two halves, which meet again there.
fn unescape(text: &str) -> String {
    let mut units = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, escaped)) = rest.split_once('\\') {
        units.extend(before.encode_utf16());
        rest = match escape(escaped) {
            Some((code, after)) => {
                push(&mut units, code);
                after
            }
            None => {
                units.push(u16::from(b'\\'));
                escaped
            }
        };
    }
    units.extend(rest.encode_utf16());
    String::from_utf16_lossy(&units)
}

/// The code that is escaped here, if any, and what follows. Python's `\N{name}` is not read: no phone sends it.
fn escape(text: &str) -> Option<(u32, &str)> {
    let mut characters = text.chars();
    let kind = characters.next()?;
    let rest = characters.as_str();
    let character = |c: char| Some((u32::from(c), rest));
    match kind {
        '\\' | '\'' | '"' => character(kind),
        'a' => character('\x07'),
        'b' => character('\x08'),
        't' => character('\t'),
        'n' => character('\n'),
        'v' => character('\x0b'),
        'f' => character('\x0c'),
        'r' => character('\r'),
        'x' => digits(rest, 16, 2..=2),
        'u' => digits(rest, 16, 4..=4),
        'U' => digits(rest, 16, 8..=8).filter(|(code, _)| *code <= u32::from(char::MAX)),
        '0'..='7' => digits(text, 8, 1..=3),
        _ => None,
    }
}

fn digits(text: &str, radix: u32, wanted: std::ops::RangeInclusive<usize>) -> Option<(u32, &str)> {
    let found = text.chars().take(*wanted.end()).take_while(|c| c.is_digit(radix)).count();
    let (digits, rest) = text.split_at_checked(found).filter(|_| wanted.contains(&found))?;
    Some((u32::from_str_radix(digits, radix).ok()?, rest))
}

/// A code below 65,536 may be half a character.
fn push(units: &mut Vec<u16>, code: u32) {
    match u16::try_from(code) {
        Ok(unit) => units.push(unit),
        Err(_) => {
            let character = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
            units.extend_from_slice(character.encode_utf16(&mut [0; 2]));
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::clock::Clock;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    const NOW: &str = "2026-03-02T11:00:00Z";

    fn mmg(change: &Value) -> Result<IncomingText, BadReceipt> {
        let mut body = json!({"MSISDN": "447700900123", "Number": "40604", "Message": "Yes+please%21", "ID": "mmg-991",
            "DateRecieved": "2026-03-02+10%3A11%3A12", "Trigger": "x", "Channel": "y"});
        for (name, value) in change.as_object().unwrap() {
            body[name] = value.clone();
        }
        read_mmg(body.to_string().as_bytes(), at(NOW))
    }

    fn firetext(body: &str) -> Result<IncomingText, BadReceipt> {
        read_firetext(body.as_bytes(), at(NOW))
    }

    #[test]
    fn mmg_as_the_contract_shows_it() {
        let text = mmg(&json!({})).unwrap();
        assert_eq!(
            text,
            IncomingText {
                provider: ProviderId::Mmg,
                notify_number: "40604".into(),
                user_number: "447700900123".into(),
                content: "Yes please!".into(),
                provider_reference: Some("mmg-991".into()),
                provider_date: Some(at("2026-03-02T10:11:12Z")),
                identity: Some(vec!["mmg-991".into()]),
            }
        );
        assert_eq!(format!("{text:?}"), "IncomingText { provider: Mmg, .. }");
    }

    #[test]
    fn firetext_is_taken_as_received() {
        let body = "source=447700900123&destination=447860000001&message=50%25+off%3F+a%2Bb+%5Cn+%2541&time=2026-03-02+10%3A11%3A12";
        let text = firetext(body).unwrap();
        assert_eq!(text.content, r"50% off? a+b \n %41");
        assert_eq!(text.notify_number, "07860000001");
        assert_eq!(text.provider_date, Some(at("2026-03-02T10:11:12Z")));
        assert_eq!(text.provider_reference, None);
        let words = ["447700900123", "447860000001", "2026-03-02 10:11:12", r"50% off? a+b \n %41"];
        assert_eq!(text.identity.unwrap(), words);
        let silent = firetext("source=a&destination=b&message=&time=").unwrap();
        assert_eq!((silent.content.as_str(), silent.provider_date, silent.identity), ("", None, None));
    }

    #[test]
    fn our_number_is_matched_as_people_dial_it() {
        for (given, dialled) in [
            ("447860000001", "07860000001"),
            ("07860000001", "07860000001"),
            ("40604", "40604"),
            ("+44786", "+44786"),
        ] {
            assert_eq!(mmg(&json!({ "Number": given })).unwrap().notify_number, dialled);
        }
        assert_eq!(mmg(&json!({ "Number": 447_860_000_001_u64 })).unwrap().notify_number, "07860000001");
    }

    #[test]
    fn a_sender_is_digits_when_it_is_a_number_and_kept_when_it_is_not() {
        for (given, kept) in [
            ("07700 900123", "447700900123"),
            ("+44 7700 900123", "447700900123"),
            ("33612345678", "33612345678"),
            ("BANK", "BANK"),
            ("60060", "60060"),
            ("a\0b\n", "ab"),
        ] {
            assert_eq!(mmg(&json!({ "MSISDN": given })).unwrap().user_number, kept, "{given}");
        }
        assert_eq!(mmg(&json!({ "MSISDN": "é".repeat(9000) })).unwrap().user_number.len(), 2 * LONGEST_WORD);
    }

    #[test]
    fn mmg_text_is_decoded_thrice() {
        for (given, decoded) in [
            ("a+b", "a b"),
            ("a%2Bb", "a+b"),
            ("caf%C3%A9+%F0%9F%98%80", "café 😀"),
            ("café", "café"),
            (r"one\ntwo\r\tthree", "one\ntwo\r\tthree"),
            (r"it\u2019s", "it’s"),
            ("it%5Cu2019s", "it’s"),
            (r"\ud83d\ude00 \U0001F600", "😀 😀"),
            (r"\x41\101\60", "AA0"),
            (r#"\\n \' \""#, r#"\n ' ""#),
            // What means nothing stays.
            (r"\q \u12 \x4 \U00110000 C:\9", r"\q \u12 \x4 \U00110000 C:\9"),
            ("100%25 100% %zz", "100% 100% %zz"),
            ("end\\", "end\\"),
            (r"\ud83d half", "\u{fffd} half"),
            ("%ff", "\u{fffd}"),
            ("", ""),
        ] {
            assert_eq!(mmg(&json!({ "Message": given })).unwrap().content, decoded, "{given}");
        }
    }

    #[test]
    fn dates_that_mean_nothing_are_now_and_absent_ones_are_none() {
        let date = |given: Value| mmg(&json!({ "DateRecieved": given })).unwrap().provider_date;
        for (given, expected) in [
            ("2026-03-02T10:11:12.5Z", "2026-03-02T10:11:12.5Z"),
            ("2026-03-02 10:11", "2026-03-02T10:11:00Z"),
            ("2026-03-02%2010:11:12%2B01:00", "2026-03-02T09:11:12Z"),
            ("yesterday", NOW),
            ("2026-02-30 10:11:12", NOW),
            ("-5000-01-01 00:00:00", NOW),
        ] {
            assert_eq!(date(json!(given)), Some(at(expected)), "{given}");
        }
        assert_eq!((date(json!(null)), date(json!(""))), (None, None));
    }

    #[test]
    fn without_a_reference_the_words_themselves_tell_texts_apart() {
        let words = mmg(&json!({ "ID": null })).unwrap();
        assert_eq!(
            words.identity.unwrap(),
            ["447700900123", "40604", "2026-03-02+10%3A11%3A12", "Yes please!"]
        );
        let neither = mmg(&json!({ "ID": "", "DateRecieved": null })).unwrap();
        assert_eq!((neither.provider_reference, neither.identity), (None, None));
    }

    #[test]
    fn missing_fields_are_named() {
        let missing = |vendor: &str, names: &[&str]| {
            let texts = names.iter().map(|name| format!("{vendor} callback failed: {name} missing"));
            Err(BadReceipt::Missing(texts.collect()))
        };
        assert_eq!(read_mmg(b"{}", at(NOW)), missing("MMG", &["MSISDN", "Number", "Message"]));
        assert_eq!(read_mmg(b"[1]", at(NOW)), missing("MMG", &["MSISDN", "Number", "Message"]));
        assert_eq!(mmg(&json!({ "Number": "" })), missing("MMG", &["Number"]));
        assert_eq!(mmg(&json!({ "Message": null })), missing("MMG", &["Message"]));
        assert_eq!(firetext(""), missing("Firetext", &["source", "destination", "message"]));
        assert_eq!(firetext("source=&destination=1&message="), missing("Firetext", &["source"]));
        let invalid = BadReceipt::Invalid("MMG callback failed: invalid json".into());
        assert_eq!(read_mmg(b"MSISDN=1", at(NOW)), Err(invalid));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(body: Vec<u8>) {
            let _ = read_mmg(&body, Clock::System.now());
            let _ = read_firetext(&body, Clock::System.now());
        }

        #[test]
        fn no_text_panics(text in r"(\\[uUx0-7nN]?|[0-9a-fA-F]{1,4}|%|\PC|.){0,40}") {
            let _ = mmg(&json!({ "Message": text, "MSISDN": text, "Number": text, "ID": text, "DateRecieved": text }));
        }

        #[test]
        fn what_mmg_encodes_is_decoded_again(text in "(.|\n){0,40}") {
            let escaped: String = text
                .encode_utf16()
                .map(|unit| match u8::try_from(unit) {
                    Ok(byte @ b' '..=b'~') if byte != b'\\' => char::from(byte).to_string(),
                    _ => format!("\\u{unit:04x}"),
                })
                .collect();
            let encoded: String = escaped
                .bytes()
                .map(|byte| match byte {
                    b' ' => "+".to_owned(),
                    b'a'..=b'z' | b'0'..=b'9' => char::from(byte).to_string(),
                    other => format!("%{other:02X}"),
                })
                .collect();
            prop_assert_eq!(decode(&encoded), text);
        }
    }
}
