//! E-mails: the dialogue, kept connections, and every way in which a relay can fail us.

use std::{
    net::TcpListener,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    time::Duration,
};

use domain::retry::{RecipientTrouble, SendFailure};
use provider::{Accepted, Config, EmailProvider, Mail, Providers};

use crate::smtp_server::{Answer, SmtpServer};

const ID: &str = "6f2f8a0e-1f41-4c8d-8f0a-0b7f0a3c9f11";

fn mail() -> Mail<'static> {
    Mail {
        id: ID.parse().unwrap(),
        from_name: "Queue",
        from_local_part: "queue",
        to: "ada@example.com",
        reply_to: Some("desk@example.com"),
        subject: "Your turn",
        plain: "Hello\n.\n.. dots\nbye\n",
        html: "<p>Hello</p>",
        unsubscribe_url: None,
    }
}

fn providers(url: &str, timeout: Duration) -> Providers {
    let mut config = Config::default();
    config.smtp.url = url.into();
    config.smtp.from_domain = "notify.example".into();
    config.smtp.timeout = timeout;
    crate::providers(&config)
}

async fn send(url: &str) -> Result<Accepted, SendFailure> {
    send_by(providers(url, Duration::from_secs(5)).choose_email().unwrap(), &mail()).await
}

async fn send_by(provider: &EmailProvider, mail: &Mail<'_>) -> Result<Accepted, SendFailure> {
    provider.send(&provider.compose(mail)?).await
}

/// A relay that departs from the usual at the first line that begins with `at`.
fn relay(at: &'static str, answer: Answer) -> SmtpServer {
    SmtpServer::start(move |_, line| if line.starts_with(at) { answer } else { Answer::Usual })
}

#[tokio::test]
async fn a_mail_goes_out_and_its_message_id_is_the_reference() {
    let server = relay("-", Answer::Usual);
    let accepted = send(&server.url()).await.unwrap();
    assert_eq!(accepted.reference.as_deref(), Some("6f2f8a0e-1f41-4c8d-8f0a-0b7f0a3c9f11@notify.example"));
    let lines = server.lines();
    assert_eq!(
        lines[..4],
        ["EHLO worker.example", "MAIL FROM:<queue@notify.example>", "RCPT TO:<ada@example.com>", "DATA"]
    );
    let mail = &lines[4];
    assert!(mail.contains("Message-ID: <6f2f8a0e-1f41-4c8d-8f0a-0b7f0a3c9f11@notify.example>\r\n"), "{mail}");
    assert!(mail.contains("Reply-To: desk@example.com\r\n"), "{mail}");
    assert!(mail.contains("Content-Type: multipart/alternative;"), "{mail}");
    assert!(mail.contains("\r\nHello\r\n..\r\n... dots\r\nbye\r\n"), "dots are stuffed: {mail}");
    assert_eq!(lines.len(), 5);
}

#[tokio::test]
async fn connections_are_kept_and_an_unknown_recipient_costs_none() {
    let server = SmtpServer::start(|_, line| {
        if line == "RCPT TO:<nobody@example.com>" {
            Answer::Say("550 5.1.1 unknown\r\n")
        } else {
            Answer::Usual
        }
    });
    let providers = providers(&server.url(), Duration::from_secs(5));
    let provider = providers.choose_email().unwrap();
    let nobody = Mail { to: "nobody@example.com", ..mail() };
    send_by(provider, &mail()).await.unwrap();
    assert!(send_by(provider, &nobody).await.is_err());
    send_by(provider, &mail()).await.unwrap();
    assert!(server.seen().iter().all(|(connection, _)| *connection == 0), "{:?}", server.seen());
    let of_second: Vec<_> = server.lines().into_iter().skip(5).take(3).collect();
    assert_eq!(of_second, ["MAIL FROM:<queue@notify.example>", "RCPT TO:<nobody@example.com>", "RSET"]);
}

