//! From a provider's receipt to a status.

use db::receipt::NewReceipt;
use domain::{
    id::{NotificationId, ReceiptId},
    receipt::ReceiptWords,
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
    let woken: Vec<_> = stored.into_iter().flatten().collect();
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
    let worker = stage.worker();
    for (provider, status, detail, expected) in [
        (ProviderId::Mmg, "3", Some("5"), Status::Delivered),
        (ProviderId::Mmg, "4", None, Status::TemporaryFailure),
        (ProviderId::Mmg, "77", None, Status::TechnicalFailure),
        (ProviderId::Firetext, "0", Some("000"), Status::Delivered),
        (ProviderId::Firetext, "2", None, Status::Pending),
    ] {
        let id = sent(&stage, Channel::Sms).await;
        receive(&stage, provider, id.to_string(), status, detail).await;
        stage.eventually_all(&[id], expected).await;
    }
    let id = sent(&stage, Channel::Email).await;
    receive(&stage, ProviderId::Smtp, format!("{id}@notify.localhost"), "Bounce", Some("Permanent")).await;
    stage.eventually_all(&[id], Status::PermanentFailure).await;
    worker.drain().await;
    stage.balanced().await;
    stage.end().await;
}

/// The receipt of an e-mail may arrive before our own note that it was handed over: it waits for it.
#[tokio::test(flavor = "multi_thread")]
async fn an_emails_receipt_that_outruns_the_settle_waits() {
    let stage = Stage::new().await;
    let worker = stage.worker();
    let ids = stage.store(vec![notification(&stage.sample, Channel::Email, stage.clock.now())]).await;
    receive(&stage, ProviderId::Smtp, format!("{}@notify.localhost", ids[0]), "Delivery", None).await;
    eventually(LIMIT, "put back", async || {
        let receipts = stage.story(ids[0]).await.receipts;
        let audit = stage.db.run("test.audit", db::audit::audit).await.unwrap();
        (receipts.len() == 1 && receipts[0].applied_at.is_none() && audit.receipts_waiting == 1).then_some(())
    })
    .await;
    assert_eq!(
        stage.status(ids[0]).await,
        Status::Created,
        "an e-mail's receipt changes nothing that is not sent"
    );
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
async fn a_receipt_for_nobody_is_done_with() {
    let stage = Stage::new().await;
    let worker = stage.worker();
    receive(&stage, ProviderId::Mmg, "not-one-of-ours".into(), "3", None).await;
    eventually(LIMIT, "done with", async || {
        let audit = stage.db.run("test.audit", db::audit::audit).await.unwrap();
        (audit.receipts_waiting == 0).then_some(())
    })
    .await;
    worker.drain().await;
    stage.end().await;
}

/// Somebody who has seen an e-mail's id says in a text company's words that it failed.
#[tokio::test(flavor = "multi_thread")]
async fn a_text_companys_receipt_leaves_an_email_as_it_is() {
    let stage = Stage::new().await;
    let worker = stage.worker();
    for (channel, provider, status) in
        [(Channel::Email, ProviderId::Mmg, "5"), (Channel::Sms, ProviderId::Smtp, "Bounce")]
    {
        let id = sent(&stage, channel).await;
        receive(&stage, provider, id.to_string(), status, None).await;
        let effect = eventually(LIMIT, "done with", async || {
            stage.story(id).await.receipts.into_iter().find_map(|receipt| receipt.effect)
        });
        assert_eq!(effect.await, "unknown notification");
        assert_eq!(stage.status(id).await, Status::Sending);
    }
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
