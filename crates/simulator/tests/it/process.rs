//! The simulator as a process.

use std::process::Stdio;

use hyper::Request;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader},
    process::Command,
};

use crate::client::send;

#[tokio::test]
async fn it_says_where_it_is_and_ends_on_sigterm() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_simulator"))
        .args(["--http", "127.0.0.1:0", "--smtp", "127.0.0.1:0", "--latency-ms", "1", "--receipts", "false"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).await.unwrap();
    let addresses = line.trim_end().strip_prefix("simulator ready: http=").unwrap();
    let (http, smtp) = addresses.split_once(" smtp=").unwrap();
    assert!(smtp.starts_with("127.0.0.1:") && smtp != "127.0.0.1:0");
    let request = Request::get(format!("http://{http}/control")).body(Default::default()).unwrap();
    let control = send(request).await.unwrap().json();
    assert_eq!(
        (control["mmg"]["latency_ms"].as_u64(), control["mmg"]["receipts"].as_bool()),
        (Some(1), Some(false))
    );
    let id = child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().await.unwrap().success());
    assert!(child.wait().await.unwrap().success());
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest, "");
}

#[tokio::test]
async fn its_help_names_the_magic_recipients_and_wrong_options_are_refused() {
    let run = |arguments: &'static [&'static str]| {
        Command::new(env!("CARGO_BIN_EXE_simulator")).args(arguments).output()
    };
    let help = String::from_utf8(run(&["--help"]).await.unwrap().stdout).unwrap();
    for wanted in ["7700900002", "7700900016", "temp-fail@", "--error-rate"] {
        assert!(help.contains(wanted), "{wanted} is not in\n{help}");
    }
    for wrong in
        [&["--error-rate", "1.5"][..], &["--mmg-receipt-url", "https://notify.example"], &["--latency"]]
    {
        let wrong: &'static [&'static str] = wrong;
        assert!(!run(wrong).await.unwrap().status.success(), "{wrong:?}");
    }
}
