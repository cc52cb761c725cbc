//! From a provider's receipt to a status.

use std::time::Duration;

use db::{
    delivery::Settlement,
    receipt::{NewReceipt, Reception},
};
use domain::{
    id::{NotificationId, ReceiptId},
    notification::{Attempt, Outcome},
    receipt::ReceiptWords,
    retry::RetryPolicy,
    status::{Channel, ProviderId, Status},
    wakeup::Kind,
};
use testkit::{eventually, notification};

use crate::stage::{LIMIT, Stage};

async fn receive(
    stage: &Stage,
    provider: ProviderId,
    reference: String,
    status: &str,
    detail: Option<&str>,
) -> ReceiptId {
    let now = stage.clock.now();
    let words = ReceiptWords { provider, reference, status: status.into(), detail: detail.map(Into::into) };
    let id = ReceiptId::new(now);
    let new = NewReceipt { id, words, received_at: now };
    let stored = stage.db.run("test.receipt", move |conn| db::receipt::store(conn, &[new])).await.unwrap();
    let woken: Vec<_> = stored.into_iter().filter_map(Reception::wake).collect();
    assert_eq!(stage.broker.publisher().wake(woken).await, []);
    id
}

async fn sent(stage: &Stage, channel: Channel) -> NotificationId {
    let ids = stage.store(vec![notification(&stage.sample, channel, stage.clock.now())]).await;
    stage.wake(Kind::deliver(channel), &ids).await;
    stage.eventually_all(&ids, Status::Sending).await;
    ids[0]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_providers_words_become_a_status() {
    let stage = Stage::new().await;
    for (provider, all_words) in [
        (
            ProviderId::Mmg,
            &[
                ("3", Some("5"), Status::Delivered),
                ("4", None, Status::TemporaryFailure),
                ("77", None, Status::TechnicalFailure),
            ][..],
        ),
        (ProviderId::Firetext, &[("0", Some("000"), Status::Delivered), ("2", None, Status::Pending)]),
    ] {
        let only = format!("UPDATE providers SET active = identifier IN ('smtp', '{provider}')");
        stage.database.execute(&only);
        let worker = stage.worker();
        for &(status, detail, expected) in all_words {
            let id = sent(&stage, Channel::Sms).await;
            receive(&stage, provider, id.to_string(), status, detail).await;
            stage.eventually_all(&[id], expected).await;
        }
        worker.drain().await;
    }
    let worker = stage.worker();
    let id = sent(&stage, Channel::Email).await;
    receive(&stage, ProviderId::Smtp, format!("{id}@notify.localhost"), "Bounce", Some("Permanent")).await;
    stage.eventually_all(&[id], Status::PermanentFailure).await;
    worker.drain().await;
    stage.balanced().await;
    stage.end().await;
}

/// A receipt may arrive before our own note that the message was handed over: it waits for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_that_outruns_the_settle_waits() {
    let stage = Stage::new().await;
    let worker = stage.worker();
    for (channel, provider, status) in
        [(Channel::Sms, ProviderId::Mmg, "3"), (Channel::Email, ProviderId::Smtp, "Delivery")]
    {
        let ids = stage.store(vec![notification(&stage.sample, channel, stage.clock.now())]).await;
        let (now, subjects) = (stage.clock.now(), [ids[0].0]);
        let claim = stage.db.run("test.claim", move |conn| {
            db::delivery::claim(conn, &testkit::keyring(), &subjects, now, LIMIT)
        });
        let held = claim.await.unwrap().claimed.remove(0);
        let receipt = receive(&stage, provider, ids[0].to_string(), status, None).await;
        eventually(LIMIT, "put back", async || {
            let receipts = stage.story(ids[0]).await.receipts;
            let find = stage.db.run("test.due", move |conn| db::due::find(conn, receipt.0));
            let due = find.await.unwrap()?;
            (receipts[0].applied_at.is_none() && !due.leased && due.due_at > now).then_some(())
        })
        .await;
        assert_eq!(stage.status(ids[0]).await, Status::Created, "nothing changes that is not sent");
        let outcome = Outcome::HandedOver {
            status: Status::Sending,
            provider_reference: None,
            simulated_receipt: None,
        };
        let attempt = Attempt { provider: Some(provider), took: Duration::ZERO, billable_units: 1, outcome };
        let settlement = Settlement { lease: held.lease, attempt, at: stage.clock.now() };
        let settle = stage.db.run("test.settle", move |conn| {
            db::delivery::settle(conn, &[settlement], &RetryPolicy::default())
        });
        settle.await.unwrap();
        eventually(LIMIT, "applied", async || {
            let kinds = [Kind::ApplyReceipt];
            let now = stage.clock.now();
            let sweep = stage.db.run("test.sweep", move |conn| db::due::take(conn, &kinds, now, 10));
            assert_eq!(stage.broker.publisher().wake(sweep.await.unwrap().wake).await, []);
            (stage.status(ids[0]).await == Status::Delivered).then_some(())
        })
        .await;
    }
    worker.drain().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_country_without_handset_receipts_leaves_it_sent() {
    let stage = Stage::new().await;
    let worker = stage.worker();
    for (prefix, expected) in [("1", Status::Sent), ("33", Status::Delivered)] {
        let mut new = notification(&stage.sample, Channel::Sms, stage.clock.now());
        new.international = true;
        new.phone_prefix = Some(prefix.into());
        let ids = stage.store(vec![new]).await;
        stage.wake(Kind::DeliverSms, &ids).await;
        stage.eventually_all(&ids, Status::Sent).await;
        receive(&stage, ProviderId::Mmg, ids[0].to_string(), "3", None).await;
        eventually(LIMIT, "applied", async || stage.story(ids[0]).await.receipts[0].applied_at).await;
        assert_eq!(stage.status(ids[0]).await, expected, "{prefix}");
    }
    worker.drain().await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_whose_notification_is_gone_is_forgotten() {
    let stage = Stage::new().await;
    let ids = stage.store(vec![notification(&stage.sample, Channel::Sms, stage.clock.now())]).await;
    let receipt = receive(&stage, ProviderId::Mmg, ids[0].to_string(), "3", None).await;
    stage.database.execute("DELETE FROM notifications");
    let worker = stage.worker();
    eventually(LIMIT, "forgotten", async || {
        let audit = stage.db.run("test.audit", db::audit::audit).await.unwrap();
        let find = stage.db.run("test.due", move |conn| db::due::find(conn, receipt.0));
        (audit.receipts_waiting == 0 && find.await.unwrap().is_none()).then_some(())
    })
    .await;
    worker.drain().await;
    stage.end().await;
}

/// Whatever killed the worker that held it is not to kill the next one at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_that_no_worker_lived_to_apply_climbs_the_ladder() {
    let stage = Stage::new().await;
    let ids = stage.store(vec![notification(&stage.sample, Channel::Sms, stage.clock.now())]).await;
    let receipt = receive(&stage, ProviderId::Mmg, ids[0].to_string(), "3", None).await;
    // As the worker left it, when its lease is over.
    stage.database.execute("UPDATE due SET lease = gen_random_uuid() WHERE kind = 'apply_receipt'");
    let worker = stage.worker();
    let due = eventually(LIMIT, "taken over and put back", async || {
        let find = stage.db.run("test.due", move |conn| db::due::find(conn, receipt.0));
        find.await.unwrap().filter(|due| !due.leased)
    })
    .await;
    assert_eq!((due.failures, due.due_at > stage.clock.now()), (1, true));
    assert_eq!(stage.status(ids[0]).await, Status::Created);
    worker.drain().await;
    stage.end().await;
}
