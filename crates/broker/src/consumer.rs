//! Taking wake-ups from one queue, a handful at a time.
//!
//! A delivery that came over a connection that is gone cannot be answered any more, and need not be: the broker gives
//! the message to somebody again, and the claim in the database decides. Such answers are dropped without noise.

use std::{fmt, sync::Arc, time::Duration};

use domain::wakeup::{Kind, WakeUp};
use futures_util::{FutureExt, StreamExt, future::join_all};
use lapin::{
    Channel,
    message::Delivery,
    options::{BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions},
    types::{AMQPValue, FieldTable, LongString, ShortString},
};
use tokio::{
    select,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    BrokerError, Shared, envelope,
    link::{Patience, Session},
    publisher::Outgoing,
    topology::routing_key,
};

/// What an ack, a nack or a cancel may take. The broker is never asked twice.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Before a message that could not be put aside goes back to its queue, so that it does not spin.
const REQUEUE_PAUSE: Duration = Duration::from_secs(1);

/// Consumes one queue, over as many connections as it takes.
pub struct Consumer {
    shared: Arc<Shared>,
    kind: Kind,
    prefetch: u16,
    stopping: CancellationToken,
    patience: Patience,
    subscription: Option<Subscription>,
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer")
            .field("kind", &self.kind)
            .field("prefetch", &self.prefetch)
            .field("subscribed", &self.subscription.is_some())
            .finish_non_exhaustive()
    }
}

/// A consumer on a channel of the present connection.
struct Subscription {
    channel: Arc<Channel>,
    deliveries: lapin::Consumer,
}

impl Consumer {
    pub(crate) fn new(shared: Arc<Shared>, kind: Kind, prefetch: u16, stopping: CancellationToken) -> Self {
        let patience = Patience::new(shared.config.longest_pause);
        Self { shared, kind, prefetch, stopping, patience, subscription: None }
    }

    /// Makes [`Consumer::next_handful`] end, as the token does that the consumer was started with.
    pub fn stop(&self) {
        self.stopping.cancel();
    }

