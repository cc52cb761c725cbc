//! Rows that tests start from.

use chrono::{DateTime, Utc};
use db::{
    api_key::NewKey,
    intake::{NewNotification, Request},
    limit::{Daily, Measure},
    sealing::Keyring,
    service::{Limits, Permission, ReplyTo, Service, SmsSender},
    template::Template,
};
use diesel::PgConnection;
use domain::{
    id::{ApiKeyId, NotificationId, ReplyToId, ServiceId, SmsSenderId, TemplateId},
    status::{Channel, KeyType},
};
use serde_json::json;
use uuid::Uuid;

/// The sealing key of every test.
pub const KEYRING: &str = "1:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

/// # Panics
/// Never: the key is well formed.
#[must_use]
pub fn keyring() -> Keyring {
    KEYRING.parse().expect("64 hex digits")
}

/// A live service with a key of each type, a template for each channel, and its senders.
#[derive(Clone, Debug)]
pub struct Sample {
    pub service: Service,
    /// Normal, team, test: id and secret.
    pub keys: [(ApiKeyId, KeyType, Uuid); 3],
    pub sms: Template,
    pub email: Template,
}

/// Stores a [`Sample`].
///
/// # Panics
/// When the database refuses.
pub fn sample(conn: &mut PgConnection, now: DateTime<Utc>) -> Sample {
    let id = ServiceId(Uuid::new_v4());
    let service = Service {
        id,
        name: "Parking permits".into(),
        active: true,
        restricted: false,
        prefix_sms: true,
        email_local_part: "parking.permits".into(),
        permissions: vec![Permission::Sms, Permission::Email],
        sms_senders: vec![SmsSender {
            id: SmsSenderId::new(now),
            sender: "PILLARBOX".into(),
            is_default: true,
        }],
        reply_to_addresses: vec![ReplyTo {
            id: ReplyToId::new(now),
            address: "desk@example.com".into(),
            is_default: true,
        }],
        guest_list: vec![(Channel::Sms, "447700900123".into()), (Channel::Email, "rosa@example.com".into())],
        team: Vec::new(),
        limits: Limits::NONE,
        contact_link: None,
    };
    db::service::put(conn, &service, now).expect("a service can be stored");
    let keys = [KeyType::Normal, KeyType::Team, KeyType::Test]
        .map(|key_type| (ApiKeyId::new(now), key_type, Uuid::new_v4()));
    for (key, key_type, secret) in keys {
        let name = key_type.as_str();
        let new = NewKey { id: key, service_id: id, key_type, name, secret, created_by: None };
        db::api_key::create(conn, &keyring(), &new, now).expect("a key can be stored");
    }
    let template = |channel, subject: Option<&str>, content: &str| Template {
        id: TemplateId::new(now),
        service_id: id,
        channel,
        name: format!("Ready ({channel})"),
        version: 1,
        subject: subject.map(Into::into),
        content: content.into(),
        has_unsubscribe_link: false,
        archived: false,
    };
    let sms = template(Channel::Sms, None, "Hello ((name)), your permit is ready");
    let email =
        template(Channel::Email, Some("Permit for ((name))"), "# Hello ((name))\n\nYour permit is ready.");
    for template in [&sms, &email] {
        db::template::put(conn, template, "rosa@example.gov.uk", now).expect("a template can be stored");
    }
    Sample { service, keys, sms, email }
}

/// A text or e-mail of the sample service to a made-up person, named Rosa.
///
/// # Panics
/// Never: a map of strings is valid JSON.
#[must_use]
pub fn notification(sample: &Sample, channel: Channel, now: DateTime<Utc>) -> NewNotification {
    sealed_notification(sample, channel, now, &keyring())
}

/// [`notification`] with another sealing key.
///
/// # Panics
/// Never: a map of strings is valid JSON.
#[must_use]
pub fn sealed_notification(
    sample: &Sample,
    channel: Channel,
    now: DateTime<Utc>,
    keyring: &Keyring,
) -> NewNotification {
    let id = NotificationId::new(now);
    let (template, recipient, normalised, sender) = match channel {
        Channel::Sms => (&sample.sms, "07700 900123", "447700900123", "PILLARBOX"),
        Channel::Email => (&sample.email, "Rosa@example.com", "rosa@example.com", "desk@example.com"),
    };
    let personalisation =
        serde_json::to_vec(&json!({"name": "Rosa"})).expect("a map of strings is valid JSON");
    NewNotification {
        id,
        service_id: sample.service.id,
        channel,
        key_type: KeyType::Normal,
        api_key_id: Some(sample.keys[0].0),
        created_by: None,
        template_id: template.id,
        template_version: 1,
        recipient: recipient.into(),
        normalised_recipient: normalised.into(),
        personalisation: Some(keyring.seal(id.0, &personalisation)),
        client_reference: None,
        sender: Some(sender.into()),
        unsubscribe_url: None,
        unsubscribe_page_url: None,
        international: false,
        phone_prefix: (channel == Channel::Sms).then(|| "44".into()),
        rate_multiplier: 1,
        created_at: now,
        wake_follows: true,
    }
}

/// The request to send it, which no limit refuses.
#[must_use]
pub fn request(new: NewNotification) -> Request {
    let measure = Measure {
        key_type: new.key_type,
        channel: new.channel,
        rate: None,
        daily: Daily::Unlimited,
        international: None,
    };
    Request {
        service_id: new.service_id,
        at: new.created_at,
        measure,
        idempotency: None,
        new: Some(new),
        documents: Vec::new(),
    }
}
