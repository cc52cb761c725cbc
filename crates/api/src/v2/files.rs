//! Files sent by e-mail, on their way in (section 7 of the wire contract): taken out of the personalisation, judged, and sealed
//! for [`db::document`]. Their links stand in the personalisation from the beginning, so that the message is made only once.
//!
//! Nothing looks for viruses.

use std::collections::HashSet;

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use chrono::{DateTime, TimeDelta, Utc};
use db::document::{Details, NewDocument};
use domain::{email_address::EmailAddress, id::ServiceId, personalisation, python, template::Template};
use serde_json::{Map, Value};

use super::schema::{self, Form};
use crate::{
    App,
    accept::is_file,
    documents::{file_type::FileType, link::Link, page::size},
    error::Problem,
};

/// In characters.
pub(crate) const FILENAME_LIMIT: usize = 100;
pub(crate) const WEEKS: std::ops::RangeInclusive<u16> = 1..=78;
pub(crate) const DEFAULT_WEEKS: u16 = 26;

pub(crate) const IN_SUBJECT: &str = "Cannot send a file in the subject of an email";

/// As Python's `b64decode` reads it, only that foreign characters are an error and not left out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

/// The files of one request, each with the link that leads to it.
pub(super) struct Files {
    given: Vec<(Value, Link)>,
    /// What the values are called that they were, as names are compared.
    names: HashSet<String>,
    /// Nothing is kept for a recipient who is none.
    simulated: bool,
}

impl Files {
    /// Puts links where the files were.
    pub(super) fn take(
        values: &mut Map<String, Value>,
        service: ServiceId,
        base: &str,
        simulated: bool,
        now: DateTime<Utc>,
    ) -> Self {
        let mut given = Vec::new();
        let mut names = HashSet::new();
        for (name, value) in values.iter_mut().filter(|(_, value)| is_file(value)) {
            names.insert(personalisation::key(name));
            let link = Link::new(service, now);
            let url = if simulated {
                format!("{base}/services/{service}/documents/test-document")
            } else {
                link.url(base)
            };
            given.push((std::mem::replace(value, Value::String(url)), link));
        }
        Self { given, names, simulated }
    }

    /// Whether one of them would stand in this text.
    fn stand_in(&self, text: &Template) -> bool {
        text.placeholders().iter().any(|name| self.names.contains(&personalisation::key(name)))
    }

    /// Row 16: all of them, sealed, or what is wrong with the first that cannot be sent.
    pub(super) fn sealed(
        self,
        app: &App,
        contact_link: Option<&str>,
        subject: Option<&Template>,
        recipient: &EmailAddress,
        now: DateTime<Utc>,
    ) -> Result<Vec<NewDocument>, Problem> {
        let in_subject = subject.is_some_and(|subject| self.stand_in(subject));
        let read = |(value, link)| Ok((File::read(value)?, link));
        let files = self.given.into_iter().map(read).collect::<Result<Vec<_>, Problem>>()?;
        if let (Some((_, link)), true) =
            (files.first(), contact_link.is_none_or(|link| link.trim().is_empty()))
        {
            return Err(not_set_up(app, link.service));
        }
        if in_subject {
            return Err(Problem::bad_request(IN_SUBJECT));
        }
        if self.simulated {
            return Ok(Vec::new());
        }
        files
            .into_iter()
            .map(|(file, link)| file.sealed(&link, app.config.file_limit, recipient, now))
            .collect()
    }
}

fn not_set_up(app: &App, service: ServiceId) -> Problem {
    let admin = app.config.admin_url.trim_end_matches('/');
    Problem::bad_request(format!(
        "Send files by email has not been set up - add contact details for your service at \
         {admin}/services/{service}/service-settings/send-files-by-email"
    ))
}

/// A value that keeps the schema.
struct File {
    /// Of base64.
    file: String,
    filename: Option<String>,
    confirm: bool,
    weeks: u16,
    is_csv: bool,
}

impl File {
    fn read(value: Value) -> Result<Self, Problem> {
        let mut form = Form::new(value)?;
        let both = form.has("filename") && form.has("is_csv");
        let file = form.required("file", schema::text);
        let is_csv = form.optional("is_csv", |value| boolean("is_csv", &value));
        let confirm = form.optional("confirm_email_before_download", |value| {
            boolean("confirm_email_before_download", &value)
        });
        let weeks = form.optional("retention_period", |value| weeks(&value));
        let filename = form.optional("filename", filename);
        if both {
            form.wrong("Do not set a value for `is_csv` if `filename` is set.");
        }
        match (file, form.errors_of_unknown_first()) {
            (Some(file), errors) if errors.is_empty() => Ok(Self {
                file,
                filename: filename.flatten(),
                confirm: confirm.flatten().unwrap_or(true),
                weeks: weeks.flatten().unwrap_or(DEFAULT_WEEKS),
                is_csv: is_csv.flatten().unwrap_or(false),
            }),
            (_, errors) => Err(Problem::Validation(errors)),
        }
    }