    /// Waits for at least one message and takes what else is there already, up to `most`. `None` at the stop: the broker
    /// then knows that nothing more is wanted, and has back what was prefetched but never handed out.
    ///
    /// May be dropped and called again without losing a message.
    pub async fn next_handful(&mut self, most: usize) -> Option<Vec<Incoming>> {
        let stopping = self.stopping.clone();
        while !stopping.is_cancelled() {
            if self.subscription.is_none() {
                select! {
                    () = self.subscribe() => {}
                    () = stopping.cancelled() => break,
                }
            }
            let Some(subscription) = &mut self.subscription else { continue };
            let first = select! {
                biased;
                () = stopping.cancelled() => break,
                first = subscription.deliveries.next() => first,
            };
            match first {
                Some(Ok(first)) if first.acker.usable() => return Some(self.handful(first, most)),
                // Prefetched over a connection that is gone by now: it comes again.
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    tracing::debug!(kind = %self.kind, %error, "the subscription broke");
                    self.subscription = None;
                }
                // The queue was deleted, or the channel is gone.
                None => self.subscription = None,
            }
        }
        self.finish().await;
        None
    }

    fn handful(&mut self, first: Delivery, most: usize) -> Vec<Incoming> {
        self.patience.reset();
        let Some(subscription) = &mut self.subscription else { return Vec::new() };
        let mut deliveries = vec![first];
        while deliveries.len() < most {
            match subscription.deliveries.next().now_or_never() {
                Some(Some(Ok(delivery))) if delivery.acker.usable() => deliveries.push(delivery),
                Some(Some(Ok(_))) => {}
                // The end of the stream comes again at the next call.
                _ => break,
            }
        }
        let channel = subscription.channel.clone();
        deliveries.into_iter().map(|delivery| Incoming::new(self, channel.clone(), delivery)).collect()
    }

    /// Ends with a subscription, or after a pause.
    async fn subscribe(&mut self) {
        let Some(session) = self.shared.consuming().connected().await else {
            // The broker was closed; so there is nothing to be waited for but the stop.
            self.stopping.cancel();
            return;
        };
        match self.subscribe_on(&session).await {
            Ok(subscription) => {
                tracing::info!(kind = %self.kind, prefetch = self.prefetch, "consuming");
                self.subscription = Some(subscription);
            }
            Err(error) => {
                tracing::warn!(kind = %self.kind, %error, "the queue cannot be consumed");
                sleep(self.patience.next()).await;
            }
        }
    }

    async fn subscribe_on(&self, session: &Session) -> Result<Subscription, BrokerError> {
        let subscribing = async {
            let channel = session.channel().await?;
            // Somebody may have deleted the queue; that is one of the reasons to be here.
            self.shared.topology.declare(&channel).await?;
            channel.basic_qos(self.prefetch, BasicQosOptions::default()).await?;
            let queue = ShortString::from(self.shared.topology.queue(self.kind));
            let options = BasicConsumeOptions::default();
            let deliveries =
                channel.basic_consume(queue, ShortString::default(), options, FieldTable::default()).await?;
            Ok(Subscription { channel: Arc::new(channel), deliveries })
        };
        timeout(self.shared.config.connect_timeout, subscribing).await.map_err(|_| BrokerError::TimedOut)?
    }

    /// Cancels the subscription and gives back what is still in it. The channel stays until the last message that was
    /// handed out is answered.
    async fn finish(&mut self) {
        let Some(Subscription { channel, mut deliveries }) = self.subscription.take() else { return };
        let cancelled =
            timeout(ANSWER_TIMEOUT, channel.basic_cancel(deliveries.tag(), BasicCancelOptions::default()));
        if !matches!(cancelled.await, Ok(Ok(()))) {
            tracing::debug!(kind = %self.kind, "the subscription could not be cancelled; it ends with its connection");
        }
        let mut left = Vec::new();
        while let Some(Some(Ok(delivery))) = deliveries.next().now_or_never() {
            left.push(Incoming::new(self, channel.clone(), delivery));
        }
        tracing::debug!(kind = %self.kind, requeued = left.len(), "stopped consuming");
        Incoming::requeue_all(left).await;
    }
}

/// A message that is ours until it is answered: each of the ways to answer consumes it.
#[must_use = "a message that is not answered stays with this process until its connection ends"]
pub struct Incoming {
    kind: Kind,
    subject: Option<uuid::Uuid>,
    delivery: Delivery,
    shared: Arc<Shared>,
    /// Closed when the last message of it is gone.
    _channel: Arc<Channel>,
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming")
            .field("kind", &self.kind)
            .field("subject", &self.subject)
            .field("not_found_tries", &self.not_found_tries())
            .finish_non_exhaustive()
    }
}

/// Why a message was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParkReason {
    /// There is no such row, and there was none over the whole ladder.
    UnknownId,
    /// The body is not an id.
    MalformedBody,
}

impl ParkReason {
    /// As it stands in the header.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnknownId => "unknown id",
            Self::MalformedBody => "malformed body",
        }
    }
}

impl Incoming {
    fn new(consumer: &Consumer, channel: Arc<Channel>, delivery: Delivery) -> Self {
        Self {
            kind: consumer.kind,
            subject: envelope::subject(&delivery.data),
            delivery,
            shared: consumer.shared.clone(),
            _channel: channel,
        }
    }

    /// What is to be looked at; `None` when the body is not an id, and the message is to be parked.
    #[must_use]
    pub fn wake_up(&self) -> Option<WakeUp> {
        self.subject.map(|subject| WakeUp { kind: self.kind, subject })
    }

    /// How often the id was not in the database before.
    #[must_use]
    pub fn not_found_tries(&self) -> u32 {
        envelope::tries(&self.delivery.properties)
    }

