//! The public API of 2016, as its callers see it.

mod reading;
mod sending;

use domain::{id::NotificationId, status::KeyType};
use serde_json::{Value, json};

use crate::{
    http::Answer,
    stage::{Stage, changed},
};

impl Stage {
    async fn send_2016(&self, key_type: KeyType, channel: &str, body: &Value) -> Answer {
        let path = format!("/notifications/{channel}");
        self.http().post(&path, Some(&self.token(key_type)), body.to_string()).await
    }

    async fn get_as(&self, key_type: KeyType, path: &str) -> Answer {
        self.http().get(path, Some(&self.token(key_type))).await
    }

    /// A text to Rosa, with changes; null removes a field.
    fn sms_2016(&self, change: &Value) -> Value {
        let body = json!({
            "to": "07700 900855", "template": self.sample.sms.id, "personalisation": {"name": "Rosa"},
        });
        changed(body, change)
    }

    fn email_2016(&self, change: &Value) -> Value {
        let body = json!({
            "to": "Rosa@example.com", "template": self.sample.email.id, "personalisation": {"name": "Rosa"},
        });
        changed(body, change)
    }
}

fn id_of(answer: &Answer) -> NotificationId {
    answer.json()["data"]["notification"]["id"].as_str().unwrap().parse().unwrap()
}

fn refused(status: u16, message: Value) -> (u16, Value) {
    let mut body = json!({"result": "error"});
    body["message"] = message;
    (status, body)
}

fn wrong(field: &str, text: &str) -> (u16, Value) {
    refused(400, json!({ field: [text] }))
}

fn no_result() -> (u16, Value) {
    refused(404, json!("No result found"))
}

fn unknown_url() -> (u16, Value) {
    let text = "The requested URL was not found on the server. If you entered the URL manually please check your \
                spelling and try again.";
    refused(404, json!(text))
}
