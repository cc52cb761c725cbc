//! Messages that leave the platform, and those that must not.

use chrono::TimeDelta;
use domain::{
    notification::{Attempt, Notification, Outcome},
    provider::Standing,
    retry::SendFailure,
    status::{KeyType, ProviderId, Status},
};

use crate::{email, send, send_within, text, weighing, world};

fn handed_over(attempt: &Attempt) -> (Status, Option<&str>) {
    match &attempt.outcome {
        Outcome::HandedOver { status, provider_reference, simulated_receipt: None } => {
            (*status, provider_reference.as_deref())
        }
        other => panic!("{other:?}"),
    }
}

fn failure(attempt: &Attempt) -> &SendFailure {
    match &attempt.outcome {
        Outcome::Failed(failure) => failure,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_text_reaches_the_provider_that_the_attempt_names() {
    for (mmg, expected) in [(100, ProviderId::Mmg), (0, ProviderId::Firetext)] {
        let (simulator, providers) = world(|_| ()).await;
        providers.stand(weighing(mmg));
        let notification = text();
        let attempt = send(&providers, &notification).await;
        assert_eq!(handed_over(&attempt), (Status::Sending, None));
        assert_eq!((attempt.billable_units, attempt.provider), (1, Some(expected)));
        let [message] = &simulator.accepted(&notification.id.to_string())[..] else {
            panic!("not one message")
        };
        assert_eq!(message.provider.name(), expected.as_str());
        assert_eq!(message.to, "447700900123");
        assert_eq!(message.from, "QUEUE");
        assert_eq!(message.text.as_deref(), Some("Queue: Hello Ada, it is your turn"));
        simulator.stop().await;
    }
}

#[tokio::test]
async fn prefix_sender_and_units_follow_the_notification() {
    let (simulator, providers) = world(|config| config.sms_sender = "PLATFORM".into()).await;
    let mut notification = text();
    notification.service.prefix_sms = false;
    notification.sender = None;
    notification.content = "a".repeat(307);
    let attempt = send(&providers, &notification).await;
    assert_eq!((handed_over(&attempt).0, attempt.billable_units), (Status::Sending, 3));
    let message = simulator.accepted(&notification.id.to_string()).remove(0);
    assert_eq!((message.from.as_str(), message.text.unwrap().len()), ("PLATFORM", 307));
}

#[tokio::test]
async fn a_text_abroad_is_sent_and_goes_by_the_international_provider() {
    let (simulator, providers) = world(|_| ()).await;
    providers.stand(weighing(0));
    let abroad = Notification { international: true, normalised_recipient: "33612345678".into(), ..text() };
    let attempt = send(&providers, &abroad).await;
    assert_eq!(handed_over(&attempt).0, Status::Sent);
    assert_eq!(attempt.provider, Some(ProviderId::Mmg));
    assert_eq!(simulator.messages()[0].to, "33612345678");
}

#[tokio::test]
async fn an_email_arrives_with_both_parts_and_its_reference_is_the_message_id() {
    let (simulator, providers) = world(|_| ()).await;
    let unsubscribe_url = Some("https://queue.example/unsubscribe?id=1".to_owned());
    let notification = Notification { unsubscribe_url, ..email() };
    let attempt = send(&providers, &notification).await;
    let reference = format!("{}@notify.example", notification.id);
    assert_eq!(handed_over(&attempt), (Status::Sending, Some(reference.as_str())));
    assert_eq!((attempt.provider, attempt.billable_units), (Some(ProviderId::Smtp), 0));

    let [message] = &simulator.accepted(&reference)[..] else { panic!("not one message") };
    assert_eq!(message.to, "ada@example.com");
    assert!(
        message.from.contains("Queue") && message.from.contains("<queue@notify.example>"),
        "{}",
        message.from
    );
    assert_eq!(message.subject.as_deref(), Some("Your turn, Ada"));
    assert!(message.text.as_ref().unwrap().contains("• one"), "{:?}", message.text);
    assert!(message.html.as_ref().unwrap().contains("Hello Ada</p>"), "{:?}", message.html);
    assert_eq!(message.header("Reply-To"), Some("desk@example.com"));
    assert_eq!(message.header("List-Unsubscribe"), Some("<https://queue.example/unsubscribe?id=1>"));
    assert_eq!(message.header("List-Unsubscribe-Post"), Some("List-Unsubscribe=One-Click"));
    assert!(
        !message.text.as_ref().unwrap().contains("Unsubscribe"),
        "only the headers, unless the template has a link"
    );
}

#[tokio::test]
async fn the_link_for_people_is_in_both_parts_and_the_one_for_programs_in_the_headers() {
    let (simulator, providers) = world(|_| ()).await;
    for (headers, page) in [
        (Some("https://api.example/unsubscribe/1/AAE-_w"), Some("https://page.example/unsubscribe/1/AAE-_w")),
        (None, None),
    ] {
        let notification = Notification {
            id: domain::id::NotificationId::new(domain::clock::Clock::System.now()),
            unsubscribe_url: headers.map(Into::into),
            unsubscribe_page_url: page.map(Into::into),
            ..email()
        };
        send(&providers, &notification).await;
        let reference = format!("{}@notify.example", notification.id);
        let [message] = &simulator.accepted(&reference)[..] else { panic!("not one message") };
        assert_eq!(message.header("List-Unsubscribe"), headers.map(|url| format!("<{url}>")).as_deref());
        assert_eq!(message.header("List-Unsubscribe-Post"), headers.map(|_| "List-Unsubscribe=One-Click"));
        let plain = page.map(|page| format!("Unsubscribe from these emails: {page}"));
        let html = page.map(|page| format!("href=\"{page}\">Unsubscribe from these emails</a>"));
        let (text, markup) = (message.text.as_deref().unwrap(), message.html.as_deref().unwrap());
        assert_eq!(text.lines().find(|line| line.starts_with("Unsubscribe")), plain.as_deref());
        assert_eq!(markup.contains("Unsubscribe"), page.is_some());
        assert!(html.is_none_or(|html| markup.contains(&html)), "{markup}");
    }
}

#[tokio::test]
async fn what_failed_still_says_who_and_how_much() {
    let (simulator, providers) = world(|config| config.firetext.key = "".into()).await;
    simulator.behave_all(|provider| provider.outage = true);
    let attempt = send(&providers, &text()).await;
    assert!(matches!(failure(&attempt), SendFailure::Unanswered(_)), "{attempt:?}");
    assert_eq!((attempt.provider, attempt.billable_units), (Some(ProviderId::Mmg), 1));
    let attempt = send(&providers, &email()).await;
    assert!(matches!(failure(&attempt), SendFailure::Transient(_)), "{attempt:?}");
    assert_eq!((attempt.provider, attempt.billable_units), (Some(ProviderId::Smtp), 0));
}

#[tokio::test]
async fn an_attempt_that_takes_too_long_is_a_failure_that_still_says_who_and_how_much() {
    let (simulator, providers) = world(|config| config.firetext.key = "".into()).await;
    simulator.behave_all(|provider| provider.latency_ms = 60_000);
    let attempt = send_within(&providers, &text(), TimeDelta::milliseconds(100)).await;
    assert_eq!(failure(&attempt), &SendFailure::Unanswered("no answer within 0 s".into()));
    assert_eq!((attempt.provider, attempt.billable_units), (Some(ProviderId::Mmg), 1));
}

#[tokio::test]
async fn without_an_active_provider_the_units_are_known_all_the_same() {
    let (_simulator, providers) = world(|_| ()).await;
    providers
        .stand(weighing(51).into_iter().map(|standing| Standing { active: false, ..standing }).collect());
    for key_type in [KeyType::Normal, KeyType::Team, KeyType::Test] {
        for (notification, missing) in [(text(), "sms"), (email(), "email")] {
            let attempt = send(&providers, &Notification { key_type, ..notification }).await;
            let expected = SendFailure::Misconfigured(format!("No active {missing} providers"));
            assert_eq!(failure(&attempt), &expected);
            let units = i32::from(missing == "sms");
            assert_eq!((attempt.provider, attempt.billable_units), (None, units));
        }
    }
}

#[tokio::test]
async fn an_address_that_cannot_be_written_is_given_up() {
    let (simulator, providers) = world(|_| ()).await;
    let broken = Notification {
        normalised_recipient: "ada@example.com\r\nRCPT TO:<eve@example.com>".into(),
        ..email()
    };
    let attempt = send(&providers, &broken).await;
    assert!(
        matches!(failure(&attempt), SendFailure::Rejected(text) if !text.contains("example")),
        "{attempt:?}"
    );
    assert_eq!(simulator.messages(), []);
}

#[tokio::test]
async fn an_inactive_service_sends_nothing() {
    let (simulator, providers) = world(|_| ()).await;
    for mut notification in [text(), email()] {
        notification.service.active = false;
        for key_type in [KeyType::Normal, KeyType::Test] {
            let attempt = send(&providers, &Notification { key_type, ..notification.clone() }).await;
            assert!(matches!(attempt.outcome, Outcome::Refused("service is inactive")), "{attempt:?}");
            assert_eq!((attempt.provider, attempt.billable_units), (None, 0));
        }
    }
    assert_eq!(simulator.messages(), []);
}

#[tokio::test]
async fn a_mail_that_explodes_when_rendered_is_given_up_and_not_sent() {
    let (simulator, providers) = world(|_| ()).await;
    let mut notification = email();
    notification.content = "* - a\n".repeat(100_000);
    let attempt = send(&providers, &notification).await;
    let expected = "e-mail is too large when rendered";
    assert!(matches!(attempt.outcome, Outcome::Refused(text) if text == expected), "{attempt:?}");
    assert_eq!((attempt.provider, simulator.messages().len()), (None, 0));
}