#[tokio::test]
async fn every_refusal_says_what_is_next_and_repeats_no_address() {
    let transient = |text: &str| SendFailure::Transient(text.into());
    let rejected = |text: &str| SendFailure::Rejected(text.into());
    let misconfigured = |text: &str| SendFailure::Misconfigured(text.into());
    let throttled = |text: &str| SendFailure::Throttled { reason: text.into(), after: None };
    let recipient = |trouble, text: &str| SendFailure::Recipient { trouble, reason: text.into() };
    let (unknown, full, busy) = (RecipientTrouble::Unknown, RecipientTrouble::Full, RecipientTrouble::Busy);
    for (at, said, expected) in [
        ("GREETING", "421 4.3.2 later\r\n", transient("SMTP 421 4.3.2 at connect")),
        ("GREETING", "421 4.7.0 Too many connections\r\n", throttled("SMTP 421 4.7.0 at connect")),
        ("MAIL", "421 4.7.28 Rate limit exceeded\r\n", throttled("SMTP 421 4.7.28 at MAIL")),
        (".", "454 Throttling failure: Maximum sending rate exceeded\r\n", throttled("SMTP 454 at DATA")),
        ("GREETING", "554 go away ada@example.com\r\n", transient("SMTP 554 at connect")),
        ("EHLO", "502 what?\r\n", transient("SMTP 502 at connect")),
        ("MAIL", "451 4.3.0 later\r\n", transient("SMTP 451 4.3.0 at MAIL")),
        ("MAIL", "550 5.7.1 who are you\r\n", misconfigured("SMTP 550 5.7.1 at MAIL")),
        ("RCPT", "450 4.2.1 <ada@example.com> busy\r\n", recipient(busy, "SMTP 450 4.2.1 at RCPT")),
        ("RCPT", "452 4.2.2 no room\r\n", recipient(busy, "SMTP 452 4.2.2 at RCPT")),
        ("RCPT", "450 busy\r\n", recipient(busy, "SMTP 450 at RCPT")),
        ("RCPT", "450 4.7.1 greylisted\r\n", transient("SMTP 450 4.7.1 at RCPT")),
        ("RCPT", "451 4.3.0 later\r\n", transient("SMTP 451 4.3.0 at RCPT")),
        ("RCPT", "452 4.3.1 disk full\r\n", transient("SMTP 452 4.3.1 at RCPT")),
        ("RCPT", "421 bye\r\n", transient("SMTP 421 at RCPT")),
        ("RCPT", "421 4.2.1 bye\r\n", transient("SMTP 421 4.2.1 at RCPT")),
        ("RCPT", "550 5.1.1 <ada@example.com> unknown\r\n", recipient(unknown, "SMTP 550 5.1.1 at RCPT")),
        (
            "RCPT",
            "550-5.1.1 ada@example.com\r\n550 5.1.1 unknown\r\n",
            recipient(unknown, "SMTP 550 5.1.1 at RCPT"),
        ),
        ("RCPT", "556 5.1.10 no mail here\r\n", recipient(unknown, "SMTP 556 5.1.10 at RCPT")),
        ("RCPT", "550 5.2.1 disabled\r\n", recipient(unknown, "SMTP 550 5.2.1 at RCPT")),
        ("RCPT", "550 5.4.1 no such user\r\n", recipient(unknown, "SMTP 550 5.4.1 at RCPT")),
        ("RCPT", "550 5.0.0 who?\r\n", recipient(unknown, "SMTP 550 5.0.0 at RCPT")),
        ("RCPT", "550 who?\r\n", recipient(unknown, "SMTP 550 at RCPT")),
        ("RCPT", "553 who?\r\n", recipient(unknown, "SMTP 553 at RCPT")),
        ("RCPT", "552 5.2.2 no room\r\n", recipient(full, "SMTP 552 5.2.2 at RCPT")),
        ("RCPT", "550 5.2.2 no room\r\n", recipient(full, "SMTP 550 5.2.2 at RCPT")),
        ("RCPT", "552 no room\r\n", recipient(full, "SMTP 552 at RCPT")),
        ("RCPT", "550 5.1.8 bad sender\r\n", rejected("SMTP 550 5.1.8 at RCPT")),
        ("RCPT", "550 5.7.1 relaying denied\r\n", rejected("SMTP 550 5.7.1 at RCPT")),
        ("RCPT", "554 no\r\n", rejected("SMTP 554 at RCPT")),
        ("RCPT", "530 5.7.0 sign in first\r\n", misconfigured("SMTP 530 5.7.0 at RCPT")),
        ("DATA", "554 5.5.1 no\r\n", rejected("SMTP 554 5.5.1 at DATA")),
        ("DATA", "451 no\r\n", transient("SMTP 451 at DATA")),
        (".", "550 5.1.1 unknown\r\n", recipient(unknown, "SMTP 550 5.1.1 at DATA")),
        (".", "552 5.2.2 no room\r\n", recipient(full, "SMTP 552 5.2.2 at DATA")),
        (".", "452 4.2.2 no room\r\n", recipient(busy, "SMTP 452 4.2.2 at DATA")),
        (".", "550 spam\r\n", rejected("SMTP 550 at DATA")),
        (".", "552 5.3.4 too big\r\n", rejected("SMTP 552 5.3.4 at DATA")),
        (".", "452 4.3.1 disk full\r\n", transient("SMTP 452 4.3.1 at DATA")),
    ] {
        let server = relay(at, Answer::Say(said));
        assert_eq!(send(&server.url()).await, Err(expected), "{at} {said}");
    }
}