    fn sealed(
        self,
        link: &Link,
        limit: usize,
        recipient: &EmailAddress,
        now: DateTime<Utc>,
    ) -> Result<NewDocument, Problem> {
        let content = decoded(&self.file).ok_or(Problem::bad_request("Document is not base64 encoded"))?;
        if content.len() > limit {
            let limit = size(limit.try_into().unwrap_or(u64::MAX));
            return Err(Problem::bad_request(format!("File is larger than {limit}")));
        }
        let kind = match &self.filename {
            Some(name) if name.chars().count() > FILENAME_LIMIT => {
                let message = format!("`filename` cannot be longer than {FILENAME_LIMIT} characters");
                return Err(Problem::bad_request(message));
            }
            Some(name) => FileType::of_name(name),
            None => FileType::of_content(&content, self.is_csv),
        };
        let details = Details {
            filename: self.filename,
            extension: kind.map_err(Problem::bad_request)?.extension.to_owned(),
            confirmed_by: self.confirm.then(|| recipient.normalised().to_owned()),
        };
        let times = (now, now + TimeDelta::weeks(self.weeks.into()));
        Ok(NewDocument::sealed((link.service, link.document), &link.key, &details, content, times))
    }
}

/// Some encoders break lines.
fn decoded(text: &str) -> Option<Vec<u8>> {
    if text.contains(|c: char| c.is_ascii_whitespace()) {
        let together: String = text.split_ascii_whitespace().collect();
        return BASE64.decode(together).ok();
    }
    BASE64.decode(text).ok()
}

fn filename(value: Value) -> Result<Option<String>, String> {
    match value {
        Value::Null => Ok(None),
        Value::String(name) if name.contains('.') => Ok(Some(name)),
        _ => Err("`filename` must end with a file extension. For example, filename.csv".into()),
    }
}

fn boolean(name: &str, value: &Value) -> Result<Option<bool>, String> {
    match value {
        Value::Null => Ok(None),
        Value::Bool(value) => Ok(Some(*value)),
        other => Err(unsupported(name, other, "Use a boolean true or false value.")),
    }
}

/// `N week` or `N weeks`.
fn weeks(value: &Value) -> Result<Option<u16>, String> {
    let period = match value {
        Value::Null => return Ok(None),
        Value::String(text) => text.trim().to_lowercase(),
        _ => String::new(),
    };
    let number = period.strip_suffix(" weeks").or_else(|| period.strip_suffix(" week"));
    // `parse` takes a sign.
    let number = number.filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()));
    let weeks = number.and_then(|number| number.parse().ok()).filter(|weeks| WEEKS.contains(weeks));
    weeks
        .map(Some)
        .ok_or_else(|| unsupported("retention_period", value, "Supported periods are from 1 to 78 weeks."))
}

fn unsupported(name: &str, value: &Value, instead: &str) -> String {
    format!("Unsupported value for {name}: {}. {instead}", python::str(value)).replace('\'', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_in_all_its_spellings() {
        for (text, expected) in [
            ("", Some("")),
            ("aGVsbG8=", Some("hello")),
            ("aGVs\r\nbG8=\n", Some("hello")),
            ("aGVsbG9=", Some("hello")),
            ("aGVsbG8", None),
            ("foo", None),
            ("aGVs*bG8=", None),
            ("aGVsbG8=aGVsbG8=", None),
            ("aGVsbG8_", None),
            ("é", None),
        ] {
            assert_eq!(decoded(text).as_deref(), expected.map(str::as_bytes), "{text:?}");
        }
    }

    #[test]
    fn periods_in_weeks() {
        for (text, expected) in [
            ("1 week", Some(1)),
            ("78 weeks", Some(78)),
            (" 2 WEEKS \n", Some(2)),
            ("007 weeks", Some(7)),
            ("0 weeks", None),
            ("79 weeks", None),
            ("99999999999999999999 weeks", None),
            ("+1 week", None),
            ("1  week", None),
            (" weeks", None),
            ("weeks", None),
            ("1 month", None),
            ("", None),
        ] {
            assert_eq!(weeks(&Value::from(text)).ok().flatten(), expected, "{text:?}");
        }
    }
}
