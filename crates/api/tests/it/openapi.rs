//! The OpenAPI documents: current, valid, complete, and true of what the server does.

use std::{collections::BTreeSet, fs, path::Path};

use domain::status::KeyType;
use hyper::Method;
use jsonschema::{Draft, Validator};
use regex::Regex;
use serde_json::{Map, Value, json};

use crate::{
    http::Answer,
    stage::{Stage, bad_request, changed, error, id_of},
};

/// Where each is served, as a page, and kept.
const DOCUMENTS: [(&str, &str, &str); 2] = [
    ("/openapi.json", "/docs", "docs/openapi/public.json"),
    ("/internal/openapi.json", "/internal/docs", "docs/openapi/internal.json"),
];
const RENEW: &str = "source .pillarbox/dev/env; UPDATE_OPENAPI=1 cargo nextest run -p api openapi";

pub(crate) fn repository(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().join(path)
}

async fn document(stage: &Stage) -> Value {
    document_at(stage, "/openapi.json").await
}

async fn document_at(stage: &Stage, path: &str) -> Value {
    stage.http().get(path, None).await.json()
}

/// Path, method, operation.
pub(crate) fn operations(document: &Value) -> Vec<(String, String, &Value)> {
    let of_path = |(path, item): (&String, &'_ Value)| (path.clone(), item.as_object().unwrap().clone());
    document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .map(of_path)
        .flat_map(|(path, item)| {
            let methods: Vec<String> = item.keys().cloned().collect();
            methods.into_iter().map(move |method| (path.clone(), method))
        })
        .map(|(path, method)| {
            let operation = &document["paths"][&path][&method];
            (path, method, operation)
        })
        .collect()
}

/// For a schema that may refer to the document's components.
pub(crate) fn validator(document: &Value, schema: &Value) -> Validator {
    let mut root = schema.as_object().unwrap().clone();
    root.insert("components".into(), json!({ "schemas": document["components"]["schemas"] }));
    let options = jsonschema::options().with_draft(Draft::Draft202012).should_validate_formats(true);
    options.build(&Value::Object(root)).unwrap()
}

pub(crate) fn assert_valid(validator: &Validator, value: &Value, what: &str) {
    let errors: Vec<String> =
        validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{what}: {}\n{value:#}", errors.join("\n"));
}

/// The same document, in which no object may have a property that is not told.
pub(crate) fn closed(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(closed).collect(),
        Value::Object(members) => {
            let mut members: Map<String, Value> =
                members.iter().map(|(name, value)| (name.clone(), closed(value))).collect();
            if members.get("properties").is_some_and(Value::is_object) && members.contains_key("type") {
                members.entry("additionalProperties").or_insert(Value::Bool(false));
            }
            Value::Object(members)
        }
        other => other.clone(),
    }
}

#[tokio::test]
async fn the_files_in_the_repository_are_current() {
    let stage = Stage::new();
    for (path, _, file) in DOCUMENTS {
        let served = stage.http().get(path, None).await;
        assert_eq!(
            (served.status, &served.headers["content-type"]),
            (200, &"application/json".parse().unwrap())
        );
        let served = String::from_utf8(served.body.to_vec()).unwrap();
        if std::env::var_os("UPDATE_OPENAPI").is_some() {
            fs::write(repository(file), &served).unwrap();
        }
        let kept = fs::read_to_string(repository(file)).unwrap_or_default();
        assert!(kept == served, "{file} is out of date. To renew it:\n  {RENEW}");
    }
}

#[tokio::test]
async fn documents_are_openapi_3_1() {
    let stage = Stage::new();
    for (path, _, _) in DOCUMENTS {
        assert_documents_are_openapi_3_1(&document_at(&stage, path).await);
    }
}

fn assert_documents_are_openapi_3_1(document: &Value) {
    assert_eq!(document["openapi"], "3.1.0");
    // Of the OpenAPI Initiative, as @seriousme/openapi-schema-validator 2.11.0 (npm) has it.
    let specification: Value = serde_json::from_str(include_str!("../openapi-3.1.schema.json")).unwrap();
    assert_valid(&jsonschema::draft202012::new(&specification).unwrap(), document, "the document");
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        assert!(jsonschema::draft202012::meta::is_valid(schema), "{name}: {schema:#}");
    }

    let ids: Vec<_> = operations(document).iter().map(|(_, _, o)| o["operationId"].clone()).collect();
    let distinct: BTreeSet<String> = ids.iter().map(Value::to_string).collect();
    assert_eq!(ids.len(), distinct.len(), "{ids:?}");
    let text = document.to_string();
    for reference in Regex::new(r##""\$ref":"#([^"]+)""##).unwrap().captures_iter(&text) {
        assert!(document.pointer(&reference[1]).is_some(), "{} leads nowhere", &reference[1]);
    }
}

