//! The inbox page, which works without scripts, and the same as JSON.

use bytes::Bytes;
use hyper::{
    HeaderMap, StatusCode,
    header::{ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderValue, LOCATION},
};
use maud::{DOCTYPE, Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    Shared,
    control::{Behaviour, Provider},
    now,
    record::{Calls, Filter, Message, Outcome, Receipt},
    scenario::{self, Rule},
    server::{Reply, json, typed},
};

pub(crate) const STYLE: &str = include_str!("inbox.css");
pub(crate) const SCRIPT: &str = include_str!("inbox.js");

/// Messages on one page.
const PAGE: usize = 50;
/// Seconds between refreshes where there are no scripts.
const REFRESH: &str = "5";
/// Nothing but our own style and script; a mail's frame inherits this, so that its pictures and scripts are not loaded either.
const POLICY: &str = "default-src 'none'; style-src 'self' 'unsafe-inline'; script-src 'self'; connect-src 'self'; \
                      img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const CONTROL_EXAMPLE: &str = r#"curl -d '{"latency_ms": 50, "mmg": {"outage": true}}' http://…/control
curl -d '{"error_rate": 0.1, "receipts": false, "receipt_delay_ms": 2000, "receipt_jitter_ms": 500}' http://…/control"#;

/// What a reader of the page asks for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct View {
    to: String,
    reference: String,
    before: Option<u64>,
    /// `off`: the page stays as it is.
    refresh: String,
    /// What the platform answered to the text that was just sent to it.
    answered: Option<u16>,
}

impl View {
    fn refreshes(&self) -> bool {
        self.refresh != "off"
    }

    fn is_filtered(&self) -> bool {
        !self.to.trim().is_empty() || !self.reference.trim().is_empty()
    }

    /// A link to this page with other settings.
    fn link(&self, before: Option<u64>, refreshes: bool) -> String {
        let mut query = Vec::new();
        for (name, value) in [("to", &self.to), ("reference", &self.reference)] {
            if !value.is_empty() {
                query.push((name, value.clone()));
            }
        }
        query.extend(before.map(|id| ("before", id.to_string())));
        if !refreshes {
            query.push(("refresh", "off".to_owned()));
        }
        let query = serde_urlencoded::to_string(query).expect("pairs of strings are a form");
        if query.is_empty() { "/".to_owned() } else { format!("/?{query}") }
    }
}

/// `GET /messages.json`
pub(crate) fn messages(shared: &Shared, query: &str) -> Reply {
    match serde_urlencoded::from_str::<Filter>(query) {
        Ok(filter) => json(StatusCode::OK, &shared.record.newest(&filter)),
        Err(error) => json(StatusCode::BAD_REQUEST, &json!({"error": error.to_string()})),
    }
}

/// `GET /counts.json`
pub(crate) fn counts(shared: &Shared) -> Reply {
    let mut counts = serde_json::to_value(shared.record.counts()).unwrap_or(Value::Null);
    counts["receipts"]["waiting"] = shared.outbox.waiting().into();
    json(StatusCode::OK, &counts)
}

/// `POST /clear`; a person's browser goes back to the page.
pub(crate) fn clear(shared: &Shared, headers: &HeaderMap) -> Reply {
    shared.record.clear();
    let accepts = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut reply = typed(Bytes::new(), "text/plain; charset=utf-8");
    if accepts.contains("text/html") {
        *reply.status_mut() = StatusCode::SEE_OTHER;
        reply.headers_mut().insert(LOCATION, HeaderValue::from_static("/"));
    } else {
        *reply.status_mut() = StatusCode::NO_CONTENT;
    }
    reply
}

/// `GET /`
pub(crate) fn page(shared: &Shared, query: &str) -> Reply {
    let view: View = serde_urlencoded::from_str(query).unwrap_or_default();
    let filter = Filter {
        to: view.to.clone(),
        reference: view.reference.clone(),
        before: view.before,
        // One more tells whether there are older ones.
        limit: Some(PAGE + 1),
    };
    let messages = shared.record.newest(&filter);
    let mut reply = typed(document(shared, &view, &messages).into_string(), "text/html; charset=utf-8");
    let headers = reply.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}

