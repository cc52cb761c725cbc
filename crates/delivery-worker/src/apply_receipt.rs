//! Receipts: what a provider said, turned into a status.

use std::{sync::Arc, time::Duration};

use broker::{Consumer, Incoming, ParkReason};
use chrono::{DateTime, TimeDelta, Utc};
use db::{
    due::Lease,
    receipt::{ClaimedReceipt, Effect, Standing},
};
use delivery::Delivery;
use domain::{
    phone,
    retry::{Next, RetryPolicy, SendFailure},
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
    let Delivery { db, policy, clock, lease, .. } = &worker.delivery;
    let (now, lease, policy) = (clock.now(), *lease, Arc::clone(policy));
    let weigh = move |receipt: ClaimedReceipt| {
        let effect = weigh(&receipt, now, &policy);
        (receipt, effect)
    };
    db.run("receipt.apply", move |conn| {
        let claimed = db::receipt::claim(conn, &ids, now, lease)?;
        let effects: Vec<_> = claimed.into_iter().map(weigh).collect();
        db::receipt::apply(conn, &effects, now)
    })
    .await?;
    Ok(())
}

/// What a receipt does to the notification as it stands.
fn weigh(receipt: &ClaimedReceipt, now: DateTime<Utc>, policy: &RetryPolicy) -> Effect {
    let id = receipt.lease.subject();
    if receipt.lease.lapsed() {
        return later(&receipt.lease, now, policy, "no worker lived to apply it");
    }
    let Some(standing) = &receipt.notification else {
        tracing::warn!(receipt = %id, provider = %receipt.words.provider, "a receipt for no notification of ours");
        return Effect::Nothing("unknown notification");
    };
    // It outran our own settle: an e-mail's receipts change what is `sending` or `pending` only.
    if standing.channel == Channel::Email && standing.status == Status::Created {
        return until_handed_over(receipt, now);
    }
    if without_handset_receipts(standing) {
        return Effect::Nothing("the country gives no receipts from handsets");
    }
    let meaning = provider::meaning(&receipt.words, standing.status, standing.sent_by);
    if meaning.unknown {
        let status = loggable(&receipt.words.status);
        let detail = receipt.words.detail.as_deref().map(loggable);
        tracing::error!(receipt = %id, provider = %receipt.words.provider, status, detail, "an unknown receipt");
    }
    meaning.status.map_or(Effect::Nothing("changes no status"), |to| Effect::Change { to })
}

/// Looks again when it has waited as long again: soon, since the settle is mostly on its way; and not a step of the ladder later,
/// since the e-mail may be sent again meanwhile. No notification climbs its ladder for a day.
fn until_handed_over(receipt: &ClaimedReceipt, now: DateTime<Utc>) -> Effect {
    let waited = now - receipt.received_at;
    if waited > TimeDelta::days(1) {
        return Effect::Nothing("never handed over");
    }
    let wait = waited.clamp(TimeDelta::seconds(10), TimeDelta::minutes(5));
    Effect::Later { due_at: now + wait, failures: receipt.lease.failures() }
}

/// One more step of the ladder; after the last one the receipt does nothing, and `why`.
fn later(lease: &Lease, now: DateTime<Utc>, policy: &RetryPolicy, why: &'static str) -> Effect {
    match policy.after(lease.failures(), &SendFailure::Transient(why.into())) {
        Next::Retry { after, failures } => {
            let wait = TimeDelta::from_std(lease.apart(after)).unwrap_or(TimeDelta::MAX);
            Effect::Later { due_at: now + wait, failures }
        }
        Next::GiveUp(_) => Effect::Nothing(why),
    }
}

/// A word of a stranger's: long enough to be looked up, and nothing that breaks a line or is not seen.
fn loggable(word: &str) -> String {
    word.chars().filter(|letter| letter.is_ascii_graphic() || *letter == ' ').take(40).collect()
}

fn without_handset_receipts(standing: &Standing) -> bool {
    standing.international
        && standing.phone_prefix.as_deref().is_some_and(|prefix| !phone::gives_receipts(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_provider_writes_lines_of_its_own_into_our_log() {
        assert_eq!(loggable("17"), "17");
        assert_eq!(loggable("17\r\nERROR all is lost\u{1b}[31m\u{202e}"), "17ERROR all is lost[31m");
        assert_eq!(loggable(&"9".repeat(255)).len(), 40);
    }
}
