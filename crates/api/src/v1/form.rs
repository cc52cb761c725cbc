//! Bodies of 2016, parsed into types at the door. Every field that is wrong is named, with what is wrong about it in the
//! words of upstream's library; fields that nobody knows are ignored.

use std::collections::BTreeMap;

use domain::status::Channel;
use serde_json::{Map, Value};

use super::recipient::Recipient;
use crate::error::{FieldErrors, Problem};

pub(super) struct Asked {
    pub(super) to: Recipient,
    /// Not necessarily an id: a text that is none finds no template.
    pub(super) template: String,
    pub(super) personalisation: Map<String, Value>,
}

impl Asked {
    pub(super) fn read(body: Value, channel: Channel) -> Result<Self, Problem> {
        let Value::Object(mut fields) = body else {
            return Err(Problem::field("_schema", "Invalid input type."));
        };
        let mut errors = BTreeMap::new();
        let to = required(&mut fields, &mut errors, "to", |value| recipient(value, channel));
        let template = required(&mut fields, &mut errors, "template", text);
        let personalisation = optional(&mut fields, &mut errors, "personalisation", mapping);
        if channel == Channel::Sms {
            // Checked, and then ignored: jobs are not made by callers.
            optional(&mut fields, &mut errors, "job", text);
        }
        match (to, template) {
            (Some(to), Some(template)) if errors.is_empty() => {
                Ok(Self { to, template, personalisation: personalisation.unwrap_or_default() })
            }
            _ => Err(Problem::Fields(errors)),
        }
    }
}

fn required<T>(
    fields: &mut Map<String, Value>,
    errors: &mut FieldErrors,
    name: &'static str,
    rule: impl FnOnce(Value) -> Result<T, String>,
) -> Option<T> {
    if !fields.contains_key(name) {
        errors.insert(name.into(), vec!["Missing data for required field.".into()]);
    }
    optional(fields, errors, name, rule)
}

fn optional<T>(
    fields: &mut Map<String, Value>,
    errors: &mut FieldErrors,
    name: &'static str,
    rule: impl FnOnce(Value) -> Result<T, String>,
) -> Option<T> {
    let value = fields.swap_remove(name)?;
    rule(value).map_err(|text| errors.insert(name.into(), vec![text])).ok()
}

fn text(value: Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text),
        Value::Null => Err(NULL.into()),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Err("Not a valid string.".into())
        }
    }
}

fn mapping(value: Value) -> Result<Map<String, Value>, String> {
    match value {
        Value::Object(members) => Ok(members),
        Value::Null => Err(NULL.into()),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::String(_) => {
            Err("Not a valid mapping type.".into())
        }
    }
}

const NULL: &str = "Field may not be null.";

fn recipient(value: Value, channel: Channel) -> Result<Recipient, String> {
    let raw = text(value)?;
    match channel {
        Channel::Sms => Recipient::mobile(&raw).map_err(|error| format!("Invalid phone number: {error}")),
        Channel::Email => Recipient::address(&raw).map_err(Into::into),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn errors(body: Value, channel: Channel) -> Value {
        match Asked::read(body, channel) {
            Ok(_) => json!({}),
            Err(Problem::Fields(errors)) => json!(errors),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_wrong_field_is_named() {
        assert_eq!(
            errors(json!({"to": 5, "personalisation": ["a"], "job": 1, "zoo": 1}), Channel::Sms),
            json!({
                "to": ["Not a valid string."],
                "template": ["Missing data for required field."],
                "personalisation": ["Not a valid mapping type."],
                "job": ["Not a valid string."],
            })
        );
        assert_eq!(
            errors(json!({"to": null, "template": {}, "personalisation": null, "job": 1}), Channel::Email),
            json!({
                "to": ["Field may not be null."],
                "template": ["Not a valid string."],
                "personalisation": ["Field may not be null."],
            })
        );
        assert_eq!(errors(json!([1]), Channel::Sms), json!({"_schema": ["Invalid input type."]}));
        assert_eq!(errors(json!({"to": "07700900855", "template": "x"}), Channel::Sms), json!({}));
    }
}