    /// Done: the broker forgets the message.
    pub async fn ack(self) {
        settled("ack", self.delivery.acker.ack(BasicAckOptions::default())).await;
    }

    /// Acks all of them together, one by one: `multiple` would take others on the channel along.
    pub async fn ack_all(handful: Vec<Self>) {
        join_all(handful.into_iter().map(Self::ack)).await;
    }

    /// Gives the message back to its queue, from where it comes again at once, here or elsewhere.
    pub async fn requeue(self) {
        let options = BasicNackOptions { requeue: true, multiple: false };
        settled("requeue", self.delivery.acker.nack(options)).await;
    }

    /// Gives all of them back together.
    pub async fn requeue_all(handful: Vec<Self>) {
        join_all(handful.into_iter().map(Self::requeue)).await;
    }

    /// The id is not in the database: put aside for the next step of the ladder, or parked after the last.
    pub async fn not_found(self) {
        let tries = self.not_found_tries();
        let Some(delay) = self.shared.topology.ladder.after(tries) else {
            return self.park(ParkReason::UnknownId).await;
        };
        let mut headers = self.headers();
        headers.insert(envelope::TRIES.into(), AMQPValue::LongLongInt(i64::from(tries) + 1));
        let message = Outgoing {
            exchange: self.shared.topology.not_found(delay).into(),
            routing_key: routing_key(self.kind).into(),
            body: self.delivery.data.clone(),
            properties: envelope::properties(headers),
        };
        self.move_to(message).await;
    }

    /// Given up: moved to where an operator sees it, with headers that say why, since when and from which queue.
    pub async fn park(self, reason: ParkReason) {
        let queue = self.shared.topology.queue(self.kind);
        let subject = self.subject.map(tracing::field::display);
        tracing::warn!(queue, subject, reason = reason.as_str(), "a message was parked");
        let mut headers = self.headers();
        headers.insert(envelope::TRIES.into(), AMQPValue::LongLongInt(self.not_found_tries().into()));
        headers.insert(envelope::REASON.into(), AMQPValue::LongString(reason.as_str().into()));
        headers.insert(envelope::PARKED_AT.into(), AMQPValue::LongString(self.now()));
        headers.insert(envelope::FROM_QUEUE.into(), AMQPValue::LongString(queue.into()));
        let message = Outgoing {
            exchange: ShortString::default(),
            routing_key: self.shared.topology.parked().into(),
            body: self.delivery.data.clone(),
            properties: envelope::properties(headers),
        };
        self.move_to(message).await;
    }

    fn headers(&self) -> FieldTable {
        let first_seen = envelope::first_seen(&self.delivery.properties).unwrap_or_else(|| self.now());
        let mut headers = FieldTable::default();
        headers.insert(envelope::FIRST_SEEN.into(), AMQPValue::LongString(first_seen));
        headers
    }

    fn now(&self) -> LongString {
        self.shared.clock.now().to_rfc3339().into()
    }

    /// Publishes, and only when that is confirmed lets go of the original. Dying in between doubles the message, which
    /// costs nothing; the other order could lose it.
    async fn move_to(self, message: Outgoing) {
        if self.shared.sender().publish(&[message]).await == [true] {
            self.ack().await;
        } else {
            tracing::debug!(kind = %self.kind, "a message could not be moved and goes back to its queue");
            sleep(REQUEUE_PAUSE).await;
            self.requeue().await;
        }
    }
}

async fn settled(what: &'static str, answer: impl Future<Output = Result<bool, lapin::Error>>) {
    match timeout(ANSWER_TIMEOUT, answer).await {
        Ok(Ok(true)) => {}
        Ok(Ok(false)) => tracing::debug!(what, "the connection is gone: the message comes again"),
        Ok(Err(error)) => tracing::debug!(what, %error, "no answer: the message comes again"),
        Err(_) => tracing::debug!(what, "no answer in time: the message may come again"),
    }
}
