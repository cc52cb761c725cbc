//! Mail: lettre as the client, and the protocol by hand where lettre does not go.

use std::time::Duration;

use lettre::{
    Address, AsyncSmtpTransport, AsyncTransport as _, Message as Mail, Tokio1Executor,
    address::Envelope,
    message::MultiPart,
    transport::smtp::{Error, client::AsyncSmtpConnection, extension::ClientId, response::Response},
};
use serde_json::Value;
use simulator::{Options, Outcome, Provider, Receipt, ReferenceCalls, Simulator, scenario::Fate};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    task::JoinSet,
};

use crate::{catcher::Catcher, eventually, start, start_with};

const ID: &str = "6f2f8a0e-1f41-4c8d-8f0a-0b7f0a3c9f11@notify.example";

fn mail(to: &str) -> Mail {
    Mail::builder()
        .message_id(Some(format!("<{ID}>")))
        .from("\"Queue ✓\" <queue@notify.example>".parse().unwrap())
        .to(to.parse().unwrap())
        .reply_to("desk@example.com".parse().unwrap())
        .subject("Your turn – soon")
        .multipart(MultiPart::alternative_plain_html(
            "Hello\r\n.\r\n..dots\r\nand ünïcode\r\n".to_owned(),
            "<h1>Hello</h1><p>and ünïcode</p>".to_owned(),
        ))
        .unwrap()
}

async fn send(simulator: &Simulator, to: &str) -> Result<Response, Error> {
    let addr = simulator.smtp_addr();
    AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(addr.ip().to_string())
        .port(addr.port())
        .timeout(Some(Duration::from_secs(10)))
        .build()
        .send(mail(to))
        .await
}

fn code(result: &Result<Response, Error>) -> String {
    match result {
        Ok(response) => response.code().to_string(),
        Err(error) => error.status().map_or_else(String::new, |code| code.to_string()),
    }
}

/// The SES event in the envelope that was posted.
fn event(body: &str) -> Value {
    let envelope: Value = serde_json::from_str(body).unwrap();
    assert_eq!(envelope["Type"], "Notification");
    serde_json::from_str(envelope["Message"].as_str().unwrap()).unwrap()
}

async fn with_receipts(options: Options) -> (Simulator, Catcher) {
    let catcher = Catcher::start().await;
    let url = catcher.url("/notifications/email/ses");
    (start_with(Options { mail_receipt_url: Some(url), ..options }).await, catcher)
}

#[tokio::test]
async fn a_mail_is_taken_as_it_was_written() {
    let simulator = start().await;
    assert_eq!(code(&send(&simulator, "ada@example.com").await), "250");
    let message = &simulator.messages()[0];
    assert_eq!((message.provider, message.outcome), (Provider::Email, Outcome::Accepted));
    assert_eq!((message.reference.as_str(), message.to.as_str()), (ID, "ada@example.com"));
    assert_eq!(message.from, "Queue ✓ <queue@notify.example>");
    assert_eq!(message.subject.as_deref(), Some("Your turn – soon"));
    assert_eq!(
        message.text.as_ref().map(|text| text.replace("\r\n", "\n")).as_deref(),
        Some("Hello\n.\n..dots\nand ünïcode\n")
    );
    assert_eq!(message.html.as_deref().map(str::trim), Some("<h1>Hello</h1><p>and ünïcode</p>"));
    assert_eq!(message.header("reply-to"), Some("desk@example.com"));
}

#[tokio::test]
async fn a_delivery_is_reported_in_amazons_envelope() {
    let (simulator, catcher) = with_receipts(Options::default()).await;
    send(&simulator, "ada@example.com").await.unwrap();
    let caught = &catcher.wait_for(1).await[0];
    assert_eq!(caught.path, "/notifications/email/ses");
    assert_eq!(caught.content_type, "text/plain; charset=UTF-8");
    let event = event(&caught.body);
    assert_eq!(event["notificationType"], "Delivery");
    assert_eq!(event["mail"]["messageId"], ID);
    assert_eq!(event["mail"]["destination"][0], "ada@example.com");
    let receipt = Receipt::Posted { fate: Fate::Delivered, answered: 200, posts: 1 };
    eventually("the end", || (simulator.messages()[0].receipt == receipt).then_some(())).await;
}

#[tokio::test]
async fn bounces_are_told_by_the_local_part() {
    let (simulator, catcher) = with_receipts(Options::default()).await;
    for (to, kind, bounce) in [
        ("perm-fail@simulator.notify", "Bounce", Some("Permanent")),
        ("temp-fail@simulator.notify", "Bounce", Some("Transient")),
        ("bounce@example.com", "Bounce", Some("Permanent")),
        ("unknown@example.com", "Unheard-of", None),
    ] {
        let before = catcher.caught().len();
        send(&simulator, to).await.unwrap();
        let event = event(&catcher.wait_for(before + 1).await.pop().unwrap().body);
        assert_eq!(event["notificationType"], kind, "{to}");
        assert_eq!(event["bounce"]["bounceType"].as_str(), bounce, "{to}");
        assert_eq!(event["mail"]["messageId"], ID);
    }
}