/// `{id:sms}` is `sms`, and `{version:[0-9]+}` is `{version}`; also, whether the path has one of the former.
fn without_patterns(path: &str) -> (String, bool) {
    let mut fixed = false;
    let parts = path.split('/').map(|part| match part.trim_matches(['{', '}']).split_once(':') {
        Some((_, word)) if word.chars().all(char::is_alphabetic) => {
            fixed = true;
            word.to_owned()
        }
        Some((name, _)) => format!("{{{name}}}"),
        None => part.to_owned(),
    });
    (parts.collect::<Vec<_>>().join("/"), fixed)
}

/// What the source of the URL table routes, of what is public: method and path.
fn routed() -> BTreeSet<(String, String)> {
    let source = fs::read_to_string(repository("crates/api/src/routes.rs")).unwrap();
    let row = Regex::new(r#"\.service\(at\((?:&format!\()?"([^"]+)"\)?, [A-Z]+\)(.*)\)"#).unwrap();
    let handler = Regex::new(r"\.route\((get|post)\(\)\.to\(([a-z0-9_:]+)\)\)").unwrap();
    assert_eq!(row.find_iter(&source).count(), source.matches(".service(at(").count(), "rows have one form");
    let mut routed = BTreeSet::new();
    for row in row.captures_iter(&source) {
        let (path, fixed) = without_patterns(&row[1]);
        let is_public =
            ["/v2", "/notifications", "/unsubscribe", "/_status"].iter().any(|start| path.starts_with(start))
                && !["/mmg", "/firetext", "/ses"].iter().any(|provider| path.ends_with(provider));
        for handler in handler.captures_iter(&row[2]).filter(|_| is_public) {
            // `GET /v2/notifications/sms` asks for a notification whose id is none.
            let is_id = fixed && &handler[1] == "get";
            if &handler[2] != "unknown_url" && !is_id {
                routed.insert((handler[1].to_owned(), path.clone()));
            }
        }
    }
    routed
}

#[tokio::test]
async fn every_public_route_is_documented_and_nothing_else() {
    let stage = Stage::new();
    let document = document(&stage).await;
    let documented: BTreeSet<_> =
        operations(&document).into_iter().map(|(path, method, _)| (method, path)).collect();
    assert!(documented.len() >= 18);
    assert_eq!(documented, routed());
}

#[tokio::test]
async fn no_documented_operation_is_an_unknown_url_or_a_wrong_method() {
    let stage = Stage::new();
    let document = document(&stage).await;
    let unknown = stage.http().get("/nowhere", None).await.body;
    for (path, method, _) in operations(&document) {
        let url = path.replace("{id}", "019a2f3c-9d41-7a10-8c55-2f6b1e0d9a11").replace("{version}", "1");
        let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
        let answer = stage.http().call(method.clone(), &url, None, "").await;
        assert_ne!(answer.status, 405, "{method} {url}");
        assert!(answer.status != 404 || answer.body != unknown, "{method} {url}: {answer:?}");
    }
}

#[tokio::test]
async fn examples_keep_their_schemas() {
    let stage = Stage::new();
    for (path, _, _) in DOCUMENTS {
        assert_examples_keep_their_schemas(&document_at(&stage, path).await);
    }
}

fn assert_examples_keep_their_schemas(document: &Value) {
    let document = closed(document);
    let mut examples = 0;
    let mut check = |schema: &Value, example: &Value, what: &str| {
        assert_valid(&validator(&document, schema), example, what);
        examples += 1;
    };
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        for example in schema["examples"].as_array().into_iter().flatten() {
            check(schema, example, name);
        }
    }
    let shared = document["components"]["responses"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, response)| (name.clone(), response));
    let own = operations(&document).into_iter().flat_map(|(path, method, operation)| {
        let responses = operation["responses"].as_object().unwrap().iter();
        responses.map(move |(status, response)| (format!("{method} {path} {status}"), response))
    });
    for (what, response) in shared.chain(own) {
        // One message each: an example that shows another one's is not one.
        let messages: Vec<String> = response["content"]["application/json"]["examples"]
            .as_object()
            .into_iter()
            .flat_map(|all| all.values())
            .map(|example| example["value"].to_string())
            .collect();
        assert_eq!(messages.len(), messages.iter().collect::<BTreeSet<_>>().len(), "{what}: {messages:#?}");
        for content in response["content"].as_object().into_iter().flat_map(|kinds| kinds.values()) {
            let several = content["examples"].as_object().into_iter().flat_map(|all| all.values());
            let several = several.map(|example| &example["value"]);
            for example in several.chain(content.get("example")) {
                check(&content["schema"], example, &what);
                if let Some(code) = example.get("status_code") {
                    assert!(what.ends_with(&code.to_string()) || !what.contains(' '), "{what}: {example}");
                }
            }
        }
    }
    assert!(examples > 80, "{examples}");
}

