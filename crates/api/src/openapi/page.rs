//! `GET /docs`: the document as a page. It works without scripts and loads nothing.

use actix_web::{
    HttpResponse,
    http::header::{CONTENT_SECURITY_POLICY, ContentType},
};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::Value;
use utoipa::openapi::OpenApi;

use super::markdown::{self, inline};
use crate::page;

const STYLE: &str = include_str!("page.css");

/// What only programs want to know.
const SIZES: [&str; 3] = ["int32", "int64", "double"];

const METHODS: [&str; 4] = ["get", "post", "put", "delete"];

pub(super) fn answer(page: &'static str) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(ContentType::html())
        .insert_header((CONTENT_SECURITY_POLICY, page::policy(STYLE)))
        .body(page)
}

/// The whole page of any document of ours, and where programs find it.
pub(super) fn of(document: &OpenApi, json: &str) -> String {
    render(&serde_json::to_value(document).expect("what becomes JSON becomes a value"), json).into_string()
}

fn render(document: &Value, json: &str) -> Markup {
    let page = Page(document);
    let title = text(&document["info"]["title"]);
    html! {
        (DOCTYPE)
        html lang="en-GB" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " API" }
                link rel="icon" href="data:,";
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip href="#content" { "Skip to the content" }
                nav aria-label="Contents" { (page.contents(title)) }
                main #content {
                    header {
                        h1 { (title) " API" }
                        p.soft {
                            "For programs: " a href=(json) { "openapi.json" }
                            " (OpenAPI " (text(&document["openapi"])) ")"
                        }
                        (markdown::blocks(text(&document["info"]["description"])))
                    }
                    @for tag in list(&document["tags"]) { (page.tag(tag)) }
                    section #refusals {
                        h2 { "Refusals" }
                        p { "What operations have in common; they refer to it." }
                        @for (name, response) in members(&document["components"]["responses"]) {
                            article id={ "refusal-" (name) } {
                                h3 { (name) }
                                p { (inline(text(&response["description"]))) }
                                (page.response_rest(response))
                            }
                        }
                    }
                    section #objects {
                        h2 { "Objects" }
                        @for (name, schema) in members(&document["components"]["schemas"]) {
                            article id={ "object-" (name) } { h3 { (name) } (page.schema(schema)) }
                        }
                    }
                }
            }
        }
    }
}

struct Page<'d>(&'d Value);

impl<'d> Page<'d> {
    /// Method, path, operation.
    fn operations(&self, tag: &str) -> impl Iterator<Item = (&'static str, &'d String, &'d Value)> {
        members(&self.0["paths"])
            .flat_map(|(path, item)| METHODS.map(|method| (method, path, &item[method])))
            .filter(move |(_, _, operation)| list(&operation["tags"]).any(|known| known == tag))
    }

    fn contents(&self, title: &str) -> Markup {
        html! {
            p.brand { a href="#content" { (title) } }
            @for tag in list(&self.0["tags"]) {
                @let tag = text(&tag["name"]);
                p { a href={ "#" (slug(tag)) } { (tag) } }
                ul {
                    @for (_, _, operation) in self.operations(tag) {
                        li { a href={ "#" (text(&operation["operationId"])) } { (text(&operation["summary"])) } }
                    }
                }
            }
            p { a href="#refusals" { "Refusals" } }
            p { a href="#objects" { "Objects" } }
        }
    }

    fn tag(&self, tag: &Value) -> Markup {
        let name = text(&tag["name"]);
        html! {
            section id=(slug(name)) {
                h2 { (name) }
                (markdown::blocks(text(&tag["description"])))
                @for (method, path, operation) in self.operations(name) { (self.operation(method, path, operation)) }
            }
        }
    }

