//! Tokens as strangers write them, and tokens with strange claims that are signed rightly.
//!
//! An input that begins with `{` is a header, a newline and claims; any other is a token.
#![no_main]

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use libfuzzer_sys::fuzz_target;

/// Seeds are issued then.
const NOW: i64 = 1_770_000_000;

fuzz_target!(|input: &str| {
    match input.split_once('\n') {
        Some((header, claims)) if header.starts_with('{') => {
            let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
            let key = EncodingKey::from_secret(b"secret");
            let signature =
                crypto::sign(signed.as_bytes(), &key, Algorithm::HS256).expect("any text can be signed");
            api::fuzzing::token(&format!("{signed}.{signature}"), NOW);
        }
        _ => api::fuzzing::token(input, NOW),
    }
});
