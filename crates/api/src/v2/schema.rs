//! Bodies of `/v2`, parsed into types at the door. What is wrong with one is said in the words, and in the order, of
//! upstream's JSON schema: properties, then what is missing, then what does not belong there.

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use domain::{
    email::{LONGEST_HEADER_LINK, fits_a_header},
    email_address::EmailAddress,
    id::parse_lenient,
    phone::{PhoneNumber, SmsPermissions},
    python,
};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::error::Problem;

/// In characters.
pub(crate) const REFERENCE_LIMIT: usize = 1000;

pub(crate) struct SmsRequest {
    pub(super) reference: Option<String>,
    pub(super) phone_number: Phone,
    pub(super) template_id: Uuid,
    pub(super) personalisation: Map<String, Value>,
    pub(super) sms_sender_id: Option<Uuid>,
}

/// A number as typed, beside what it means.
pub(super) struct Phone {
    pub(super) as_given: String,
    pub(super) number: PhoneNumber,
}

impl SmsRequest {
    pub(crate) fn read(body: Value, now: DateTime<Utc>) -> Result<Self, Problem> {
        let mut form = Form::new(body)?;
        let reference = form.optional("reference", reference);
        let phone_number = form.required("phone_number", phone);
        let template_id = form.required("template_id", uuid);
        let personalisation = form.optional("personalisation", object);
        // Validated, and then ignored: nothing is scheduled by API.
        form.optional("scheduled_for", |value| scheduled_for(value, now));
        let sms_sender_id = form.optional("sms_sender_id", uuid);
        match (phone_number, template_id, form.errors()) {
            (Some(phone_number), Some(template_id), errors) if errors.is_empty() => Ok(Self {
                reference,
                phone_number,
                template_id,
                personalisation: personalisation.unwrap_or_default(),
                sms_sender_id,
            }),
            (_, _, errors) => Err(Problem::Validation(errors)),
        }
    }
}

pub(crate) struct EmailRequest {
    pub(super) reference: Option<String>,
    pub(super) email_address: EmailAddress,
    pub(super) template_id: Uuid,
    pub(super) personalisation: Map<String, Value>,
    pub(super) email_reply_to_id: Option<Uuid>,
    pub(super) one_click_unsubscribe_url: Option<String>,
    /// Names of personalisation, as the caller spelled them.
    pub(super) sanitise_content_for: Vec<Value>,
}

impl EmailRequest {
    pub(crate) fn read(body: Value, now: DateTime<Utc>) -> Result<Self, Problem> {
        let mut form = Form::new(body)?;
        let reference = form.optional("reference", reference);
        let email_address = form.required("email_address", email_address);
        let template_id = form.required("template_id", uuid);
        let personalisation = form.optional("personalisation", object);
        form.optional("scheduled_for", |value| scheduled_for(value, now));
        let email_reply_to_id = form.optional("email_reply_to_id", uuid);
        let one_click_unsubscribe_url = form.optional("one_click_unsubscribe_url", one_click_url);
        let sanitise_content_for = form.optional("sanitise_content_for", array_or_null);
        match (email_address, template_id, form.errors()) {
            (Some(email_address), Some(template_id), errors) if errors.is_empty() => Ok(Self {
                reference,
                email_address,
                template_id,
                personalisation: personalisation.unwrap_or_default(),
                email_reply_to_id,
                one_click_unsubscribe_url,
                sanitise_content_for: sanitise_content_for.unwrap_or_default(),
            }),
            (_, _, errors) => Err(Problem::Validation(errors)),
        }
    }
}

/// What a preview is of (the id comes with the URL), and its personalisation. What else is in the body is tolerated.
pub(crate) fn preview(id: &str, body: Value) -> Result<(Uuid, Map<String, Value>), Problem> {
    let mut form = Form::new(body)?;
    form.rest.insert("id".to_owned(), id.into());
    let id = form.required("id", uuid);
    let personalisation = form.optional("personalisation", object);
    match (id, form.errors_of_known()) {
        (Some(id), errors) if errors.is_empty() => Ok((id, personalisation.unwrap_or_default())),
        (_, errors) => Err(Problem::Validation(errors)),
    }
}

/// The query of the list of templates.
pub(crate) fn template_type(query: &str) -> Result<Option<String>, Problem> {
    let pairs: Vec<(String, String)> = serde_urlencoded::from_str(query).unwrap_or_default();
    let word = pairs.iter().find(|(name, _)| name == "type").map(|(_, word)| word.clone());
    let wrong = word.iter().filter(|word| !TEMPLATE_TYPES.contains(&word.as_str()));
    let mut errors: Vec<String> =
        wrong.map(|word| format!("type {}", not_one_of(word, &TEMPLATE_TYPES))).collect();
    errors.extend(additional(pairs.iter().map(|(name, _)| name).filter(|name| *name != "type")));
    if errors.is_empty() { Ok(word) } else { Err(Problem::Validation(errors)) }
}

