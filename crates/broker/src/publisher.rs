//! Publishing that may fail and says so: whatever is not confirmed in time counts as not published, and the sweep over
//! the database finds it again.

use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use domain::wakeup::WakeUp;
use futures_util::{StreamExt, stream::FuturesUnordered};
use lapin::{
    BasicProperties, Channel,
    message::BasicReturnMessage,
    options::{BasicPublishOptions, ConfirmSelectOptions},
    types::{FieldTable, ShortString},
};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};

use crate::{
    Shared, envelope,
    link::{Link, Session},
    topology::routing_key,
};

/// Batches that are under way at once; each has a channel to itself, as confirms are counted per channel. Further ones wait.
const CHANNELS: usize = 16;
/// Messages that are issued together before their confirms are awaited.
const WINDOW: usize = 1000;

/// Tells workers to look at things. Clones share the connection.
#[derive(Clone)]
pub struct Publisher {
    shared: Arc<Shared>,
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher").field("connected", &self.is_connected()).finish_non_exhaustive()
    }
}

impl Publisher {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Whether a wake-up that is published now has a chance to get through.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.shared.sender().is_connected()
    }

    /// Publishes, and returns what the broker did NOT confirm: that may have been published or not. Never fails: at once
    /// without a connection, and otherwise within the configured time, everything that is left is returned.
    #[must_use = "what is returned was not published"]
    pub async fn wake(&self, wake_ups: Vec<WakeUp>) -> Vec<WakeUp> {
        let exchange = ShortString::from(self.shared.topology.exchange());
        let messages: Vec<_> = wake_ups
            .iter()
            .map(|wake_up| Outgoing {
                exchange: exchange.clone(),
                routing_key: routing_key(wake_up.kind).into(),
                body: envelope::body(wake_up.subject),
                properties: envelope::properties(FieldTable::default()),
            })
            .collect();
        let confirmed = self.shared.sender().publish(&messages).await;
        wake_ups
            .into_iter()
            .zip(confirmed)
            .filter(|(_, confirmed)| !confirmed)
            .map(|(wake_up, _)| wake_up)
            .collect()
    }
}

/// A message on its way out.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) exchange: ShortString,
    pub(crate) routing_key: ShortString,
    pub(crate) body: Vec<u8>,
    pub(crate) properties: BasicProperties,
}

/// Publishes with confirms, over a few channels that are kept open.
pub(crate) struct Sender {
    link: Link,
    patience: Duration,
    permits: Semaphore,
    /// Channels that nobody uses, each with the connection that it belongs to.
    idle: Mutex<Vec<(Arc<Session>, Channel)>>,
}

impl Sender {
    pub(crate) fn new(link: Link, patience: Duration) -> Self {
        Self { link, patience, permits: Semaphore::new(CHANNELS), idle: Mutex::default() }
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.link.session().is_some_and(|session| session.is_open())
    }

    /// For each message, in order, whether the broker has taken it over and a queue has got it.
    pub(crate) async fn publish(&self, messages: &[Outgoing]) -> Vec<bool> {
        let deadline = Instant::now() + self.patience;
        let mut confirmed = Vec::with_capacity(messages.len());
        for window in messages.chunks(WINDOW) {
            match self.publish_window(window, deadline).await {
                Some(answers) => confirmed.extend(answers),
                None => break,
            }
        }
        if confirmed.len() < messages.len() {
            tracing::debug!(
                left = messages.len() - confirmed.len(),
                "no connection to publish on, or no time left"
            );
        }
        confirmed.resize(messages.len(), false);
        confirmed
    }

    /// `None` when nothing was published, and what follows would not be either.
    async fn publish_window(&self, window: &[Outgoing], deadline: Instant) -> Option<Vec<bool>> {
        let session = self.link.session().filter(|session| session.is_open())?;
        let _permit = timeout_at(deadline, self.permits.acquire()).await.ok()?.ok()?;
        let channel = timeout_at(deadline, self.channel(&session)).await.ok()?;
        let channel =
            channel.inspect_err(|error| tracing::debug!(%error, "no channel to publish on")).ok()?;
        let outcome = publish_together(&channel, window, deadline).await;
        if outcome.missing_queue {
            session.redeclare();
        }
        if outcome.settled {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push((session, channel));
        }
        Some(outcome.confirmed)
    }

    async fn channel(&self, session: &Arc<Session>) -> Result<Channel, lapin::Error> {
        let idle = {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.retain(|(owner, channel)| Arc::ptr_eq(owner, session) && channel.status().connected());
            idle.pop()
        };
        if let Some((_, channel)) = idle {
            return Ok(channel);
        }
        let channel = session.channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok(channel)
    }
}

struct Outcome {
    confirmed: Vec<bool>,
    /// Every message has its answer, so the channel is as good as new.
    settled: bool,
    /// A queue or the exchange is not there.
    missing_queue: bool,
}

/// Issues all messages, then waits for all confirms.
async fn publish_together(channel: &Channel, window: &[Outgoing], deadline: Instant) -> Outcome {
    let mut answers: FuturesUnordered<_> = window
        .iter()
        .enumerate()
        .map(|(index, message)| async move {
            let options = BasicPublishOptions { mandatory: true, immediate: false };
            let (exchange, key) = (message.exchange.clone(), message.routing_key.clone());
            let confirm = channel
                .basic_publish(exchange, key, options, &message.body, message.properties.clone())
                .await?;
            Ok::<_, lapin::Error>((index, confirm.await?))
        })
        .collect();
    let mut outcome = Outcome { confirmed: vec![false; window.len()], settled: true, missing_queue: false };
    let mut returned = Vec::new();
    loop {
        match timeout_at(deadline, answers.next()).await {
            Ok(None) => break,
            Ok(Some(Ok((index, confirmation)))) => {
                outcome.confirmed[index] = confirmation.is_ack();
                returned.extend(confirmation.take_message());
            }
            Ok(Some(Err(error))) => {
                // An exchange that does not exist closes the channel.
                outcome.missing_queue |= error.is_amqp_soft_error();
                outcome.settled = false;
            }
            Err(_) => {
                outcome.settled = false;
                break;
            }
        }
    }
    if !returned.is_empty() {
        outcome.missing_queue = true;
        take_back(window, &mut outcome.confirmed, &returned);
    }
    outcome
}

/// An unroutable message is confirmed AND returned. lapin hands it over with just any confirm that comes after it on the
/// channel, so it is recognised by what it is; of equal messages all are unroutable.
fn take_back(window: &[Outgoing], confirmed: &mut [bool], returned: &[BasicReturnMessage]) {
    let unroutable: HashSet<_> = returned
        .iter()
        .map(|message| (message.exchange.as_str(), message.routing_key.as_str(), message.data.as_slice()))
        .collect();
    for (message, confirmed) in window.iter().zip(confirmed) {
        if unroutable.contains(&(
            message.exchange.as_str(),
            message.routing_key.as_str(),
            message.body.as_slice(),
        )) {
            *confirmed = false;
        }
    }
}
