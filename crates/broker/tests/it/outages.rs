//! The way of a message while not all is well.

use std::time::Duration;

use broker::{Broker, BrokerError, Config, Incoming};
use domain::{clock::Clock, wakeup::Kind};
use lapin::options::{ExchangeDeleteOptions, QueueDeleteOptions};
use tokio::{
    io::AsyncReadExt,
    net::TcpListener,
    time::{Instant, timeout},
};

use crate::{
    LIMIT, Outsider, config, consumer, end, eventually, handful, proxy::Proxy, start, take_all, url, wake_ups,
};

#[tokio::test]
async fn without_a_broker_everything_is_returned_at_once() {
    let broker =
        Broker::start(&Config { url: "amqp://127.0.0.1:1/%2f".into(), ..config() }, "test", Clock::System);
    let broker = broker.unwrap();
    let publisher = broker.publisher();
    let wanted = wake_ups(Kind::DeliverSms, 3);
    let since = Instant::now();
    assert_eq!(publisher.wake(wanted.clone()).await, wanted);
    assert!(since.elapsed() < Config::default().publish_timeout, "{:?}", since.elapsed());
    assert!(!publisher.is_connected() && !broker.is_connected());
    assert!(matches!(broker.depth(Kind::DeliverSms).await, Err(BrokerError::NotConnected)));
    assert_eq!(publisher.wake(Vec::new()).await, []);
    timeout(LIMIT, broker.close()).await.expect("nothing holds up the end");
}

#[tokio::test]
async fn the_unroutable_is_not_confirmed_and_the_missing_queue_comes_back() {
    let broker = start(&config()).await;
    let publisher = broker.publisher();
    let outsider = Outsider::new().await;
    let queue = broker.queue_name(Kind::DeliverSms);
    outsider.channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await.unwrap();

    let sms = wake_ups(Kind::DeliverSms, 30);
    let email = wake_ups(Kind::DeliverEmail, 30);
    // Mixed, so that a confirm and a return that are matched wrongly show.
    let mixed: Vec<_> = sms.iter().zip(&email).flat_map(|(sms, email)| [*sms, *email]).collect();
    assert_eq!(publisher.wake(mixed).await, sms);
    assert_eq!(broker.depth(Kind::DeliverEmail).await.unwrap(), 30);

    let mut left = sms.clone();
    eventually("the queue is declared again", async || {
        left = publisher.wake(left.clone()).await;
        left.is_empty()
    })
    .await;
    take_all(&mut consumer(&broker, Kind::DeliverSms, 50), &sms).await;
    end(broker).await;
}

#[tokio::test]
async fn the_exchange_deleted_while_connected_comes_back() {
    let config = config();
    let broker = start(&config).await;
    let publisher = broker.publisher();
    let outsider = Outsider::new().await;
    let exchange = config.prefix.as_str();
    outsider.channel.exchange_delete(exchange.into(), ExchangeDeleteOptions::default()).await.unwrap();
    let wanted = wake_ups(Kind::DeliverSms, 5);
    let mut left = publisher.wake(wanted.clone()).await;
    assert_eq!(left, wanted);
    eventually("the exchange is declared again", async || {
        left = publisher.wake(left.clone()).await;
        left.is_empty()
    })
    .await;
    take_all(&mut consumer(&broker, Kind::DeliverSms, 50), &wanted).await;
    end(broker).await;
}

#[tokio::test]
async fn a_consumer_whose_queue_is_deleted_goes_on_with_a_new_one() {
    let broker = start(&config()).await;
    let mut consumer = consumer(&broker, Kind::DeliverSms, 10);
    let first = wake_ups(Kind::DeliverSms, 1);
    assert_eq!(broker.publisher().wake(first.clone()).await, []);
    take_all(&mut consumer, &first).await;

    broker.delete_all().await.unwrap();
    let wanted = wake_ups(Kind::DeliverSms, 5);
    let publisher = broker.publisher();
    let mut left = wanted.clone();
    let publishing = eventually("everything is declared again", async || {
        left = publisher.wake(left.clone()).await;
        left.is_empty()
    });
    tokio::join!(publishing, take_all(&mut consumer, &wanted));
    end(broker).await;
}