impl Stage {
    /// What a real answer is held against: the schema of this operation's answer, in which nothing else is allowed.
    pub(crate) fn assert_documented(&self, document: &Value, path: &str, method: &str, answer: &Answer) {
        let what = format!("{method} {path} {}", answer.status);
        let response = &document["paths"][path][method]["responses"][answer.status.to_string()];
        let reference = response["$ref"].as_str().map(|reference| reference.trim_start_matches('#'));
        let response = reference.map_or(response, |pointer| document.pointer(pointer).unwrap());
        assert!(response.is_object(), "{what} is not documented: {answer:?}");
        let schema = &response["content"]["application/json"]["schema"];
        assert_valid(&validator(document, schema), &answer.json(), &what);
        for (name, _) in response["headers"].as_object().into_iter().flatten() {
            let is_there = answer.headers.contains_key(name.as_str());
            assert!(is_there || name == "Idempotent-Replayed", "{what} comes without {name}");
        }
    }
}

#[tokio::test]
async fn answers_are_as_documented() {
    let stage = Stage::new();
    let document = closed(&document(&stage).await);
    let (sms, email) = (stage.sms(&json!({})), stage.email(&json!({})));
    let sent = stage.send("sms", &sms).await;
    stage.assert_documented(&document, "/v2/notifications/sms", "post", &sent);
    let mail = stage.send("email", &changed(email.clone(), &json!({"sanitise_content_for": ["name"]}))).await;
    stage.assert_documented(&document, "/v2/notifications/email", "post", &mail);
    let letter = stage.send("letter", &json!({})).await;
    stage.assert_documented(&document, "/v2/notifications/letter", "post", &letter);
    let wrong = stage.send("sms", &json!({"to": 1})).await;
    stage.assert_documented(&document, "/v2/notifications/sms", "post", &wrong);

    let v1 = |to: &str, template: &dyn std::fmt::Display| {
        json!({"to": to, "template": template.to_string(), "personalisation": {"name": "Rosa"}}).to_string()
    };
    let token = stage.token(KeyType::Normal);
    for (channel, body) in [
        ("sms", v1("07700 900855", &stage.sample.sms.id)),
        ("email", v1("rosa@example.com", &stage.sample.email.id)),
        ("sms", "{}".into()),
        ("email", v1("rosa@example.com", &stage.service_id())),
    ] {
        let path = format!("/notifications/{channel}");
        let answer = stage.http().post(&path, Some(&token), body).await;
        stage.assert_documented(&document, &path, "post", &answer);
    }

    let (id, other) = (id_of(&sent), id_of(&mail));
    let (text, unknown) = (stage.sample.sms.id, stage.service_id());
    for (path, url) in [
        ("/v2/notifications/{id}", format!("/v2/notifications/{id}")),
        ("/v2/notifications/{id}", format!("/v2/notifications/{other}")),
        ("/v2/notifications/{id}", format!("/v2/notifications/{unknown}")),
        ("/v2/notifications/{id}", "/v2/notifications/x".into()),
        ("/v2/notifications", "/v2/notifications?status=created&status=sending".into()),
        ("/v2/notifications", "/v2/notifications?page=2".into()),
        ("/v2/template/{id}", format!("/v2/template/{text}")),
        ("/v2/template/{id}", format!("/v2/template/{unknown}")),
        ("/v2/template/{id}/version/{version}", format!("/v2/template/{text}/version/1")),
        ("/v2/template/{id}/version/{version}", format!("/v2/template/{text}/version/9")),
        ("/v2/templates", "/v2/templates?type=email".into()),
        ("/v2/templates", "/v2/templates?type=fax".into()),
        ("/v2/received-text-messages", "/v2/received-text-messages".into()),
        ("/v2/received-text-messages", "/v2/received-text-messages?older_than=1".into()),
        ("/notifications/{id}", format!("/notifications/{id}")),
        ("/notifications/{id}", format!("/notifications/{unknown}")),
        ("/notifications", "/notifications?page_size=1".into()),
        ("/notifications", "/notifications?page=x".into()),
        ("/_status", "/_status".into()),
        ("/_status", "/_status?simple=1".into()),
    ] {
        stage.assert_documented(&document, path, "get", &stage.get(&url).await);
    }
    for template in [stage.sample.sms.id, stage.sample.email.id] {
        for body in [r#"{"personalisation": {"name": "Rosa"}}"#, ""] {
            let answer =
                stage.http().post(&format!("/v2/template/{template}/preview"), Some(&token), body).await;
            stage.assert_documented(&document, "/v2/template/{id}/preview", "post", &answer);
        }
    }
}

