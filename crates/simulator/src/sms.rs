//! MMG and Firetext: reading a text as the vendor wants it, deciding by behaviour and scenario, answering in the vendor's words.

use std::{borrow::Cow, time::Duration};

use hyper::{
    HeaderMap, Request, StatusCode,
    body::Incoming,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER},
};
use serde::Deserialize;
use serde_json::json;

use crate::{
    Shared,
    control::{Behaviour, Provider},
    endpoint::Endpoint,
    now,
    outbox::Job,
    receipts::{self, SentText},
    record::{Message, Outcome, Receipt},
    scenario::{self, Answer, Rule, Times},
    server::{self, Dropped, Reply, json, typed},
};

/// Who is being played.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Vendor {
    Mmg,
    Firetext,
}

impl Vendor {
    fn provider(self) -> Provider {
        match self {
            Self::Mmg => Provider::Mmg,
            Self::Firetext => Provider::Firetext,
        }
    }
}

/// A text as either vendor takes it.
struct Text<'a> {
    reference: Cow<'a, str>,
    to: Cow<'a, str>,
    from: Cow<'a, str>,
    content: Cow<'a, str>,
    receipt_url: Option<Cow<'a, str>>,
}

/// Why a request is not understood; `code` is Firetext's.
struct Problem {
    outcome: Outcome,
    code: u8,
    description: &'static str,
}

const fn malformed(code: u8, description: &'static str) -> Problem {
    Problem { outcome: Outcome::Malformed, code, description }
}

const WRONG_KEY: Problem =
    Problem { outcome: Outcome::Unauthorised, code: 1, description: "Authentication error" };

/// One call to send a text.
pub(crate) async fn take(
    shared: &Shared,
    vendor: Vendor,
    request: Request<Incoming>,
) -> Result<Reply, Dropped> {
    let provider = vendor.provider();
    shared.record.call(provider);
    let behaviour = shared.controls.behaviour(provider);
    if behaviour.outage {
        shared.record.ended(provider, Outcome::Dropped);
        return Err(Dropped);
    }
    let (head, body) = request.into_parts();
    let body = server::body(body).await;
    let read = match (&body, vendor) {
        (None, _) => Err(malformed(5, "Message too long")),
        (Some(body), Vendor::Mmg) => read_mmg(shared, &head.headers, body),
        (Some(body), Vendor::Firetext) => read_firetext(shared, &head.headers, body),
    };
    if let Ok(text) = &read {
        shared.record.about(&text.reference);
    }
    let (before, after) = behaviour.latency();
    shared.pause(before).await;
    let reply = match read {
        Ok(text) => decide(shared, vendor, &behaviour, &text).await,
        Err(problem) => {
            shared.record.ended(provider, problem.outcome);
            Ok(refusal(vendor, &problem))
        }
    };
    shared.pause(after).await;
    reply
}

fn has_type(headers: &HeaderMap, wanted: &str) -> bool {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    given.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(wanted)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|letter| letter.is_ascii_digit())
}

fn read_mmg<'a>(shared: &Shared, headers: &HeaderMap, body: &'a [u8]) -> Result<Text<'a>, Problem> {
    #[derive(Deserialize)]
    #[expect(non_snake_case, reason = "the names are MMG's")]
    struct Body<'a> {
        #[serde(borrow)]
        reqType: Cow<'a, str>,
        #[serde(borrow)]
        MSISDN: Cow<'a, str>,
        #[serde(borrow)]
        msg: Cow<'a, str>,
        #[serde(borrow)]
        sender: Cow<'a, str>,
        #[serde(borrow)]
        cid: Cow<'a, str>,
        #[serde(rename = "multi")]
        _multi: bool,
        #[serde(borrow)]
        delurl: Option<Cow<'a, str>>,
    }
    if let Some(key) = &shared.options.mmg_key {
        let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if given.strip_prefix("Basic ") != Some(key) {
            return Err(WRONG_KEY);
        }
    }
    if !has_type(headers, "application/json") {
        return Err(malformed(0, "Content type is not JSON"));
    }
    let body: Body<'_> =
        serde_json::from_slice(body).map_err(|_| malformed(0, "Body is not the JSON of a request"))?;
    if body.reqType != "BULK" {
        return Err(malformed(0, "Unknown reqType"));
    }
    if !is_number(&body.MSISDN) {
        return Err(malformed(0, "Invalid MSISDN"));
    }
    if body.msg.is_empty() || body.sender.is_empty() || body.cid.is_empty() {
        return Err(malformed(0, "Empty msg, sender or cid"));
    }
    Ok(Text {
        reference: body.cid,
        to: body.MSISDN,
        from: body.sender,
        content: body.msg,
        receipt_url: body.delurl,
    })
}

