//! Everything that exists in the broker, by name.
//!
//! ```text
//!   exchange {prefix}  (direct) ──deliver.sms────► queue {prefix}.deliver.sms    ─┐
//!        ▲                      ──deliver.email──► queue {prefix}.deliver.email   ├─► a worker
//!        │                      ──apply.receipt──► queue {prefix}.apply.receipt  ─┘      │ id not in the database
//!        │                                                                               ▼
//!        │ expired, with the routing key that it had          exchange {prefix}.not-found.10s (fanout), .1m, .5m, .1h, .4h
//!        └──────────────────────────────────────────────────────── queue {prefix}.not-found.10s, …
//!                                                                                        │ still not there after the last
//!                                                             queue {prefix}.parked  ◄───┘ step, or not an id at all
//! ```
//!
//! All of it is durable. Queues are classic ones, without plugins: RabbitMQ 3.10 is enough. Declaring is idempotent, and
//! done on every connection: the broker may have come back empty.

use std::time::Duration;

use domain::wakeup::Kind;
use lapin::{
    Channel, ExchangeKind,
    options::{
        ExchangeDeclareOptions, ExchangeDeleteOptions, QueueBindOptions, QueueDeclareOptions,
        QueueDeleteOptions, QueuePurgeOptions,
    },
    types::{AMQPValue, FieldTable},
};

use crate::{
    BrokerError,
    not_found_ladder::{NotFoundLadder, label},
};

/// Names stay far below the 255 bytes of AMQP, whatever is appended to the prefix.
const LONGEST_PREFIX: usize = 100;
/// RabbitMQ's bound for `x-message-ttl`: milliseconds in 32 bits.
const LONGEST_DELAY: Duration = Duration::from_millis(u32::MAX as u64);

/// The names, and how to bring them into being.
#[derive(Clone, Debug)]
pub(crate) struct Topology {
    prefix: String,
    pub(crate) ladder: NotFoundLadder,
}

impl Topology {
    pub(crate) fn new(prefix: &str, ladder: NotFoundLadder) -> Result<Self, BrokerError> {
        let fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if prefix.is_empty() || prefix.len() > LONGEST_PREFIX || !prefix.chars().all(fit) {
            return Err(BrokerError::Prefix);
        }
        if ladder.steps().iter().any(|step| step.is_zero() || *step > LONGEST_DELAY) {
            return Err(BrokerError::Ladder);
        }
        Ok(Self { prefix: prefix.to_owned(), ladder })
    }

    /// The exchange that wake-ups are published to, with [`routing_key`].
    pub(crate) fn exchange(&self) -> String {
        self.prefix.clone()
    }

    pub(crate) fn queue(&self, kind: Kind) -> String {
        format!("{}.{}", self.prefix, routing_key(kind))
    }

    /// The exchange and the queue of a step of the not-found ladder.
    pub(crate) fn not_found(&self, delay: Duration) -> String {
        format!("{}.not-found.{}", self.prefix, label(delay))
    }

    /// What was given up, for an operator to look at.
    pub(crate) fn parked(&self) -> String {
        format!("{}.parked", self.prefix)
    }

    pub(crate) async fn declare(&self, channel: &Channel) -> Result<(), lapin::Error> {
        self.declare_exchange(channel, self.exchange(), ExchangeKind::Direct).await?;
        for kind in Kind::ALL {
            declare_queue(channel, self.queue(kind), FieldTable::default()).await?;
            bind(channel, self.queue(kind), self.exchange(), routing_key(kind)).await?;
        }
        for &delay in self.ladder.steps() {
            let name = self.not_found(delay);
            let mut arguments = FieldTable::default();
            let millis = i64::try_from(delay.as_millis()).unwrap_or(i64::MAX);
            arguments.insert("x-message-ttl".into(), AMQPValue::LongLongInt(millis));
            arguments.insert("x-dead-letter-exchange".into(), AMQPValue::LongString(self.exchange().into()));
            // No x-dead-letter-routing-key: a message keeps its own, and so finds back to its own queue.
            self.declare_exchange(channel, name.clone(), ExchangeKind::Fanout).await?;
            declare_queue(channel, name.clone(), arguments).await?;
            bind(channel, name.clone(), name, String::new()).await?;
        }
        declare_queue(channel, self.parked(), FieldTable::default()).await
    }

    async fn declare_exchange(
        &self,
        channel: &Channel,
        name: String,
        kind: ExchangeKind,
    ) -> Result<(), lapin::Error> {
        let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        channel.exchange_declare(name.into(), kind, options, FieldTable::default()).await
    }

    fn queues(&self) -> impl Iterator<Item = String> {
        let work = Kind::ALL.map(|kind| self.queue(kind));
        work.into_iter()
            .chain(self.ladder.steps().iter().map(|&delay| self.not_found(delay)))
            .chain([self.parked()])
    }

    pub(crate) async fn purge(&self, channel: &Channel) -> Result<(), lapin::Error> {
        for queue in self.queues() {
            channel.queue_purge(queue.into(), QueuePurgeOptions::default()).await?;
        }
        Ok(())
    }

    /// Deleting what is not there is no error.
    pub(crate) async fn delete(&self, channel: &Channel) -> Result<(), lapin::Error> {
        for queue in self.queues() {
            channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await?;
        }
        let steps = self.ladder.steps().iter().map(|&delay| self.not_found(delay));
        for exchange in steps.chain([self.exchange()]) {
            channel.exchange_delete(exchange.into(), ExchangeDeleteOptions::default()).await?;
        }
        Ok(())
    }
}

/// `deliver.sms`, `deliver.email`, `apply.receipt`.
pub(crate) fn routing_key(kind: Kind) -> String {
    kind.as_str().replace('_', ".")
}

async fn declare_queue(channel: &Channel, name: String, arguments: FieldTable) -> Result<(), lapin::Error> {
    channel.queue_declare(name.into(), QueueDeclareOptions::durable(), arguments).await.map(drop)
}

async fn bind(channel: &Channel, queue: String, exchange: String, key: String) -> Result<(), lapin::Error> {
    let options = QueueBindOptions::default();
    channel.queue_bind(queue.into(), exchange.into(), key.into(), options, FieldTable::default()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_names_are_these() {
        let topology = Topology::new("pillarbox", NotFoundLadder::default()).unwrap();
        assert_eq!(topology.exchange(), "pillarbox");
        assert_eq!(Kind::ALL.map(routing_key), ["deliver.sms", "deliver.email", "apply.receipt"]);
        let queues: Vec<_> = topology.queues().collect();
        assert_eq!(
            queues,
            [
                "pillarbox.deliver.sms",
                "pillarbox.deliver.email",
                "pillarbox.apply.receipt",
                "pillarbox.not-found.10s",
                "pillarbox.not-found.1m",
                "pillarbox.not-found.5m",
                "pillarbox.not-found.1h",
                "pillarbox.not-found.4h",
                "pillarbox.parked",
            ]
        );
    }

    #[test]
    fn a_prefix_or_a_step_that_the_broker_would_refuse_is_refused_at_the_start() {
        for prefix in ["", "with space", "per#cent", "ü", &"x".repeat(101)] {
            assert!(Topology::new(prefix, NotFoundLadder::default()).is_err(), "{prefix:?}");
        }
        for step in [Duration::ZERO, Duration::from_secs(60 * 86_400)] {
            assert!(Topology::new("pillarbox", NotFoundLadder::new(vec![step])).is_err(), "{step:?}");
        }
    }
}
