//! `POST /deliver/notification/{id}`, with the simulator as the provider.

use std::time::Duration;

use api::Config;
use domain::{
    id::NotificationId,
    status::{Channel, Status},
    wakeup::Kind,
};
use futures_util::future::join_all;
use hyper::Method;
use serde_json::json;
use simulator::{Options, Provider, Simulator};
use testkit::eventually;
use tokio::{io::AsyncWriteExt, net::TcpStream};
use uuid::Uuid;

use crate::stage::{ADMIN_SECRET, Api, LIMIT, Stage, config, id_of, now, token};

pub(crate) async fn simulator() -> Simulator {
    let simulator = Simulator::start(Options { record_all: true, ..Options::default() }).await.unwrap();
    simulator.behave_all(|provider| provider.receipts = false);
    simulator
}

pub(crate) fn providers(config: &mut Config, simulator: &Simulator) {
    config.providers.mmg.url = simulator.mmg_url();
    config.providers.mmg.key = "simulated".into();
    config.providers.smtp.url = format!("smtp://{}", simulator.smtp_addr()).as_str().into();
}

async fn stage() -> (Stage, Simulator) {
    let simulator = simulator().await;
    (Stage::with(|_| {}, |config| providers(config, &simulator)), simulator)
}

fn status(stage: &Stage, id: NotificationId) -> Status {
    db::notification::find(&mut stage.connect(), id).unwrap().unwrap().status
}

#[tokio::test]
async fn a_text_is_delivered_and_once_more_changes_nothing() {
    let (stage, simulator) = stage().await;
    let id = stage.accepted_sms().await;
    for _ in 0..2 {
        let answer = stage.deliver(id).await;
        assert_eq!((answer.status, answer.body.len()), (204, 0), "{answer:?}");
        assert_eq!(status(&stage, id), Status::Sending);
        assert_eq!(simulator.reference_calls(&id.to_string()).unwrap().accepted, 1);
    }
    assert_eq!(
        simulator.accepted(&id.to_string())[0].text.as_deref(),
        Some("Parking permits: Hello Rosa, your permit is ready")
    );
    let audit = db::audit::audit(&mut stage.connect()).unwrap();
    assert!(audit.is_balanced(), "{audit:?}");
}

#[tokio::test]
async fn an_email_is_delivered() {
    let (stage, simulator) = stage().await;
    let id = id_of(&stage.send("email", &stage.email(&json!({}))).await);
    assert_eq!(stage.deliver(id).await.status, 204);
    assert_eq!(status(&stage, id), Status::Sending);
    assert_eq!(simulator.messages().len(), 1);
}

#[tokio::test]
async fn no_such_notification() {
    let (stage, _simulator) = stage().await;
    let unknown = stage.deliver(Uuid::new_v4()).await;
    assert_eq!(unknown.parts(), (404, json!({"result": "error", "message": "No result found"})));
    let no_id = stage.deliver("x").await;
    let unknown_url = stage.http().get("/x", None).await;
    assert_eq!(no_id.parts(), unknown_url.parts());
}

#[tokio::test]
async fn a_services_key_delivers_nothing() {
    let (stage, simulator) = stage().await;
    let id = stage.accepted_sms().await;
    let token = stage.token(domain::status::KeyType::Normal);
    let answer = stage.http().post(&format!("/deliver/notification/{id}"), Some(&token), "").await;
    assert_eq!(answer.status, 401);
    assert_eq!((status(&stage, id), simulator.messages().len()), (Status::Created, 0));
}

#[tokio::test]
async fn when_the_provider_fails_it_goes_back_to_wait_and_the_answer_is_204() {
    let (stage, simulator) = stage().await;
    simulator.behave(Provider::Mmg, |mmg| mmg.outage = true);
    let id = stage.accepted_sms().await;
    assert_eq!(stage.deliver(id).await.status, 204);
    assert_eq!(status(&stage, id), Status::Created);
    let due = db::due::find(&mut stage.connect(), id.0).unwrap().unwrap();
    assert!(!due.leased && due.failures == 1 && due.due_at > now(), "{due:?}");
    simulator.behave(Provider::Mmg, |mmg| mmg.outage = false);
    assert_eq!(stage.deliver(id).await.status, 204);
    assert_eq!(status(&stage, id), Status::Created, "its time has not come");
}

