//! One attempt: take a place at a provider, render, hand over.
//!
//! The time that a message waits for its turn is not the provider's: an attempt begins with the call. What cannot begin while
//! its lease leaves the provider the time to answer is given back, at no step of the ladder.

use std::{
    panic::AssertUnwindSafe,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use domain::{
    clock::Clock,
    email::{self, TooLarge},
    notification::{Attempt, Notification, Outcome},
    receipt::ReceiptWords,
    retry::SendFailure,
    sms::Sms,
    status::{Channel, KeyType, ProviderId, Status},
};
use futures_util::FutureExt;
use provider::{Composed, EmailProvider, Mail, NoPlace, Place, Providers, SmsProvider, Text, simulate};

use crate::{large::Large, message::Message, simulation};

/// When somebody who was too late looks again.
const SOON: Duration = Duration::from_secs(1);

/// What a lease leaves of it.
#[derive(Clone, Debug)]
pub struct Time {
    pub clock: Clock,
    /// A call that has not begun by then never does.
    pub begin_by: DateTime<Utc>,
    /// A call is over by then.
    pub over_by: DateTime<Utc>,
}

impl Time {
    pub(crate) fn to_begin(&self) -> Duration {
        (self.begin_by - self.clock.now()).to_std().unwrap_or_default()
    }
}

/// What is known of an attempt before it ends, and still is when it fails.
#[derive(Default)]
struct Progress {
    provider: Option<ProviderId>,
    billable_units: i32,
    began: Option<Instant>,
}

/// Why a message is not with a provider.
pub(crate) enum Unsent {
    Failed(SendFailure),
    /// There was no room, or no time.
    NotBegun(Duration),
}

impl Unsent {
    /// What it panicked with may quote personal data.
    pub(crate) fn panicked() -> Self {
        Self::Failed(SendFailure::Unanswered("panicked while sending".into()))
    }
}

impl From<SendFailure> for Unsent {
    fn from(failure: SendFailure) -> Self {
        Self::Failed(failure)
    }
}

impl From<NoPlace> for Unsent {
    fn from(none: NoPlace) -> Self {
        match none {
            NoPlace::Wait(after) => Self::NotBegun(after),
            NoPlace::Nobody(failure) => Self::Failed(failure),
        }
    }
}

/// What the providers say to a message before anything is done for it.
pub(crate) enum Entered {
    /// The service sends nothing.
    Inactive,
    /// A test key's: nothing leaves the platform, so it needs no place. A provider is drawn as usual.
    Pretended(Result<(ProviderId, Option<String>), SendFailure>),
    Sms(Result<Place<SmsProvider>, NoPlace>),
    Email(Result<Place<EmailProvider>, NoPlace>),
}

/// Takes the place that a message needs.
pub(crate) fn enter(providers: &Providers, notification: &Notification) -> Entered {
    let abroad = notification.international;
    match (notification.key_type, notification.channel) {
        _ if !notification.service.active => Entered::Inactive,
        (KeyType::Test, Channel::Sms) => {
            Entered::Pretended(providers.choose_sms(abroad).map(|provider| (provider.id(), None)))
        }
        (KeyType::Test, Channel::Email) => {
            let reference = |provider: &EmailProvider| Some(provider.reference(notification.id));
            let drawn = providers.choose_email();
            Entered::Pretended(drawn.map(|provider| (provider.id(), reference(provider))))
        }
        (KeyType::Normal | KeyType::Team, Channel::Sms) => Entered::Sms(providers.enter_sms(abroad)),
        (KeyType::Normal | KeyType::Team, Channel::Email) => Entered::Email(providers.enter_email()),
    }
}

/// Makes one attempt. It never fails itself: what went wrong is in the outcome, and so is a panic, so that one poisoned message
/// cannot take down the worker that holds its neighbours.
///
/// Drop the future only when the process ends: a provider may have taken the message by then.
pub async fn send(providers: &Providers, large: &Large, message: Message, time: &Time) -> Attempt {
    let entered = enter(providers, &message.notification);
    finish(providers, large, message, entered, time).await
}

pub(crate) async fn finish(
    providers: &Providers,
    large: &Large,
    message: Message,
    entered: Entered,
    time: &Time,
) -> Attempt {
    let mut progress = Progress::default();
    let desk = Desk { providers, large, time };
    let outcome = caught(desk.attempt(message, entered, &mut progress)).await;
    let Progress { provider, billable_units, began } = progress;
    let outcome = match outcome {
        // Nobody was asked yet.
        Outcome::Failed(SendFailure::Unanswered(why)) if began.is_none() => {
            Outcome::Failed(SendFailure::Transient(why))
        }
        outcome => outcome,
    };
    let took = began.map(|began| began.elapsed()).unwrap_or_default();
    Attempt { provider, took, billable_units, outcome }
}

/// A failure that was returned or panicked is an outcome like any other.
async fn caught(attempt: impl Future<Output = Result<Outcome, Unsent>>) -> Outcome {
    let ended = AssertUnwindSafe(attempt).catch_unwind().await;
    match ended.unwrap_or_else(|_| Err(Unsent::panicked())) {
        Ok(outcome) => outcome,
        Err(Unsent::Failed(failure)) => Outcome::Failed(failure),
        Err(Unsent::NotBegun(after)) => Outcome::NotBegun { after },
    }
}

struct Desk<'a> {
    providers: &'a Providers,
    large: &'a Large,
    time: &'a Time,
}

