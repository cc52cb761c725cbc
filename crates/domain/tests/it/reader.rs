//! Reads vector files and counts hits.
//!
//! A vector test calls [`check`] with the file's name, which cases are its own, and a function from a case's input to
//! what the code under test makes of it, in the shape of the case's `expect`.

use std::collections::BTreeSet;
use std::path::PathBuf;

use domain::template::Personalisation;
use serde_json::{Map, Value};

use crate::known_differences::KNOWN_DIFFERENCES;

/// Compares every case of `file` that `is_mine` with what `produce` makes of its input, prints how many agree, and fails
/// if one disagrees that is not among the known differences (or one of those agrees after all).
pub(crate) fn check(file: &str, is_mine: impl Fn(&Value) -> bool, produce: impl Fn(&Value) -> Value) {
    let cases: Vec<Value> = read(file).into_iter().filter(|case| is_mine(&case["input"])).collect();
    assert!(!cases.is_empty(), "{file}: no cases");
    let mut misses = Vec::new();
    let mut hits = 0;
    for case in &cases {
        let produced = produce(&case["input"]);
        let name = case["name"].as_str().expect("every case has a name");
        let agrees = produced == case["expect"];
        let is_known = KNOWN_DIFFERENCES.iter().any(|(in_file, known, _)| *in_file == file && *known == name);
        hits += usize::from(agrees);
        if agrees == is_known {
            misses.push(format!(
                "{name}\n  input    {}\n  expected {}\n  produced {produced}",
                case["input"], case["expect"]
            ));
        }
    }
    // Several tests share the file of limits, each with its kinds.
    let kinds: BTreeSet<&str> = cases.iter().filter_map(|case| case["input"]["kind"].as_str()).collect();
    let kinds: String = kinds.iter().map(|kind| format!(" {kind}")).collect();
    println!("{file}{kinds}: {hits} of {}", cases.len());
    let shown = misses.iter().take(20).map(String::as_str).collect::<Vec<_>>().join("\n");
    assert!(misses.is_empty(), "{file}: {} unexpected\n{shown}", misses.len());
}

/// From `VECTORS_DIR` when it is set, else this repository's copy.
fn read(file: &str) -> Vec<Value> {
    let folder = std::env::var_os("VECTORS_DIR")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors")), PathBuf::from);
    let path = folder.join(format!("{file}.jsonl"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.lines().map(|line| serde_json::from_str(line).expect("a case is JSON")).collect()
}

/// Every case is the caller's.
pub(crate) fn all(_input: &Value) -> bool {
    true
}

/// The kinds of `content_limits` that the caller tests.
pub(crate) fn kinds<'k>(kinds: &'k [&str]) -> impl Fn(&Value) -> bool + 'k {
    move |input| kinds.contains(&string(input, "kind").as_str())
}

/// A text, also one given as parts to repeat.
pub(crate) fn string(input: &Value, key: &str) -> String {
    optional_string(input, key).unwrap_or_else(|| panic!("{key} is not a text: {}", input[key]))
}

pub(crate) fn optional_string(input: &Value, key: &str) -> Option<String> {
    expanded(&input[key]).as_str().map(ToOwned::to_owned)
}

pub(crate) fn flag(input: &Value, key: &str) -> bool {
    input[key].as_bool().unwrap_or_else(|| panic!("{key} is not true or false: {}", input[key]))
}

/// `values` of a case; null is none.
pub(crate) fn personalisation(input: &Value) -> Personalisation {
    let values: Map<String, Value> = match &input["values"] {
        Value::Object(values) => values.iter().map(|(name, value)| (name.clone(), expanded(value))).collect(),
        _ => Map::new(),
    };
    Personalisation::new(values)
}

fn expanded(value: &Value) -> Value {
    let parts = match value {
        Value::Array(parts) if parts.first().is_some_and(|part| part.get("times").is_some()) => parts,
        Value::Object(members) => match members.get("parts") {
            Some(Value::Array(parts)) => parts,
            _ => return value.clone(),
        },
        _ => return value.clone(),
    };
    let repeated = |part: &Value| {
        let times =
            part["times"].as_u64().and_then(|times| usize::try_from(times).ok()).expect("times is a count");
        part["text"].as_str().expect("a part has a text").repeat(times)
    };
    Value::from(parts.iter().map(repeated).collect::<String>())
}
