//! E-mails against the vectors.

use domain::email::{self, BYTE_LIMIT};
use domain::template::Template;
use serde_json::{Map, Value, json};

use crate::reader::{all, check, kinds, optional_string, personalisation, string};

#[test]
fn email_markdown() {
    check("email_markdown", all, |input| {
        let (content, subject) = (string(input, "content"), string(input, "subject"));
        let unsubscribe = optional_string(input, "unsubscribe_link");
        let values = personalisation(input);
        let filled = email::fill(&subject, &content, &values);
        // The names of the subject, then those of the content, each once.
        let names = Template::parse(&format!("{subject} {content}"));
        json!({
            "plain_text": email::plain_text(&content, &values, unsubscribe.as_deref()),
            "html": email::html_body(&content, &values, unsubscribe.as_deref()),
            "preheader": email::preheader(&content, &values),
            "subject": filled.subject,
            "subject_html": email::fill_subject_for_html(&subject, &values),
            "body": filled.body,
            "placeholders": names.placeholders(),
            "missing_personalisation": names.missing(&values),
            "empty": filled.empty,
        })
    });
}

#[test]
fn email_message_limits() {
    check("content_limits", kinds(&["email_message"]), |input| {
        let filled =
            email::fill(&string(input, "subject"), &string(input, "content"), &personalisation(input));
        let size = filled.body.len();
        let mut limits = Map::from_iter([
            ("size_in_bytes".to_owned(), json!(size)),
            ("too_long".to_owned(), json!(filled.is_too_long())),
            ("empty".to_owned(), json!(filled.empty)),
            ("subject_length".to_owned(), json!(filled.subject.chars().count())),
        ]);
        let error = if filled.is_too_long() {
            Some(format!(
                "Your message is too long. Emails cannot be longer than {BYTE_LIMIT} bytes. Your message is {size} bytes."
            ))
        } else {
            filled.empty.then(|| "Your message is empty.".to_owned())
        };
        if let Some(error) = error {
            limits
                .extend([("error".to_owned(), json!(error)), ("code".to_owned(), json!("BadRequestError"))]);
        }
        Value::Object(limits)
    });
}

#[test]
fn email_preheader_limits() {
    check("content_limits", kinds(&["email_preheader"]), |input| {
        let preheader = email::preheader(&string(input, "content"), &personalisation(input));
        let characters: Vec<char> = preheader.chars().collect();
        json!({
            "length": characters.len(),
            "starts_with": characters.iter().take(10).collect::<String>(),
            "ends_with": characters.iter().skip(characters.len().saturating_sub(10)).collect::<String>(),
        })
    });
}
