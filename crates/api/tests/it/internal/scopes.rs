//! What an internal client may do: its scopes, over the whole internal URL table.

use std::collections::BTreeSet;

use hyper::Method;
use regex::Regex;
use serde_json::json;

use super::refused;
use crate::{
    http::Answer,
    openapi::operations,
    stage::{Stage, token},
};

const SECRET: &str = "hush";
/// A stranger to every table, so that nothing changes but what is made.
const NOBODY: &str = "019a2f3c-9d41-7a10-8c55-2f6b1e0d9a11";
/// Operations by POST that only ask.
const QUESTIONS: [&str; 2] = ["searchNotifications", "getReceivedTexts"];

fn stage() -> Stage {
    Stage::with(
        |_| {},
        |config| {
            let names = ["notify-admin", "deliverer", "reader", "both"];
            let clients = names.map(|name| format!("{name}:{SECRET}")).join(",");
            let scopes = "notify-admin:admin, deliverer:deliver, reader:read, both:read, both:deliver";
            config.internal =
                serde_json::from_value(json!({ "clients": clients, "scopes": scopes })).unwrap();
        },
    )
}

async fn call(stage: &Stage, client: &str, method: Method, url: &str) -> Answer {
    stage.http().call(method, url, Some(&token(client, SECRET)), "").await
}

/// Method, URL with ids filled in, and the name of every internal operation.
async fn every_operation(stage: &Stage) -> Vec<(Method, String, String)> {
    let document = stage.http().get("/internal/openapi.json", None).await.json();
    let in_path = Regex::new(r"\{(\w+)\}").unwrap();
    let fill = |name: &regex::Captures<'_>| match &name[1] {
        "version" => "1",
        "type" => "sms",
        _ => NOBODY,
    };
    let operations = operations(&document);
    assert!(operations.len() > 70);
    let each = operations.iter().map(|(path, method, operation)| {
        let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
        (
            method,
            in_path.replace_all(path, fill).into_owned(),
            operation["operationId"].as_str().unwrap().to_owned(),
        )
    });
    each.collect()
}

#[tokio::test]
async fn every_internal_url_is_for_the_scopes_that_it_is_for() {
    let stage = stage();
    let forbidden =
        refused(403, json!({"token": ["Forbidden: this client is not allowed to perform this action"]}));
    let mut questions = BTreeSet::new();
    for (method, url, operation) in every_operation(&stage).await {
        let delivers = operation == "deliverNotification";
        let asks = method == Method::GET || QUESTIONS.contains(&operation.as_str());
        if asks && method == Method::POST {
            questions.insert(operation.clone());
        }
        for (client, may) in
            [("notify-admin", true), ("deliverer", delivers), ("reader", asks), ("both", delivers || asks)]
        {
            let answer = call(&stage, client, method.clone(), &url).await;
            assert_eq!(answer.status != 403, may, "{client}: {method} {url}: {answer:?}");
            if !may {
                assert_eq!(answer.parts(), forbidden, "{client}: {method} {url}");
            }
        }
        if method == Method::GET {
            assert_eq!(call(&stage, "deliverer", Method::HEAD, &url).await.status, 403, "{url}");
            assert_ne!(call(&stage, "reader", Method::HEAD, &url).await.status, 403, "{url}");
        }
    }
    assert_eq!(questions, QUESTIONS.map(str::to_owned).into());
}

/// However a URL is spelt, it takes what it takes.
#[tokio::test]
async fn no_spelling_of_a_url_widens_a_scope() {
    let stage = stage();
    for url in [
        "/service/S/archive?x=/service/S/notifications",
        "/service/S/%6eotifications/../archive",
        "/service/S/notifications%2f..%2farchive",
        "/service/S/nowhere",
        "/deliver/notification/S/../../../service/S/archive",
    ] {
        let url = url.replace('S', &stage.service_id().to_string());
        let answer = call(&stage, "both", Method::POST, &url).await;
        assert!([403, 404].contains(&answer.status), "{url}: {answer:?}");
    }
    assert_eq!(
        stage.internal_get(&format!("/service/{}", stage.service_id())).await.json()["data"]["active"],
        true
    );
}