fn read_firetext<'a>(shared: &Shared, headers: &HeaderMap, body: &'a [u8]) -> Result<Text<'a>, Problem> {
    #[derive(Deserialize)]
    struct Body<'a> {
        #[serde(borrow, rename = "apiKey", default)]
        key: Cow<'a, str>,
        #[serde(borrow, default)]
        from: Cow<'a, str>,
        #[serde(borrow, default)]
        to: Cow<'a, str>,
        #[serde(borrow, default)]
        message: Cow<'a, str>,
        #[serde(borrow, default)]
        reference: Cow<'a, str>,
        #[serde(borrow)]
        receipt: Option<Cow<'a, str>>,
    }
    let body: Body<'_> = has_type(headers, "application/x-www-form-urlencoded")
        .then(|| serde_urlencoded::from_bytes(body).ok())
        .flatten()
        .ok_or(malformed(5, "Not a form"))?;
    if body.key.is_empty() || shared.options.firetext_key.as_deref().is_some_and(|key| body.key != key) {
        return Err(WRONG_KEY);
    }
    if !is_number(&body.to) {
        return Err(malformed(2, "Destination number error"));
    }
    if body.from.is_empty() {
        return Err(malformed(3, "From error"));
    }
    if body.message.is_empty() || body.reference.is_empty() {
        return Err(malformed(5, "Message or reference missing"));
    }
    Ok(Text {
        reference: body.reference,
        to: body.to,
        from: body.from,
        content: body.message,
        receipt_url: body.receipt,
    })
}

async fn decide(
    shared: &Shared,
    vendor: Vendor,
    behaviour: &Behaviour,
    text: &Text<'_>,
) -> Result<Reply, Dropped> {
    let rule = scenario::for_number(&text.to);
    let answer = if behaviour.fails_now() {
        Answer::Refuse
    } else if rule.times == Times::AtFirst {
        rule.answer_to(shared.record.nth_try(&text.reference), shared.options.refusals)
    } else {
        rule.answer
    };
    let keep = |outcome| shared.record.keep(message(vendor.provider(), text, outcome, Receipt::None));
    match answer {
        Answer::Accept | Answer::AfterReceipt | Answer::AcceptThenDrop => {
            let number = accept(shared, vendor, behaviour, text, rule, answer).await;
            if answer == Answer::AcceptThenDrop { Err(Dropped) } else { Ok(success(vendor, number)) }
        }
        Answer::Refuse => {
            keep(Outcome::Refused);
            Ok(error(vendor, StatusCode::INTERNAL_SERVER_ERROR, "Internal error"))
        }
        Answer::Defer => {
            keep(Outcome::Refused);
            Ok(error(vendor, StatusCode::SERVICE_UNAVAILABLE, "Service unavailable"))
        }
        Answer::Throttle => {
            keep(Outcome::Throttled);
            let mut reply = error(vendor, StatusCode::TOO_MANY_REQUESTS, "Too many requests");
            reply.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
            Ok(reply)
        }
        Answer::Gibberish => {
            keep(Outcome::Gibberish);
            Ok(typed("<html><body>It works!</body></html>", "text/html"))
        }
        Answer::TooLate => {
            // Kept before the wait: the caller hangs up, and then nothing after it runs.
            keep(Outcome::Refused);
            shared.pause(shared.options.too_late_ms).await;
            Ok(error(vendor, StatusCode::GATEWAY_TIMEOUT, "Timed out"))
        }
        Answer::Drop => {
            keep(Outcome::Dropped);
            Err(Dropped)
        }
    }
}

