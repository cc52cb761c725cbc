//! A JSON Web Token, taken apart and judged against one key. Pure: no clock, no look-ups.
//!
//! jsonwebtoken verifies signatures. What the claims must be like is the wire contract's matter, whose rules and order no
//! library has: a token that is too old is told so only by the key that signed it.

use std::num::{IntErrorKind, ParseIntError};

use base64::{
    Engine,
    alphabet::URL_SAFE,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use domain::id::{ServiceId, parse_lenient};
use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use serde_json::{Map, Value};

use super::Denied;

/// Clocks may differ by this many seconds, both ways, inclusive.
pub(crate) const LEEWAY: i64 = 30;

/// As lenient as Python's, which callers of GOV.UK Notify have been measured against.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// What one key makes of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Good,
    /// Signed with another key; or without `iat`, or with an `nbf` or `exp` that is no number, which counts as that.
    NotThisKey,
    Stop(Denied),
}

/// A token whose three parts could be read. Its signature has not been looked at.
pub(crate) struct Token<'t> {
    signed: &'t str,
    signature: String,
    header: Map<String, Value>,
    claims: Map<String, Value>,
}

impl std::fmt::Debug for Token<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A token opens doors for a minute.
        f.debug_struct("Token").finish_non_exhaustive()
    }
}

impl<'t> Token<'t> {
    pub(crate) fn parse(text: &'t str) -> Result<Self, Denied> {
        let read = || {
            let (signed, signature) = text.rsplit_once('.')?;
            let (header, claims) = signed.split_once('.')?;
            let signature = BASE64.encode(BASE64.decode(signature).ok()?);
            Some(Self { signed, signature, header: object(header)?, claims: object(claims)? })
        };
        read().ok_or(Denied::BadToken)
    }

    /// Who says to have made it.
    pub(crate) fn issuer(&self) -> Result<&Value, Denied> {
        self.claims.get("iss").ok_or(Denied::NoIssuer)
    }

    pub(crate) fn service(&self) -> Result<ServiceId, Denied> {
        let id = self.issuer()?.as_str().and_then(parse_lenient);
        id.map(ServiceId).ok_or(Denied::IssuerNotAnId)
    }

    /// The checks in the order of the contract: algorithm, signature, registered claims, the rules for `iat`.
    pub(crate) fn verdict(&self, key: &DecodingKey, now: i64) -> Verdict {
        if self.header.get("alg").and_then(Value::as_str) != Some("HS256") {
            return Verdict::Stop(Denied::WrongAlgorithm);
        }
        if self.header.get("kid").is_some_and(|kid| !kid.is_string()) || self.header.contains_key("crit") {
            return Verdict::Stop(Denied::BadToken);
        }
        match crypto::verify(&self.signature, self.signed.as_bytes(), key, Algorithm::HS256) {
            Ok(true) => self.claims_verdict(now),
            Ok(false) | Err(_) => Verdict::NotThisKey,
        }
    }

    fn claims_verdict(&self, now: i64) -> Verdict {
        let claim = |name| self.claims.get(name);
        let bad = Verdict::Stop(Denied::BadToken);
        let clock = Verdict::Stop(Denied::Clock);
        let issued_at = match claim("iat") {
            Some(Value::Null) => return bad,
            Some(value) => match whole_number(value) {
                Some(at) if at <= now + LEEWAY => Some(at),
                Some(_) | None => return clock,
            },
            None => None,
        };
        match claim("nbf").map(whole_number) {
            Some(None) => return Verdict::NotThisKey,
            Some(Some(at)) if at > now + LEEWAY => return clock,
            Some(Some(_)) | None => {}
        }
        match claim("exp").map(whole_number) {
            Some(None) => return Verdict::NotThisKey,
            Some(Some(at)) if at <= now - LEEWAY => return bad,
            Some(Some(_)) | None => {}
        }
        let not_text = |name| claim(name).is_some_and(|value| !value.is_string());
        if claim("aud").is_some() || not_text("sub") || not_text("jti") {
            return bad;
        }
        match issued_at {
            None => Verdict::NotThisKey,
            Some(at) if at < now - LEEWAY => clock,
            Some(_) => Verdict::Good,
        }
    }
}

fn object(part: &str) -> Option<Map<String, Value>> {
    serde_json::from_slice(&BASE64.decode(part).ok()?).ok()
}