/// Until an answer to the last line is there, nothing is known; before it, that nothing was taken.
#[tokio::test]
async fn a_relay_that_goes_away_or_falls_silent_may_be_tried_again() {
    for at in ["GREETING", "EHLO", "MAIL", "RCPT", "DATA", "."] {
        let server = relay(at, Answer::Close);
        let failure = send(&server.url()).await.unwrap_err();
        assert_eq!(matches!(failure, SendFailure::Unanswered(_)), at == ".", "{at}: {failure}");
        assert_eq!(matches!(failure, SendFailure::Transient(_)), at != ".", "{at}: {failure}");
    }
    for (at, stage) in
        [("GREETING", "connect"), ("EHLO", "connect"), ("MAIL", "MAIL"), ("RCPT", "RCPT"), ("DATA", "DATA")]
    {
        let server = relay(at, Answer::Hang);
        let providers = providers(&server.url(), Duration::from_millis(200));
        let failure = send_by(providers.choose_email().unwrap(), &mail()).await.unwrap_err();
        let text = format!("SMTP at {stage}: no answer within 200ms");
        assert_eq!(failure, SendFailure::Transient(text), "{at}");
    }
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let failure = send(&format!("smtp://{free}")).await.unwrap_err();
    assert!(matches!(&failure, SendFailure::Transient(text) if text.contains("refused")), "{failure}");
}

#[tokio::test]
async fn the_answer_to_the_end_of_a_mail_is_waited_for() {
    let patience = Duration::from_millis(200);
    let server = relay(".", Answer::Late(5 * patience));
    send_by(providers(&server.url(), patience).choose_email().unwrap(), &mail()).await.unwrap();
    assert_eq!(server.lines().len(), 5, "sent once: {:?}", server.lines());
}

#[tokio::test]
async fn the_code_of_an_answer_counts_and_not_its_text() {
    let long: &'static [u8] = [b"250 ", &[b'x'; 5000][..], b"\r\n"].concat().leak();
    let many: &'static [u8] = [b"250-line\r\n".repeat(20_000), b"250 \r\n".to_vec()].concat().leak();
    for (at, said) in [
        ("GREETING", &b"220 relay \xe9\r\n"[..]),
        ("EHLO", b"250-relay \xe9\r\n250 \xff\xfe\r\n"),
        ("MAIL", b"250 \xe9\r\n"),
        ("RCPT", b"251 \xe9\r\n"),
        ("DATA", b"354 \xe9\r\n"),
        (".", b"250 queued \xe9\r\n"),
        (".", b"250-\xe9\r\n250-\r\n250 2.0.0 \xe9\r\n"),
        (".", b"250\r\n"),
        (".", b"250 ok\n"),
        (".", b"\xe9\r\n250 ok\r\n"),
        (".", b"298 ok\r\n"),
        (".", long),
        (".", many),
    ] {
        let server = relay(at, Answer::Bytes(said));
        let sent = send(&server.url()).await;
        assert!(sent.is_ok(), "{at} {}: {sent:?}", said[..said.len().min(80)].escape_ascii());
    }
    let rejected = |text: &str| Err(SendFailure::Rejected(text.into()));
    for (said, expected) in [
        (&b"554 5.6.0 \xe9\r\n"[..], rejected("SMTP 554 5.6.0 at DATA")),
        (b"571 \xe9\r\n", rejected("SMTP 554 at DATA")),
    ] {
        assert_eq!(send(&relay(".", Answer::Bytes(said)).url()).await, expected);
    }
}

#[tokio::test]
async fn a_line_without_a_code_is_no_answer() {
    for said in ["ada@example.com is unknown\r\n", "\u{0}\r\n", "2500 x\r\n", "ok 250\r\n"] {
        let server = relay("RCPT", Answer::Say(said));
        let providers = providers(&server.url(), Duration::from_millis(200));
        let failure = send_by(providers.choose_email().unwrap(), &mail()).await.unwrap_err();
        assert_eq!(failure, SendFailure::Transient("SMTP at RCPT: no answer within 200ms".into()), "{said}");
    }
}

