//! Request bodies, in any encoding, through the schema of the public API.
#![no_main]

libfuzzer_sys::fuzz_target!(|body: &[u8]| api::fuzzing::json_body(body));