/// Python's `int(value)`: also of a text, and of a number with a fraction, which is cut off.
fn whole_number(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64().or_else(|| {
            let number = number.as_f64().filter(|number| number.is_finite())?;
            #[expect(clippy::cast_possible_truncation, reason = "saturates: far in the past or future")]
            Some(number as i64)
        }),
        Value::String(text) => text.trim().parse().map_or_else(beyond, Some),
        Value::Bool(yes) => Some((*yes).into()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// What is too great for us is a number all the same.
#[expect(clippy::needless_pass_by_value, reason = "the form of map_or_else")]
fn beyond(error: ParseIntError) -> Option<i64> {
    match error.kind() {
        IntErrorKind::PosOverflow => Some(i64::MAX),
        IntErrorKind::NegOverflow => Some(i64::MIN),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::EncodingKey;
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_770_000_000;
    const SECRET: &[u8] = b"5d844f5e-0000-4000-8000-000000000000";

    fn token(header: &Value, claims: &Value, secret: &[u8]) -> String {
        let signed = format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(claims.to_string()));
        let key = EncodingKey::from_secret(secret);
        let signature = crypto::sign(signed.as_bytes(), &key, Algorithm::HS256).unwrap();
        format!("{signed}.{signature}")
    }

    fn header() -> Value {
        json!({ "typ": "JWT", "alg": "HS256" })
    }

    fn claims(more: &Value) -> Value {
        let mut claims = json!({ "iss": "x", "iat": NOW });
        for (name, value) in more.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims
    }

    fn verdict(header: &Value, claims: &Value, secret: &[u8]) -> Verdict {
        let text = token(header, claims, secret);
        Token::parse(&text).unwrap().verdict(&DecodingKey::from_secret(SECRET), NOW)
    }

    fn with(more: &Value) -> Verdict {
        verdict(&header(), &claims(more), SECRET)
    }

    const CLOCK: Verdict = Verdict::Stop(Denied::Clock);
    const BAD: Verdict = Verdict::Stop(Denied::BadToken);
    const WRONG_ALGORITHM: Verdict = Verdict::Stop(Denied::WrongAlgorithm);

    #[test]
    fn alg_not_hs256_none_or_missing_stops_before_any_signature_test() {
        for header in [json!({"alg": "HS512"}), json!({"alg": "none"}), json!({}), json!({"alg": null})] {
            assert_eq!(verdict(&header, &claims(&json!({})), b"wrong"), WRONG_ALGORITHM, "{header}");
        }
    }

    #[test]
    fn typ_is_not_checked() {
        assert_eq!(verdict(&json!({"alg": "HS256", "typ": 5}), &claims(&json!({})), SECRET), Verdict::Good);
    }

    #[test]
    fn signature_does_not_match_this_secret() {
        assert_eq!(verdict(&header(), &claims(&json!({})), b"wrong"), Verdict::NotThisKey);
    }

    #[test]
    fn a_stale_token_with_a_wrong_secret_is_not_told_about_clocks() {
        assert_eq!(verdict(&header(), &claims(&json!({"iat": 1})), b"wrong"), Verdict::NotThisKey);
    }

    #[test]
    fn iat_absent_counts_as_did_not_match() {
        assert_eq!(verdict(&header(), &json!({"iss": "x"}), SECRET), Verdict::NotThisKey);
    }

    #[test]
    fn iat_not_a_number() {
        for iat in [json!("soon"), json!("1.5"), json!([NOW]), json!({})] {
            assert_eq!(with(&json!({ "iat": iat })), CLOCK, "{iat}");
        }
    }

    #[test]
    fn iat_numeric_string_or_float() {
        for iat in [json!(NOW.to_string()), json!(1_770_000_000.9)] {
            assert_eq!(with(&json!({ "iat": iat })), Verdict::Good, "{iat}");
        }
    }

    #[test]
    fn iat_at_exactly_thirty_seconds_both_ways_and_one_beyond() {
        for (iat, expected) in [
            (NOW - 30, Verdict::Good),
            (NOW + 30, Verdict::Good),
            (NOW - 31, CLOCK),
            (NOW + 31, CLOCK),
            (i64::MAX, CLOCK),
            (i64::MIN, CLOCK),
        ] {
            assert_eq!(with(&json!({ "iat": iat })), expected, "{iat}");
        }
    }

    #[test]
    fn nbf_more_than_thirty_seconds_ahead() {
        assert_eq!(with(&json!({ "nbf": NOW + 31 })), CLOCK);
        assert_eq!(with(&json!({ "nbf": NOW + 30 })), Verdict::Good);
    }

    #[test]
    fn exp_in_the_past() {
        assert_eq!(with(&json!({ "exp": NOW - 31 })), BAD);
        assert_eq!(with(&json!({ "exp": NOW - 29 })), Verdict::Good);
    }

    #[test]
    fn exp_in_the_future() {
        for exp in [json!(NOW + 3600), json!("99999999999999999999")] {
            assert_eq!(with(&json!({ "exp": exp })), Verdict::Good, "{exp}");
        }
    }

    #[test]
    fn nbf_or_exp_that_is_no_number_counts_as_did_not_match() {
        for name in ["nbf", "exp"] {
            for value in [json!("soon"), json!("1.5"), json!(""), json!(null), json!([NOW]), json!({})] {
                assert_eq!(with(&json!({ name: value })), Verdict::NotThisKey, "{name}: {value}");
            }
        }
    }

    #[test]
    fn aud_present_at_all() {
        for aud in [json!("x"), json!(["x"]), json!(null)] {
            assert_eq!(with(&json!({ "aud": aud })), BAD, "{aud}");
        }
    }

    #[test]
    fn sub_or_jti_present_but_not_a_string() {
        for name in ["sub", "jti"] {
            assert_eq!(with(&json!({ name: 5 })), BAD, "{name}");
            assert_eq!(with(&json!({ name: "x" })), Verdict::Good, "{name}");
        }
    }

    #[test]
    fn iat_null_kid_not_a_string_or_a_crit_header() {
        assert_eq!(with(&json!({ "iat": null })), BAD);
        for header in [json!({"alg": "HS256", "kid": 5}), json!({"alg": "HS256", "crit": ["exp"]})] {
            assert_eq!(verdict(&header, &claims(&json!({})), SECRET), BAD, "{header}");
        }
        assert_eq!(verdict(&json!({"alg": "HS256", "kid": "k"}), &claims(&json!({})), SECRET), Verdict::Good);
    }

    #[test]
    fn registered_claims_come_before_the_age() {
        assert_eq!(with(&json!({ "iat": NOW - 60, "aud": "x" })), BAD);
        assert_eq!(with(&json!({ "iat": NOW + 60, "aud": "x" })), CLOCK);
    }

    #[test]
    fn what_is_not_a_token_is_refused_and_nothing_panics() {
        let good = token(&header(), &claims(&json!({})), SECRET);
        let parts: Vec<&str> = good.split('.').collect();
        let array = BASE64.encode("[1]");
        for bad in [
            "",
            ".",
            "..",
            "a.b",
            "é.é.é",
            &parts[..2].join("."),
            &format!("{good}.{}", parts[2]),
            &format!("{}.{array}.{}", parts[0], parts[2]),
            &format!("{array}.{}.{}", parts[1], parts[2]),
            &format!("{}.{}.*", parts[0], parts[1]),
        ] {
            assert_eq!(Token::parse(bad).unwrap_err(), Denied::BadToken, "{bad}");
        }
        assert!(Token::parse(&format!("{}.{}.", parts[0], parts[1])).is_ok(), "an empty signature is one");
    }

    #[test]
    fn the_issuer_is_a_uuid_in_any_spelling() {
        let issuer = |claims: &Value| {
            let text = token(&header(), claims, SECRET);
            Token::parse(&text).unwrap().service()
        };
        assert!(issuer(&json!({"iss": "{5F0C1F6E6A3E4B0C9A530D5F6F4C0A11}"})).is_ok());
        assert_eq!(issuer(&json!({})), Err(Denied::NoIssuer));
        for bad in [json!("x"), json!(null), json!(5)] {
            assert_eq!(issuer(&json!({ "iss": bad })), Err(Denied::IssuerNotAnId));
        }
    }

    proptest::proptest! {
        #[test]
        fn no_token_panics(text in "[A-Za-z0-9_=-]{0,40}\\.[A-Za-z0-9_=-]{0,40}\\.[A-Za-z0-9_=-]{0,40}|.*") {
            if let Ok(token) = Token::parse(&text) {
                let _ = (token.service(), token.verdict(&DecodingKey::from_secret(SECRET), NOW));
            }
        }

        #[test]
        fn no_claims_panic(number in ".{0,20}|-?[0-9]{1,30}(\\.[0-9]{1,5})?([eE]-?[0-9]{1,4})?") {
            let number = serde_json::from_str(&number).unwrap_or(Value::from(number));
            for name in ["iat", "nbf", "exp", "aud", "sub", "jti", "iss"] {
                let _ = with(&json!({ name: number }));
            }
        }
    }
}
