//! How the process ends, and when it does not start.

use futures_util::join;
use simulator::Provider;
use testkit::{TestDatabase, eventually};

use crate::{
    delivering::{providers, simulator},
    stage::{Api, LIMIT, Stage, config},
};

#[tokio::test]
async fn what_is_in_hand_is_finished_and_answered() {
    let simulator = simulator().await;
    simulator.behave(Provider::Mmg, |mmg| mmg.latency_ms = 500);
    let stage = Stage::with(|_| {}, |config| providers(config, &simulator));
    let id = stage.accepted_sms().await;
    let deliver = stage.deliver(id);
    let stop = async {
        eventually(LIMIT, "it is claimed", async || {
            db::due::find(&mut stage.connect(), id.0).unwrap().filter(|due| due.leased).map(drop)
        })
        .await;
        stage.api.tasks.stop();
    };
    assert_eq!(join!(deliver, stop).0.status, 204);
    let Stage { api, database, .. } = stage;
    api.stop().await;
    let audit = db::audit::audit(&mut database.connect()).unwrap();
    assert_eq!((audit.with_provider, audit.is_balanced()), (1, true));
}

#[tokio::test]
async fn an_idle_process_stops_at_once_though_connections_are_open() {
    let stage = Stage::new();
    stage.accepted_sms().await;
    let Stage { api, database, .. } = stage;
    assert!(tokio::time::timeout(LIMIT / 2, api.stop()).await.is_ok());
    drop(database);
}

#[tokio::test]
async fn it_waits_for_a_database_that_is_away_and_may_be_told_to_stop() {
    let database = TestDatabase::new();
    let mut config = config(&database);
    config.database.url = "postgres://127.0.0.1:1/nothing".into();
    config.database.acquire_timeout = LIMIT / 40;
    let api = Api::start(config);
    tokio::task::yield_now().await;
    assert!(tokio::time::timeout(LIMIT / 2, api.stop()).await.is_ok());
}

#[tokio::test]
async fn it_refuses_a_schema_that_it_does_not_know() {
    let database = TestDatabase::empty();
    let mut api = Api::start(config(&database));
    let ended = api.serving.join_next().await.unwrap().unwrap();
    assert!(ended.unwrap_err().to_string().contains("migrations behind"));
}

#[tokio::test]
async fn it_refuses_clients_and_keys_that_cannot_be_used() {
    let database = TestDatabase::new();
    let mut without_keys = config(&database);
    without_keys.sealing = db::sealing::Config::default();
    let mut bad_clients = config(&database);
    bad_clients.internal = serde_json::from_value(serde_json::json!({"clients": "notify-admin"})).unwrap();
    for config in [without_keys, bad_clients] {
        let mut api = Api::start(config);
        assert!(api.serving.join_next().await.unwrap().unwrap().is_err());
    }
}