/// A yes in the wrong place: nobody knows what such a relay made of the mail.
#[tokio::test]
async fn an_answer_to_another_question_is_no_yes() {
    for (at, said) in [("MAIL", "354 go\r\n"), ("RCPT", "354 go\r\n"), ("DATA", "250 ok\r\n")] {
        let server = relay(at, Answer::Say(said));
        let failure = send(&server.url()).await.unwrap_err();
        let text = format!("SMTP {} at {at}, out of turn", &said[..3]);
        assert_eq!(failure, SendFailure::Transient(text));
        assert!(!server.lines().iter().any(|line| line.contains("Hello")));
    }
    let failure = send(&relay(".", Answer::Say("354 go on\r\n")).url()).await.unwrap_err();
    assert_eq!(failure, SendFailure::Unanswered("SMTP 354 at DATA, out of turn".into()));
}

/// The fate of a mail must never be read from the answer to another, nor one be written into another.
#[tokio::test]
async fn a_connection_that_was_left_in_the_middle_is_not_used_again() {
    for at in ["MAIL", "RCPT", "DATA", "."] {
        let server = SmtpServer::start(move |connection, line| {
            if connection == 0 && line.starts_with(at) { Answer::Hang } else { Answer::Usual }
        });
        let providers = providers(&server.url(), Duration::from_secs(60));
        let provider = providers.choose_email().unwrap();
        let cut_off = tokio::time::timeout(Duration::from_millis(500), send_by(provider, &mail())).await;
        assert!(cut_off.is_err(), "{at}");
        send_by(provider, &mail()).await.unwrap();
        let second: Vec<_> = server.seen().into_iter().filter(|(connection, _)| *connection == 1).collect();
        assert_eq!(second.len(), 5, "{at}: a whole dialogue of its own: {second:?}");
    }
}

/// Which connections mails were taken on.
fn mails(server: &SmtpServer) -> Vec<usize> {
    server
        .seen()
        .into_iter()
        .filter(|(_, line)| line.contains("Hello"))
        .map(|(connection, _)| connection)
        .collect()
}

#[tokio::test]
async fn a_kept_connection_that_the_relay_closes_costs_nothing() {
    let goodbye = Answer::Say("421 4.4.2 closing\r\n");
    for at in ["MAIL", "RCPT", "DATA"] {
        for answer in [Answer::Close, goodbye, Answer::Hang] {
            let taken = AtomicUsize::new(0);
            let server = SmtpServer::start(move |connection, line| {
                taken.fetch_add(usize::from(line == "."), SeqCst);
                let again = connection == 0 && taken.load(SeqCst) > 0 && line.starts_with(at);
                if again { answer } else { Answer::Usual }
            });
            let providers = providers(&server.url(), Duration::from_millis(500));
            let provider = providers.choose_email().unwrap();
            send_by(provider, &mail()).await.unwrap();
            send_by(provider, &mail()).await.unwrap();
            assert_eq!(mails(&server), [0, 1], "{at}");
        }
    }
    // It says so while the connection rests; and closes it, or not.
    let server = relay(".", Answer::Say("250 taken\r\n421 4.4.2 idle for too long\r\n"));
    let providers = providers(&server.url(), Duration::from_secs(5));
    let provider = providers.choose_email().unwrap();
    for _ in 0..3 {
        send_by(provider, &mail()).await.unwrap();
    }
    assert_eq!(mails(&server), [0, 1, 2]);
}

#[tokio::test]
async fn a_connection_that_cannot_forget_the_last_mail_is_not_used_again() {
    for answer in [Answer::Close, Answer::Say("421 bye\r\n"), Answer::Say("502 what?\r\n")] {
        let server = SmtpServer::start(move |connection, line| match line {
            "RCPT TO:<ada@example.com>" if connection == 0 => Answer::Say("550 5.1.1 unknown\r\n"),
            "RSET" => answer,
            _ => Answer::Usual,
        });
        let providers = providers(&server.url(), Duration::from_secs(5));
        let provider = providers.choose_email().unwrap();
        assert!(matches!(send_by(provider, &mail()).await, Err(SendFailure::Recipient { .. })));
        send_by(provider, &mail()).await.unwrap();
        assert_eq!(mails(&server), [1]);
    }
}