#[tokio::test]
async fn two_instances_hammering_the_same_ids_call_the_provider_once_each() {
    let (stage, simulator) = stage().await;
    simulator.behave(Provider::Mmg, |mmg| mmg.latency_ms = 50);
    let mut second = config(&stage.database);
    providers(&mut second, &simulator);
    let second = Api::start(second);
    let ids = join_all((0..10).map(|_| stage.accepted_sms())).await;
    let admin = token("notify-admin", ADMIN_SECRET);
    let calls = ids.iter().flat_map(|id| [stage.http(), &second.http, stage.http()].map(|http| (id, http)));
    let answers = join_all(calls.map(async |(id, http)| {
        http.post(&format!("/deliver/notification/{id}"), Some(&admin), "").await.status
    }))
    .await;
    assert!(answers.iter().all(|status| *status == 204), "{answers:?}");
    eventually(LIMIT, "all are with the provider", async || {
        ids.iter().all(|id| status(&stage, *id) == Status::Sending).then_some(())
    })
    .await;
    for id in ids {
        assert_eq!(simulator.reference_calls(&id.to_string()).unwrap().calls, 1);
    }
    second.stop().await;
}

#[tokio::test]
async fn what_is_claimed_is_settled_even_when_the_caller_hangs_up() {
    let (stage, simulator) = stage().await;
    simulator.behave(Provider::Mmg, |mmg| mmg.latency_ms = 300);
    let id = stage.accepted_sms().await;
    let mut caller = TcpStream::connect(stage.http().address).await.unwrap();
    let admin = token("notify-admin", ADMIN_SECRET);
    let request = format!(
        "POST /deliver/notification/{id} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {admin}\r\nContent-Length: 0\r\n\r\n"
    );
    caller.write_all(request.as_bytes()).await.unwrap();
    eventually(LIMIT, "it is claimed", async || {
        db::due::find(&mut stage.connect(), id.0).unwrap().filter(|due| due.leased).map(drop)
    })
    .await;
    drop(caller);
    eventually(LIMIT, "it is settled", async || (status(&stage, id) == Status::Sending).then_some(())).await;
}

#[tokio::test]
async fn a_test_keys_message_reaches_no_provider_and_its_receipt_is_due() {
    let (stage, simulator) = stage().await;
    let id = id_of(&stage.send_as(domain::status::KeyType::Test, "sms", &stage.sms(&json!({}))).await);
    assert_eq!(stage.deliver(id).await.status, 204);
    assert_eq!((status(&stage, id), simulator.messages().len()), (Status::Sending, 0));
    assert_eq!(db::audit::audit(&mut stage.connect()).unwrap().receipts_waiting, 1);
}

#[tokio::test]
async fn rows_that_another_team_stored_are_taken_in() {
    let (stage, _simulator) = stage().await;
    let row = testkit::notification(&stage.sample, Channel::Sms, now());
    let id = row.id;
    db::intake::store(&mut stage.connect(), &[row]).unwrap();
    stage.sql("DELETE FROM due");
    assert_eq!(stage.deliver(id).await.status, 204);
    assert_eq!(status(&stage, id), Status::Sending);
}

#[tokio::test]
async fn what_does_not_open_goes_back_to_wait() {
    let (stage, simulator) = stage().await;
    let id = stage.accepted_sms().await;
    stage.sql("UPDATE notifications SET personalisation = '\\x00'");
    assert_eq!(stage.deliver(id).await.status, 204);
    let due = db::due::find(&mut stage.connect(), id.0).unwrap().unwrap();
    assert_eq!((due.leased, due.failures, simulator.messages().len()), (false, 1, 0));
}

/// A settle that the database refuses for good ends the delivery; it is neither tried nor sent for ever.
#[tokio::test]
async fn what_cannot_be_written_down_ends_as_technical_failure_and_the_answer_is_204() {
    let (stage, _simulator) = stage().await;
    let id = stage.accepted_sms().await;
    stage.sql("ALTER TABLE notifications ADD CHECK (status <> 'sending')");
    assert_eq!(stage.deliver(id).await.status, 204);
    assert_eq!(status(&stage, id), Status::TechnicalFailure);
}

#[tokio::test]
async fn get_is_the_wrong_method() {
    let (stage, _simulator) = stage().await;
    let answer = stage.http().call(Method::GET, "/deliver/notification/x", None, "").await;
    assert_eq!(answer.status, 405);
}

#[tokio::test]
async fn the_sweep_leaves_a_held_notification_alone() {
    let (stage, simulator) = stage().await;
    simulator.behave(Provider::Mmg, |mmg| mmg.latency_ms = 500);
    let id = stage.accepted_sms().await;
    let deliver = stage.deliver(id);
    let sweep = async {
        let held = || db::due::find(&mut stage.connect(), id.0).unwrap().is_some_and(|due| due.leased);
        eventually(LIMIT, "it is claimed", async || held().then_some(())).await;
        let swept =
            db::due::take(&mut stage.connect(), &Kind::DELIVERIES, now() + Duration::from_secs(1), 10);
        assert_eq!(swept.unwrap().wake, []);
    };
    assert_eq!(futures_util::join!(deliver, sweep).0.status, 204);
}
