//! A service's settings: retention, guest list, senders, inbound numbers, callbacks.

mod callbacks;
mod guest_list;
mod inbound;
mod retention;
mod senders;

use hyper::Method;
use serde_json::Value;
use uuid::Uuid;

use super::refused;
use crate::stage::{Stage, error};

impl Stage {
    /// Below the service.
    fn own(&self, path: &str) -> String {
        format!("/service/{}/{path}", self.service_id())
    }
}

/// `{"status_code": 400, "errors": …}` with one message.
fn invalid(message: &str) -> (u16, Value) {
    error(400, "ValidationError", message)
}

fn no_result() -> (u16, Value) {
    refused(404, "No result found")
}

fn id_of(row: &Value) -> Uuid {
    row["id"].as_str().unwrap().parse().unwrap()
}

/// Every URL of the settings, with a method that it takes.
const URLS: [(Method, &str); 24] = [
    (Method::GET, "/service/S/data-retention"),
    (Method::POST, "/service/S/data-retention"),
    (Method::GET, "/service/S/data-retention/notification-type/sms"),
    (Method::GET, "/service/S/data-retention/00000000-0000-0000-0000-000000000000"),
    (Method::GET, "/service/S/guest-list"),
    (Method::PUT, "/service/S/guest-list"),
    (Method::GET, "/service/S/email-reply-to"),
    (Method::POST, "/service/S/email-reply-to"),
    (Method::POST, "/service/S/email-reply-to/verify"),
    (Method::POST, "/service/S/email-reply-to/00000000-0000-0000-0000-000000000000/archive"),
    (Method::GET, "/service/S/sms-sender"),
    (Method::POST, "/service/S/sms-sender"),
    (Method::POST, "/service/S/sms-sender/00000000-0000-0000-0000-000000000000/archive"),
    (Method::GET, "/inbound-number/service/S"),
    (Method::POST, "/inbound-number/service/S"),
    (Method::POST, "/inbound-number/service/S/off"),
    (Method::POST, "/service/S/inbound-sms"),
    (Method::GET, "/service/S/inbound-sms/most-recent"),
    (Method::GET, "/service/S/inbound-sms/summary"),
    (Method::GET, "/service/S/inbound-sms/most-recent-usage"),
    (Method::POST, "/service/S/inbound-sms/remove"),
    (Method::POST, "/service/S/callback-api"),
    (Method::GET, "/service/S/callback-api/00000000-0000-0000-0000-000000000000?callback_type=complaint"),
    (Method::DELETE, "/service/S/callback-api/00000000-0000-0000-0000-000000000000?callback_type=complaint"),
];

/// With every field that any of them asks for.
fn body() -> Value {
    serde_json::json!({"days_of_retention": 3, "notification_type": "sms", "email_addresses": [], "phone_numbers": [],
        "email_address": "a@example.com", "email": "a@example.com", "is_default": true, "sms_sender": "Desk",
        "url": "https://example.com", "bearer_token": "0123456789", "updated_by_id": Uuid::nil(),
        "callback_type": "complaint"})
}

#[tokio::test]
async fn nobody_but_internal_clients_gets_in() {
    let stage = Stage::new();
    let key = stage.token(domain::status::KeyType::Normal);
    for (method, url) in
        URLS.iter().chain(&[(Method::GET, "/inbound-number"), (Method::GET, "/inbound-number/available")])
    {
        let path = url.replace('S', &stage.service_id().to_string());
        for token in [None, Some(&*key)] {
            let answer = stage.http().call(method.clone(), &path, token, body().to_string()).await;
            assert_eq!(answer.status, 401, "{method} {path}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn an_unknown_service_is_no_result_found() {
    let stage = Stage::new();
    for (method, url) in URLS {
        let answer =
            stage.internal(method.clone(), &url.replace('S', &Uuid::new_v4().to_string()), &body()).await;
        assert_eq!(answer.parts(), no_result(), "{method} {url}");
    }
}

#[tokio::test]
async fn what_is_no_uuid_is_no_url() {
    let stage = Stage::new();
    for (method, url) in URLS {
        let answer = stage.internal(method.clone(), &url.replace('S', "permits"), &body()).await;
        assert_eq!(answer.status, 404, "{method} {url}");
        let message = answer.json()["message"].as_str().unwrap().to_owned();
        assert!(
            message.starts_with("The requested URL was not found on the server."),
            "{method} {url}: {message}"
        );
    }
}

#[tokio::test]
async fn a_body_that_is_no_json_is_refused() {
    let stage = Stage::new();
    let token = crate::stage::token("notify-admin", crate::stage::ADMIN_SECRET);
    for path in ["data-retention", "email-reply-to", "sms-sender", "callback-api", "inbound-sms"] {
        for bad in ["{", "\u{fffd}", "[1]", "5"] {
            let answer = stage.http().post(&stage.own(path), Some(&token), bad).await;
            assert_eq!(answer.status, 400, "{path} {bad}: {answer:?}");
        }
    }
}
