//! The SMTP server: plain, pipelined, with many long-lived connections; every mail goes to the inbox. `smtp-proto` reads the
//! protocol.

use std::{slice, sync::Arc, time::Duration};

use smtp_proto::{
    EXT_8BIT_MIME, EXT_ENHANCED_STATUS_CODES, EXT_PIPELINING, EXT_SIZE, EXT_SMTP_UTF8, EhloResponse, Error,
    Request, Response,
    request::receiver::{DataReceiver, DummyDataReceiver, RequestReceiver},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_util::task::TaskTracker;

use crate::{
    Shared,
    control::{Behaviour, Provider},
    mail::Mail,
    now,
    outbox::Job,
    receipts::{self, SentMail},
    record::{Outcome, Receipt},
    scenario::{self, Answer, Rule, Times},
    server::next_connection,
};

const NAME: &str = "simulator.notify";
/// Longer than any pooled client keeps a connection without using it.
const IDLE: Duration = Duration::from_secs(600);
const RECIPIENT_LIMIT: usize = 100;
/// Wrong commands before we hang up.
const PATIENCE: u32 = 20;
/// Of the commands and content read at a time.
const CHUNK: usize = 16 * 1024;

/// Whether the conversation goes on after a reply.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    Continue,
    /// Send what was said, then close.
    Close,
    /// Close at once.
    Drop,
}

/// What the client's next bytes are.
enum Input {
    Commands,
    Content(DataReceiver, Vec<u8>),
    /// Content beyond the size limit.
    Excess(DummyDataReceiver),
}

/// One client's conversation.
struct Session<'a> {
    shared: &'a Shared,
    commands: RequestReceiver,
    input: Input,
    greeted: bool,
    from: Option<String>,
    to: Vec<String>,
    mistakes: u32,
    /// Replies not sent yet: several when the client pipelines.
    replies: Vec<u8>,
}

/// Takes connections until the simulator stops.
pub(crate) async fn run(listener: TcpListener, shared: Arc<Shared>, tasks: TaskTracker) {
    while let Some(stream) = next_connection(&listener, &shared).await {
        let shared = shared.clone();
        tasks.spawn(async move { Session::new(&shared).talk(stream).await });
    }
}

impl<'a> Session<'a> {
    fn new(shared: &'a Shared) -> Self {
        Self {
            shared,
            commands: RequestReceiver::default(),
            input: Input::Commands,
            greeted: false,
            from: None,
            to: Vec::new(),
            mistakes: 0,
            replies: Vec::new(),
        }
    }

    /// Reads and answers until either side ends it. A connection that breaks needs no care: nothing half-done was kept.
    async fn talk(mut self, mut stream: TcpStream) {
        if self.behaviour().outage {
            return;
        }
        self.line(&format!("220 {NAME} ESMTP"));
        let mut chunk = vec![0; CHUNK];
        loop {
            let Ok(Ok(())) = timeout(IDLE, stream.write_all(&self.replies)).await else { return };
            self.replies.clear();
            let read = tokio::select! {
                () = self.shared.stop.cancelled() => None,
                read = timeout(IDLE, stream.read(&mut chunk)) => Some(read),
            };
            let then = match read {
                None | Some(Err(_)) => self.say(421, [4, 3, 2], "Closing the connection", Then::Close),
                Some(Ok(Ok(0) | Err(_))) => return,
                Some(Ok(Ok(length))) => self.hear(&chunk[..length]).await,
            };
            match then {
                Then::Continue => {}
                Then::Drop => return,
                Then::Close => {
                    let _ = timeout(IDLE, stream.write_all(&self.replies)).await;
                    return;
                }
            }
        }
    }

    fn behaviour(&self) -> Behaviour {
        self.shared.controls.behaviour(Provider::Email)
    }

    fn line(&mut self, line: &str) {
        self.replies.extend_from_slice(line.as_bytes());
        self.replies.extend_from_slice(b"\r\n");
    }

    fn say(&mut self, code: u16, [class, subject, detail]: [u8; 3], text: &str, then: Then) -> Then {
        Response::new(code, class, subject, detail, text)
            .write(&mut self.replies)
            .expect("a Vec takes any bytes");
        then
    }

    /// Works through what was read; it may hold several commands, or a part of one.
    async fn hear(&mut self, bytes: &[u8]) -> Then {
        if self.behaviour().outage {
            self.shared.record.call(Provider::Email);
            self.shared.record.ended(Provider::Email, Outcome::Dropped);
            return Then::Drop;
        }
        let mut bytes = bytes.iter();
        loop {
            let then = match &mut self.input {
                Input::Commands => match self.commands.ingest(&mut bytes).map(Request::into_owned) {
                    Ok(request) => self.obey(request),
                    Err(Error::NeedsMoreData { .. }) => return Then::Continue,
                    Err(error) => self.complain(&error),
                },
                Input::Content(..) | Input::Excess(_) => match self.swallow(&mut bytes).await {
                    Some(then) => then,
                    None => return Then::Continue,
                },
            };
            if then != Then::Continue {
                return then;
            }
        }
    }

