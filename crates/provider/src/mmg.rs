//! MMG: a JSON POST per text, JSON receipts.

use std::sync::Arc;

use domain::{
    receipt::ReceiptWords,
    retry::SendFailure,
    status::{ProviderId, Status},
};
use hyper::header::HeaderValue;
use serde::Serialize;
use serde_json::Value;

use crate::{
    Accepted, Text,
    config::{Company, ConfigError, Secret, SmsConfig, Usual},
    http::{HttpClient, Post},
    receipt::{self, BadReceipt, Meaning, Simulated},
};

const ID: ProviderId = ProviderId::Mmg;
const NAME: &str = "MMG";

pub(crate) const USUAL: Usual = Usual { id: ID, url: "https://api.mmg.co.uk/jsonv2a/api.php" };

/// Sends texts by MMG.
#[derive(Debug)]
pub struct Mmg {
    company: Company,
    http: Arc<HttpClient>,
    authorization: HeaderValue,
}

#[derive(Serialize)]
struct Request<'a> {
    #[serde(rename = "reqType")]
    request_type: &'static str,
    #[serde(rename = "MSISDN")]
    to: &'a str,
    msg: &'a str,
    sender: &'a str,
    cid: String,
    multi: bool,
    #[serde(rename = "delurl", skip_serializing_if = "Option::is_none")]
    receipt_url: Option<&'a str>,
}

impl Mmg {
    /// None when it is not configured.
    pub(crate) fn new(config: &SmsConfig, http: &Arc<HttpClient>) -> Result<Option<Self>, ConfigError> {
        let Some(company) = config.company(&USUAL)? else { return Ok(None) };
        if !config.international_key.is_empty() {
            return Err(ConfigError::new(ID, "international_key", "MMG has one key for all countries"));
        }
        let mut authorization = HeaderValue::try_from(format!("Basic {}", config.key.expose()))
            .map_err(|_| ConfigError::new(ID, "key", "cannot stand in an HTTP header"))?;
        authorization.set_sensitive(true);
        Ok(Some(Self { company, http: Arc::clone(http), authorization }))
    }

    /// MMG refuses nothing for good: every failure may pass.
    pub(crate) async fn send(&self, text: &Text<'_>) -> Result<Accepted, SendFailure> {
        let request = Request {
            request_type: "BULK",
            to: text.to,
            msg: text.body,
            sender: text.from,
            cid: text.id.to_string(),
            multi: true,
            receipt_url: self.company.receipt_url.as_ref().map(Secret::expose),
        };
        let body = serde_json::to_vec(&request).expect("strings and a boolean are always JSON");
        let post = Post {
            uri: &self.company.uri,
            content_type: "application/json",
            authorization: Some(&self.authorization),
            body: body.into(),
        };
        let answer = self.http.post(&post).await?;
        let json = answer.json();
        if !answer.status.is_success() {
            let error = json.ok().and_then(|json| json.get("Error")?.as_i64());
            return Err(answer.failure(error.map(|number| number.to_string()).as_deref()));
        }
        // Any JSON will do; what it says is not read. Receipts come back with our own id.
        json.map(|_| Accepted { reference: None })
    }
}

/// Reads a receipt, whatever its content type.
///
/// # Errors
/// When it is not JSON, or `status` or `CID` is missing.
pub fn read_receipt(body: &[u8]) -> Result<ReceiptWords, BadReceipt> {
    let json: Value = serde_json::from_slice(body)
        .map_err(|_| BadReceipt::Invalid(format!("{NAME} callback failed: invalid json")))?;
    let (status, reference) = (receipt::word(&json, "status"), receipt::word(&json, "CID"));
    let missing = [("status", status.is_none()), ("CID", reference.is_none())];
    let (Some(status), Some(reference)) = (status, reference) else {
        return Err(receipt::missing(NAME, &missing));
    };
    let detail = if json["substatus"].is_null() { None } else { receipt::word(&json, "substatus") };
    receipt::words(NAME, ID, reference, status, detail)
}

