//! Receipts for e-mails: Amazon SES events in an SNS envelope, the form that our SMTP relays are to report in, too.
//!
//! Signatures are **not verified yet**: that comes with sending by SES. Until then what is posted is believed only where the
//! configuration says so (`providers.smtp.accept_unsigned_receipts`), which is right for the simulator and for a relay that
//! only the platform's own network can reach. For the same reason no URL is fetched that a post names: that of a
//! subscription is read, looked at, and left to whoever runs the platform to open.

use domain::{
    receipt::ReceiptWords,
    status::{ProviderId, Status},
};
use serde_json::Value;
use url::Url;

use crate::receipt::{self, BadReceipt, Meaning, Simulated};

const NAME: &str = "SES";

fn invalid(what: &str) -> BadReceipt {
    BadReceipt::Invalid(format!("{NAME} callback failed: {what}"))
}

/// What is posted by SNS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Posted {
    Receipt(ReceiptWords),
    /// A topic is to post here from now on, once somebody has opened the URL.
    Subscribed {
        topic: String,
        url: String,
    },
    /// It will post no more, unless somebody opens the URL.
    Unsubscribed {
        topic: String,
        url: String,
    },
}

/// Reads what SNS posts: JSON, for receipts with JSON in a string inside, whatever its content type.
///
/// # Errors
/// When it cannot be believed (`accept_unsigned` is off), is not JSON, lacks a field, tells of an unknown event, or names a URL
/// that is not Amazon's.
pub fn read(body: &[u8], accept_unsigned: bool) -> Result<Posted, BadReceipt> {
    if !accept_unsigned {
        return Err(invalid("signature cannot be verified"));
    }
    let json = |text: &[u8]| serde_json::from_slice::<Value>(text).map_err(|_| invalid("invalid json"));
    let required = |object: &Value, field: &str| {
        receipt::word(object, field).ok_or_else(|| receipt::missing(NAME, &[(field, true)]))
    };
    let envelope = json(body)?;
    let subscription = |envelope| {
        let (topic, url) = (required(envelope, "TopicArn")?, required(envelope, "SubscribeURL")?);
        if !is_amazons(&url) || !topic.chars().all(|c| c.is_ascii_graphic()) {
            return Err(invalid("subscription is not Amazon's"));
        }
        Ok((topic, url))
    };
    match envelope["Type"].as_str() {
        Some("SubscriptionConfirmation") => {
            return subscription(&envelope).map(|(topic, url)| Posted::Subscribed { topic, url });
        }
        Some("UnsubscribeConfirmation") => {
            return subscription(&envelope).map(|(topic, url)| Posted::Unsubscribed { topic, url });
        }
        _ => {}
    }
    let event = json(required(&envelope, "Message")?.as_bytes())?;
    // SES tells the same in two ways: by the notifications of an identity, and by the event destinations of a configuration
    // set.
    let kind = match receipt::word(&event, "eventType") {
        Some(kind) if event["notificationType"].is_null() => kind,
        _ => required(&event, "notificationType")?,
    };
    if !matches!(kind.as_str(), "Delivery" | "Bounce" | "Complaint") {
        // Cut: the text goes back to the sender and into a log line.
        return Err(invalid(&format!(
            "status {} not found",
            kind.chars().filter(|c| !c.is_control()).take(40).collect::<String>()
        )));
    }
    let text = |object: &str, field: &str| {
        let text = event.get(object)?.get(field)?.as_str()?;
        Some(text.to_owned()).filter(|text| !text.is_empty())
    };
    let reference = text("mail", "messageId").ok_or_else(|| invalid("messageId missing"))?;
    receipt::words(NAME, ProviderId::Smtp, reference, kind, text("bounce", "bounceType")).map(Posted::Receipt)
}

/// A page of `sns.{region}.amazonaws.com`, whose certificate says so.
fn is_amazons(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else { return false };
    let region = url.host_str().and_then(|host| {
        let host = host.strip_suffix(".cn").unwrap_or(host);
        host.strip_prefix("sns.")?.strip_suffix(".amazonaws.com")
    });
    let is_region =
        |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    let is_plain = url.username().is_empty() && url.password().is_none() && url.port().is_none();
    url.scheme() == "https" && is_plain && region.is_some_and(is_region)
}

/// What an event means. A complaint changes no status: the mail had arrived.
#[must_use]
pub fn meaning(words: &ReceiptWords) -> Meaning {
    match (words.status.as_str(), words.detail.as_deref()) {
        ("Delivery", _) => Meaning::becomes(Status::Delivered),
        ("Bounce", Some("Permanent")) => Meaning::becomes(Status::PermanentFailure),
        ("Bounce", _) => Meaning::becomes(Status::TemporaryFailure),
        ("Complaint", _) => Meaning { status: None, unknown: false },
        _ => Meaning { status: None, unknown: true },
    }
}

