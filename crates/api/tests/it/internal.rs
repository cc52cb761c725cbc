//! The internal API: what only internal clients may do.

mod api_keys;
mod log;
mod one_off;
mod openapi;
mod providers;
mod scopes;
mod services;
mod settings;
mod statistics;
mod templates;

use hyper::Method;
use serde_json::Value;

use crate::{
    http::Answer,
    stage::{ADMIN_SECRET, Stage, token},
};

impl Stage {
    /// As the client `notify-admin`. A body that is null is none.
    pub(crate) async fn internal(&self, method: Method, path: &str, body: &Value) -> Answer {
        self.internal_as(None, method, path, body).await
    }

    /// The same, for a person at the front end.
    pub(crate) async fn internal_as(
        &self,
        user: Option<&str>,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Answer {
        let authorization = format!("Bearer {}", token("notify-admin", ADMIN_SECRET));
        let mut headers = vec![("authorization", authorization)];
        headers.extend(user.map(|user| ("x-notify-user-id", user.to_owned())));
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.http().send(method, path, &headers, body).await
    }

    /// What the client `notify-admin` reads there.
    pub(crate) async fn internal_get(&self, path: &str) -> Answer {
        self.internal(Method::GET, path, &Value::Null).await
    }

    pub(crate) async fn internal_post(&self, path: &str, body: &Value) -> Answer {
        self.internal(Method::POST, path, body).await
    }
}

/// The plain form of an error: a text, or texts by field.
pub(crate) fn refused(status: u16, message: impl Into<Value>) -> (u16, Value) {
    (status, serde_json::json!({ "result": "error", "message": message.into() }))
}

/// What a body says that lacks this field.
pub(crate) fn missing(field: &str) -> (u16, Value) {
    refused(400, serde_json::json!({ field: ["Missing data for required field."] }))
}