/// Puts the text into the inbox and its receipts on their way; returns the vendor's number for it.
async fn accept(
    shared: &Shared,
    vendor: Vendor,
    behaviour: &Behaviour,
    text: &Text<'_>,
    rule: &Rule,
    answer: Answer,
) -> u64 {
    let provider = vendor.provider();
    let number = shared.next_number();
    let wanted = behaviour.receipts && !rule.receipts.is_empty();
    let endpoint = if !wanted {
        None
    } else if let Some(url) = &text.receipt_url {
        Endpoint::parse(url)
            .inspect_err(|reason| {
                tracing::warn!(provider = provider.name(), reason, "there will be no receipt");
            })
            .ok()
    } else {
        shared.controls.endpoint(provider)
    };
    let receipt = if endpoint.is_some() { Receipt::Waiting } else { Receipt::None };
    let id = shared.record.keep(message(provider, text, Outcome::Accepted, receipt));
    let Some(endpoint) = endpoint else { return number };
    let at_once = answer == Answer::AfterReceipt;
    let delay = if at_once { Duration::ZERO } else { behaviour.draw_receipt_delay() };
    let sent = SentText { reference: &text.reference, number, to: &text.to };
    let steps = match vendor {
        Vendor::Mmg => receipts::mmg(sent, rule.receipts, now() + delay),
        Vendor::Firetext => receipts::firetext(sent, rule.receipts, now() + delay),
    };
    let job = Job::new(id, provider, endpoint, steps);
    if at_once {
        shared.outbox.post_now(job).await;
    } else {
        shared.outbox.put(job, delay);
    }
    number
}

fn message(provider: Provider, text: &Text<'_>, outcome: Outcome, receipt: Receipt) -> Message {
    Message {
        id: 0,
        received_at: now(),
        provider,
        outcome,
        reference: text.reference.as_ref().to_owned(),
        to: text.to.as_ref().to_owned(),
        from: text.from.as_ref().to_owned(),
        subject: None,
        text: Some(text.content.as_ref().to_owned()),
        html: None,
        headers: Vec::new(),
        receipt,
    }
}

fn success(vendor: Vendor, number: u64) -> Reply {
    match vendor {
        Vendor::Mmg => typed(format!("{{\"Reference\": {number}}}"), "application/json"),
        Vendor::Firetext => typed(
            r#"{"code":0,"data":[],"description":"SMS successfully queued","responseData":1}"#,
            "application/json",
        ),
    }
}

/// An error of the vendor's machinery.
fn error(vendor: Vendor, status: StatusCode, description: &str) -> Reply {
    match vendor {
        Vendor::Mmg => json(status, &json!({"Error": 206, "Description": description})),
        Vendor::Firetext => {
            json(status, &json!({"code": 9, "data": [], "description": description, "responseData": 0}))
        }
    }
}

/// The vendor's way to say that the request is wrong: Firetext says so with a 200.
fn refusal(vendor: Vendor, problem: &Problem) -> Reply {
    let Problem { outcome, code, description } = *problem;
    match vendor {
        Vendor::Mmg => {
            let status = if outcome == Outcome::Unauthorised {
                StatusCode::UNAUTHORIZED
            } else {
                StatusCode::BAD_REQUEST
            };
            error(vendor, status, description)
        }
        Vendor::Firetext => json(
            StatusCode::OK,
            &json!({"code": code, "data": [], "description": description, "responseData": 0}),
        ),
    }
}