    fn operation(&self, method: &str, path: &str, operation: &Value) -> Markup {
        let parameters: Vec<_> = list(&operation["parameters"]).collect();
        let body = &operation["requestBody"]["content"]["application/json"];
        html! {
            article id=(text(&operation["operationId"])) {
                h3 { (text(&operation["summary"])) }
                p.url { span.method.(method) { (method.to_uppercase()) } " " code { (path) } }
                (markdown::blocks(text(&operation["description"])))
                @if !parameters.is_empty() {
                    h4 { "Parameters" }
                    dl { @for parameter in parameters { (self.parameter(parameter)) } }
                }
                @if !body.is_null() {
                    h4 { "Body" }
                    (self.schema(&body["schema"]))
                }
                h4 { "Try it" }
                pre { code { (self.curl(method, path, operation)) } }
                h4 { "Answers" }
                @for (status, response) in members(&operation["responses"]) { (self.response(status, response)) }
            }
        }
    }

    fn parameter(&self, parameter: &Value) -> Markup {
        let required = parameter["required"].as_bool().unwrap_or_default();
        let place = text(&parameter["in"]);
        html! {
            dt { code { (text(&parameter["name"])) } }
            dd {
                p.soft { (place) ", " (self.kind(&parameter["schema"])) @if required { ", " strong { "required" } } }
                (markdown::blocks(text(&parameter["description"])))
                (limits(&parameter["schema"]))
            }
        }
    }

    /// What to type into a shell.
    fn curl(&self, method: &str, path: &str, operation: &Value) -> String {
        let in_path = list(&operation["parameters"]).filter(|parameter| parameter["in"] == "path");
        let path = in_path.fold(path.to_owned(), |path, parameter| {
            path.replace(&format!("{{{}}}", text(&parameter["name"])), &plain(&parameter["example"]))
        });
        let mut lines = vec![format!("curl \"$PILLARBOX{path}\"")];
        // An operation's own `security` says that it needs none.
        let is_open = !operation["security"].is_null();
        if !is_open {
            lines.push("-H \"Authorization: Bearer $TOKEN\"".into());
        }
        let body = &operation["requestBody"]["content"]["application/json"]["schema"];
        let example = list(&self.resolved(body)["examples"]).next();
        let implied = if example.is_some() { "post" } else { "get" };
        if method != implied {
            lines.push(format!("-X {}", method.to_uppercase()));
        }
        if let Some(example) = example {
            lines.push("-H 'Content-Type: application/json'".into());
            lines.push(format!("-d '{}'", pretty(example)));
        }
        lines.join(" \\\n  ")
    }

    fn response(&self, status: &str, response: &Value) -> Markup {
        let class = if status.starts_with('2') { "good" } else { "bad" };
        match reference(response) {
            Some(name) => html! {
                p.answer {
                    strong.(class) { (status) } " " a href={ "#refusal-" (name) } { (name) } ": "
                    (inline(text(&self.resolved(response)["description"])))
                }
            },
            None => html! {
                div.answer {
                    p { strong.(class) { (status) } " " (inline(text(&response["description"]))) }
                    (self.response_rest(response))
                }
            },
        }
    }

    /// Headers, form, examples.
    fn response_rest(&self, response: &Value) -> Markup {
        html! {
            @for (name, header) in members(&response["headers"]) {
                p.soft { "Header " code { (name) } ": " (inline(text(&header["description"]))) }
            }
            @for (kind, content) in members(&response["content"]) {
                @let schema = &content["schema"];
                p.soft { code { (kind) } @if !schema.is_null() { ", " (self.kind(schema)) } }
                @if reference(schema).is_none() { (self.properties(schema)) }
                @let examples: Vec<_> = members(&content["examples"]).collect();
                @if examples.is_empty() {
                    @let own = content.get("example").into_iter();
                    @for example in own.chain(list(&self.resolved(schema)["examples"])).take(1) {
                        details { summary { "Example" } pre { code { (json(example)) } } }
                    }
                } @else {
                    details {
                        summary { @if examples.len() == 1 { "Example" } @else { (examples.len()) " examples" } }
                        @for (_, example) in examples {
                            p.example { (text(&example["summary"])) }
                            pre { code { (json(&example["value"])) } }
                        }
                    }
                }
            }
        }
    }

