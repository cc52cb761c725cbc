//! Firetext: a form POST per text, form receipts, and a table that tells lasting failures from passing ones.

use std::sync::Arc;

use domain::{
    receipt::ReceiptWords,
    retry::SendFailure,
    status::{ProviderId, Status},
};
use serde::Serialize;

use crate::{
    Accepted, Text,
    config::{Company, ConfigError, Secret, SmsConfig, Usual},
    http::{HttpClient, Post},
    receipt::{self, BadReceipt, Meaning, Simulated},
};

const ID: ProviderId = ProviderId::Firetext;
const NAME: &str = "Firetext";

pub(crate) const USUAL: Usual = Usual { id: ID, url: "https://www.firetext.co.uk/api/sendsms/json" };

/// Sends texts by Firetext.
#[derive(Debug)]
pub struct Firetext {
    company: Company,
    http: Arc<HttpClient>,
    key: Secret,
    international_key: Secret,
}

#[derive(Serialize)]
struct Request<'a> {
    #[serde(rename = "apiKey")]
    key: &'a str,
    from: &'a str,
    to: &'a str,
    message: &'a str,
    reference: String,
    #[serde(rename = "receipt", skip_serializing_if = "Option::is_none")]
    receipt_url: Option<&'a str>,
}

impl Firetext {
    /// None when it is not configured.
    pub(crate) fn new(config: &SmsConfig, http: &Arc<HttpClient>) -> Result<Option<Self>, ConfigError> {
        let Some(company) = config.company(&USUAL)? else { return Ok(None) };
        let SmsConfig { key, international_key, .. } = config;
        let international_key = if international_key.is_empty() { key } else { international_key };
        Ok(Some(Self {
            company,
            http: Arc::clone(http),
            key: key.clone(),
            international_key: international_key.clone(),
        }))
    }

    /// Firetext refuses nothing for good: every failure may pass.
    pub(crate) async fn send(&self, text: &Text<'_>) -> Result<Accepted, SendFailure> {
        let key = if text.international { &self.international_key } else { &self.key };
        let request = Request {
            key: key.expose(),
            from: text.from,
            to: text.to,
            message: text.body,
            reference: text.id.to_string(),
            receipt_url: self.company.receipt_url.as_ref().map(Secret::expose),
        };
        let body = serde_urlencoded::to_string(&request).expect("strings are always a form");
        let post = Post {
            uri: &self.company.uri,
            content_type: "application/x-www-form-urlencoded",
            authorization: None,
            body: body.into(),
        };
        let answer = self.http.post(&post).await?;
        let code = answer.json().map(|json| json.get("code").and_then(serde_json::Value::as_f64));
        if !answer.status.is_success() {
            return Err(answer.failure(code.ok().flatten().map(|code| code.to_string()).as_deref()));
        }
        match code? {
            Some(0.0) => Ok(Accepted { reference: None }),
            Some(code) => Err(SendFailure::Transient(format!("Firetext code {code}"))),
            None => Err(SendFailure::Unanswered("Firetext gave no code".into())),
        }
    }
}

/// Reads a receipt: a form.
///
/// # Errors
/// When `status` or `reference` is missing.
pub fn read_receipt(body: &[u8]) -> Result<ReceiptWords, BadReceipt> {
    let form: Vec<(String, String)> = serde_urlencoded::from_bytes(body)
        .map_err(|_| BadReceipt::Invalid(format!("{NAME} callback failed: not a form")))?;
    let field = |name| {
        let (_, value) = form.iter().find(|(field, _)| field == name)?;
        Some(value.clone()).filter(|value| !value.is_empty())
    };
    let (status, reference) = (field("status"), field("reference"));
    let missing = [("status", status.is_none()), ("reference", reference.is_none())];
    let (Some(status), Some(reference)) = (status, reference) else {
        return Err(receipt::missing(NAME, &missing));
    };
    receipt::words(NAME, ID, reference, status, field("code"))
}

/// What Firetext's `status` means. It has one word for failures of every kind: the code tells which, and without a code
/// it counts that an earlier receipt said that the network was still trying.
#[must_use]
pub fn meaning(words: &ReceiptWords, current: Status, sent_by: Option<ProviderId>) -> Meaning {
    match words.status.as_str() {
        "0" => Meaning::becomes(Status::Delivered),
        "1" if sent_by.unwrap_or(ID) == ID => Meaning::becomes(failure(words.detail.as_deref(), current)),
        "1" => Meaning::becomes(Status::PermanentFailure),
        "2" => Meaning::becomes(Status::Pending),
        _ => Meaning::UNKNOWN,
    }
}

