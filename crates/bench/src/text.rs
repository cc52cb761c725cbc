//! The text that is sent in every measurement: one placeholder, a different number each time.

use db::{intake::NewNotification, sealing::Keyring};
use domain::{
    clock::Clock,
    id::{ApiKeyId, NotificationId, ServiceId, TemplateId},
    status::{Channel, KeyType},
};

/// As the caller writes it.
pub(crate) const PERSONALISATION: &str = r#"{"name":"Rosa"}"#;
pub(crate) const SENDER: &str = "PILLARBOX";

/// One of Ofcom's numbers for fiction, whose last three digits are those of `n`, but none of those that the API or the
/// simulator has plans with.
pub(crate) fn number(n: u64) -> String {
    let last = match 100 + n % 900 {
        111 | 222 => 112,
        last => last,
    };
    format!("07700900{last}")
}

/// Whose notifications the bench stores by itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Account {
    pub(crate) service: ServiceId,
    pub(crate) key: ApiKeyId,
    pub(crate) template: TemplateId,
}

/// The `n`th text, as the door would hand it over.
pub(crate) fn notification(account: Account, keyring: &Keyring, n: u64) -> NewNotification {
    let now = Clock::System.now();
    let id = NotificationId::new(now);
    let recipient = number(n);
    NewNotification {
        id,
        service_id: account.service,
        channel: Channel::Sms,
        key_type: KeyType::Normal,
        api_key_id: Some(account.key),
        created_by: None,
        template_id: account.template,
        template_version: 1,
        normalised_recipient: recipient.replacen('0', "44", 1),
        recipient,
        personalisation: Some(keyring.seal(id.0, PERSONALISATION.as_bytes())),
        client_reference: None,
        sender: Some(SENDER.into()),
        unsubscribe_url: None,
        unsubscribe_page_url: None,
        international: false,
        phone_prefix: Some("44".into()),
        rate_multiplier: 1,
        created_at: now,
        wake_follows: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_for_fiction_and_nobody_has_plans_with_them() {
        for n in 0..2000 {
            let number = number(n);
            let last = number.strip_prefix("07700900").unwrap();
            assert!(last.len() == 3 && last > "016" && !["111", "222"].contains(&last), "{number}");
        }
        assert_ne!(number(1), number(2));
    }
}
