//! Receipts: what a provider said, turned into a status.

use std::time::Duration;

use broker::{Consumer, Incoming, ParkReason};
use chrono::{DateTime, TimeDelta, Utc};
use db::{
    due::Lease,
    receipt::{ClaimedReceipt, Effect, HandOver, Standing},
};
use delivery::Delivery;
use domain::{
    notification::{Attempt, Notification},
    phone,
    retry::{Next, RetryPolicy, SendFailure},
    wakeup::Kind,
};
use service::Context;
use uuid::Uuid;

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
        match apply(&worker.delivery, ids).await {
            Ok(forgotten) => {
                worker.forgotten_receipts.count(forgotten, worker.delivery.clock.now(), |receipts| {
                    tracing::warn!(receipts, "of providers that never had what they tell of: forgotten");
                });
                Incoming::ack_all(sound).await;
            }
            Err(error) => {
                tracing::warn!(%error, "no receipt could be applied");
                tokio::time::sleep(DATABASE_PAUSE).await;
                Incoming::requeue_all(sound).await;
            }
        }
    }
    Ok(())
}

/// Claims, weighs and applies in one visit to the database: nothing outside of it is asked in between. Answers how many were
/// false, and are forgotten.
///
/// # Errors
/// When the database cannot be asked. What was claimed then comes back when its lease ends.
pub async fn apply(delivery: &Delivery, ids: Vec<Uuid>) -> Result<usize, db::DbError> {
    let (db, delivery, now) = (delivery.db.clone(), delivery.clone(), delivery.clock.now());
    db.run("receipt.apply", move |conn| {
        let mut claimed = db::receipt::claim(conn, &ids, now, delivery.lease)?;
        let unnoted = claimed.iter().filter_map(unnoted).map(|standing| standing.id.0).collect();
        let notifications = db::delivery::read(conn, &delivery.keyring, unnoted)?;
        for receipt in &mut claimed {
            receipt.hand_over = unnoted_hand_over(&delivery, receipt, &notifications);
        }
        let weighed = claimed.into_iter().map(|receipt| {
            let effect = weigh(&receipt, now, &delivery.policy);
            (receipt, effect)
        });
        let effects: Vec<_> = weighed.collect();
        db::receipt::apply(conn, &effects, now)?;
        Ok(effects.iter().filter(|(_, effect)| matches!(effect, Effect::Forget)).count())
    })
    .await
}

/// The notification, when the receipt proves a hand-over that nobody noted.
fn unnoted(receipt: &ClaimedReceipt) -> Option<&Standing> {
    let standing = receipt.notification.as_ref()?;
    (standing.hand_over == HandOver::Unnoted && !receipt.lease.lapsed()).then_some(standing)
}

fn unnoted_hand_over(
    delivery: &Delivery,
    receipt: &ClaimedReceipt,
    notifications: &[Notification],
) -> Option<Attempt> {
    let Standing { id, international, .. } = *unnoted(receipt)?;
    let notification = notifications.iter().find(|notification| notification.id == id);
    Some(delivery.taken(id, receipt.words.provider, international, notification))
}

/// What a receipt does to the notification as it stands.
fn weigh(receipt: &ClaimedReceipt, now: DateTime<Utc>, policy: &RetryPolicy) -> Effect {
    if receipt.lease.lapsed() {
        return later(&receipt.lease, now, policy, "no worker lived to apply it");
    }
    let Some(standing) = &receipt.notification else { return Effect::Forget };
    match standing.hand_over {
        HandOver::Noted | HandOver::Unnoted => said(receipt, standing),
        HandOver::UnderWay => until_noted(receipt, now),
        HandOver::Never => Effect::Forget,
    }
}

/// What a provider says of what it has.
fn said(receipt: &ClaimedReceipt, standing: &Standing) -> Effect {
    let ClaimedReceipt { lease, words, .. } = receipt;
    if standing.sent_by.is_some_and(|carrier| carrier != words.provider) {
        return Effect::Nothing("another provider carried it");
    }
    if without_handset_receipts(standing) {
        return Effect::Nothing("the country gives no receipts from handsets");
    }
    let meaning = provider::meaning(words, standing.status, standing.sent_by);
    if meaning.unknown {
        let (id, status) = (lease.subject(), loggable(&words.status));
        let detail = words.detail.as_deref().map(loggable);
        tracing::error!(receipt = %id, provider = %words.provider, status, detail, "an unknown receipt");
    }
    meaning.status.map_or(Effect::Nothing("changes no status"), |to| Effect::Change { to })
}

/// No hand-over takes a day.
fn until_noted(receipt: &ClaimedReceipt, now: DateTime<Utc>) -> Effect {
    if now - receipt.received_at > TimeDelta::days(1) {
        return Effect::Forget;
    }
    let due_at = db::receipt::look_again(receipt.received_at, now);
    Effect::Later { due_at, failures: receipt.lease.failures() }
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
