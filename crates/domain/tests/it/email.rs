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

/// No vector has these: upstream reads `&curren` and `&times` out of them, for the plain part.
#[test]
fn links_arrive_as_they_were_typed() {
    let none = Personalisation::default();
    for url in [
        "https://pay.example/?id=1&currency=GBP&timestamp=2",
        "https://pay.example/?id=1&copy=2;&lt&amp=3&#65=4",
        "https://pay.example/o'neill/it's?name=d'arcy's&q='x#o'b",
        "https://pay.example/?ids[]=1&ids[]",
        "https://pay.example/a_(b)_(c)/d",
    ] {
        let value = Value::from(url);
        let values = Personalisation::new(Map::from_iter([("u".to_owned(), value)]));
        let escaped = url.replace('&', "&amp;");
        let encoded = escaped.replace('\'', "%27").replace('(', "%28").replace(')', "%29");
        let encoded = encoded.replace('[', "%5B").replace(']', "%5D");
        let href = format!("href=\"{encoded}\"");
        for (content, plain) in [
            (format!("See {url} now"), format!("See {url} now\n")),
            ("See ((u)). Now".to_owned(), format!("See {url}. Now\n")),
            (format!("# {url}\n\n* {url}"), format!("{url}\n{}\n\n• {url}\n", "=".repeat(65))),
            (format!("Isn't it \"{url}\"."), format!("Isn’t it “{url}”.\n")),
        ] {
            assert_eq!(email::plain_text(&content, &values, None).unwrap(), plain);
            let html = email::html_body(&content, &values, None).unwrap();
            assert!(html.contains(&href), "{href} in {html}");
            assert!(html.contains(&format!("\">{escaped}</a>")), "{escaped} in {html}");
        }
        if url.contains('(') {
            // What is in parentheses ends at the first that closes; on record.
            continue;
        }
        for content in [format!("[L]({url})"), "[L](((u)))".to_owned(), format!("[L][k]\n\n[k]: {url}\n")] {
            assert_eq!(email::plain_text(&content, &values, None).unwrap(), format!("L: {url}\n"));
            assert!(email::html_body(&content, &values, None).unwrap().contains(&href));
        }
        let content = format!("[a &copy b &copy; &times](https://a.example \"{url}\")");
        let plain = format!("a &copy b © &times ({url}): https://a.example\n");
        assert_eq!(email::plain_text(&content, &none, None).unwrap().replace(['’', '‘'], "'"), plain);
        let title = format!("title=\"{escaped}\">a &amp;copy b © &amp;times</a>");
        let html = email::html_body(&content, &none, None).unwrap();
        assert!(html.contains(&title), "{title} in {html}");
    }
    assert_eq!(email::fill("a &copy b &copy; c", "x", &none).subject, "a &copy b &copy; c");
    assert_eq!(email::fill_subject_for_html("?a=1&currency=2", &none).unwrap(), "?a=1&amp;currency=2");
}

#[test]
fn a_mail_of_nothing_to_see_is_empty() {
    for nothing in
        ["\u{200b}", "\u{200d}", "\u{feff} \u{2060}", "\u{a0}\u{200c}\n", "\u{3164}", "\u{ad}\u{2028}"]
    {
        let values = Personalisation::new(Map::from_iter([("a".to_owned(), Value::from(nothing))]));
        assert!(email::fill("s", "((a))", &values).empty, "{nothing:?} as a value");
        assert!(email::fill("s", nothing, &values).empty, "{nothing:?} as content");
        assert!(email::fill("s", "((a??x))\u{200b}", &values).empty);
        assert!(!email::fill("s", "((a)) x", &values).empty);
    }
}