fn failure(code: Option<&str>, current: Status) -> Status {
    match code {
        // No error reported; subscriber absent, busy, without memory; SMS not supported (for now); routing error.
        Some("000" | "102" | "103" | "104" | "302" | "900") => Status::TemporaryFailure,
        // Unknown subscriber; invalid number; SMS not supported; rejected.
        Some("101" | "201" | "301" | "401") => Status::PermanentFailure,
        _ if current == Status::Pending => Status::TemporaryFailure,
        _ => Status::PermanentFailure,
    }
}

pub(crate) fn simulate(end: Simulated) -> (&'static str, Option<&'static str>) {
    match end {
        Simulated::Delivered => ("0", None),
        Simulated::TemporaryFailure => ("1", Some("000")),
        Simulated::PermanentFailure => ("1", None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(status: &str, code: Option<&str>) -> ReceiptWords {
        ReceiptWords {
            provider: ID,
            reference: "6f2f8a0e-1f41-4c8d-8f0a-0b7f0a3c9f11".into(),
            status: status.into(),
            detail: code.map(Into::into),
        }
    }

    #[test]
    fn receipts_are_read() {
        let full = b"mobile=447700900123&status=1&code=101&time=2026-03-02+10%3A11%3A12&reference=6f2f8a0e-1f41-4c8d-8f0a-0b7f0a3c9f11";
        assert_eq!(read_receipt(full), Ok(words("1", Some("101"))));
        let short = b"status=0&code=&reference=6f2f8a0e-1f41-4c8d-8f0a-0b7f0a3c9f11&status=9";
        assert_eq!(read_receipt(short), Ok(words("0", None)));
    }

    #[test]
    fn missing_fields_are_named_in_the_words_of_the_contract() {
        let status = "Firetext callback failed: status missing".to_owned();
        let reference = "Firetext callback failed: reference missing".to_owned();
        for (body, missing) in [
            (&b""[..], vec![status.clone(), reference.clone()]),
            (b"status=&reference=", vec![status.clone(), reference.clone()]),
            (br#"{"status": "0"}"#, vec![status.clone(), reference.clone()]),
            (b"\xff\xfe=%zz", vec![status.clone(), reference.clone()]),
            (b"status=0", vec![reference]),
            (b"reference=x", vec![status]),
        ] {
            assert_eq!(read_receipt(body), Err(BadReceipt::Missing(missing)));
        }
    }

    #[test]
    fn every_row_of_the_status_table() {
        let meaning = |status| meaning(&words(status, None), Status::Sending, Some(ID));
        assert_eq!(meaning("0"), Meaning::becomes(Status::Delivered));
        assert_eq!(meaning("1"), Meaning::becomes(Status::PermanentFailure));
        assert_eq!(meaning("2"), Meaning::becomes(Status::Pending));
        for status in ["3", "99", "00", "", "delivered"] {
            assert_eq!(meaning(status), Meaning::UNKNOWN, "{status:?}");
        }
    }

    #[test]
    fn every_row_of_the_code_table() {
        use Status::{Pending, PermanentFailure, Sending, TemporaryFailure};
        for (code, sending, pending) in [
            (Some("000"), TemporaryFailure, TemporaryFailure),
            (Some("101"), PermanentFailure, PermanentFailure),
            (Some("102"), TemporaryFailure, TemporaryFailure),
            (Some("103"), TemporaryFailure, TemporaryFailure),
            (Some("104"), TemporaryFailure, TemporaryFailure),
            (Some("201"), PermanentFailure, PermanentFailure),
            (Some("301"), PermanentFailure, PermanentFailure),
            (Some("302"), TemporaryFailure, TemporaryFailure),
            (Some("401"), PermanentFailure, PermanentFailure),
            (Some("900"), TemporaryFailure, TemporaryFailure),
            (Some("555"), PermanentFailure, TemporaryFailure),
            (None, PermanentFailure, TemporaryFailure),
        ] {
            for (current, expected) in [(Sending, sending), (Pending, pending)] {
                for sent_by in [Some(ID), None] {
                    let got = meaning(&words("1", code), current, sent_by);
                    assert_eq!(got, Meaning::becomes(expected), "{code:?} while {current}");
                }
                let other = meaning(&words("1", code), current, Some(ProviderId::Mmg));
                assert_eq!(other, Meaning::becomes(PermanentFailure), "{code:?}, sent by another");
            }
        }
    }
}
