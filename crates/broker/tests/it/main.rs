//! Against a real RabbitMQ. Every test has a prefix of its own, so that they run side by side.

#![allow(clippy::unwrap_used, reason = "a test may")]

mod deliveries;
mod ladder;
mod outages;
mod proxy;

use std::{collections::BTreeSet, env, time::Duration};

use broker::{Broker, Config, Consumer, Incoming, NotFoundLadder};
use domain::{
    clock::Clock,
    wakeup::{Kind, WakeUp},
};
use lapin::{Connection, ConnectionProperties, message::Delivery, options::BasicGetOptions};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Only something that never comes takes this long.
const LIMIT: Duration = Duration::from_secs(30);

fn url() -> String {
    env::var("TEST_AMQP_URL").expect("TEST_AMQP_URL must name a RabbitMQ for tests; scripts/test starts one")
}

fn config() -> Config {
    Config {
        url: url(),
        prefix: format!("test-{}", Uuid::new_v4().simple()),
        longest_pause: Duration::from_millis(300),
        not_found_ladder: NotFoundLadder::new([50, 70, 90].map(Duration::from_millis).to_vec()),
        ..Config::default()
    }
}

async fn start(config: &Config) -> Broker {
    let broker = Broker::start(config, "test", Clock::System).unwrap();
    assert!(broker.connected_within(LIMIT).await, "no broker at {config:?}");
    broker
}

/// Leaves nothing behind.
async fn end(broker: Broker) {
    broker.delete_all().await.unwrap();
    broker.close().await;
}

fn consumer(broker: &Broker, kind: Kind, prefetch: u16) -> Consumer {
    broker.consumer(kind, prefetch, &CancellationToken::new())
}

fn wake_ups(kind: Kind, count: usize) -> Vec<WakeUp> {
    (0..count).map(|_| WakeUp { kind, subject: Uuid::now_v7() }).collect()
}

async fn handful(consumer: &mut Consumer, most: usize) -> Vec<Incoming> {
    timeout(LIMIT, consumer.next_handful(most)).await.expect("a message comes").expect("the consumer goes on")
}

/// Takes and acks messages until all of `expected` have come; others may come as well, none twice.
async fn take_all(consumer: &mut Consumer, expected: &[WakeUp]) {
    let mut missing: BTreeSet<_> = expected.iter().copied().collect();
    while !missing.is_empty() {
        let handful = handful(consumer, 50).await;
        for incoming in &handful {
            missing.remove(&incoming.wake_up().unwrap());
        }
        Incoming::ack_all(handful).await;
    }
}

async fn eventually(what: &str, mut check: impl AsyncFnMut() -> bool) {
    let since = Instant::now();
    while !check().await {
        assert!(since.elapsed() < LIMIT, "never: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// A channel that is not the crate's own: what another team, or an operator, would use.
struct Outsider {
    _connection: Connection,
    channel: lapin::Channel,
}

impl Outsider {
    async fn new() -> Self {
        let connection = Connection::connect(&url(), ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        Self { _connection: connection, channel }
    }

    async fn publish(&self, exchange: &str, key: &str, body: &[u8]) {
        let options = lapin::options::BasicPublishOptions::default();
        let properties = lapin::BasicProperties::default();
        self.channel
            .basic_publish(exchange.into(), key.into(), options, body, properties)
            .await
            .unwrap()
            .await
            .unwrap();
    }

    async fn get(&self, queue: &str) -> Delivery {
        let since = Instant::now();
        loop {
            let got = self.channel.basic_get(queue.into(), BasicGetOptions { no_ack: true }).await.unwrap();
            if let Some(message) = got {
                return message.delivery;
            }
            assert!(since.elapsed() < LIMIT, "nothing comes into {queue}");
            sleep(Duration::from_millis(20)).await;
        }
    }
}
