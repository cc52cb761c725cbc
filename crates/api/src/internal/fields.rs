//! Bodies whose faults are told by field, in the words of upstream's serialisers. Fields that nobody asks for are ignored.

use chrono::{DateTime, NaiveDateTime, Utc};
use domain::id::parse_lenient;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::error::{FieldErrors, Problem};

pub(crate) const MISSING: &str = "Missing data for required field.";
pub(crate) const NULL: &str = "Field may not be null.";

/// A value of a field.
pub(crate) trait Read: Sized {
    fn read(value: &Value) -> Result<Self, &'static str>;
}

impl Read for String {
    fn read(value: &Value) -> Result<Self, &'static str> {
        value.as_str().map(Into::into).ok_or("Not a valid string.")
    }
}

impl Read for bool {
    fn read(value: &Value) -> Result<Self, &'static str> {
        value.as_bool().ok_or("Not a valid boolean.")
    }
}

impl Read for i32 {
    fn read(value: &Value) -> Result<Self, &'static str> {
        value.as_i64().and_then(|number| number.try_into().ok()).ok_or("Not a valid integer.")
    }
}

impl Read for Uuid {
    fn read(value: &Value) -> Result<Self, &'static str> {
        value.as_str().and_then(parse_lenient).ok_or("Not a valid UUID.")
    }
}

/// With a space or a `T`, in UTC.
impl Read for DateTime<Utc> {
    fn read(value: &Value) -> Result<Self, &'static str> {
        let text = value.as_str().unwrap_or_default().trim_end_matches('Z').replacen('T', " ", 1);
        let time = NaiveDateTime::parse_from_str(&text, "%Y-%m-%d %H:%M:%S%.f");
        time.map(|time| time.and_utc()).map_err(|_| "Not a valid datetime.")
    }
}

impl<T: Read> Read for Vec<T> {
    fn read(value: &Value) -> Result<Self, &'static str> {
        value.as_array().ok_or("Not a valid list.")?.iter().map(T::read).collect()
    }
}

impl<T: Read> Read for Option<T> {
    fn read(value: &Value) -> Result<Self, &'static str> {
        if value.is_null() { Ok(None) } else { T::read(value).map(Some) }
    }
}

pub(crate) struct Fields {
    body: Map<String, Value>,
    errors: FieldErrors,
}

impl Fields {
    pub(crate) fn of(body: Value) -> Result<Self, Problem> {
        match body {
            Value::Object(body) => Ok(Self { body, errors: FieldErrors::new() }),
            _ => Err(Problem::field("_schema", "Invalid input type.")),
        }
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.body.contains_key(name)
    }

    /// None: it is absent, or wrong.
    pub(crate) fn optional<T: Read>(&mut self, name: &'static str) -> Option<T> {
        let value = self.body.get(name)?;
        let read = match T::read(value) {
            Err(_) if value.is_null() => Err(NULL),
            read => read,
        };
        read.map_err(|message| self.wrong(name, message)).ok()
    }

    /// None: something is wrong, and [`Self::check`] will say so.
    pub(crate) fn required<T: Read>(&mut self, name: &'static str) -> Option<T> {
        self.require(name);
        self.optional(name)
    }

    /// It must be there; what it holds is seen later.
    pub(crate) fn require(&mut self, name: &'static str) {
        if !self.has(name) {
            self.wrong(name, MISSING);
        }
    }

    /// What is absent keeps its value.
    pub(crate) fn set<T: Read>(&mut self, name: &'static str, target: &mut T) {
        if let Some(value) = self.optional(name) {
            *target = value;
        }
    }

    pub(crate) fn wrong(&mut self, name: &'static str, message: impl Into<String>) {
        self.errors.entry(name.into()).or_default().push(message.into());
    }

    /// What a second look finds in a field that was right so far.
    pub(crate) fn wrong_too(&mut self, name: &'static str, message: &str) {
        if !self.errors.contains_key(name) {
            self.wrong(name, message);
        }
    }

    /// Refuses every other field.
    pub(crate) fn only(&mut self, names: &[&str]) {
        for name in self.body.keys().filter(|name| !names.contains(&name.as_str())) {
            self.errors.insert(name.clone().into(), vec!["Not permitted to be updated".into()]);
        }
    }

    /// # Errors
    /// Everything that was found wrong so far.
    pub(crate) fn check(&self) -> Result<(), Problem> {
        if self.errors.is_empty() { Ok(()) } else { Err(Problem::Fields(self.errors.clone())) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_fault_is_told_by_its_field() {
        let mut fields = Fields::of(json!({"a": 1, "b": null, "c": "x", "d": 2.5, "e": 9_999_999_999_u64,
            "f": "2026-13-01 00:00:00", "g": null, "h": "07d13dc0-4ee0-4e6e-9df1-1a4a15e0c3b5", "i": true}))
        .unwrap();
        assert_eq!(fields.required::<String>("a"), None);
        assert_eq!(fields.required::<String>("b"), None);
        assert_eq!(fields.required::<bool>("c"), None);
        assert_eq!(fields.required::<i32>("d"), None);
        assert_eq!(fields.optional::<i32>("e"), None);
        assert_eq!(fields.optional::<DateTime<Utc>>("f"), None);
        assert_eq!(fields.optional::<Option<String>>("g"), Some(None));
        assert!(fields.required::<Uuid>("h").is_some());
        let mut flag = false;
        fields.set("i", &mut flag);
        fields.set("absent", &mut flag);
        assert!(flag);
        assert_eq!(fields.optional::<i32>("absent"), None);
        assert_eq!(fields.required::<i32>("required"), None);
        let Err(Problem::Fields(errors)) = fields.check() else { panic!("there are errors") };
        let errors: Vec<(&str, &str)> =
            errors.iter().map(|(name, texts)| (&**name, texts[0].as_str())).collect();
        assert_eq!(
            errors,
            [
                ("a", "Not a valid string."),
                ("b", "Field may not be null."),
                ("c", "Not a valid boolean."),
                ("d", "Not a valid integer."),
                ("e", "Not a valid integer."),
                ("f", "Not a valid datetime."),
                ("required", MISSING),
            ]
        );
    }

    #[test]
    fn times_come_in_both_spellings() {
        for text in ["2026-11-23 22:00:00.123456", "2026-11-23T22:00:00.123456Z"] {
            let time = DateTime::<Utc>::read(&json!(text)).unwrap();
            assert_eq!(time.timestamp_micros() % 1_000_000, 123_456, "{text}");
        }
    }

    #[test]
    fn a_body_is_an_object() {
        let Err(Problem::Fields(errors)) = Fields::of(json!([1])) else { panic!("refused") };
        assert_eq!(errors["_schema"], ["Invalid input type."]);
    }
}
