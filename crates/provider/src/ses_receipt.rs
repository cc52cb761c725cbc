//! Receipts for e-mails: Amazon SES events in an SNS envelope, the form that our SMTP relays are to report in, too.
//!
//! Signatures are **not verified yet**: that, and answering SNS's subscription confirmations, comes with sending by SES.
//! Until then a receipt is believed only where the configuration says so (`providers.smtp.accept_unsigned_receipts`),
//! which is right for the simulator and for a relay that only the platform's own network can reach.

use domain::{
    receipt::ReceiptWords,
    status::{ProviderId, Status},
};
use serde_json::Value;

use crate::receipt::{self, BadReceipt, Meaning, Simulated};

const NAME: &str = "SES";

fn invalid(what: &str) -> BadReceipt {
    BadReceipt::Invalid(format!("{NAME} callback failed: {what}"))
}

/// Reads a receipt: JSON with JSON in a string inside, whatever its content type.
///
/// # Errors
/// When it cannot be believed (`accept_unsigned` is off), is not JSON, lacks a field, or tells of an unknown event.
pub fn read_receipt(body: &[u8], accept_unsigned: bool) -> Result<ReceiptWords, BadReceipt> {
    if !accept_unsigned {
        return Err(invalid("signature cannot be verified"));
    }
    let json = |text: &[u8]| serde_json::from_slice::<Value>(text).map_err(|_| invalid("invalid json"));
    let required = |object: &Value, field: &str| {
        receipt::word(object, field).ok_or_else(|| receipt::missing(NAME, &[(field, true)]))
    };
    let event = json(required(&json(body)?, "Message")?.as_bytes())?;
    let kind = required(&event, "notificationType")?;
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
    receipt::words(NAME, ProviderId::Smtp, reference, kind, text("bounce", "bounceType"))
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

    fn read(event: &str) -> Result<ReceiptWords, BadReceipt> {
        read_receipt(&envelope(event), true)
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
        assert_eq!(read(delivery), Ok(words("Delivery", None)));
        let bounce = r#"{"notificationType":"Bounce","bounce":{"bounceType":"Permanent"},"mail":{"messageId":"0102@notify.example"}}"#;
        assert_eq!(read(bounce), Ok(words("Bounce", Some("Permanent"))));
    }

    #[test]
    fn refusals_are_in_the_words_of_the_contract() {
        let failed = |what: &str| format!("SES callback failed: {what}");
        let missing = |what: &str| Err(BadReceipt::Missing(vec![failed(what)]));
        let invalid = |what: &str| Err(BadReceipt::Invalid(failed(what)));
        assert_eq!(read_receipt(b"hello", true), invalid("invalid json"));
        assert_eq!(read("hello"), invalid("invalid json"));
        assert_eq!(read_receipt(b"{}", true), missing("Message missing"));
        assert_eq!(read("{}"), missing("notificationType missing"));
        assert_eq!(read(r#"{"notificationType": "Open"}"#), invalid("status Open not found"));
        for mail in ["null", "{}", r#"{"messageId": ""}"#, r#"{"messageId": 7}"#, "[]"] {
            let event = format!(r#"{{"notificationType": "Delivery", "mail": {mail}}}"#);
            assert_eq!(read(&event), invalid("messageId missing"), "{mail}");
        }
        let good = envelope(r#"{"notificationType":"Delivery","mail":{"messageId":"x"}}"#);
        assert_eq!(read_receipt(&good, false), invalid("signature cannot be verified"));
        assert!(read_receipt(&good, true).is_ok());
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