#[tokio::test]
async fn refusals_are_as_documented() {
    let stage = Stage::with(|service| service.limits.sms = 0, |config| config.api.body_limit = 1000);
    let document = closed(&document(&stage).await);
    let (path, v1) = ("/v2/notifications/sms", "/notifications/sms");
    for (path, token) in [(path, None), (v1, None), (path, Some("x")), (v1, Some("x"))] {
        let answer = stage.http().post(path, token, "{}").await;
        assert!([401, 403].contains(&answer.status));
        stage.assert_documented(&document, path, "post", &answer);
    }
    let token = stage.token(KeyType::Normal);
    for (status, body) in [(429, stage.sms(&json!({})).to_string()), (413, " ".repeat(1001))] {
        let answer = stage.http().post(path, Some(&token), body).await;
        assert_eq!(answer.status, status);
        stage.assert_documented(&document, path, "post", &answer);
    }
}

#[tokio::test]
async fn a_reused_idempotency_key_is_refused_as_documented() {
    let stage = Stage::new();
    let document = closed(&document(&stage).await);
    let path = "/v2/notifications/sms";
    let headers = [
        ("authorization", format!("Bearer {}", stage.token(KeyType::Normal))),
        ("idempotency-key", "order-17".to_owned()),
    ];
    for (status, change) in [(201, json!({})), (201, json!({})), (422, json!({"reference": "other"}))] {
        let body = stage.sms(&change).to_string();
        let answer = stage.http().send(Method::POST, path, &headers, body).await;
        assert_eq!(answer.status, status);
        stage.assert_documented(&document, path, "post", &answer);
    }
}

/// The documented example of a request, about what this stage has.
fn example(stage: &Stage, document: &Value, schema: &str) -> Value {
    let mut example = document["components"]["schemas"][schema]["examples"][0].clone();
    let template = if example.get("phone_number").is_some() || schema.contains("Sms") {
        stage.sample.sms.id
    } else {
        stage.sample.email.id
    };
    for name in ["template_id", "template"] {
        if example.get(name).is_some() {
            example[name] = json!(template);
        }
    }
    if schema.starts_with("v1.") {
        // What the template does not need is an error there.
        example["personalisation"] = json!({"name": "Rosa"});
    }
    example
}

#[tokio::test]
async fn documented_requests_are_accepted() {
    let stage = Stage::with(|service| service.contact_link = Some("https://www.example.com".into()), |_| {});
    let document = document(&stage).await;
    let schemas = &document["components"]["schemas"];
    let token = stage.token(KeyType::Normal);
    for (schema, path) in [
        ("SmsRequest", "/v2/notifications/sms"),
        ("EmailRequest", "/v2/notifications/email"),
        ("v1.SmsRequest", "/notifications/sms"),
        ("v1.EmailRequest", "/notifications/email"),
    ] {
        let body = example(&stage, &document, schema);
        let answer = stage.http().post(path, Some(&token), body.to_string()).await;
        assert_eq!(answer.status, 201, "{schema}: {answer:?}");
    }
    let body = schemas["PreviewRequest"]["examples"][0].to_string();
    let path = format!("/v2/template/{}/preview", stage.sample.sms.id);
    assert_eq!(stage.http().post(&path, Some(&token), body).await.status, 200);

    let file = &schemas["File"]["examples"][0];
    let with_file = stage.email(&json!({"personalisation": {"name": "Rosa", "table": file}}));
    let answer = stage.send("email", &with_file).await;
    assert_eq!(answer.status, 201, "{answer:?}");
}

