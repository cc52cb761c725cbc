//! Starts `examples/smallest.rs` and sends it signals.

use std::{
    env, fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::PathBuf,
    process::{Child, ChildStdout, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

/// Only a process that hangs takes this long.
const LIMIT: Duration = Duration::from_secs(20);

struct Process {
    child: Child,
    log: BufReader<ChildStdout>,
    lines: Vec<Value>,
}

impl Process {
    fn start(variables: &[(&str, &str)]) -> Self {
        let mut child = Command::new(program())
            .envs(variables.iter().copied())
            .env_remove("PILLARBOX_CONFIG")
            .current_dir(env::temp_dir())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stdout.take().unwrap());
        Self { child, log, lines: Vec::new() }
    }

    /// Reads the log up to a line with this message. Fails when the process ends without saying it.
    fn wait_for(&mut self, message: &str) -> Value {
        loop {
            let mut line = String::new();
            assert_ne!(self.log.read_line(&mut line).unwrap(), 0, "never said {message:?}: {:?}", self.lines);
            let line: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("not JSON: {line}"));
            assert_eq!(line["service"], "smallest");
            self.lines.push(line.clone());
            if line["message"].as_str().is_some_and(|said| said.contains(message)) {
                return line;
            }
        }
    }

    fn health(&mut self) -> String {
        self.wait_for("listening: health")["address"].as_str().unwrap().to_owned()
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    fn let_it_finish(&mut self) {
        drop(self.child.stdin.take());
    }

    fn exit_code(&mut self) -> i32 {
        let since = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().expect("it exits, no signal kills it");
            }
            assert!(since.elapsed() < LIMIT, "it does not end: {:?}", self.lines);
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails when it has ended, which is what it should have done.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Examples are built with the tests, into the folder beside them.
fn program() -> PathBuf {
    let tests = env::current_exe().unwrap();
    let program = tests.parent().unwrap().parent().unwrap().join("examples/smallest");
    assert!(program.exists(), "{} is not built: run all targets of the crate", program.display());
    program
}

fn get(address: &str, path: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap())
}

#[test]
fn large_memory_is_given_back_unless_the_operator_knows_better() {
    for (set, expected) in [
        (None, "MALLOC_MMAP_THRESHOLD_=131072"),
        (Some(("MALLOC_MMAP_THRESHOLD_", "1")), "MALLOC_MMAP_THRESHOLD_=1"),
        (
            Some(("GLIBC_TUNABLES", "glibc.malloc.mmap_threshold=1")),
            "GLIBC_TUNABLES=glibc.malloc.mmap_threshold=1",
        ),
    ] {
        let mut process = Process::start(set.as_slice());
        process.health();
        let environment = fs::read_to_string(format!("/proc/{}/environ", process.child.id())).unwrap();
        let mut about_memory =
            environment.split('\0').filter(|v| v.starts_with("MALLOC") || v.starts_with("GLIBC"));
        assert_eq!((about_memory.next(), about_memory.next()), (Some(expected), None));
    }
}

#[test]
fn a_signal_drains_and_the_exit_code_is_zero() {
    for name in ["TERM", "INT"] {
        let mut process = Process::start(&[]);
        let address = process.health();
        assert_eq!(get(&address, "/healthz").0, 200);
        let (status, ready) = get(&address, "/readyz");
        assert_eq!((status, &ready["status"]), (200, &"ready".into()));
        assert_eq!(get(&address, "/elsewhere").0, 404);

        process.signal(name);
        process.wait_for("stopping");
        let (status, ready) = get(&address, "/readyz");
        assert_eq!(
            (status, &ready["status"]),
            (503, &"draining".into()),
            "still answers while work is in hand"
        );
        assert_eq!(get(&address, "/healthz").0, 200);

        process.let_it_finish();
        process.wait_for("finished what was in hand");
        assert_eq!(process.exit_code(), 0);
    }
}

#[test]
fn a_second_signal_cuts_off() {
    let mut process = Process::start(&[]);
    process.health();
    process.signal("TERM");
    process.wait_for("stopping");
    process.signal("TERM");
    process.wait_for("told twice");
    assert_eq!(process.exit_code(), 124);
}

#[test]
fn the_deadline_cuts_off() {
    let mut process = Process::start(&[("PILLARBOX__SHUTDOWN__DRAIN_TIMEOUT", "50ms")]);
    process.health();
    process.signal("TERM");
    process.wait_for("the drain took too long");
    assert_eq!(process.exit_code(), 124);
}

#[test]
fn a_failing_task_ends_the_process_and_is_told_in_the_log() {
    let mut process = Process::start(&[("PILLARBOX__WORKER__TASK", "fail")]);
    let line = process.wait_for("a task failed");
    assert_eq!((&line["task"], &line["error"]), (&"work".into(), &"the queue is gone".into()));
    assert_eq!(process.exit_code(), 1);
}

#[test]
fn a_panicking_task_ends_the_process_and_is_told_in_the_log() {
    let mut process = Process::start(&[("PILLARBOX__WORKER__TASK", "panic")]);
    assert!(process.wait_for("panicked")["at"].as_str().unwrap().contains("smallest.rs"));
    process.wait_for("a task failed");
    assert_eq!(process.exit_code(), 1);
}

#[test]
fn a_configuration_that_cannot_be_used_ends_the_process_at_once() {
    for (name, value, told) in [
        ("PILLARBOX__WORKER__TASKS", "fail", "worker.tasks"),
        ("PILLARBOX__WROKER__TASK", "fail", "wroker"),
        ("PILLARBOX__LOG__FILTER", "info,broker=loud", "log.filter"),
    ] {
        let mut process = Process::start(&[(name, value)]);
        assert_eq!(process.exit_code(), 78);
        let mut error = String::new();
        process.child.stderr.take().unwrap().read_to_string(&mut error).unwrap();
        assert!(error.starts_with("smallest: ") && error.contains(told), "{error}");
    }
}

#[test]
fn a_taken_port_fails_or_moves_on() {
    let mut first = Process::start(&[]);
    let taken = first.health();
    let mut second = Process::start(&[("PILLARBOX__WORKER__HEALTH", &taken)]);
    second.wait_for("failed, the process stops");
    assert_eq!(second.exit_code(), 1);

    let mut third = Process::start(&[
        ("PILLARBOX__WORKER__HEALTH", &taken),
        ("PILLARBOX__LISTEN__NEXT_FREE_PORT", "true"),
    ]);
    let moved = third.health();
    assert_ne!(moved, taken);
    assert_eq!(get(&moved, "/readyz").0, 200);
}
