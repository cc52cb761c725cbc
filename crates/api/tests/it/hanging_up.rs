//! Callers that do not wait for their answer.

use std::time::Duration;

use diesel::connection::SimpleConnection;
use domain::status::KeyType;
use hyper::Method;
use serde_json::json;
use testkit::eventually;
use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::stage::{LIMIT, Stage};

/// Nobody else's request is stored while this is open.
fn held_up(stage: &Stage) -> diesel::PgConnection {
    let mut holder = diesel::Connection::establish(&stage.database.url()).unwrap();
    let _: &mut diesel::PgConnection = &mut holder;
    holder.batch_execute("BEGIN; LOCK TABLE notifications IN SHARE MODE").unwrap();
    holder
}

#[tokio::test]
async fn what_was_asked_for_by_somebody_who_has_gone_is_not_stored() {
    let stage = Stage::new();
    let mut holder = held_up(&stage);
    let key = format!("Bearer {}", stage.token(KeyType::Normal));
    let headers = |name: &str| [("authorization", key.clone()), ("idempotency-key", name.to_owned())];
    let path = "/v2/notifications/sms";
    let body = |reference: &str| stage.sms(&json!({"reference": reference})).to_string();

    // The first is in its transaction, so that the second waits for its turn.
    let of_first = headers("first");
    let first = stage.http().send(Method::POST, path, &of_first, body("first"));
    let of_gone = headers("gone");
    // Refused at once while the one that goes is worked on; else it waits as that one would.
    let again = || {
        let again = stage.http().send(Method::POST, path, &of_gone, "{}");
        tokio::time::timeout(Duration::from_millis(200), again)
    };
    let gone = async {
        eventually(LIMIT, "the first is held up", async || is_held_up(&stage).then_some(())).await;
        let stream = loop {
            let stream = ask(&stage, path, &key, &body("gone")).await;
            let is_worked_on = async || again().await.is_ok_and(|answer| answer.status == 409);
            // Unless the two met the other way about.
            if is_worked_on().await && stream.try_read(&mut [0]).is_err() {
                break stream;
            }
        };
        drop(stream);
        eventually(LIMIT, "it is given up", async || again().await.is_err().then_some(())).await;
        holder.batch_execute("COMMIT").unwrap();
    };
    tokio::join!(first, gone);
    let after = stage.http().send(Method::POST, path, &headers("after"), body("after")).await;
    assert_eq!(after.status, 201);
    let listed = stage.get("/v2/notifications").await.json();
    let notifications = listed["notifications"].as_array().unwrap();
    let references: Vec<_> = notifications.iter().map(|one| one["reference"].as_str().unwrap()).collect();
    assert!(references.contains(&"after") && !references.contains(&"gone"), "{references:?}");
}

async fn ask(stage: &Stage, path: &str, key: &str, body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(stage.http().address).await.unwrap();
    let length = body.len();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {key}\r\nIdempotency-Key: gone\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

fn is_held_up(stage: &Stage) -> bool {
    let waits =
        "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let waits = diesel::dsl::sql::<diesel::sql_types::Bool>(&format!("EXISTS ({waits})"));
    diesel::RunQueryDsl::get_result(diesel::select(waits), &mut stage.connect()).unwrap()
}