    /// Reads content; nothing while it has not ended.
    async fn swallow(&mut self, bytes: &mut slice::Iter<'_, u8>) -> Option<Then> {
        let limit = self.shared.options.mail_limit;
        let ended = match &mut self.input {
            Input::Commands => true,
            Input::Content(receiver, content) => receiver.ingest(bytes, content),
            Input::Excess(receiver) => receiver.ingest(bytes),
        };
        if let Input::Content(receiver, content) = &self.input
            && content.len() > limit
        {
            self.input = Input::Excess(DummyDataReceiver::new_data(receiver));
        }
        if !ended {
            return None;
        }
        let then = match std::mem::replace(&mut self.input, Input::Commands) {
            Input::Content(_, content) => self.mail(&content).await,
            Input::Excess(_) | Input::Commands => {
                self.shared.record.call(Provider::Email);
                self.shared.record.ended(Provider::Email, Outcome::Malformed);
                self.say(552, [5, 3, 4], "Message too big", Then::Continue)
            }
        };
        self.from = None;
        self.to.clear();
        Some(then)
    }

    fn obey(&mut self, request: Request<String>) -> Then {
        match request {
            Request::Ehlo { .. } => {
                self.reset();
                self.greeted = true;
                let mut hello = EhloResponse::new(NAME);
                hello.capabilities =
                    EXT_8BIT_MIME | EXT_ENHANCED_STATUS_CODES | EXT_PIPELINING | EXT_SIZE | EXT_SMTP_UTF8;
                hello.size = self.shared.options.mail_limit;
                hello.write(&mut self.replies).expect("a Vec takes any bytes");
                Then::Continue
            }
            Request::Helo { .. } => {
                self.reset();
                self.greeted = true;
                self.line(&format!("250 {NAME}"));
                Then::Continue
            }
            Request::Mail { from } => self.sender(from.address, from.size),
            Request::Rcpt { to } => self.recipient(to.address),
            Request::Data => self.data(),
            Request::Rset => {
                self.reset();
                self.say(250, [2, 0, 0], "Ok", Then::Continue)
            }
            Request::Noop { .. } => self.say(250, [2, 0, 0], "Ok", Then::Continue),
            Request::Vrfy { .. } => self.say(252, [2, 5, 0], "Send it and see", Then::Continue),
            Request::Quit => self.say(221, [2, 0, 0], "Bye", Then::Close),
            // Its content follows without being asked for: there is no way to go on.
            Request::Bdat { .. } => self.say(502, [5, 5, 1], "Not offered", Then::Close),
            Request::Lhlo { .. }
            | Request::Auth { .. }
            | Request::Expn { .. }
            | Request::Help { .. }
            | Request::Etrn { .. }
            | Request::Atrn { .. }
            | Request::Burl { .. }
            | Request::StartTls => self.mistake(502, [5, 5, 1], "Not offered"),
        }
    }

    fn complain(&mut self, error: &Error) -> Then {
        match error {
            // The rest of the line would be taken for commands.
            Error::ResponseTooLong => self.say(500, [5, 5, 6], "Line too long", Then::Close),
            Error::InvalidSenderAddress => self.mistake(501, [5, 1, 7], "Sender address not understood"),
            Error::InvalidRecipientAddress => {
                self.mistake(501, [5, 1, 3], "Recipient address not understood")
            }
            Error::SyntaxError { .. } | Error::InvalidParameter { .. } => {
                self.mistake(501, [5, 5, 4], "Parameters not understood")
            }
            Error::UnsupportedParameter { .. } => self.mistake(555, [5, 5, 4], "Parameter not offered"),
            Error::UnknownCommand | Error::NeedsMoreData { .. } | Error::InvalidResponse { .. } => {
                self.mistake(500, [5, 5, 1], "Command not known")
            }
        }
    }

    fn mistake(&mut self, code: u16, detail: [u8; 3], text: &str) -> Then {
        self.mistakes += 1;
        if self.mistakes > PATIENCE {
            return self.say(421, [4, 7, 0], "Too many mistakes", Then::Close);
        }
        self.say(code, detail, text, Then::Continue)
    }

    fn reset(&mut self) {
        self.from = None;
        self.to.clear();
    }

    fn sender(&mut self, address: String, size: usize) -> Then {
        if !self.greeted {
            return self.mistake(503, [5, 5, 1], "Say EHLO first");
        }
        if self.from.is_some() {
            return self.mistake(503, [5, 5, 1], "One sender is enough");
        }
        if size > self.shared.options.mail_limit {
            return self.say(552, [5, 3, 4], "Message too big", Then::Continue);
        }
        self.from = Some(address);
        self.say(250, [2, 1, 0], "Ok", Then::Continue)
    }