fn document(shared: &Shared, view: &View, messages: &[Message]) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en-GB" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "Simulator inbox" }
                link rel="icon" href="data:,";
                link rel="stylesheet" href="/inbox.css";
                @if view.refreshes() {
                    noscript { meta http-equiv="refresh" content=(REFRESH); }
                    script src="/inbox.js" defer {}
                }
            }
            body {
                a.skip href="#messages" { "Skip to the messages" }
                header {
                    div {
                        h1 { "Simulator inbox" }
                        p { "Texts and mail that would have left the platform. Nothing here reached anybody." }
                    }
                    form.clear method="post" action="/clear" { button { "Clear all" } }
                }
                (providers(shared))
                (sending(shared, view))
                (tools(view))
                main #messages tabindex="-1" { (list(view, messages)) }
                (magic())
            }
        }
    }
}

fn providers(shared: &Shared) -> Markup {
    let counts = shared.record.counts();
    let tiles =
        [(Provider::Mmg, counts.mmg), (Provider::Firetext, counts.firetext), (Provider::Email, counts.email)];
    html! {
        section #providers aria-label="Providers" {
            @for (provider, calls) in tiles { (tile(provider, calls, &shared.controls.behaviour(provider))) }
            div.tile {
                h2 { "Receipts" }
                p.number { (counts.receipts.posted) span { " posted" } }
                p.detail {
                    (shared.outbox.waiting()) " waiting"
                    @if counts.receipts.lost > 0 { ", " strong { (counts.receipts.lost) " lost" } }
                }
            }
        }
    }
}

fn tile(provider: Provider, calls: Calls, behaviour: &Behaviour) -> Markup {
    let not_accepted = calls.calls - calls.accepted.min(calls.calls);
    html! {
        div.tile {
            h2 { (title(provider)) }
            p.number { (calls.accepted) span { " accepted" } }
            p.detail {
                (not_accepted) " not accepted"
            }
            @if *behaviour != Behaviour::default() {
                ul.flags {
                    @if behaviour.outage { li.bad { "outage" } }
                    @if behaviour.error_rate > 0.0 { li.bad { (behaviour.error_rate * 100.0) " % errors" } }
                    @if behaviour.latency_ms > 0 { li { (behaviour.latency_ms) " ms latency" @if behaviour.takes_first { ", taken first" } } }
                    @if !behaviour.receipts { li { "no receipts" } }
                    @if behaviour.receipt_delay_ms != Behaviour::default().receipt_delay_ms {
                        li { "receipts after " (behaviour.receipt_delay_ms) " ms" }
                    }
                }
            }
        }
    }
}

fn title(provider: Provider) -> &'static str {
    match provider {
        Provider::Mmg => "MMG",
        Provider::Firetext => "Firetext",
        Provider::Email => "Mail",
    }
}

/// A text to the platform.
fn sending(shared: &Shared, view: &View) -> Markup {
    let carriers = shared.inbound.carriers();
    let number = shared.options.inbound_number.as_deref();
    html! {
        @if !carriers.is_empty() {
            details.sending open[view.answered.is_some()] {
                summary { "Send a text to the platform" }
                form method="post" action="/inbound" {
                    label { "By" select name="provider" {
                        @for carrier in carriers { option value=(carrier.name()) { (title(carrier)) } }
                    } }
                    label { "From" input name="from" type="tel" value="07700 900123" required; }
                    label { "To" input name="to" type="tel" value=[number] placeholder="the service’s number" required; }
                    label.wide { "Message" textarea name="message" rows="2" {} }
                    button { "Send" }
                }
                @if let Some(status) = view.answered { p role="status" { "The platform answered " (status) "." } }
            }
        }
    }
}

fn tools(view: &View) -> Markup {
    html! {
        nav aria-label="Messages shown" {
            form method="get" action="/" role="search" {
                label { "To" input type="search" name="to" value=(view.to) placeholder="number or address"; }
                label { "Reference" input type="search" name="reference" value=(view.reference); }
                @if !view.refreshes() { input type="hidden" name="refresh" value="off"; }
                button { "Find" }
                @if view.is_filtered() { a href=(View::default().link(None, view.refreshes())) { "Show all" } }
            }
            p.refresh {
                @if view.refreshes() {
                    span.live { "Refreshes itself" } " "
                    a href=(view.link(view.before, false)) { "Pause" }
                } @else {
                    span { "Paused" } " "
                    a href=(view.link(view.before, true)) { "Refresh" }
                }
                " · " a href="/messages.json" { "JSON" }
                " · " a href="/counts.json" { "counts" }
                " · " a href="/control" { "control" }
            }
        }
    }
}

