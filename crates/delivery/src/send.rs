//! One attempt: render, choose a provider, hand over.

use std::{
    panic::AssertUnwindSafe,
    time::{Duration, Instant},
};

use domain::{
    email::{self, TooLarge},
    notification::{Attempt, Notification, Outcome},
    receipt::ReceiptWords,
    retry::SendFailure,
    sms::Sms,
    status::{Channel, KeyType, ProviderId, Status},
};
use futures_util::FutureExt;
use provider::{Mail, Providers, Text, simulate};

use crate::simulation;

/// What is known of an attempt before it ends, and still is when it fails.
#[derive(Default)]
struct Progress {
    provider: Option<ProviderId>,
    billable_units: i32,
}

/// Makes one attempt, of at most `limit`. It never fails itself: what went wrong is in the outcome, and so is a panic, so that
/// one poisoned message cannot take down the worker that holds its neighbours.
///
/// Drop the future only when the process ends: a provider may have taken the message by then.
pub async fn send(providers: &Providers, notification: &Notification, limit: Duration) -> Attempt {
    let started = Instant::now();
    let mut progress = Progress::default();
    let outcome = caught(in_time(limit, attempt(providers, notification, &mut progress))).await;
    let Progress { provider, billable_units } = progress;
    let outcome = match (outcome, provider) {
        // Nobody was asked yet.
        (Outcome::Failed(SendFailure::Unanswered(why)), None) => Outcome::Failed(SendFailure::Transient(why)),
        (outcome, _) => outcome,
    };
    Attempt { provider, took: started.elapsed(), billable_units, outcome }
}

/// With no time left it does not even begin: what it begins, a provider may finish.
async fn in_time(
    limit: Duration,
    attempt: impl Future<Output = Result<Outcome, SendFailure>>,
) -> Result<Outcome, SendFailure> {
    if limit.is_zero() {
        return Err(SendFailure::Transient("claimed too late to be sent in time".into()));
    }
    let too_late = |_| Err(SendFailure::Unanswered(format!("no answer within {} s", limit.as_secs())));
    tokio::time::timeout(limit, attempt).await.unwrap_or_else(too_late)
}

/// A failure that was returned or panicked is an outcome like any other.
async fn caught(attempt: impl Future<Output = Result<Outcome, SendFailure>>) -> Outcome {
    let failure = match AssertUnwindSafe(attempt).catch_unwind().await {
        Ok(Ok(outcome)) => return outcome,
        Ok(Err(failure)) => failure,
        // What it panicked with may quote personal data.
        Err(_) => SendFailure::Unanswered("panicked while sending".into()),
    };
    Outcome::Failed(failure)
}

async fn attempt(
    providers: &Providers,
    notification: &Notification,
    progress: &mut Progress,
) -> Result<Outcome, SendFailure> {
    if !notification.service.active {
        return Ok(Outcome::Refused("service is inactive"));
    }
    match (notification.key_type, notification.channel) {
        (KeyType::Test, _) => pretend(providers, notification, progress),
        (KeyType::Normal | KeyType::Team, Channel::Sms) => send_sms(providers, notification, progress).await,
        (KeyType::Normal | KeyType::Team, Channel::Email) => {
            send_email(providers, notification, progress).await
        }
    }
}

async fn send_sms(
    providers: &Providers,
    notification: &Notification,
    progress: &mut Progress,
) -> Result<Outcome, SendFailure> {
    let sms = render_sms(notification, progress);
    let provider = providers.choose_sms(notification.international)?;
    progress.provider = Some(provider.id());
    let text = Text {
        id: notification.id,
        to: &notification.normalised_recipient,
        from: notification.sender.as_deref().unwrap_or(providers.default_sms_sender()),
        body: sms.text(),
        international: notification.international,
    };
    let accepted = provider.send(&text).await?;
    Ok(handed_over(notification.channel, notification.international, accepted.reference, None))
}

/// A failed call is charged like a good one, and so is one that is only pretended.
fn render_sms(notification: &Notification, progress: &mut Progress) -> Sms {
    let service = &notification.service;
    let prefix = service.prefix_sms.then_some(service.name.as_str());
    let sms = Sms::render(&notification.content, &notification.personalisation, prefix);
    progress.billable_units = i32::try_from(sms.fragments()).unwrap_or(i32::MAX);
    sms
}

/// What a text is charged as.
pub(crate) fn units(notification: &Notification) -> i32 {
    let mut progress = Progress::default();
    render_sms(notification, &mut progress);
    progress.billable_units
}

async fn send_email(
    providers: &Providers,
    notification: &Notification,
    progress: &mut Progress,
) -> Result<Outcome, SendFailure> {
    let rendered = match email::render(
        notification.subject.as_deref().unwrap_or_default(),
        &notification.content,
        &notification.personalisation,
        notification.unsubscribe_page_url.as_deref(),
    ) {
        Ok(rendered) => rendered,
        // It would be as large the next time.
        Err(TooLarge) => return Ok(Outcome::Refused("e-mail is too large when rendered")),
    };
    let provider = providers.choose_email()?;
    progress.provider = Some(provider.id());
    let mail = Mail {
        id: notification.id,
        from_name: &notification.service.name,
        from_local_part: &notification.service.email_local_part,
        to: &notification.normalised_recipient,
        reply_to: notification.sender.as_deref(),
        subject: &rendered.subject,
        plain: &rendered.plain,
        html: &rendered.html,
        unsubscribe_url: notification.unsubscribe_url.as_deref(),
    };
    let accepted = provider.send(&mail).await?;
    Ok(handed_over(notification.channel, notification.international, accepted.reference, None))
}

/// A test key's message: nothing leaves the platform. A provider is drawn as usual, and the receipt that it would send
/// is made up and later processed like a real one.
fn pretend(
    providers: &Providers,
    notification: &Notification,
    progress: &mut Progress,
) -> Result<Outcome, SendFailure> {
    let (provider, reference) = match notification.channel {
        Channel::Sms => {
            render_sms(notification, progress);
            (providers.choose_sms(notification.international)?.id(), None)
        }
        Channel::Email => {
            let provider = providers.choose_email()?;
            (provider.id(), Some(provider.reference(notification.id)))
        }
    };
    progress.provider = Some(provider);
    let receipt_reference = reference.clone().unwrap_or_else(|| notification.id.to_string());
    let receipt = simulate(provider, receipt_reference, simulation::end(notification));
    Ok(handed_over(notification.channel, notification.international, reference, Some(receipt)))
}

pub(crate) fn handed_over(
    channel: Channel,
    international: bool,
    provider_reference: Option<String>,
    simulated_receipt: Option<ReceiptWords>,
) -> Outcome {
    let status = Status::once_handed_over(channel, international);
    Outcome::HandedOver { status, provider_reference, simulated_receipt }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_panic_is_a_failure_that_is_retried_and_quotes_nothing() {
        let panics = async { panic!("while rendering for ada@example.com") };
        let outcome = caught(panics).now_or_never();
        let Some(Outcome::Failed(SendFailure::Unanswered(text))) = outcome else { panic!("{outcome:?}") };
        assert_eq!(text, "panicked while sending");
    }
}
