//! E-mails: the dialogue, kept connections, and every way in which a relay can fail us.

use std::{net::TcpListener, time::Duration};

use domain::retry::{RecipientTrouble, SendFailure};
use provider::{Accepted, Config, Mail, Providers};

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
    providers(url, Duration::from_secs(5)).choose_email().unwrap().send(&mail()).await
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
    provider.send(&mail()).await.unwrap();
    assert!(provider.send(&nobody).await.is_err());
    provider.send(&mail()).await.unwrap();
    assert!(server.seen().iter().all(|(connection, _)| *connection == 0), "{:?}", server.seen());
    let of_second: Vec<_> = server.lines().into_iter().skip(5).take(3).collect();
    assert_eq!(of_second, ["MAIL FROM:<queue@notify.example>", "RCPT TO:<nobody@example.com>", "RSET"]);
}

#[tokio::test]
async fn every_refusal_says_what_is_next_and_repeats_no_address() {
    let transient = |text: &str| SendFailure::Transient(text.into());
    let rejected = |text: &str| SendFailure::Rejected(text.into());
    let misconfigured = |text: &str| SendFailure::Misconfigured(text.into());
    let recipient = |trouble, text: &str| SendFailure::Recipient { trouble, reason: text.into() };
    let (unknown, full, busy) = (RecipientTrouble::Unknown, RecipientTrouble::Full, RecipientTrouble::Busy);
    for (at, said, expected) in [
        ("GREETING", "421 4.3.2 later\r\n", transient("SMTP 421 4.3.2 at connect")),
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
        ("RCPT", "ada@example.com is unknown\r\n", transient("SMTP: unreadable answer at RCPT")),
        ("RCPT", "\u{0}\r\n", transient("SMTP: unreadable answer at RCPT")),
    ] {
        let server = relay(at, Answer::Say(said));
        assert_eq!(send(&server.url()).await, Err(expected), "{at} {said}");
    }
}

#[tokio::test]
async fn a_relay_that_goes_away_or_falls_silent_is_transient() {
    for at in ["GREETING", "EHLO", "MAIL", "RCPT", "DATA", "."] {
        let server = relay(at, Answer::Close);
        let failure = send(&server.url()).await.unwrap_err();
        let may_have_it = matches!(failure, SendFailure::Unanswered(_));
        assert!(may_have_it || matches!(failure, SendFailure::Transient(_)), "{at}: {failure}");
        assert!(may_have_it || at != ".", "{failure}");
        assert!(!may_have_it || ["DATA", "."].contains(&at), "{at}: {failure}");
        let server = relay(at, Answer::Hang);
        let providers = providers(&server.url(), Duration::from_millis(200));
        let failure = providers.choose_email().unwrap().send(&mail()).await.unwrap_err();
        assert_eq!(failure, SendFailure::Unanswered("SMTP: not done within 200ms".into()), "{at}");
    }
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let failure = send(&format!("smtp://{free}")).await.unwrap_err();
    assert!(matches!(&failure, SendFailure::Transient(text) if text.contains("refused")), "{failure}");
}

/// The fate of a mail must never be read from the answer to another, nor one be written into another.
#[tokio::test]
async fn a_connection_that_was_left_in_the_middle_is_not_used_again() {
    for at in ["MAIL", "RCPT", "DATA", "."] {
        let server = SmtpServer::start(move |connection, line| {
            if connection == 0 && line.starts_with(at) { Answer::Hang } else { Answer::Usual }
        });
        let providers = providers(&server.url(), Duration::from_millis(500));
        let provider = providers.choose_email().unwrap();
        assert!(matches!(provider.send(&mail()).await, Err(SendFailure::Unanswered(_))), "{at}");
        provider.send(&mail()).await.unwrap();
        let second: Vec<_> = server.seen().into_iter().filter(|(connection, _)| *connection == 1).collect();
        assert_eq!(second.len(), 5, "{at}: a whole dialogue of its own: {second:?}");
    }
}

#[tokio::test]
async fn signing_in() {
    let with_credentials = |server: &SmtpServer| format!("smtp://user%40x:pass@{}", server.authority());
    let server = relay("-", Answer::Usual);
    send(&with_credentials(&server)).await.unwrap();
    // NUL user@x NUL pass, in base64.
    assert_eq!(server.lines()[1], "AUTH PLAIN AHVzZXJAeABwYXNz");

    let server = relay("AUTH", Answer::Say("535 5.7.8 no\r\n"));
    let refused = SendFailure::Misconfigured("SMTP 535 5.7.8 at AUTH".into());
    assert_eq!(send(&with_credentials(&server)).await, Err(refused));
    let server = relay("AUTH", Answer::Say("454 4.7.0 later\r\n"));
    assert!(matches!(send(&with_credentials(&server)).await, Err(SendFailure::Transient(_))));
    let server = relay("EHLO", Answer::Say("250 relay.example\r\n"));
    assert!(matches!(send(&with_credentials(&server)).await, Err(SendFailure::Misconfigured(_))));
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