/// What is left of a body, and what was wrong with it so far.
pub(crate) struct Form {
    rest: Map<String, Value>,
    errors: Vec<String>,
    missing: Vec<&'static str>,
}

impl Form {
    pub(crate) fn new(body: Value) -> Result<Self, Problem> {
        match body {
            Value::Object(rest) => Ok(Self { rest, errors: Vec::new(), missing: Vec::new() }),
            other => Err(Problem::Validation(vec![wrong_type(&other, "object")])),
        }
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.rest.contains_key(name)
    }

    /// What is wrong with more than one field.
    pub(super) fn wrong(&mut self, message: impl Into<String>) {
        self.errors.push(message.into());
    }

    /// A rule answers what comes after the field's name.
    pub(crate) fn optional<T>(
        &mut self,
        name: &'static str,
        rule: impl FnOnce(Value) -> Result<T, String>,
    ) -> Option<T> {
        // The order of what stays does not matter: names are sorted in the end.
        let value = self.rest.swap_remove(name)?;
        rule(value).map_err(|text| self.errors.push(format!("{name} {text}"))).ok()
    }

    pub(crate) fn required<T>(
        &mut self,
        name: &'static str,
        rule: impl FnOnce(Value) -> Result<T, String>,
    ) -> Option<T> {
        if !self.has(name) {
            self.missing.push(name);
        }
        self.optional(name, rule)
    }

    pub(crate) fn errors(self) -> Vec<String> {
        let additional = additional(self.rest.keys());
        let mut errors = self.errors_of_known();
        errors.extend(additional);
        without_repetitions(errors)
    }

    /// Of a schema that forbids other properties before it tells of its own.
    pub(super) fn errors_of_unknown_first(self) -> Vec<String> {
        let mut errors: Vec<String> = additional(self.rest.keys()).into_iter().collect();
        errors.extend(self.errors_of_known());
        without_repetitions(errors)
    }

    /// When it does not matter what else is in there.
    pub(crate) fn errors_of_known(self) -> Vec<String> {
        let Self { mut errors, missing, .. } = self;
        errors.extend(missing.iter().map(|name| format!("{name} is a required property")));
        errors
    }
}

/// The one message about properties that do not belong there.
pub(super) fn additional<'n>(names: impl Iterator<Item = &'n String>) -> Option<String> {
    let mut names: Vec<&String> = names.collect();
    names.sort_unstable();
    names.dedup();
    let verb = match names.len() {
        0 => return None,
        1 => "was",
        _ => "were",
    };
    let names: Vec<String> = names.into_iter().map(|name| shown(&Value::from(name.as_str()))).collect();
    Some(format!("Additional properties are not allowed ({} {verb} unexpected)", names.join(", ")))
}

pub(super) fn without_repetitions(messages: Vec<String>) -> Vec<String> {
    let mut seen = std::collections::HashSet::new();
    messages.into_iter().filter(|message| seen.insert(message.clone())).collect()
}

/// `foo is not one of [a, b]`
pub(crate) fn not_one_of(value: &str, words: &[&str]) -> String {
    format!("{} is not one of [{}]", shown(&Value::from(value)), words.join(", "))
}

pub(crate) const TEMPLATE_TYPES: [&str; 3] = ["sms", "email", "letter"];

pub(crate) const NOT_A_UUID: &str = "is not a valid UUID";

/// The Python way, without single quotes.
pub(crate) fn shown(value: &Value) -> String {
    python::repr(value).replace('\'', "")
}

pub(crate) fn wrong_type(value: &Value, expected: &str) -> String {
    format!("{} is not of type {expected}", shown(value))
}

pub(crate) fn text(value: Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(wrong_type(&other, "string")),
    }
}

fn reference(value: Value) -> Result<String, String> {
    let text = text(value)?;
    if text.len() > REFERENCE_LIMIT && text.chars().count() > REFERENCE_LIMIT {
        return Err(format!("{} is too long", shown(&Value::String(text))));
    }
    Ok(text)
}

/// What this service may send to is asked later, when it is known.
fn phone(value: Value) -> Result<Phone, String> {
    let as_given = text(value)?;
    let anywhere = SmsPermissions { international: true, uk_landline: true };
    let number = PhoneNumber::parse(&as_given).and_then(|number| {
        number.permitted(anywhere)?;
        Ok(number)
    });
    number.map(|number| Phone { as_given, number }).map_err(|error| error.api_message().to_owned())
}

pub(crate) fn email_address(value: Value) -> Result<EmailAddress, String> {
    EmailAddress::parse(&text(value)?).map_err(|error| error.to_string())
}

#[expect(clippy::needless_pass_by_value, reason = "rules take what they turn into something else")]
pub(crate) fn uuid(value: Value) -> Result<Uuid, String> {
    value.as_str().and_then(parse_lenient).ok_or_else(|| NOT_A_UUID.to_owned())
}

