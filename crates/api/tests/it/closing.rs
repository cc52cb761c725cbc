//! How a replica goes, seen by clients that keep their connections, on real sockets.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use domain::status::KeyType;
use serde_json::json;
use testkit::eventually;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
};

use crate::stage::{LIMIT, Stage, id_of};

const NOTICE: Duration = Duration::from_millis(700);

/// One request that is not made again; what was answered, and whether the connection may be used again.
async fn ask(stream: &mut TcpStream, request: &str) -> io::Result<(u16, bool)> {
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    loop {
        if stream.read_buf(&mut answer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let text = String::from_utf8_lossy(&answer).to_lowercase();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.split("content-length: ").nth(1).unwrap().lines().next().unwrap();
        let length: usize = length.parse().unwrap();
        if body.len() >= length {
            let status = head.split(' ').nth(1).unwrap().parse().unwrap();
            return Ok((status, !head.contains("connection: close")));
        }
    }
}

/// Asks as fast as it can, each request once, until nobody opens any more. Answers how many were answered.
async fn customer(stage: &Stage, asked: Arc<AtomicUsize>) -> impl Future<Output = usize> + use<> {
    let (address, token) = (stage.http().address, stage.token(KeyType::Normal));
    let body = stage.sms(&json!({"phone_number": "07700900000"})).to_string();
    let request = format!(
        "POST /v2/notifications/sms HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    async move {
        let mut answered = 0;
        // A door that is closed says so at once.
        while let Ok(mut stream) = TcpStream::connect(address).await {
            loop {
                let (status, is_kept) = ask(&mut stream, &request).await.expect("a request is answered");
                assert_eq!(status, 201);
                answered += 1;
                asked.fetch_add(1, Ordering::SeqCst);
                if !is_kept {
                    break;
                }
            }
        }
        answered
    }
}

#[tokio::test]
async fn a_replica_that_is_told_to_go_breaks_no_request_of_clients_that_try_nothing_twice() {
    let unlimited = |service: &mut db::service::Service| service.limits.rate = i32::MAX;
    let stage = Stage::with(unlimited, |config| config.api.closing_notice = NOTICE);
    let asked = Arc::new(AtomicUsize::new(0));
    let mut customers = JoinSet::new();
    for _ in 0..8 {
        customers.spawn(customer(&stage, asked.clone()).await);
    }
    eventually(LIMIT, "they ask", async || (asked.load(Ordering::SeqCst) > 100).then_some(())).await;
    stage.api.tasks.stop();
    let Stage { api, database, .. } = stage;
    api.stop().await;
    while let Some(answered) = customers.join_next().await {
        assert!(answered.unwrap() > 0);
    }
    drop(database);
}

#[tokio::test]
async fn told_to_go_it_says_so_at_once_and_idle_connections_live_until_the_notice_is_over() {
    let stage = Stage::with(|_| {}, |config| config.api.closing_notice = NOTICE);
    let mut idle = TcpStream::connect(stage.http().address).await.unwrap();
    let status = "GET /_status?simple=1 HTTP/1.1\r\nHost: x\r\n\r\n";
    let ready = "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n";
    assert_eq!(ask(&mut idle, status).await.unwrap(), (200, true));
    stage.api.tasks.stop();
    let mut new = TcpStream::connect(stage.http().address).await.unwrap();
    assert_eq!(ask(&mut new, ready).await.unwrap(), (503, false));
    assert_eq!(ask(&mut idle, status).await.unwrap(), (200, false), "served, and told to go elsewhere");
    let mut never_used = TcpStream::connect(stage.http().address).await.unwrap();
    let closed = AtomicBool::new(false);
    tokio::join!(
        async {
            assert_eq!(never_used.read(&mut [0]).await.unwrap(), 0, "closed in order");
            closed.store(true, Ordering::SeqCst);
        },
        async {
            while TcpStream::connect(stage.http().address).await.is_ok() {
                assert!(!closed.load(Ordering::SeqCst), "the door closes before idle connections do");
                tokio::task::yield_now().await;
            }
        }
    );
    let Stage { api, database, .. } = stage;
    api.stop().await;
    drop(database);
}

/// Of an answer of more than a megabyte, a client that reads nothing has this in its hands, and the kernel keeps some more.
const SMALL: u32 = 16 * 1024;

async fn never_reads(stage: &Stage) -> TcpStream {
    let body = stage.email(&json!({"personalisation": {"name": "x".repeat(650_000)}}));
    let answer = stage.send("email", &body).await;
    assert_eq!(answer.status, 201);
    let (id, token) = (id_of(&answer), stage.token(KeyType::Normal));
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(SMALL).unwrap();
    let mut stream = socket.connect(stage.http().address).await.unwrap();
    let request =
        format!("GET /v2/notifications/{id} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.readable().await.unwrap();
    stream
}

#[tokio::test]
async fn a_client_that_takes_no_bytes_is_cut_off_and_a_slow_one_is_not() {
    let stage = Stage::with(|_| {}, |config| config.api.write_timeout = Duration::from_millis(500));
    let stuck = never_reads(&stage).await;
    let mut slow = never_reads(&stage).await;
    let reads = async {
        let (mut taken, mut buffer) = (0, vec![0; 100_000]);
        while let Ok(bytes @ 1..) = slow.read(&mut buffer).await {
            taken += bytes;
            if taken >= 1_200_000 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        taken
    };
    let cut_off = eventually(LIMIT, "it is cut off", async || stuck.take_error().unwrap().map(drop));
    let ((), taken) = tokio::join!(cut_off, reads);
    assert!(taken >= 1_200_000, "{taken}");
}

#[tokio::test]
async fn one_that_never_reads_does_not_hold_up_the_end() {
    let stage = Stage::with(|_| {}, |config| config.api.write_timeout = Duration::from_millis(500));
    let stuck = never_reads(&stage).await;
    let Stage { api, database, .. } = stage;
    assert!(tokio::time::timeout(LIMIT / 2, api.stop()).await.is_ok());
    drop((stuck, database));
}