/// What MMG's `status` means. The substatus says more to people, nothing to us.
#[must_use]
pub fn meaning(words: &ReceiptWords) -> Meaning {
    match words.status.as_str() {
        "2" | "5" => Meaning::becomes(Status::PermanentFailure),
        "3" => Meaning::becomes(Status::Delivered),
        "4" => Meaning::becomes(Status::TemporaryFailure),
        _ => Meaning::UNKNOWN,
    }
}

pub(crate) fn simulate(end: Simulated) -> (&'static str, Option<&'static str>) {
    match end {
        Simulated::Delivered => ("3", None),
        Simulated::TemporaryFailure => ("4", None),
        Simulated::PermanentFailure => ("5", None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(status: &str, detail: Option<&str>) -> ReceiptWords {
        ReceiptWords {
            provider: ID,
            reference: "6f2f8a0e-1f41-4c8d-8f0a-0b7f0a3c9f11".into(),
            status: status.into(),
            detail: detail.map(Into::into),
        }
    }

    #[test]
    fn receipts_are_read_with_strings_and_numbers() {
        let full = br#"{"reference": "5512", "CID": "6f2f8a0e-1f41-4c8d-8f0a-0b7f0a3c9f11", "MSISDN": "447700900123",
            "status": "3", "substatus": "5", "deliverytime": "2026-03-02 10:11:12"}"#;
        assert_eq!(read_receipt(full), Ok(words("3", Some("5"))));
        let numbers = br#"{"CID": "6f2f8a0e-1f41-4c8d-8f0a-0b7f0a3c9f11", "status": 3, "substatus": 5}"#;
        assert_eq!(read_receipt(numbers), Ok(words("3", Some("5"))));
        let short = br#"{"CID": "6f2f8a0e-1f41-4c8d-8f0a-0b7f0a3c9f11", "status": "2", "substatus": null}"#;
        assert_eq!(read_receipt(short), Ok(words("2", None)));
    }

    #[test]
    fn missing_fields_are_named_in_the_words_of_the_contract() {
        let status = "MMG callback failed: status missing".to_owned();
        let cid = "MMG callback failed: CID missing".to_owned();
        for (body, missing) in [
            (&b"{}"[..], vec![status.clone(), cid.clone()]),
            (br#"{"status": "", "CID": ""}"#, vec![status.clone(), cid.clone()]),
            (b"[]", vec![status.clone(), cid.clone()]),
            (br#"{"status": "3"}"#, vec![cid]),
            (br#"{"CID": "x"}"#, vec![status]),
        ] {
            assert_eq!(read_receipt(body), Err(BadReceipt::Missing(missing)));
        }
        for body in [&b""[..], b"status=3", b"\xff", b"{"] {
            let invalid = BadReceipt::Invalid("MMG callback failed: invalid json".into());
            assert_eq!(read_receipt(body), Err(invalid));
        }
        // As upstream: null is there. It finds no notification, or means nothing.
        assert_eq!(meaning(&read_receipt(br#"{"status": null, "CID": "x"}"#).unwrap()), Meaning::UNKNOWN);
    }

    #[test]
    fn every_row_of_the_table() {
        for (status, details, ours) in [
            (
                "2",
                &["1", "4", "5", "9", "11", "12", "2049", "2050", "2052", "2053"][..],
                Status::PermanentFailure,
            ),
            ("3", &["2", "5"], Status::Delivered),
            ("4", &["6", "8", "13", "15", "27", "29", "32"], Status::TemporaryFailure),
            (
                "5",
                &["6", "8", "10", "11", "13", "14", "19", "20", "21", "23", "24", "25", "51", "52"],
                Status::PermanentFailure,
            ),
        ] {
            for detail in details.iter().copied().map(Some).chain([None, Some("999")]) {
                assert_eq!(meaning(&words(status, detail)), Meaning::becomes(ours), "{status} {detail:?}");
            }
        }
        for status in ["0", "1", "6", "03", "3.0", " 3", "delivered"] {
            assert_eq!(meaning(&words(status, None)), Meaning::UNKNOWN, "{status:?}");
        }
    }
}
