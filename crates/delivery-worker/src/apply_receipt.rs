//! Receipts: what a provider said, turned into a status.

use std::{sync::Arc, time::Duration};

use broker::{Consumer, Incoming, ParkReason};
use chrono::{DateTime, TimeDelta, Utc};
use db::receipt::{ClaimedReceipt, Effect, Standing};
use domain::{
    phone,
    retry::{Next, SendFailure},
    status::{Channel, Status},
    wakeup::Kind,
};
use service::Context;

use crate::Worker;

/// The most that share a claim; twice as many are prefetched.
const HANDFUL: usize = 500;
const PREFETCH: u16 = 1000;
const DATABASE_PAUSE: Duration = Duration::from_secs(1);

/// Starts the line of work.
pub(crate) fn start(worker: &Worker, context: &Context) {
    let consumer = worker.broker.consumer(Kind::ApplyReceipt, PREFETCH, context.tasks.stopping());
    context.tasks.spawn(Kind::ApplyReceipt.as_str(), run(worker.clone(), consumer));
}

async fn run(worker: Worker, mut consumer: Consumer) -> Result<(), service::Error> {
    while let Some(messages) = consumer.next_handful(HANDFUL).await {
        let (sound, malformed): (Vec<_>, Vec<_>) =
            messages.into_iter().partition(|message| message.wake_up().is_some());
        for message in malformed {
            message.park(ParkReason::MalformedBody).await;
        }
        let ids = sound.iter().filter_map(Incoming::wake_up).map(|wake| wake.subject).collect();
        match apply(&worker, ids).await {
            Ok(()) => Incoming::ack_all(sound).await,
            Err(error) => {
                tracing::warn!(%error, "no receipt could be applied");
                tokio::time::sleep(DATABASE_PAUSE).await;
                Incoming::requeue_all(sound).await;
            }
        }
    }
    Ok(())
}

/// Claims, weighs and applies in one visit to the database: nothing outside of it is asked in between.
async fn apply(worker: &Worker, ids: Vec<uuid::Uuid>) -> Result<(), db::DbError> {
    let (now, lease, policy) = (worker.clock.now(), worker.config.lease, Arc::clone(&worker.policy));
    let weigh = move |receipt: ClaimedReceipt| {
        let failures = receipt.lease.failures();
        let later = |why: &str| match policy.after(failures, &SendFailure::Transient(why.into())) {
            Next::Retry { after, failures } => Some((after, failures)),
            Next::GiveUp => None,
        };
        let effect = weigh(&receipt, now, later);
        (receipt, effect)
    };
    worker
        .db
        .run("receipt.apply", move |conn| {
            let claimed = db::receipt::claim(conn, &ids, now, lease)?;
            let effects: Vec<_> = claimed.into_iter().map(weigh).collect();
            db::receipt::apply(conn, &effects, now)
        })
        .await?;
    Ok(())
}

/// What a receipt does to the notification as it stands.
fn weigh(
    receipt: &ClaimedReceipt,
    now: DateTime<Utc>,
    later: impl Fn(&str) -> Option<(Duration, u16)>,
) -> Effect {
    let id = receipt.lease.subject();
    let Some(standing) = &receipt.notification else {
        tracing::warn!(receipt = %id, provider = %receipt.words.provider, "a receipt for no notification of ours");
        return Effect::Nothing("unknown notification");
    };
    // It outran our own settle: an e-mail's receipts change what is `sending` or `pending` only.
    if standing.channel == Channel::Email && standing.status == Status::Created {
        return match later("the hand-over is not written down yet") {
            Some((after, failures)) => {
                Effect::Later { due_at: now + TimeDelta::from_std(after).unwrap_or(TimeDelta::MAX), failures }
            }
            None => Effect::Nothing("never handed over"),
        };
    }
    if without_handset_receipts(standing) {
        return Effect::Nothing("the country gives no receipts from handsets");
    }
    let meaning = provider::meaning(&receipt.words, standing.status, standing.sent_by);
    if meaning.unknown {
        let (status, detail) = (&receipt.words.status, &receipt.words.detail);
        tracing::error!(receipt = %id, provider = %receipt.words.provider, status, ?detail, "an unknown receipt");
    }
    meaning.status.map_or(Effect::Nothing("changes no status"), |to| Effect::Change { to })
}

fn without_handset_receipts(standing: &Standing) -> bool {
    standing.international
        && standing.phone_prefix.as_deref().is_some_and(|prefix| !phone::gives_receipts(prefix))
}