/// A value of every documented property, right or wrong.
fn all_properties(schema: &Value) -> Value {
    let names = schema["properties"].as_object().unwrap().keys();
    Value::Object(names.map(|name| (name.clone(), json!({"wrong": "type"}))).collect())
}

fn messages(answer: &Answer) -> Vec<String> {
    let errors = answer.json()["errors"].as_array().unwrap().clone();
    errors.iter().map(|error| error["message"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn properties_are_those_that_the_readers_know() {
    let stage = Stage::new();
    let document = document(&stage).await;
    let schemas = &document["components"]["schemas"];
    for (schema, channel, type_name) in [
        ("SmsRequest", "sms", "SmsRequest"),
        ("EmailRequest", "email", "EmailRequest"),
        ("File", "email", "File"),
    ] {
        let schema = &schemas[schema];
        let send = async |body: Value| {
            // A file is a value of an e-mail.
            let body = match type_name {
                "File" => stage.email(
                    &json!({"personalisation": {"name": "Rosa", "x": changed(json!({"file": ""}), &body)}}),
                ),
                _ => body,
            };
            stage.send(channel, &body).await
        };
        // The server knows each of them ...
        let known = send(all_properties(schema)).await;
        assert!(messages(&known).iter().all(|message| !message.starts_with("Additional")), "{known:?}");
        // ... no other ...
        let other = send(json!({"undocumented": 1})).await;
        let unexpected = "Additional properties are not allowed (undocumented was unexpected)";
        assert!(messages(&other).iter().any(|message| message == unexpected), "{other:?}");
        // ... and its source names no more.
        let file = if type_name == "File" { "files" } else { "schema" };
        let source = fs::read_to_string(repository(&format!("crates/api/src/v2/{file}.rs"))).unwrap();
        let reader =
            source.split(&format!("impl {type_name} {{")).nth(1).unwrap().split("\n}\n").next().unwrap();
        let named = |kind: &str| -> BTreeSet<String> {
            let call = Regex::new(&format!(r#"form\s*\.{kind}\(\s*"(\w+)""#)).unwrap();
            call.captures_iter(reader).map(|call| call[1].to_owned()).collect()
        };
        let documented: BTreeSet<String> =
            schema["properties"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(documented, named("(?:optional|required)"), "{type_name}");
        let required: BTreeSet<String> = schema["required"]
            .as_array()
            .unwrap()
            .iter()
            .map(|name| name.as_str().unwrap().to_owned())
            .collect();
        assert_eq!(required, named("required"), "{type_name}");
    }
    let empty = stage.send("sms", &json!({})).await;
    let expected = [error(400, "ValidationError", "phone_number is a required property"), bad_request("")];
    assert_eq!(empty.json()["errors"][0], expected[0].1["errors"][0]);
}

#[tokio::test]
async fn the_pages_work_without_scripts_and_load_nothing() {
    let stage = Stage::new();
    for (json, page, _) in DOCUMENTS {
        let document = document_at(&stage, json).await;
        assert_works(&stage.http().get(page, None).await, &document, json);
    }
}

fn assert_works(answer: &Answer, document: &Value, json: &str) {
    let policy = answer.headers["content-security-policy"].to_str().unwrap().to_owned();
    let page = String::from_utf8(answer.body.to_vec()).unwrap();
    assert_eq!(
        (answer.status, &answer.headers["content-type"]),
        (200, &"text/html; charset=utf-8".parse().unwrap())
    );
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    for loading in ["<script", " src=", "url(", "@import", "<iframe"] {
        assert!(!page.contains(loading), "{loading}");
    }
    let links: BTreeSet<String> = Regex::new(r#"href="([^"]*)""#)
        .unwrap()
        .captures_iter(&page)
        .map(|link| link[1].to_owned())
        .collect();
    for link in &links {
        match link.strip_prefix('#') {
            Some(anchor) => assert!(page.contains(&format!(r#"id="{anchor}""#)), "{link} leads nowhere"),
            None => assert!([json, "data:,"].contains(&link.as_str()), "{link}"),
        }
    }
    for (path, method, operation) in operations(document) {
        let id = operation["operationId"].as_str().unwrap();
        assert!(links.contains(&format!("#{id}")), "{method} {path} is not in the contents");
    }
}
