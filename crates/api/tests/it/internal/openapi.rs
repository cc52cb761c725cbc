//! The document of the internal API: current, valid, complete, and true of what the server answers.

use std::{collections::BTreeSet, fs};

use hyper::Method;
use regex::Regex;
use serde_json::{Value, json};

use crate::{
    openapi::{assert_valid, closed, operations, repository, validator},
    stage::{Stage, id_of},
};

const SOURCES: &str = "crates/api/src";
/// What ids in paths stand for when nothing is to be found.
const NOBODY: &str = "019a2f3c-9d41-7a10-8c55-2f6b1e0d9a11";

async fn document(stage: &Stage) -> Value {
    stage.http().get("/internal/openapi.json", None).await.json()
}

fn sources(folder: &std::path::Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { sources(&path, found) } else { found.push(path) }
    }
}

/// Every handler that a table of the internal API routes, as `services::members::add`, with its method.
fn routed() -> BTreeSet<(String, String)> {
    let root = repository(SOURCES);
    let mut files = Vec::new();
    sources(&root.join("internal"), &mut files);
    let handler = Regex::new(r"\.route\((get|post|put|delete)\(\)\.to\(([a-z0-9_:]+)\)\)").unwrap();
    let mut routed = BTreeSet::new();
    for file in files {
        let source = fs::read_to_string(&file).unwrap();
        let module = file.strip_prefix(&root).unwrap().with_extension("");
        let module = module.to_str().unwrap().replace('/', "::");
        assert_eq!(
            handler.find_iter(&source).count(),
            source.matches(".to(").count(),
            "{module}: routes have one form"
        );
        for handler in handler.captures_iter(&source) {
            let name = handler[2].trim_start_matches("self::");
            assert!(
                routed.insert((format!("{module}::{name}"), handler[1].to_owned())),
                "{module}::{name} twice"
            );
        }
    }
    routed.insert(("deliver::notification".into(), "post".into()));
    routed
}

/// Every handler that the document is made of, with the method in its attribute.
fn documented() -> BTreeSet<(String, String)> {
    let root = repository(SOURCES);
    let source = fs::read_to_string(root.join("openapi/internal.rs")).unwrap();
    let paths = source.split("    paths(\n").nth(1).unwrap().split("    ),").next().unwrap();
    let of_path = |path: &str| {
        let (module, name) = path.rsplit_once("::").unwrap();
        let file = root.join(module.replace("::", "/")).with_extension("rs");
        let source = fs::read_to_string(file).unwrap();
        let before = source.split(&format!("async fn {name}(")).next().unwrap();
        let attribute = before.rsplit("#[utoipa::path(").next().unwrap();
        (path.to_owned(), attribute.trim_start().split(',').next().unwrap().to_owned())
    };
    paths.lines().map(|line| of_path(line.trim().trim_end_matches(','))).collect()
}

#[tokio::test]
async fn every_internal_route_is_documented_and_nothing_else() {
    let stage = Stage::new();
    let (routed, documented) = (routed(), documented());
    assert!(routed.len() > 70, "{}", routed.len());
    assert_eq!(routed, documented);
    assert_eq!(operations(&document(&stage).await).len(), documented.len());
}

#[tokio::test]
async fn no_internal_operation_is_an_unknown_url_or_a_wrong_method() {
    let stage = Stage::new();
    let unknown = stage.internal_get("/nowhere").await.body;
    let document = document(&stage).await;
    let in_path = Regex::new(r"\{(\w+)\}").unwrap();
    for (path, method, _) in operations(&document) {
        let url = in_path.replace_all(&path, |name: &regex::Captures<'_>| match &name[1] {
            "version" => "1",
            "type" => "sms",
            _ => NOBODY,
        });
        let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
        let answer = stage.internal(method.clone(), &url, &Value::Null).await;
        assert!(
            answer.status != 405 && answer.status != 401 && answer.status < 500,
            "{method} {url}: {answer:?}"
        );
        assert!(answer.status != 404 || answer.body != unknown, "{method} {url}: {answer:?}");
        // And nobody else gets in.
        assert_eq!(stage.http().call(method.clone(), &url, None, "").await.status, 401, "{method} {url}");
    }
}

