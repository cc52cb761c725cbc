//! E-mails against the vectors.

use domain::email::{self, BYTE_LIMIT, TooLarge};
use domain::template::{Personalisation, Template};
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
            "plain_text": email::plain_text(&content, &values, unsubscribe.as_deref()).unwrap(),
            "html": email::html_body(&content, &values, unsubscribe.as_deref()).unwrap(),
            "preheader": email::preheader(&content, &values).unwrap(),
            "subject": filled.subject,
            "subject_html": email::fill_subject_for_html(&subject, &values).unwrap(),
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
        let size = filled.size();
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
        let preheader = email::preheader(&string(input, "content"), &personalisation(input)).unwrap();
        let characters: Vec<char> = preheader.chars().collect();
        json!({
            "length": characters.len(),
            "starts_with": characters.iter().take(10).collect::<String>(),
            "ends_with": characters.iter().skip(characters.len().saturating_sub(10)).collect::<String>(),
        })
    });
}

/// Vectors stop short of these sizes.
#[test]
fn a_message_that_fills_to_gigabytes_is_measured_and_not_written() {
    let value = Value::from("x".repeat(1_000_000));
    let values = Personalisation::new(Map::from_iter([("a".to_owned(), value)]));
    let content = "((a)) ".repeat(1_000);
    let filled = email::fill("((a))", &content, &values);
    assert_eq!((filled.size(), filled.is_too_long()), (1_000_000_999, true));
    assert_eq!((filled.body.as_str(), filled.subject.len()), ("", 1_000_000));
    assert_eq!(email::render("s", &content, &values, None), Err(TooLarge));
    assert_eq!(email::html_body(&content, &values, None), Err(TooLarge));
    assert_eq!(email::preheader(&content, &values), Err(TooLarge));
}

#[test]
fn a_subject_that_fills_to_gigabytes_is_too_long_too() {
    let value = Value::from("x".repeat(1_000_000));
    let values = Personalisation::new(Map::from_iter([("a".to_owned(), value)]));
    let filled = email::fill(&"((a))".repeat(1_000), "b", &values);
    assert_eq!((filled.size(), filled.body.as_str(), filled.subject.as_str()), (1_000_000_000, "b", ""));
}

#[test]
fn what_explodes_when_rendered_is_given_up() {
    let none = Personalisation::default();
    let url = format!("[k]: https://example.com/{}\n\n", "x".repeat(100_000));
    for (what, content) in [
        ("two list markers on each line", "* - a\n".repeat(100_000)),
        ("headings", "# a\n\n".repeat(150_000)),
        ("references to a long address", format!("{url}{}", "[k] ".repeat(10_000))),
        ("such references in the items of a list", format!("{url}{}", "* [k]\n".repeat(10_000))),
        ("rules", "---\n\n".repeat(200_000)),
    ] {
        assert!(content.len() < BYTE_LIMIT, "{what}: the API accepts this");
        assert_eq!(email::render("s", &content, &none, None), Err(TooLarge), "{what}");
    }
    // Only headings, in only one of the parts.
    assert!(email::html_body(&"# a\n".repeat(1_000), &none, None).is_ok_and(|html| html.len() > 100_000));
}
