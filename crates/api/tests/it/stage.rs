//! What every test starts from: a database with a service, and an API in front of it.

use std::time::Duration;

use api::Config;
use base64::{Engine, prelude::BASE64_STANDARD};
use chrono::{DateTime, Utc};
use db::service::Service;
use diesel::{PgConnection, RunQueryDsl, sql_query};
use domain::{
    clock::Clock,
    id::{NotificationId, ServiceId},
    status::KeyType,
};
use hyper::{Method, body::Bytes};
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};
use service::{Context, health::Readiness, lifecycle::Tasks};
use testkit::{Sample, TestDatabase};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::http::{Answer, Http};

pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// Nobody listens there.
pub(crate) const NO_BROKER: &str = "amqp://127.0.0.1:1/%2f";

/// Of the internal client `notify-admin`.
pub(crate) const ADMIN_SECRET: &str = "hush";

/// What providers post receipts with.
pub(crate) const RECEIPT_USER: &str = "receipts";
pub(crate) const RECEIPT_PASSWORD: &str = "hush:hush";

pub(crate) fn provider_authorization() -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{RECEIPT_USER}:{RECEIPT_PASSWORD}")))
}

/// A running API. It stops when this is dropped.
pub(crate) struct Api {
    pub(crate) http: Http,
    pub(crate) tasks: Tasks,
    pub(crate) serving: JoinSet<Result<(), service::Error>>,
}

impl Api {
    pub(crate) fn start(config: Config) -> Self {
        Self::start_at(config, Clock::System)
    }

    pub(crate) fn start_at(config: Config, clock: Clock) -> Self {
        let listener = service::listen::bind("test", "127.0.0.1:0", config.listen).unwrap();
        let http = Http::new(listener.local_addr().unwrap());
        let tasks = Tasks::new();
        let context = Context { tasks: tasks.clone(), readiness: Readiness::new(tasks.stopping().clone()) };
        let mut serving = JoinSet::new();
        serving.spawn(api::serve(listener, config, clock, context));
        Self { http, tasks, serving }
    }

    /// As SIGTERM would; returns when everything has ended.
    pub(crate) async fn stop(mut self) {
        self.tasks.stop();
        while let Some(ended) = self.serving.join_next().await {
            ended.unwrap().unwrap();
        }
        self.tasks.drain().await;
        assert!(!self.tasks.failed());
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.tasks.stop();
    }
}

pub(crate) fn config(database: &TestDatabase) -> Config {
    let mut config = Config { database: database.config(), ..Config::default() };
    config.broker.url = NO_BROKER.into();
    config.sealing = serde_json::from_value(json!({ "keys": testkit::KEYRING })).unwrap();
    config.internal =
        serde_json::from_value(json!({ "clients": format!("notify-admin:{ADMIN_SECRET}") })).unwrap();
    config.api.threads = Some(2);
    // Nobody balances load here.
    config.api.closing_notice = Duration::ZERO;
    config.api.receipt_user = RECEIPT_USER.into();
    config.api.receipt_password = RECEIPT_PASSWORD.into();
    config.shutdown.drain_timeout = LIMIT;
    config
}

/// Fields are dropped from the top: the API before its database.
pub(crate) struct Stage {
    pub(crate) api: Api,
    pub(crate) sample: Sample,
    pub(crate) database: TestDatabase,
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self::with(|_| {}, |_| {})
    }

    /// With another service or configuration.
    pub(crate) fn with(service: impl FnOnce(&mut Service), configure: impl FnOnce(&mut Config)) -> Self {
        let database = TestDatabase::new();
        let mut conn = database.connect();
        let mut sample = testkit::sample(&mut conn, now());
        service(&mut sample.service);
        db::service::put(&mut conn, &sample.service, now()).unwrap();
        let mut config = config(&database);
        configure(&mut config);
        Self { api: Api::start(config), sample, database }
    }

    pub(crate) fn http(&self) -> &Http {
        &self.api.http
    }

    pub(crate) fn connect(&self) -> PgConnection {
        self.database.connect()
    }

    pub(crate) fn sql(&self, statement: &str) {
        sql_query(statement).execute(&mut self.connect()).unwrap();
    }

    pub(crate) fn service_id(&self) -> ServiceId {
        self.sample.service.id
    }

    pub(crate) fn secret(&self, key_type: KeyType) -> Uuid {
        self.sample.keys.iter().find(|key| key.1 == key_type).unwrap().2
    }

    pub(crate) fn token(&self, key_type: KeyType) -> String {
        token(&self.service_id().to_string(), &self.secret(key_type).to_string())
    }

    /// With the live key.
    pub(crate) async fn send(&self, channel: &str, body: &Value) -> Answer {
        self.send_as(KeyType::Normal, channel, body).await
    }

    pub(crate) async fn send_as(&self, key_type: KeyType, channel: &str, body: &Value) -> Answer {
        let path = format!("/v2/notifications/{channel}");
        self.http().post(&path, Some(&self.token(key_type)), body.to_string()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.http().get(path, Some(&self.token(KeyType::Normal))).await
    }

    /// A text to Rosa, with changes; null removes a field.
    pub(crate) fn sms(&self, change: &Value) -> Value {
        let body = json!({
            "phone_number": "07700 900855",
            "template_id": self.sample.sms.id,
            "personalisation": {"name": "Rosa"},
        });
        changed(body, change)
    }

    pub(crate) fn email(&self, change: &Value) -> Value {
        let body = json!({
            "email_address": "Rosa@example.com",
            "template_id": self.sample.email.id,
            "personalisation": {"name": "Rosa"},
        });
        changed(body, change)
    }

    /// Sends a text and answers its id.
    pub(crate) async fn accepted_sms(&self) -> NotificationId {
        let answer = self.send("sms", &self.sms(&json!({}))).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        id_of(&answer)
    }

    /// As a provider that is known.
    pub(crate) async fn post_receipt(&self, path: &str, body: impl Into<Bytes>) -> Answer {
        let authorization = [("authorization", provider_authorization())];
        self.http().send(Method::POST, path, &authorization, body).await
    }

    pub(crate) async fn deliver(&self, id: impl std::fmt::Display) -> Answer {
        let path = format!("/deliver/notification/{id}");
        self.http().call(Method::POST, &path, Some(&token("notify-admin", ADMIN_SECRET)), "").await
    }
}

pub(crate) fn changed(mut body: Value, change: &Value) -> Value {
    for (name, value) in change.as_object().unwrap() {
        if value.is_null() {
            body.as_object_mut().unwrap().remove(name);
        } else {
            body[name] = value.clone();
        }
    }
    body
}

pub(crate) fn id_of(answer: &Answer) -> NotificationId {
    answer.json()["id"].as_str().unwrap().parse().unwrap()
}

pub(crate) fn now() -> DateTime<Utc> {
    Clock::System.now()
}

pub(crate) fn token(issuer: &str, secret: &str) -> String {
    signed(&json!({"iss": issuer, "iat": now().timestamp()}), secret)
}

pub(crate) fn signed(claims: &Value, secret: &str) -> String {
    encode(&Header::default(), claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
}

/// The body of one error.
pub(crate) fn error(status: u16, class: &str, message: &str) -> (u16, Value) {
    (status, json!({"status_code": status, "errors": [{"error": class, "message": message}]}))
}

pub(crate) fn bad_request(message: &str) -> (u16, Value) {
    error(400, "BadRequestError", message)
}