#[tokio::test]
async fn publisher_and_consumer_survive_a_cut_line_and_a_broker_that_comes_back_empty() {
    let (proxy, behind) = Proxy::before(&url()).await;
    let config = config();
    let through = start(&Config { url: behind, ..config.clone() }).await;
    let direct = start(&config).await;
    let publisher = through.publisher();
    let mut consumer = consumer(&through, Kind::DeliverSms, 10);

    let first = wake_ups(Kind::DeliverSms, 3);
    assert_eq!(publisher.wake(first.clone()).await, []);
    take_all(&mut consumer, &first).await;

    let unanswered = wake_ups(Kind::DeliverSms, 1);
    assert_eq!(publisher.wake(unanswered.clone()).await, []);
    let in_hand = handful(&mut consumer, 10).await;
    proxy.cut();
    eventually("the outage is seen", async || !publisher.is_connected() && !through.is_connected()).await;
    let wanted = wake_ups(Kind::DeliverSms, 3);
    assert_eq!(publisher.wake(wanted.clone()).await, wanted);
    // Too late, without noise: it comes again below.
    timeout(LIMIT, Incoming::ack_all(in_hand)).await.expect("an ack on a dead connection does not hang");

    proxy.mend();
    take_all(&mut consumer, &unanswered).await;
    eventually("publishing works again", async || publisher.is_connected()).await;
    assert_eq!(publisher.wake(wanted.clone()).await, []);
    take_all(&mut consumer, &wanted).await;

    proxy.cut();
    eventually("the outage is seen", async || !publisher.is_connected()).await;
    direct.delete_all().await.unwrap();
    proxy.mend();
    eventually("publishing works again", async || publisher.is_connected()).await;
    let wanted = wake_ups(Kind::DeliverSms, 40);
    assert_eq!(publisher.wake(wanted.clone()).await, []);
    // The prefetch holds on the new connection as well.
    let mut taken = Vec::new();
    while taken.len() < 10 {
        taken.extend(handful(&mut consumer, 50).await);
    }
    assert!(timeout(Duration::from_millis(200), consumer.next_handful(50)).await.is_err());
    assert_eq!(taken.len(), 10);
    Incoming::requeue_all(taken).await;
    take_all(&mut consumer, &wanted).await;

    direct.close().await;
    end(through).await;
}

#[tokio::test]
async fn a_broker_that_hangs_costs_the_configured_time_and_is_found_again() {
    let (proxy, behind) = Proxy::before(&url()).await;
    let short = Duration::from_millis(300);
    let config = Config { url: behind, connect_timeout: short, publish_timeout: short, ..config() };
    proxy.mute();
    let broker = Broker::start(&config, "test", Clock::System).unwrap();
    let publisher = broker.publisher();
    assert!(!broker.connected_within(short * 3).await);
    // lapin's IO threads would wait for an answer for ever, one for each attempt.
    eventually("several attempts were made", async || proxy.accepted() > 2).await;
    eventually("and given up", async || proxy.held() <= 1).await;
    let wanted = wake_ups(Kind::DeliverSms, 3);
    assert_eq!(publisher.wake(wanted.clone()).await, wanted);
    proxy.mend();
    let patient = Config { connect_timeout: LIMIT, ..config };
    broker.close().await;
    let broker = start(&patient).await;
    assert_eq!(broker.publisher().wake(wanted.clone()).await, []);
    take_all(&mut consumer(&broker, Kind::DeliverSms, 10), &wanted).await;
    end(broker).await;
}

#[tokio::test]
async fn a_line_that_goes_silent_is_noticed_and_costs_the_configured_time() {
    let (proxy, behind) = Proxy::before(&url()).await;
    let config =
        Config { publish_timeout: Duration::from_millis(300), heartbeat: Duration::from_secs(1), ..config() };
    let broker = start(&Config { url: behind, ..config }).await;
    let publisher = broker.publisher();
    let mut consumer = consumer(&broker, Kind::DeliverSms, 10);
    let first = wake_ups(Kind::DeliverSms, 3);
    assert_eq!(publisher.wake(first.clone()).await, []);
    take_all(&mut consumer, &first).await;

    proxy.mute();
    let wanted = wake_ups(Kind::DeliverSms, 3);
    let unconfirmed = timeout(LIMIT, publisher.wake(wanted.clone())).await.expect("its time is bounded");
    assert_eq!(unconfirmed, wanted);
    eventually("no heartbeat comes any more", async || !publisher.is_connected()).await;
    proxy.mend();
    eventually("publishing works again", async || publisher.is_connected()).await;
    assert_eq!(publisher.wake(wanted.clone()).await, []);
    take_all(&mut consumer, &wanted).await;
    end(broker).await;
}

#[tokio::test]
async fn closing_gives_back_what_is_in_hand() {
    let config = config();
    let broker = start(&config).await;
    let wanted = wake_ups(Kind::DeliverSms, 2);
    assert_eq!(broker.publisher().wake(wanted.clone()).await, []);
    let mut first = consumer(&broker, Kind::DeliverSms, 10);
    let in_hand = handful(&mut first, 10).await;
    broker.close().await;
    assert!(
        timeout(LIMIT, first.next_handful(10)).await.expect("a closed broker ends its consumers").is_none()
    );
    timeout(LIMIT, Incoming::ack_all(in_hand)).await.expect("an ack on a closed connection does not hang");

    let broker = start(&config).await;
    take_all(&mut consumer(&broker, Kind::DeliverSms, 10), &wanted).await;
    end(broker).await;
}

#[tokio::test]
async fn amqps_begins_with_a_tls_handshake() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("amqps://{}/%2f", listener.local_addr().unwrap());
    let broker = Broker::start(&Config { url, ..config() }, "test", Clock::System).unwrap();
    let publisher = broker.publisher();
    let (mut stream, _) = timeout(LIMIT, listener.accept()).await.unwrap().unwrap();
    // A TLS record of type handshake.
    assert_eq!(timeout(LIMIT, stream.read_u8()).await.unwrap().unwrap(), 22);
    assert!(!publisher.is_connected());
    drop(stream);
    timeout(LIMIT, broker.close()).await.expect("nothing holds up the end");
}
