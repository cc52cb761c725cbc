//! `inspect`: the whole story of one notification, for whoever is asked what became of it. Without its content, its
//! recipient and its personalisation, and without the caller's own reference, which may hold either.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use clap::Args;
use db::{
    due::DueRow,
    notification::StoredNotification,
    story::{AttemptRow, ReceiptRow, Story},
};
use domain::{clock::Clock, id::NotificationId, status::Status};
use serde_json::{Value, json};

use crate::{
    database,
    error::Error,
    humane,
    output::{say, say_json},
};

/// Tell the whole story of one notification, without its content and recipient
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    id: NotificationId,
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(Arguments { id, json }: Arguments) -> Result<(), Error> {
    let db = database::open(&database::settings()?.database).await?;
    let story = db.run("story", move |conn| db::story::of(conn, id)).await?;
    let Some(story) = story else {
        return Err(Error::No(format!(
            "no notification has the id {id}: it was never accepted, or its retention is over"
        )));
    };
    let now = Clock::System.now();
    if json { say_json(&as_json(&story, now)) } else { say(&as_text(&story, now)) }
}

fn as_text(story: &Story, now: DateTime<Utc>) -> String {
    let n = &story.notification;
    let mut text = format!("notification  {}\n", n.id);
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "  {name:<10}  {value}");
    };
    line("status", n.status.as_str());
    line("made with", &format!("a {} key, as {}", n.key_type, n.channel));
    line("service", &n.service_id.to_string());
    line("template", &format!("{} version {}", n.template_id, n.template_version));
    line("accepted", &format!("{} ({})", humane::time(n.created_at), humane::relative(n.created_at, now)));
    if let Some(at) = n.sent_at {
        line("sent", &moment(at, n, &n.sent_by.map(|by| format!(", by {by}")).unwrap_or_default()));
    }
    if let Some(at) = n.updated_at {
        line("changed", &moment(at, n, ", the last time"));
    }
    if n.billable_units > 0 {
        line("fragments", &format!("{}, at {} times the rate", n.billable_units, n.rate_multiplier));
    }
    line("to do", &to_do(story, now));
    attempts_as_text(&mut text, story);
    receipts_as_text(&mut text, story);
    text
}

/// A time, and how long after accepting that was.
fn moment(at: DateTime<Utc>, n: &StoredNotification, more: &str) -> String {
    format!("{} ({} after accepting{more})", humane::time(at), humane::between(n.created_at, at))
}

fn to_do(story: &Story, now: DateTime<Utc>) -> String {
    let Some(due) = &story.due else {
        return match story.notification.status {
            // What `audit` counts as lost.
            Status::Created => "LOST: waiting, but nothing would ever deliver it".into(),
            Status::Sending | Status::Pending => "nothing; a receipt or the time-out ends it".into(),
            _ => "nothing".into(),
        };
    };
    let at = format!("{} ({})", humane::time(due.due_at), humane::relative(due.due_at, now));
    let state = match (due.leased, due.due_at > now) {
        (true, true) => format!("a worker has it; if that dies, the next try is from {at}"),
        (true, false) => format!("a worker had it and did not finish; the next try is from {at}"),
        (false, true) => format!("next try {at}"),
        (false, false) => format!("waits for a worker since {at}"),
    };
    let look = humane::relative(due.wake_at, now);
    format!("{state}; {} failed so far; the sweep looks {look}", due.failures)
}

fn attempts_as_text(text: &mut String, story: &Story) {
    let _ = writeln!(text, "attempts      {}", count(story.attempts.len()));
    for attempt in &story.attempts {
        let provider = attempt.provider.as_deref().unwrap_or("no provider");
        let reason = attempt.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
        let took = humane::span(took(attempt));
        let at = humane::time(attempt.at);
        let _ = writeln!(text, "  {at}  {provider:<8}  {} in {took}{reason}", attempt.outcome);
    }
}

fn receipts_as_text(text: &mut String, story: &Story) {
    let _ = writeln!(text, "receipts      {}", count(story.receipts.len()));
    for receipt in &story.receipts {
        let detail = receipt.detail.as_deref().map(|detail| format!(" ({detail})")).unwrap_or_default();
        let effect = match (&receipt.effect, receipt.applied_at) {
            (Some(effect), Some(at)) => {
                format!("{effect}, applied {} later", humane::between(receipt.at, at))
            }
            _ => "not applied yet".into(),
        };
        let at = humane::time(receipt.at);
        let _ = writeln!(text, "  {at}  {:<8}  {}{detail} → {effect}", receipt.provider, receipt.status);
    }
}

fn count(rows: usize) -> String {
    if rows == 0 { "none".into() } else { rows.to_string() }
}

fn took(attempt: &AttemptRow) -> std::time::Duration {
    std::time::Duration::from_millis(u64::from(attempt.took_ms.unsigned_abs()))
}

fn as_json(story: &Story, now: DateTime<Utc>) -> Value {
    let n = &story.notification;
    json!({
        "id": n.id,
        "status": n.status,
        "channel": n.channel,
        "key_type": n.key_type,
        "service_id": n.service_id,
        "template": {"id": n.template_id, "version": n.template_version},
        "created_at": n.created_at,
        "sent_at": n.sent_at,
        "sent_by": n.sent_by,
        "updated_at": n.updated_at,
        "billable_units": n.billable_units,
        "rate_multiplier": n.rate_multiplier,
        "due": story.due.as_ref().map(|due| due_as_json(due, now)),
        "attempts": story.attempts.iter().map(attempt_as_json).collect::<Vec<_>>(),
        "receipts": story.receipts.iter().map(receipt_as_json).collect::<Vec<_>>(),
    })
}

fn due_as_json(due: &DueRow, now: DateTime<Utc>) -> Value {
    json!({
        "due_at": due.due_at,
        "wake_at": due.wake_at,
        "failures": due.failures,
        // A lease that has ended holds nothing.
        "leased": due.leased && due.due_at > now,
    })
}

fn attempt_as_json(attempt: &AttemptRow) -> Value {
    json!({
        "at": attempt.at,
        "provider": attempt.provider,
        "took_ms": attempt.took_ms,
        "outcome": attempt.outcome,
        "reason": attempt.reason,
    })
}

fn receipt_as_json(receipt: &ReceiptRow) -> Value {
    json!({
        "at": receipt.at,
        "provider": receipt.provider,
        "status": receipt.status,
        "detail": receipt.detail,
        "applied_at": receipt.applied_at,
        "effect": receipt.effect,
    })
}