#[tokio::test]
async fn receipts_may_be_double_early_or_missing_and_a_complaint_may_follow() {
    let (simulator, catcher) = with_receipts(Options::default()).await;
    send(&simulator, "duplicate@example.com").await.unwrap();
    catcher.wait_for(2).await;
    send(&simulator, "early@example.com").await.unwrap();
    assert_eq!(catcher.caught().len(), 3);
    send(&simulator, "no-receipt@example.com").await.unwrap();
    assert_eq!(simulator.messages()[0].receipt, Receipt::None);
    send(&simulator, "complaint@example.com").await.unwrap();
    let kinds: Vec<_> =
        catcher.wait_for(5).await.iter().map(|one| event(&one.body)["notificationType"].clone()).collect();
    assert_eq!(kinds, ["Delivery", "Delivery", "Delivery", "Delivery", "Complaint"]);
}

#[tokio::test]
async fn some_recipients_are_refused() {
    let simulator = start_with(Options { refusals: 1, too_late_ms: 1, ..Options::default() }).await;
    for (to, codes) in [
        ("refused@example.com", ["550", "550"]),
        ("deferred@example.com", ["451", "451"]),
        ("retry@example.com", ["451", "250"]),
        ("throttled@example.com", ["454", "250"]),
        ("too-late@example.com", ["451", "451"]),
        ("gibberish@example.com", ["", ""]),
        ("drop@example.com", ["", ""]),
    ] {
        // Tries are counted by reference, which all mails here share.
        simulator.clear();
        let given = [code(&send(&simulator, to).await), code(&send(&simulator, to).await)];
        assert_eq!(given, codes, "{to}");
    }
}

#[tokio::test]
async fn an_error_defers_a_mail() {
    let simulator = start().await;
    simulator.behave(Provider::Email, |email| email.error_rate = 1.0);
    assert_eq!(code(&send(&simulator, "ada@example.com").await), "451");
    assert_eq!(simulator.counts().email.refused, 1);
}

#[tokio::test]
async fn a_lost_answer_was_an_acceptance() {
    let simulator = start().await;
    assert!(send(&simulator, "lost-answer@example.com").await.is_err());
    assert_eq!(simulator.reference_calls(ID), Some(ReferenceCalls { calls: 1, accepted: 1 }));
}

#[tokio::test]
async fn an_outage_drops_connections() {
    let simulator = start().await;
    let mut open = connect(&simulator).await;
    simulator.behave(Provider::Email, |email| email.outage = true);
    assert!(send(&simulator, "ada@example.com").await.is_err());
    assert!(open.command(lettre::transport::smtp::commands::Noop).await.is_err());
    simulator.behave(Provider::Email, |email| email.outage = false);
    assert_eq!(code(&send(&simulator, "ada@example.com").await), "250");
}

async fn connect(simulator: &Simulator) -> AsyncSmtpConnection {
    let name = ClientId::Domain("platform.notify.example".to_owned());
    let limit = Some(Duration::from_secs(10));
    AsyncSmtpConnection::connect_tokio1(simulator.smtp_addr(), limit, &name, None, None).await.unwrap()
}

#[tokio::test]
async fn many_connections_carry_many_mails_each() {
    let simulator = start().await;
    let mut senders = JoinSet::new();
    for _ in 0..20 {
        let mut connection = connect(&simulator).await;
        senders.spawn(async move {
            let to: Address = "ada@example.com".parse().unwrap();
            let envelope = Envelope::new(Some("queue@notify.example".parse().unwrap()), vec![to]).unwrap();
            for _ in 0..10 {
                connection.send(&envelope, &mail("ada@example.com").formatted()).await.unwrap();
            }
            connection.quit().await.unwrap();
        });
    }
    senders.join_all().await;
    assert_eq!(simulator.counts().email.accepted, 200);
}

/// A conversation by hand.
struct Talk(BufReader<TcpStream>);

impl Talk {
    async fn start(simulator: &Simulator) -> Self {
        let mut talk = Self(BufReader::new(TcpStream::connect(simulator.smtp_addr()).await.unwrap()));
        assert_eq!(talk.reply().await, "220 simulator.notify ESMTP");
        talk
    }

    async fn write(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    /// The last line of a reply; empty when the connection has been closed.
    async fn reply(&mut self) -> String {
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).await.unwrap();
            if line.as_bytes().get(3) != Some(&b'-') {
                return line.trim_end().to_owned();
            }
        }
    }

    async fn say(&mut self, line: &str) -> String {
        self.write(&format!("{line}\r\n")).await;
        self.reply().await[..3].to_owned()
    }
}

