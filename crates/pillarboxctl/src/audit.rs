//! `audit`: accepted = final + in flight, counted in one snapshot.

use std::time::Duration;

use clap::Args;
use db::{Db, audit::Audit};
use serde_json::{Value, json};

use crate::{
    database,
    error::Error,
    humane,
    output::{say, say_json},
    patience::patiently,
};

/// Count where every notification stands, and say whether nothing is missing
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[arg(long, conflicts_with = "sql")]
    json: bool,
    /// Print the query instead, for psql
    #[arg(long, conflicts_with = "wait_settled")]
    sql: bool,
    /// First wait until nothing is in flight, at most this long; fail when something still is
    #[arg(long, value_name = "DURATION", value_parser = humane::duration)]
    wait_settled: Option<Duration>,
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), Error> {
    if arguments.sql {
        return say(&format!("{};", db::audit::SQL));
    }
    let config = database::settings()?.database;
    let settled = match arguments.wait_settled {
        Some(limit) => wait_settled(&config, limit).await,
        None => Ok(()),
    };
    // What is still in flight is shown before it is complained about; a database that is away is not asked again.
    if let Err(error @ (Error::Database(_) | Error::Schema(_))) = settled {
        return Err(error);
    }
    let audit = count(&database::open(&config).await?).await?;
    if arguments.json {
        say_json(&as_json(&audit))?;
    } else {
        say(&as_text(&audit))?;
    }
    settled?;
    if audit.is_balanced() { Ok(()) } else { Err(Error::No(verdict(&audit))) }
}

async fn count(db: &Db) -> Result<Audit, Error> {
    Ok(db.run("audit", db::audit::audit).await?)
}

/// A database that goes away meanwhile is waited for, too.
async fn wait_settled(config: &db::Config, limit: Duration) -> Result<(), Error> {
    let db = Db::new(config);
    patiently(limit, async || {
        db.run("schema.check", |conn| Ok(db::migrations::check(conn))).await??;
        let audit = count(&db).await?;
        let in_flight = audit.waiting + audit.with_provider;
        match (in_flight, audit.receipts_waiting) {
            (0, 0) => Ok(()),
            _ => Err(Error::InFlight(audit)),
        }
    })
    .await
    .map_err(|error| match error {
        Error::InFlight(_) => Error::No(format!("not settled within {}: {error}", humane::span(limit))),
        other => other,
    })
}

fn as_text(audit: &Audit) -> String {
    let row = |name: &str, count: i64, meaning: &str| format!("{name:<18}{count:>10}  {meaning}");
    [
        row("accepted", audit.accepted, "notifications stored"),
        row("final", audit.finished, "nothing more is expected"),
        row("waiting", audit.waiting, "created, and due: somebody will deliver them"),
        row("with provider", audit.with_provider, "sending or pending: a receipt or the time-out ends them"),
        row("lost", audit.lost, "created, but not due: nobody would ever deliver them"),
        row("stray", audit.stray, "due, but no such notification"),
        row("receipts waiting", audit.receipts_waiting, "heard, not applied yet"),
        verdict(audit),
    ]
    .join("\n")
}

fn verdict(audit: &Audit) -> String {
    let Audit { accepted, finished, waiting, with_provider, lost, stray, .. } = audit;
    let in_flight = waiting + with_provider;
    if audit.is_balanced() {
        return format!("balanced: {accepted} accepted = {finished} final + {in_flight} in flight");
    }
    let mut reasons = Vec::new();
    if *lost > 0 {
        reasons.push(format!("{lost} lost"));
    }
    if *stray > 0 {
        reasons.push(format!("{stray} stray"));
    }
    if *accepted != finished + in_flight {
        reasons.push(format!("{accepted} accepted, but {finished} final + {in_flight} in flight"));
    }
    format!("NOT balanced: {}", reasons.join("; "))
}

fn as_json(audit: &Audit) -> Value {
    json!({
        "balanced": audit.is_balanced(),
        "accepted": audit.accepted,
        "final": audit.finished,
        "waiting": audit.waiting,
        "with_provider": audit.with_provider,
        "lost": audit.lost,
        "stray": audit.stray,
        "receipts_waiting": audit.receipts_waiting,
    })
}