#[tokio::test]
async fn reads_are_as_documented() {
    let stage = Stage::new();
    let document = closed(&document(&stage).await);
    let service = stage.service_id().to_string();
    let sent = id_of(&stage.send("sms", &stage.sms(&json!({}))).await).to_string();
    let template = stage.sample.sms.id.to_string();
    let key = stage.sample.keys[0].0.to_string();
    let provider = stage.internal_get("/provider-details").await.json()["provider_details"][0]["id"].clone();
    for (path, query) in [
        ("/service", ""),
        ("/service", "?detailed=True"),
        ("/service", "?user_id=x"),
        ("/service", "?detailed=True&start_date=x"),
        ("/service/find-services-by-name", "?service_name=e"),
        ("/service/find-services-by-name", ""),
        ("/service/{service}", ""),
        ("/service/{service}", "?detailed=True"),
        ("/service/{service}/history", ""),
        ("/service/{service}/users", ""),
        ("/service/{service}/api-keys", ""),
        ("/service/{service}/api-keys/{key}", ""),
        ("/service/{service}/template", ""),
        ("/service/{service}/template/{template}", ""),
        ("/service/{service}/template/{template}/versions", ""),
        ("/service/{service}/template/{template}/version/{version}", ""),
        ("/service/{service}/template/{template}/preview", "?name=Ada"),
        ("/service/{service}/template/{template}/preview", ""),
        ("/service/{service}/notifications", ""),
        ("/service/{service}/notifications", "?page=x"),
        ("/service/{service}/notifications", "?page=2"),
        ("/service/{service}/notifications/csv", ""),
        ("/service/{service}/notifications/{id}", ""),
        ("/service/{service}/guest-list", ""),
        ("/service/{service}/data-retention", ""),
        ("/service/{service}/data-retention/notification-type/{type}", ""),
        ("/service/{service}/email-reply-to", ""),
        ("/service/{service}/sms-sender", ""),
        ("/inbound-number", ""),
        ("/inbound-number/available", ""),
        ("/inbound-number/service/{service}", ""),
        ("/service/{service}/inbound-sms/most-recent", ""),
        ("/service/{service}/inbound-sms/summary", ""),
        ("/service/{service}/inbound-sms/most-recent-usage", ""),
        ("/service/{service}/statistics", ""),
        ("/service/{service}/statistics", "?limit_days=x"),
        ("/service/{service}/notifications/monthly", "?year=2026"),
        ("/service/{service}/notifications/monthly", ""),
        ("/service/{service}/notifications/templates_usage/monthly", "?year=2026"),
        ("/service/{service}/notifications/count", ""),
        ("/service/{service}/template-statistics", "?whole_days=7"),
        ("/service/{service}/template-statistics", ""),
        ("/service/{service}/template-statistics/most-recently-used", ""),
        ("/service/{service}/template-statistics/last-used/{template}", ""),
        ("/service/{service}/provider-statistics", ""),
        ("/provider-statistics", ""),
        ("/platform-stats", ""),
        ("/platform-stats", "?end_date=x"),
        ("/provider-details", ""),
    ] {
        let url = path
            .replace("{service}", &service)
            .replace("{template}", &template)
            .replace("{key}", &key)
            .replace("{version}", "1")
            .replace("{type}", "sms")
            .replace("{id}", &sent);
        let answer = stage.internal_get(&format!("{url}{query}")).await;
        stage.assert_documented(&document, path, "get", &answer);
    }
    for path in ["/provider-details/{id}", "/provider-details/{id}/versions"] {
        let answer = stage.internal_get(&path.replace("{id}", provider.as_str().unwrap())).await;
        stage.assert_documented(&document, path, "get", &answer);
    }
}