#[tokio::test]
async fn a_pipelined_conversation_in_one_packet_or_byte_by_byte() {
    let simulator = start().await;
    let all = "EHLO a\r\nMAIL FROM:<q@n.example> BODY=8BITMIME SIZE=20\r\nRCPT TO:<ada@example.com>\r\nDATA\r\n\
               Subject: é\r\n\r\n..stuffed\r\n.\r\nRSET\r\nNOOP\r\nQUIT\r\n";
    for step in [all.len(), 1] {
        let mut talk = Talk::start(&simulator).await;
        for part in all.as_bytes().chunks(step) {
            talk.0.write_all(part).await.unwrap();
        }
        let mut codes = Vec::new();
        for _ in 0..8 {
            codes.push(talk.reply().await[..3].to_owned());
        }
        assert_eq!(codes, ["250", "250", "250", "354", "250", "250", "250", "221"]);
        assert_eq!(talk.reply().await, "");
        let message = &simulator.messages()[0];
        assert_eq!(
            (message.subject.as_deref(), message.text.as_deref().map(str::trim_end)),
            (Some("é"), Some(".stuffed"))
        );
    }
}

#[tokio::test]
async fn commands_out_of_order_are_refused_and_change_nothing() {
    let simulator = start().await;
    let mut talk = Talk::start(&simulator).await;
    for (line, code) in [
        ("MAIL FROM:<q@n.example>", "503"),
        ("HELO a", "250"),
        ("RCPT TO:<ada@example.com>", "503"),
        ("DATA", "503"),
        ("STARTTLS", "502"),
        ("HOLD MY BEER", "500"),
        ("MAIL FROM:<nobody", "501"),
        ("MAIL FROM:<>", "250"),
        ("MAIL FROM:<q@n.example>", "503"),
        ("DATA", "503"),
        ("RCPT TO:<ada@example.com>", "250"),
        ("DATA", "354"),
        // An empty mail, which ends at once.
        (".", "250"),
        ("QUIT", "221"),
    ] {
        assert_eq!(talk.say(line).await, code, "{line}");
    }
    assert_eq!(simulator.messages().len(), 1);
    assert_eq!(simulator.messages()[0].reference, "");
}

#[tokio::test]
async fn a_mail_that_is_too_big_is_refused_and_the_connection_goes_on() {
    let simulator = start_with(Options { mail_limit: 1_000, ..Options::default() }).await;
    let mut talk = Talk::start(&simulator).await;
    assert_eq!(talk.say("EHLO a").await, "250");
    assert_eq!(talk.say("MAIL FROM:<q@n.example> SIZE=1001").await, "552");
    assert_eq!(talk.say("MAIL FROM:<q@n.example>").await, "250");
    assert_eq!(talk.say("RCPT TO:<ada@example.com>").await, "250");
    assert_eq!(talk.say("DATA").await, "354");
    for _ in 0..10_000 {
        talk.write("Ada was here\r\n").await;
    }
    assert_eq!(talk.say(".").await, "552");
    assert_eq!(talk.say("NOOP").await, "250");
    assert_eq!((simulator.messages().len(), simulator.counts().email.malformed), (0, 1));
}

#[tokio::test]
async fn endless_lines_and_endless_mistakes_end_the_connection() {
    let simulator = start().await;
    let mut talk = Talk::start(&simulator).await;
    talk.write(&"x".repeat(5_000)).await;
    assert!(talk.reply().await.starts_with("500"));
    let mut talk = Talk::start(&simulator).await;
    let mut last = String::new();
    for _ in 0..21 {
        last = talk.say("HOLD MY BEER").await;
    }
    assert_eq!((last.as_str(), talk.reply().await.as_str()), ("421", ""));
}

#[tokio::test]
async fn a_mail_to_many_names_them_all() {
    let (simulator, catcher) = with_receipts(Options::default()).await;
    let mut talk = Talk::start(&simulator).await;
    for line in ["EHLO a", "MAIL FROM:<q@n.example>", "RCPT TO:<ada@example.com>"] {
        assert_eq!(talk.say(line).await, "250");
    }
    assert_eq!(talk.say("RCPT TO:<refused@example.com>").await, "550");
    assert_eq!(talk.say("RCPT TO:<bob@example.com>").await, "250");
    assert_eq!(talk.say("DATA").await, "354");
    assert_eq!(talk.say("Message-ID: <m@n.example>\r\nFrom: q@n.example\r\n\r\nHello\r\n.").await, "250");
    let destination = event(&catcher.wait_for(1).await[0].body)["mail"]["destination"].clone();
    assert_eq!(destination, serde_json::json!(["ada@example.com", "bob@example.com"]));
    assert_eq!(simulator.messages()[0].to, "ada@example.com, bob@example.com");
}

#[tokio::test]
async fn a_stopping_simulator_says_goodbye() {
    let simulator = start().await;
    let mut talk = Talk::start(&simulator).await;
    simulator.stop().await;
    assert!(talk.reply().await.starts_with("421"));
    assert_eq!(talk.reply().await, "");
}