pub(crate) fn simulate(end: Simulated) -> (&'static str, Option<&'static str>) {
    match end {
        Simulated::Delivered => ("Delivery", None),
        Simulated::TemporaryFailure => ("Bounce", Some("Transient")),
        Simulated::PermanentFailure => ("Bounce", Some("Permanent")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope(message: &str) -> Vec<u8> {
        serde_json::json!({"Type": "Notification", "MessageId": "22b8", "Message": message})
            .to_string()
            .into_bytes()
    }

    fn event(event: &str) -> Result<ReceiptWords, BadReceipt> {
        match read(&envelope(event), true)? {
            Posted::Receipt(words) => Ok(words),
            other => panic!("{other:?}"),
        }
    }

    fn words(status: &str, detail: Option<&str>) -> ReceiptWords {
        ReceiptWords {
            provider: ProviderId::Smtp,
            reference: "0102@notify.example".into(),
            status: status.into(),
            detail: detail.map(Into::into),
        }
    }

    #[test]
    fn receipts_are_read_from_their_envelope() {
        let delivery = r#"{"notificationType":"Delivery","mail":{"messageId":"0102@notify.example",
            "timestamp":"2026-03-02T10:11:12.909Z","destination":["ada@example.com"]},"delivery":{}}"#;
        assert_eq!(event(delivery), Ok(words("Delivery", None)));
        let bounce = r#"{"notificationType":"Bounce","bounce":{"bounceType":"Permanent"},"mail":{"messageId":"0102@notify.example"}}"#;
        assert_eq!(event(bounce), Ok(words("Bounce", Some("Permanent"))));
    }

    #[test]
    fn event_destinations_tell_the_same_in_another_word() {
        let bounce = r#"{"eventType":"Bounce","bounce":{"bounceType":"Permanent"},"mail":{"messageId":"0102@notify.example"}}"#;
        assert_eq!(event(bounce), Ok(words("Bounce", Some("Permanent"))));
        let both = r#"{"eventType":"Open","notificationType":"Delivery","mail":{"messageId":"0102@notify.example"}}"#;
        assert_eq!(event(both), Ok(words("Delivery", None)));
    }

    #[test]
    fn a_subscription_is_read_and_its_url_must_be_amazons() {
        let post = |kind: &str, url: &str| {
            let topic = "arn:aws:sns:eu-west-1:123456789012:receipts";
            let json = serde_json::json!({"Type": kind, "MessageId": "165545c9", "Token": "2336412f", "TopicArn": topic,
                "Message": "You have chosen to subscribe to the topic", "SubscribeURL": url});
            read(json.to_string().as_bytes(), true)
        };
        let topic = "arn:aws:sns:eu-west-1:123456789012:receipts".to_owned();
        for host in ["sns.eu-west-1.amazonaws.com", "sns.cn-north-1.amazonaws.com.cn"] {
            let url = format!("https://{host}/?Action=ConfirmSubscription&Token=2336412f");
            let subscribed = Posted::Subscribed { topic: topic.clone(), url: url.clone() };
            assert_eq!(post("SubscriptionConfirmation", &url), Ok(subscribed));
            let unsubscribed = Posted::Unsubscribed { topic: topic.clone(), url: url.clone() };
            assert_eq!(post("UnsubscribeConfirmation", &url), Ok(unsubscribed));
        }
        for url in [
            "",
            "x",
            "http://sns.eu-west-1.amazonaws.com/",
            "https://sns.eu-west-1.amazonaws.com.evil.example/",
            "https://sns.eu-west-1.amazonaws.com@evil.example/",
            "https://me:secret@sns.eu-west-1.amazonaws.com/",
            "https://sns.eu-west-1.amazonaws.com:8443/",
            "https://evil.example/sns.eu-west-1.amazonaws.com",
            "https://sns.evil.example.amazonaws.com/",
            "https://sns..amazonaws.com/",
            "https://bucket.s3.amazonaws.com/",
            "https://169.254.169.254/latest/meta-data/",
        ] {
            let answer = post("SubscriptionConfirmation", url);
            assert!(answer.is_err(), "{url}: {answer:?}");
        }
        let unsigned = br#"{"Type": "SubscriptionConfirmation"}"#;
        assert!(read(unsigned, true).is_err() && read(unsigned, false).is_err());
    }

    #[test]
    fn refusals_are_in_the_words_of_the_contract() {
        let failed = |what: &str| format!("SES callback failed: {what}");
        let missing = |what: &str| Err(BadReceipt::Missing(vec![failed(what)]));
        let invalid = |what: &str| Err(BadReceipt::Invalid(failed(what)));
        let refused = |what: &str| Err(BadReceipt::Invalid(failed(what)));
        assert_eq!(read(b"hello", true), refused("invalid json"));
        assert_eq!(event("hello"), invalid("invalid json"));
        let no_message = BadReceipt::Missing(vec![failed("Message missing")]);
        assert_eq!(read(b"{}", true), Err(no_message));
        assert_eq!(event("{}"), missing("notificationType missing"));
        assert_eq!(event(r#"{"eventType": "Open"}"#), invalid("status Open not found"));
        assert_eq!(event(r#"{"notificationType": "Open"}"#), invalid("status Open not found"));
        for mail in ["null", "{}", r#"{"messageId": ""}"#, r#"{"messageId": 7}"#, "[]"] {
            let without = format!(r#"{{"notificationType": "Delivery", "mail": {mail}}}"#);
            assert_eq!(event(&without), invalid("messageId missing"), "{mail}");
        }
        let good = envelope(r#"{"notificationType":"Delivery","mail":{"messageId":"x"}}"#);
        assert_eq!(read(&good, false), refused("signature cannot be verified"));
        assert!(read(&good, true).is_ok());
    }

    #[test]
    fn every_row_of_the_table() {
        for (status, detail, ours) in [
            ("Delivery", None, Status::Delivered),
            ("Bounce", Some("Permanent"), Status::PermanentFailure),
            ("Bounce", Some("Transient"), Status::TemporaryFailure),
            ("Bounce", Some("Undetermined"), Status::TemporaryFailure),
            ("Bounce", None, Status::TemporaryFailure),
        ] {
            assert_eq!(meaning(&words(status, detail)), Meaning::becomes(ours), "{status} {detail:?}");
        }
        assert_eq!(meaning(&words("Complaint", None)), Meaning { status: None, unknown: false });
        assert_eq!(meaning(&words("Open", None)), Meaning { status: None, unknown: true });
    }
}