    fn recipient(&mut self, address: String) -> Then {
        let Some(from) = &self.from else {
            return self.mistake(503, [5, 5, 1], "Say MAIL first");
        };
        if self.to.len() >= RECIPIENT_LIMIT {
            return self.say(452, [4, 5, 3], "Too many recipients", Then::Continue);
        }
        let rule = scenario::for_address(&address);
        if rule.times == Times::Always && matches!(rule.answer, Answer::Refuse | Answer::Defer) {
            let message = Mail::default().into_message(from, address, Outcome::Refused, Receipt::None);
            self.shared.record.call(Provider::Email);
            self.shared.record.keep(message);
            return if rule.answer == Answer::Refuse {
                self.say(550, [5, 1, 1], "No such mailbox", Then::Continue)
            } else {
                self.say(451, [4, 2, 1], "Mailbox busy, come back later", Then::Continue)
            };
        }
        self.to.push(address);
        self.say(250, [2, 1, 5], "Ok", Then::Continue)
    }

    fn data(&mut self) -> Then {
        if self.to.is_empty() {
            return self.mistake(503, [5, 5, 1], "Say RCPT first");
        }
        // The receiver looks for a dot after a line's end, and content starts at the start of a line.
        let (mut receiver, mut content) = (DataReceiver::new(), Vec::new());
        receiver.ingest(&mut b"\r\n".iter(), &mut content);
        content.clear();
        self.input = Input::Content(receiver, content);
        self.line("354 Go ahead; end with a dot on a line of its own");
        Then::Continue
    }

    /// Decides on a whole mail. Only its first recipient can be magic.
    async fn mail(&mut self, content: &[u8]) -> Then {
        let shared = self.shared;
        let behaviour = self.behaviour();
        let mail = Mail::read(content);
        shared.record.call(Provider::Email);
        shared.record.about(&mail.id);
        let (before, after) = behaviour.latency();
        shared.pause(before).await;
        let rule = self.to.first().map_or_else(|| scenario::for_address(""), |to| scenario::for_address(to));
        let answer = if behaviour.fails_now() {
            Answer::Defer
        } else if rule.times == Times::AtFirst {
            rule.answer_to(shared.record.nth_try(&mail.id), shared.options.refusals)
        } else {
            rule.answer
        };
        let from = self.from.clone().unwrap_or_default();
        let to = self.to.join(", ");
        let keep =
            |mail: Mail, outcome| shared.record.keep(mail.into_message(&from, to, outcome, Receipt::None));
        let then = match answer {
            Answer::Accept | Answer::AfterReceipt => {
                self.accept(mail, &behaviour, rule, answer, &from).await;
                let number = shared.next_number();
                self.say(250, [2, 0, 0], &format!("Ok: queued as {number}"), Then::Continue)
            }
            Answer::AcceptThenDrop => {
                self.accept(mail, &behaviour, rule, answer, &from).await;
                Then::Drop
            }
            Answer::Refuse => {
                keep(mail, Outcome::Refused);
                self.say(554, [5, 6, 0], "Not wanted", Then::Continue)
            }
            Answer::Defer => {
                keep(mail, Outcome::Refused);
                self.say(451, [4, 3, 0], "Come back later", Then::Continue)
            }
            Answer::Throttle => {
                keep(mail, Outcome::Throttled);
                self.say(454, [4, 7, 0], "Throttling failure: Maximum sending rate exceeded", Then::Continue)
            }
            Answer::Gibberish => {
                keep(mail, Outcome::Gibberish);
                self.line("It works!");
                Then::Close
            }
            Answer::TooLate => {
                keep(mail, Outcome::Refused);
                shared.pause(shared.options.too_late_ms).await;
                self.say(451, [4, 4, 2], "Timed out", Then::Continue)
            }
            Answer::Drop => {
                keep(mail, Outcome::Dropped);
                Then::Drop
            }
        };
        shared.pause(after).await;
        then
    }

    /// Puts the mail into the inbox and its receipts on their way.
    async fn accept(&self, mail: Mail, behaviour: &Behaviour, rule: &Rule, answer: Answer, from: &str) {
        let reference = mail.id.clone();
        // Without a Message-ID nobody could tell what a receipt is about.
        let wanted = behaviour.receipts && !rule.receipts.is_empty() && !reference.is_empty();
        let endpoint = if wanted { self.shared.controls.endpoint(Provider::Email) } else { None };
        let receipt = if endpoint.is_some() { Receipt::Waiting } else { Receipt::None };
        let sent_at = now();
        let kept = mail.into_message(from, self.to.join(", "), Outcome::Accepted, receipt);
        let id = self.shared.record.keep(kept);
        let Some(endpoint) = endpoint else { return };
        let at_once = answer == Answer::AfterReceipt;
        let delay = if at_once { Duration::ZERO } else { behaviour.draw_receipt_delay() };
        let sent = SentMail { message_id: &reference, to: &self.to, sent_at };
        let job =
            Job::new(id, Provider::Email, endpoint, receipts::ses(sent, rule.receipts, sent_at + delay));
        if at_once {
            self.shared.outbox.post_now(job).await;
        } else {
            self.shared.outbox.put(job, delay);
        }
    }
}