#[tokio::test]
async fn writes_are_as_documented() {
    let stage = Stage::new();
    let open = document(&stage).await;
    let document = closed(&open);
    let user =
        stage.internal_post("/user", &json!({"name": "Ada", "email_address": "ada@example.com"})).await;
    stage.assert_documented(&document, "/user", "post", &user);
    let user = user.json()["data"]["id"].clone();
    let service = stage.service_id().to_string();
    let permissions = json!({"permissions": [{"permission": "send_texts"}]});
    let sms = stage.sample.sms.id;
    let person = format!("/service/{{service}}/users/{}", user.as_str().unwrap());
    for (path, url, body) in [
        ("/service/{service}/users/{user}", person.as_str(), permissions.clone()),
        ("/service/{service}/users/{user}", person.as_str(), permissions),
        (
            "/service",
            "/service",
            json!({"name": "Permits", "user_id": user, "created_by": user, "restricted": true,
            "email_message_limit": 50, "sms_message_limit": 50, "letter_message_limit": 50}),
        ),
        ("/service", "/service", json!({})),
        ("/service", "/service", json!([1])),
        ("/service/{service}", "", json!({"restricted": false})),
        (
            "/service/{service}/template",
            "",
            json!({"name": "Ready", "template_type": "sms", "content": "Hello",
            "service": service, "created_by": user}),
        ),
        ("/service/{service}/template", "", json!({"name": "Ready"})),
        (
            "/service/{service}/api-key",
            "",
            json!({"name": "website", "key_type": "normal", "created_by": user}),
        ),
        ("/service/{service}/api-key", "", json!({"name": "website"})),
        ("/service/{service}/notifications", "", json!({"page_size": 1})),
        (
            "/service/{service}/send-notification",
            "",
            json!({"template_id": sms, "to": "07700 900855",
            "created_by": user, "personalisation": {"name": "Rosa"}}),
        ),
        ("/service/{service}/send-notification", "", json!({"to": 1})),
        (
            "/service/{service}/email-reply-to",
            "",
            json!({"email_address": "a@example.com", "is_default": true}),
        ),
        (
            "/service/{service}/email-reply-to",
            "",
            json!({"email_address": "a@example.com", "is_default": true}),
        ),
        ("/service/{service}/email-reply-to/verify", "", json!({"email": "b@example.com"})),
        ("/service/{service}/sms-sender", "", json!({"sms_sender": "PERMITS", "is_default": true})),
        ("/service/{service}/sms-sender", "", json!({})),
        (
            "/service/{service}/data-retention",
            "",
            json!({"notification_type": "sms", "days_of_retention": 30}),
        ),
        (
            "/service/{service}/data-retention",
            "",
            json!({"notification_type": "sms", "days_of_retention": 0}),
        ),
        (
            "/service/{service}/callback-api",
            "",
            json!({"url": "https://www.example.com", "bearer_token": "0123456789",
            "updated_by_id": user, "callback_type": "inbound_sms"}),
        ),
        ("/service/{service}/callback-api", "", json!({"url": "http://www.example.com"})),
        ("/service/{service}/inbound-sms", "", json!({})),
        ("/inbound-number/service/{service}", "", json!({})),
    ] {
        let url = if url.is_empty() { path } else { url }.replace("{service}", &service);
        let answer = stage.internal_post(&url, &body).await;
        stage.assert_documented(&document, path, "post", &answer);
        if answer.status < 300 {
            let asked =
                &document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"];
            assert_valid(&validator(&open, asked), &body, path);
        }
    }
}

#[tokio::test]
async fn bodies_have_the_fields_that_their_readers_name() {
    let stage = Stage::new();
    let document = document(&stage).await;
    let read = r#"(?:form|fields)\s*\.(optional|required)(?:::<[^(]*>)?\(\s*"(\w+)""#;
    let any = r#"()\("(\w+)"[,)]"#;
    for (file, pattern, schemas) in [
        ("users", read, &["UserRequest"][..]),
        ("api_keys", read, &["KeyRequest", "RevokeRequest"]),
        ("one_off", read, &["OneOffRequest"]),
        ("providers", read, &["ProviderRequest"]),
        ("guest_list", read, &["GuestListRequest"]),
        ("data_retention", read, &["RetentionRequest", "RetentionDaysRequest"]),
        ("callbacks", read, &["CreateCallbackRequest", "UpdateCallbackRequest"]),
        ("senders", read, &["ReplyToRequest", "SmsSenderRequest"]),
        ("senders/verify", read, &["VerifyRequest"]),
        ("inbound", read, &["NumberRequest", "ReceivedTextsRequest", "GiveUpRequest"]),
        ("templates/asked", read, &["CreateTemplateRequest", "UpdateTemplateRequest"]),
        ("services/form", any, &["UpdateServiceRequest"]),
    ] {
        let source = fs::read_to_string(repository(SOURCES).join(format!("internal/{file}.rs"))).unwrap();
        let calls = Regex::new(pattern).unwrap();
        let calls: Vec<_> = calls.captures_iter(&source).map(|call| call.extract::<2>().1).collect();
        let schemas = || schemas.iter().map(|name| &document["components"]["schemas"][name]);
        let named: BTreeSet<&str> = calls.iter().map(|[_, name]| *name).collect();
        let documented = schemas().flat_map(|schema| schema["properties"].as_object().unwrap().keys());
        assert_eq!(documented.map(String::as_str).collect::<BTreeSet<_>>(), named, "{file}");
        // The subject is required of e-mails only.
        let required = calls.iter().filter(|[how, name]| *how == "required" && *name != "subject");
        let documented = schemas().filter_map(|schema| schema["required"].as_array()).flatten();
        assert_eq!(
            documented.map(|name| name.as_str().unwrap()).collect::<BTreeSet<_>>(),
            required.map(|[_, name]| *name).collect(),
            "{file}"
        );
    }
}