/// What may have been taken is not offered again at once; nor is a relay bothered that sends everybody away.
#[tokio::test]
async fn a_fresh_connection_is_tried_only_before_the_content_and_only_once() {
    let ended = AtomicUsize::new(0);
    let server = SmtpServer::start(move |_, line| {
        if line == "." && ended.fetch_add(1, SeqCst) > 0 { Answer::Close } else { Answer::Usual }
    });
    let providers_of = |server: &SmtpServer| providers(&server.url(), Duration::from_secs(5));
    let providers = providers_of(&server);
    let provider = providers.choose_email().unwrap();
    send_by(provider, &mail()).await.unwrap();
    assert!(matches!(send_by(provider, &mail()).await, Err(SendFailure::Unanswered(_))));
    assert_eq!(mails(&server), [0, 0]);

    let mail_is_said = AtomicUsize::new(0);
    let server = SmtpServer::start(move |_, line| {
        let later = line.starts_with("MAIL") && mail_is_said.fetch_add(1, SeqCst) > 0;
        if later { Answer::Say("421 4.3.2 closing\r\n") } else { Answer::Usual }
    });
    let providers = providers_of(&server);
    let provider = providers.choose_email().unwrap();
    send_by(provider, &mail()).await.unwrap();
    let refused = SendFailure::Transient("SMTP 421 4.3.2 at MAIL".into());
    assert_eq!(send_by(provider, &mail()).await, Err(refused));
    let asked = server.seen().into_iter().filter(|(_, line)| line.starts_with("MAIL"));
    assert_eq!(asked.map(|(connection, _)| connection).collect::<Vec<_>>(), [0, 0, 1]);
}

#[tokio::test]
async fn signing_in() {
    let sign_in = async |server: &SmtpServer| {
        let mut config = Config::default();
        config.smtp.url = format!("smtp://user%40x:pass@{}", server.authority()).as_str().into();
        config.smtp.credentials_without_tls = true;
        send_by(crate::providers(&config).choose_email().unwrap(), &mail()).await
    };
    let server = relay("-", Answer::Usual);
    sign_in(&server).await.unwrap();
    // NUL user@x NUL pass, in base64.
    assert_eq!(server.lines()[1], "AUTH PLAIN AHVzZXJAeABwYXNz");

    let server = relay("AUTH", Answer::Say("535 5.7.8 no\r\n"));
    let refused = SendFailure::Misconfigured("SMTP 535 5.7.8 at AUTH".into());
    assert_eq!(sign_in(&server).await, Err(refused));
    let server = relay("AUTH", Answer::Say("454 4.7.0 later\r\n"));
    assert!(matches!(sign_in(&server).await, Err(SendFailure::Transient(_))));
    let server = relay("EHLO", Answer::Say("250 relay.example\r\n"));
    assert!(matches!(sign_in(&server).await, Err(SendFailure::Misconfigured(_))));
}

#[tokio::test]
async fn credentials_go_over_tls_unless_told_by_name() {
    let server = relay("-", Answer::Usual);
    let url = |scheme: &str, query: &str| format!("{scheme}://user:hush@{}/{query}", server.authority());
    let mut config = Config::default();
    config.smtp.url = url("smtp", "").as_str().into();
    let error = Providers::new(&config, crate::AT_ONCE).unwrap_err().to_string();
    assert!(error.contains("credentials_without_tls") && !error.contains("hush"), "{error}");
    // A relay that takes TLS or leaves it, or somebody on the way who says that it does.
    let failure = send(&url("smtp", "?tls=opportunistic")).await.unwrap_err();
    assert!(matches!(failure, SendFailure::Misconfigured(_)), "{failure}");
    assert!(send(&url("smtp", "?tls=required")).await.is_err());
    assert!(send(&url("smtps", "")).await.is_err());
    let told = server.lines();
    assert!(!told.iter().any(|line| line.starts_with("AUTH") || line.starts_with("MAIL")), "{told:?}");
}

#[tokio::test]
async fn tls_that_is_required_is_required() {
    let server = relay("-", Answer::Usual);
    let url = |tls| format!("smtp://{}/?tls={tls}", server.authority());
    let failure = send(&url("required")).await.unwrap_err();
    assert!(matches!(failure, SendFailure::Misconfigured(_)), "{failure}");
    assert!(!server.lines().iter().any(|line| line.starts_with("MAIL")), "{:?}", server.lines());
    send(&url("opportunistic")).await.unwrap();
}
