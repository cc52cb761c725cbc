//! Test keys: nothing leaves, and the recipient decides what the made-up receipt says.

use domain::{
    notification::{Notification, Outcome},
    status::{Channel, KeyType, ProviderId, Status},
};
use provider::meaning;

use crate::{email, send, text, weighing, world};

fn to(channel: Channel, recipient: &str) -> Notification {
    let notification = if channel == Channel::Sms { text() } else { email() };
    Notification { key_type: KeyType::Test, recipient: recipient.into(), ..notification }
}

#[tokio::test]
async fn the_recipient_decides_the_end() {
    use Status::{Delivered, PermanentFailure, TemporaryFailure};
    for weight in [0, 100] {
        let (simulator, providers) = world(|_| ()).await;
        providers.stand(weighing(weight));
        for (channel, recipient, expected) in [
            (Channel::Sms, "07700900003", TemporaryFailure),
            (Channel::Sms, " +447700900003 ", TemporaryFailure),
            (Channel::Sms, "07700 900003", Delivered),
            (Channel::Sms, "07700900002", PermanentFailure),
            (Channel::Sms, "447700900002", PermanentFailure),
            (Channel::Sms, "07700900001", Delivered),
            (Channel::Email, "temp-fail@simulator.notify", TemporaryFailure),
            (Channel::Email, " perm-fail@simulator.notify\n", PermanentFailure),
            (Channel::Email, "Temp-Fail@simulator.notify", Delivered),
            (Channel::Email, "ada@example.com", Delivered),
        ] {
            let notification = to(channel, recipient);
            let attempt = send(&providers, &notification).await;
            let Outcome::HandedOver { status, provider_reference, simulated_receipt: Some(receipt) } =
                attempt.outcome
            else {
                panic!("{recipient}: {attempt:?}")
            };
            let units = i32::from(channel == Channel::Sms);
            assert_eq!((status, attempt.billable_units), (Status::Sending, units), "{recipient}");
            assert_eq!(Some(receipt.provider), attempt.provider);
            let meaning = meaning(&receipt, status, attempt.provider);
            assert_eq!((meaning.status, meaning.unknown), (Some(expected), false), "{recipient}");
            let drawn = match (channel, weight) {
                (Channel::Email, _) => ProviderId::Smtp,
                (Channel::Sms, 100) => ProviderId::Mmg,
                (Channel::Sms, _) => ProviderId::Firetext,
            };
            assert_eq!(receipt.provider, drawn);
            let message_id = format!("{}@notify.example", notification.id);
            let expected = match channel {
                Channel::Sms => (notification.id.to_string(), None),
                Channel::Email => (message_id.clone(), Some(message_id)),
            };
            assert_eq!((receipt.reference, provider_reference), expected);
        }
        assert_eq!(simulator.messages(), [], "nothing left the platform");
        let counts = simulator.counts();
        assert_eq!((counts.mmg.calls, counts.firetext.calls, counts.email.calls), (0, 0, 0));
    }
}

#[tokio::test]
async fn abroad_it_is_sent_and_still_gets_its_receipt() {
    let (_simulator, providers) = world(|_| ()).await;
    let abroad = Notification { international: true, ..to(Channel::Sms, "+33612345678") };
    let attempt = send(&providers, &abroad).await;
    assert_eq!(attempt.provider, Some(ProviderId::Mmg));
    let Outcome::HandedOver { status: Status::Sent, simulated_receipt: Some(_), .. } = attempt.outcome else {
        panic!("{attempt:?}")
    };
}