fn list(view: &View, messages: &[Message]) -> Markup {
    let shown = &messages[..messages.len().min(PAGE)];
    html! {
        @if shown.is_empty() {
            p.empty { @if view.is_filtered() { "No message like that." } @else { "No messages yet." } }
        }
        @for message in shown { (article(message)) }
        @if let (true, Some(oldest)) = (messages.len() > PAGE, shown.last()) {
            p.older { a href=(view.link(Some(oldest.id), view.refreshes())) { "Older messages" } }
        }
    }
}

fn article(message: &Message) -> Markup {
    let is_mail = message.provider == Provider::Email;
    let time = message.received_at;
    html! {
        article #{ "m" (message.id) } data-state=(format!("{:?}", message.receipt)) {
            header {
                span class={ "kind " (message.provider.name()) } { @if is_mail { "Mail" } @else { "Text · " (title(message.provider)) } }
                h2 { span.visually-hidden { "To " } (message.to) }
                (state(message))
                time datetime=(time.to_rfc3339()) title=(time.format("%-d %B %Y, %H:%M:%S UTC")) {
                    @if time.date_naive() != now().date_naive() { (time.format("%-d %b ")) }
                    (time.format("%H:%M:%S"))
                }
            }
            p.from {
                "from " b { (message.from) }
                @if !message.reference.is_empty() { span.reference { " · " code { (message.reference) } } }
            }
            @if is_mail { (mail_body(message)) }
            @else if let Some(text) = &message.text { p.text { (text) } }
        }
    }
}

fn mail_body(message: &Message) -> Markup {
    html! {
        @if let Some(subject) = &message.subject { p.subject { (subject) } }
        @if let Some(html) = &message.html {
            details open { summary { "HTML" } iframe sandbox="" srcdoc=(html) title="The mail's HTML" {} }
        }
        @if let Some(text) = &message.text {
            details open[message.html.is_none()] { summary { "Plain text" } pre.text { (text) } }
        }
        @if !message.headers.is_empty() {
            details {
                summary { "Headers" }
                dl { @for (name, value) in &message.headers { div { dt { (name) } dd { (value) } } } }
            }
        }
    }
}

/// One mark for what became of the message: its receipt, or why it was not taken.
fn state(message: &Message) -> Markup {
    let (class, text) = match (message.outcome, message.receipt) {
        (Outcome::Accepted, Receipt::None) => ("quiet", "accepted, no receipt".to_owned()),
        (Outcome::Accepted, Receipt::Waiting) => ("wait", "receipt waiting".to_owned()),
        (Outcome::Accepted, Receipt::Posted { fate, posts, .. }) => {
            let class = if fate == scenario::Fate::Delivered { "good" } else { "bad" };
            let times = if posts > 1 { format!(" ({posts} receipts)") } else { String::new() };
            (class, format!("{}{times}", fate.name()))
        }
        (Outcome::Accepted, Receipt::Retrying { attempts, .. }) => {
            ("wait", format!("receipt failed {attempts}×, trying again"))
        }
        (Outcome::Accepted, Receipt::Lost) => ("bad", "receipt lost".to_owned()),
        (outcome, _) => ("bad", outcome.name().to_owned()),
    };
    html! { span class={ "state " (class) } { (text) } }
}

fn magic() -> Markup {
    let table = |caption: &str, rules: &[Rule], before: &str, after: &str| {
        html! {
            table {
                caption { (caption) }
                thead { tr { th scope="col" { "Recipient" } th scope="col" { "What happens" } } }
                tbody {
                    @for rule in rules {
                        tr { th scope="row" { code { (before) (rule.recipient) (after) } } td { (rule.effect) } }
                    }
                }
            }
        }
    };
    html! {
        footer {
            details {
                summary { "Magic recipients" }
                div.tables {
                    (table("Texts, by the end of the number", scenario::NUMBERS, "…", ""))
                    (table("Mail, by the local part", scenario::LOCAL_PARTS, "", "@…"))
                }
                p { "Any other recipient’s message is accepted and delivered." }
            }
            details {
                summary { "Change how the providers behave" }
                pre { (CONTROL_EXAMPLE) }
            }
        }
    }
}