pub(crate) fn uuid_or_null(value: Value) -> Result<Option<Uuid>, String> {
    if value.is_null() { Ok(None) } else { uuid(value).map(Some) }
}

pub(crate) fn boolean(value: Value) -> Result<bool, String> {
    match value {
        Value::Bool(flag) => Ok(flag),
        other => Err(wrong_type(&other, "boolean")),
    }
}

fn object(value: Value) -> Result<Map<String, Value>, String> {
    match value {
        Value::Object(members) => Ok(members),
        other => Err(wrong_type(&other, "object")),
    }
}

fn array_or_null(value: Value) -> Result<Vec<Value>, String> {
    match value {
        Value::Array(items) => Ok(items),
        Value::Null => Ok(Vec::new()),
        other => Err(wrong_type(&other, "array, null")),
    }
}

fn scheduled_for(value: Value, now: DateTime<Utc>) -> Result<(), String> {
    let text = match value {
        Value::Null => return Ok(()),
        Value::String(text) => text,
        other => return Err(wrong_type(&other, "string, null")),
    };
    let time = iso_8601(&text).ok_or_else(|| {
        "datetime format is invalid. It must be a valid ISO8601 date time format, https://en.wikipedia.org/wiki/ISO_8601"
            .to_owned()
    })?;
    if time < now {
        Err("datetime can not be in the past".into())
    } else if time > now + TimeDelta::hours(24) {
        Err("datetime can only be 24 hours in the future".into())
    } else {
        Ok(())
    }
}

/// Dates and times as the standard has them, shortened from the right; UTC where no offset is given.
fn iso_8601(text: &str) -> Option<DateTime<Utc>> {
    const TIMES: [&str; 6] = ["%H:%M:%S%.f", "%H:%M", "%H%M%S%.f", "%H%M", "%H:%M:%S", "%H"];
    let separator = text.find(['T', ' ']);
    let (date, time) = separator.map_or((text, None), |at| (&text[..at], Some(&text[at + 1..])));
    let date = match date.len() {
        4 => format!("{date}-01-01"),
        7 => format!("{date}-01"),
        8 => format!("{}-{}-{}", date.get(..4)?, date.get(4..6)?, date.get(6..)?),
        _ => date.to_owned(),
    };
    let Some(time) = time else {
        return Some(
            NaiveDateTime::parse_from_str(&format!("{date} 00:00"), "%Y-%m-%d %H:%M").ok()?.and_utc(),
        );
    };
    let (time, offset) = match time.find(['Z', '+', '-']) {
        Some(at) => (time[..at].trim_end(), offset(&time[at..])?),
        None => (time, TimeDelta::zero()),
    };
    let time = time.replace(',', ".");
    let local = TIMES.iter().find_map(|format| {
        // chrono wants minutes beside hours.
        let (time, format) =
            if *format == "%H" { (format!("{time}:00"), "%H:%M") } else { (time.clone(), *format) };
        NaiveDateTime::parse_from_str(&format!("{date} {time}"), &format!("%Y-%m-%d {format}")).ok()
    })?;
    local.and_utc().checked_sub_signed(offset)
}

/// `Z`, `+01`, `+0100` or `+01:00`.
fn offset(text: &str) -> Option<TimeDelta> {
    if text == "Z" {
        return Some(TimeDelta::zero());
    }
    let digits = text.get(1..)?.replace(':', "");
    if !matches!(digits.len(), 2 | 4) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let part = |range| digits.get(range).map_or(Ok(0), str::parse::<i64>).ok();
    let minutes = part(0..2)? * 60 + part(2..4)?;
    TimeDelta::try_minutes(if text.starts_with('-') { -minutes } else { minutes })
}

/// The syntax of RFC 3986 without host literals, beginning with `https` in lower case.
pub(crate) fn https_url(value: Value) -> Result<String, String> {
    let bad = || "is not a valid https url".to_owned();
    let url = text(value).map_err(|_| bad())?;
    let (scheme, rest) = url.split_once(':').ok_or_else(bad)?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?#@!$&'()*+,;=%".contains(&byte);
    let escapes = rest.split('%').skip(1).all(|after| {
        after.as_bytes().get(..2).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    });
    let fits = scheme.starts_with("https")
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        && rest.bytes().all(allowed)
        && rest.matches('#').count() <= 1
        && escapes;
    if fits { Ok(url) } else { Err(bad()) }
}

fn one_click_url(value: Value) -> Result<String, String> {
    let url = https_url(value)?;
    // What passes holds nothing else that a header could not carry.
    if fits_a_header(&url) {
        Ok(url)
    } else {
        Err(format!("is longer than {LONGEST_HEADER_LINK} characters"))
    }
}

#[cfg(test)]
mod tests;