impl Desk<'_> {
    async fn attempt(
        &self,
        message: Message,
        entered: Entered,
        progress: &mut Progress,
    ) -> Result<Outcome, Unsent> {
        match entered {
            Entered::Inactive => Ok(Outcome::Refused("service is inactive")),
            Entered::Pretended(drawn) => self.pretend(message, drawn, progress).await,
            // What has no place is not worth the work.
            Entered::Sms(Err(none @ NoPlace::Wait(_))) => Err(none.into()),
            Entered::Sms(place) => self.send_sms(message, place, progress).await,
            // On the heap: a dialogue of SMTP has a state of 30 KiB, which every text would be moved about with.
            Entered::Email(place) => Box::pin(self.send_email(message, place?, progress)).await,
        }
    }

    async fn send_sms(
        &self,
        mut message: Message,
        place: Result<Place<SmsProvider>, NoPlace>,
        progress: &mut Progress,
    ) -> Result<Outcome, Unsent> {
        let sms = self.render_sms(&mut message, progress).await?;
        let place = place?;
        let notification = &message.notification;
        let text = Text {
            id: notification.id,
            to: &notification.normalised_recipient,
            from: notification.sender.as_deref().unwrap_or(self.providers.default_sms_sender()),
            body: sms.text(),
            international: notification.international,
        };
        let accepted = self.call(place.id(), place.send(&text), progress).await?;
        Ok(handed_over(Channel::Sms, notification.international, accepted.reference, None))
    }

    /// A failed call is charged like a good one, and so is one that is only pretended.
    async fn render_sms(&self, message: &mut Message, progress: &mut Progress) -> Result<Sms, Unsent> {
        let notification = message.notification.clone();
        // What is sent of a text is short, however long what it is made of.
        let size = |_: &Sms| 0;
        let (sms, _) = self.large.work(message, self.time, size, move || render_sms(&notification)).await?;
        progress.billable_units = units(&sms);
        Ok(sms)
    }

    async fn send_email(
        &self,
        mut message: Message,
        place: Place<EmailProvider>,
        progress: &mut Progress,
    ) -> Result<Outcome, Unsent> {
        let notification = message.notification.clone();
        let size =
            |(_, composed): &(_, Result<Composed, Uncomposed>)| composed.as_ref().map_or(0, Composed::size);
        let work = move || {
            let composed = compose(&place, &notification);
            (place, composed)
        };
        let ((place, composed), _memory) = self.large.work(&mut message, self.time, size, work).await?;
        let composed = match composed {
            Ok(composed) => composed,
            // It would be as large the next time.
            Err(Uncomposed::TooLarge) => return Ok(Outcome::Refused("e-mail is too large when rendered")),
            Err(Uncomposed::Failed(failure)) => return Err(failure.into()),
        };
        // From here on it is there a second time.
        drop(message);
        let accepted = self.call(place.id(), place.send(&composed), progress).await?;
        Ok(handed_over(Channel::Email, false, accepted.reference, None))
    }

    /// The call has the time that the lease leaves, however long the message waited for its turn.
    async fn call<T>(
        &self,
        provider: ProviderId,
        call: impl Future<Output = Result<T, SendFailure>>,
        progress: &mut Progress,
    ) -> Result<T, Unsent> {
        let now = self.time.clock.now();
        if now >= self.time.begin_by {
            return Err(Unsent::NotBegun(SOON));
        }
        let limit = (self.time.over_by - now).to_std().unwrap_or_default();
        (progress.provider, progress.began) = (Some(provider), Some(Instant::now()));
        let too_late = |_| Err(SendFailure::Unanswered(format!("no answer within {} s", limit.as_secs())));
        Ok(tokio::time::timeout(limit, call).await.unwrap_or_else(too_late)?)
    }

    /// A test key's message. The receipt that the provider would send is made up, and later processed like a real one.
    async fn pretend(
        &self,
        mut message: Message,
        drawn: Result<(ProviderId, Option<String>), SendFailure>,
        progress: &mut Progress,
    ) -> Result<Outcome, Unsent> {
        if message.notification.channel == Channel::Sms {
            self.render_sms(&mut message, progress).await?;
        }
        let (provider, reference) = drawn?;
        progress.provider = Some(provider);
        let notification = &message.notification;
        let receipt_reference = reference.clone().unwrap_or_else(|| notification.id.to_string());
        let receipt = simulate(provider, receipt_reference, simulation::end(notification));
        Ok(handed_over(notification.channel, notification.international, reference, Some(receipt)))
    }
}

pub(crate) fn render_sms(notification: &Notification) -> Sms {
    let Notification { service, content, personalisation, .. } = notification;
    Sms::render(content, personalisation, service.prefix_sms.then_some(service.name.as_str()))
}

/// What a text is charged as.
pub(crate) fn units(sms: &Sms) -> i32 {
    i32::try_from(sms.fragments()).unwrap_or(i32::MAX)
}

enum Uncomposed {
    TooLarge,
    Failed(SendFailure),
}

fn compose(provider: &EmailProvider, notification: &Notification) -> Result<Composed, Uncomposed> {
    let rendered = email::render(
        notification.subject.as_deref().unwrap_or_default(),
        &notification.content,
        &notification.personalisation,
        notification.unsubscribe_page_url.as_deref(),
    )
    .map_err(|TooLarge| Uncomposed::TooLarge)?;
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
    provider.compose(&mail).map_err(Uncomposed::Failed)
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