    fn schema(&self, schema: &Value) -> Markup {
        html! {
            @if let Some(name) = reference(schema) { p.soft { a href={ "#object-" (name) } { (name) } } }
            @let schema = self.resolved(schema);
            (markdown::blocks(text(&schema["description"])))
            (self.properties(schema))
            @if schema["additionalProperties"] == Value::Bool(false) {
                p.soft { "No other properties are allowed." }
            }
            @for example in list(&schema["examples"]) {
                details { summary { "Example" } pre { code { (json(example)) } } }
            }
        }
    }

    fn properties(&self, schema: &Value) -> Markup {
        let is_required = |name: &str| list(&schema["required"]).any(|known| known == name);
        html! {
            @if !schema["properties"].is_null() {
                dl {
                    @for (name, property) in members(&schema["properties"]) {
                        dt { code { (name) } }
                        dd {
                            p.soft {
                                (self.kind(property))
                                @if is_required(name) { ", " strong { "required" } }
                                @if property["deprecated"] == Value::Bool(true) { ", deprecated" }
                            }
                            (markdown::blocks(text(&property["description"])))
                            (limits(property))
                            @let inner = if property["items"].is_object() { &property["items"] } else { property };
                            @if !inner["properties"].is_null() { (self.properties(inner)) }
                        }
                    }
                }
            }
        }
    }

    /// What kind of value a schema wants, in a few words.
    fn kind(&self, schema: &Value) -> Markup {
        if let Some(name) = reference(schema) {
            return html! { a href={ "#object-" (name) } { (name) } };
        }
        let alternatives: Vec<_> = list(&schema["anyOf"]).chain(list(&schema["oneOf"])).collect();
        if !alternatives.is_empty() {
            return html! {
                @for (index, one) in alternatives.into_iter().enumerate() { @if index > 0 { " or " } (self.kind(one)) }
            };
        }
        let types: Vec<&str> = match &schema["type"] {
            Value::Array(types) => types.iter().map(text).collect(),
            Value::String(one) => vec![one],
            _ => vec!["any value"],
        };
        html! {
            (types.join(" or "))
            @if let Some(format) = schema["format"].as_str() && !SIZES.contains(&format) { " (" (format) ")" }
            @if !schema["items"].is_null() { " of " (self.kind(&schema["items"])) }
            @if schema["additionalProperties"].is_object() { " of " (self.kind(&schema["additionalProperties"])) }
        }
    }

    /// What a reference stands for.
    fn resolved<'v>(&'v self, value: &'v Value) -> &'v Value {
        let pointer = value["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
        pointer.and_then(|pointer| self.0.pointer(pointer)).unwrap_or(value)
    }
}

/// The rest of what a value must be.
fn limits(schema: &Value) -> Markup {
    let words = if schema["items"]["enum"].is_null() { &schema["enum"] } else { &schema["items"]["enum"] };
    html! {
        @if !words.is_null() {
            p.soft { @for (index, word) in list(words).enumerate() { @if index > 0 { ", " } code { (plain(word)) } } }
        }
        @if !schema["default"].is_null() { p.soft { "Default: " code { (plain(&schema["default"])) } } }
    }
}

fn reference(value: &Value) -> Option<&str> {
    value["$ref"].as_str()?.rsplit('/').next()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn slug(name: &str) -> String {
    name.to_lowercase().replace(' ', "-")
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

/// With its names marked.
fn json(value: &Value) -> Markup {
    html! {
        @for line in pretty(value).lines() {
            @match line.split_once("\": ") {
                Some((name, rest)) => { span.name { (name) "\"" } ": " (rest) "\n" }
                None => { (line) "\n" }
            }
        }
    }
}
