//! An SMTP server that writes down what it is told and answers by script.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

/// How the server departs from a polite `250`.
#[derive(Clone, Copy)]
pub(crate) enum Answer {
    /// The usual.
    Usual,
    /// These lines.
    Say(&'static str),
    /// These bytes.
    Bytes(&'static [u8]),
    /// The usual, but only then.
    Late(Duration),
    /// Nothing, until the caller hangs up.
    Hang,
    /// Hangs up.
    Close,
}

/// What the script is asked about: `GREETING`, each command's line, and `.` for the end of a mail.
pub(crate) struct SmtpServer {
    address: SocketAddr,
    /// Connection and line; a whole mail is one line.
    seen: Arc<Mutex<Vec<(usize, String)>>>,
}

impl SmtpServer {
    pub(crate) fn start(script: impl Fn(usize, &str) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (script, log) = (Arc::new(script), Arc::clone(&seen));
        thread::spawn(move || {
            for (connection, stream) in listener.incoming().enumerate() {
                let (script, log) = (Arc::clone(&script), Arc::clone(&log));
                thread::spawn(move || {
                    let _ = serve(&stream.unwrap(), connection, &*script, &log);
                });
            }
        });
        Self { address, seen }
    }

    pub(crate) fn url(&self) -> String {
        format!("smtp://{}/worker.example", self.address)
    }

    pub(crate) fn authority(&self) -> String {
        self.address.to_string()
    }

    pub(crate) fn seen(&self) -> Vec<(usize, String)> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.seen().into_iter().map(|(_, line)| line).collect()
    }
}

type Script = dyn Fn(usize, &str) -> Answer;

fn serve(
    stream: &TcpStream,
    connection: usize,
    script: &Script,
    log: &Mutex<Vec<(usize, String)>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut writer = stream;
    let mut reply = |asked: &str, usual: &str| match script(connection, asked) {
        Answer::Usual => writer.write_all(usual.as_bytes()).map(|()| !usual.starts_with("221")),
        Answer::Say(lines) => writer.write_all(lines.as_bytes()).map(|()| true),
        Answer::Bytes(bytes) => writer.write_all(bytes).map(|()| true),
        Answer::Late(pause) => {
            thread::sleep(pause);
            writer.write_all(usual.as_bytes()).map(|()| true)
        }
        Answer::Close => Ok(false),
        Answer::Hang => {
            let mut rest = Vec::new();
            (&*stream).read_to_end(&mut rest)?;
            Ok(false)
        }
    };
    if !reply("GREETING", "220 relay.example ESMTP\r\n")? {
        return Ok(());
    }
    let mut line = String::new();
    while reader.read_line(&mut line)? > 0 {
        let command = std::mem::take(&mut line).trim_end().to_owned();
        log.lock().unwrap().push((connection, command.clone()));
        let usual = match command.split(' ').next().unwrap_or_default() {
            "EHLO" => "250-relay.example\r\n250-8BITMIME\r\n250 AUTH PLAIN LOGIN\r\n",
            "AUTH" => "235 2.7.0 welcome\r\n",
            "DATA" => "354 go ahead\r\n",
            "QUIT" => "221 bye\r\n",
            _ => "250 2.0.0 ok\r\n",
        };
        if !reply(&command, usual)? {
            return Ok(());
        }
        let wanted = |answer| match answer {
            Answer::Usual | Answer::Late(_) => true,
            Answer::Bytes(bytes) => bytes.starts_with(b"354"),
            Answer::Say(_) | Answer::Hang | Answer::Close => false,
        };
        if command == "DATA" && wanted(script(connection, "DATA")) {
            let mut mail = String::new();
            while !mail.ends_with("\r\n.\r\n") {
                if reader.read_line(&mut mail)? == 0 {
                    return Ok(());
                }
            }
            log.lock().unwrap().push((connection, mail));
            if !reply(".", "250 2.0.0 queued\r\n")? {
                return Ok(());
            }
        }
    }
    Ok(())
}
