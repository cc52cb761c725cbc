//! Accepting: notifications and their due rows, many requests in one transaction.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{PgConnection, QueryResult, RunQueryDsl, sql_types as sql};
use domain::{
    id::{ApiKeyId, NotificationId, ServiceId, TemplateId},
    status::{Channel, KeyType},
    wakeup::{Kind, WakeUp},
};
use uuid::Uuid;

use crate::{
    due::{self, REWAKE_AFTER},
    group_writer::GroupWriter,
    pool::Config,
    statement::statement,
};

/// A notification as the door hands it over: everything checked, nothing stored.
pub struct NewNotification {
    pub id: NotificationId,
    pub service_id: ServiceId,
    pub channel: Channel,
    pub key_type: KeyType,
    pub api_key_id: ApiKeyId,
    pub template_id: TemplateId,
    pub template_version: i32,
    pub recipient: String,
    pub normalised_recipient: String,
    /// Sealed already, for this id.
    pub personalisation: Option<Vec<u8>>,
    pub client_reference: Option<String>,
    pub sender: Option<String>,
    pub unsubscribe_url: Option<String>,
    pub international: bool,
    pub phone_prefix: Option<String>,
    pub rate_multiplier: i16,
    pub created_at: DateTime<Utc>,
    /// The broker is connected, so that a wake-up follows the commit. Otherwise the sweep finds the row at once.
    pub wake_follows: bool,
}

impl std::fmt::Debug for NewNotification {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewNotification").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What was stored, and whether somebody is to be told.
#[derive(Clone, Copy, Debug)]
pub struct Stored {
    pub wake: WakeUp,
    pub wake_follows: bool,
}

/// Stores notifications in groups.
pub type Intake = GroupWriter<NewNotification, Stored>;

/// Starts the writer; `committed` publishes the wake-ups.
#[must_use]
pub fn start(config: Config, committed: impl Fn(&[Stored]) + Send + 'static) -> Intake {
    GroupWriter::start("intake", config, store, committed)
}

statement! {
    Insert {
        ids: Vec<Uuid> => sql::Array<sql::Uuid>,
        service_ids: Vec<Uuid> => sql::Array<sql::Uuid>,
        channels: Vec<&'a str> => sql::Array<sql::Text>,
        key_types: Vec<&'a str> => sql::Array<sql::Text>,
        api_key_ids: Vec<Uuid> => sql::Array<sql::Uuid>,
        template_ids: Vec<Uuid> => sql::Array<sql::Uuid>,
        template_versions: Vec<i32> => sql::Array<sql::Integer>,
        recipients: Vec<&'a str> => sql::Array<sql::Text>,
        normalised_recipients: Vec<&'a str> => sql::Array<sql::Text>,
        personalisations: Vec<Option<&'a [u8]>> => sql::Array<sql::Nullable<sql::Bytea>>,
        client_references: Vec<Option<&'a str>> => sql::Array<sql::Nullable<sql::Text>>,
        senders: Vec<Option<&'a str>> => sql::Array<sql::Nullable<sql::Text>>,
        unsubscribe_urls: Vec<Option<&'a str>> => sql::Array<sql::Nullable<sql::Text>>,
        internationals: Vec<bool> => sql::Array<sql::Bool>,
        phone_prefixes: Vec<Option<&'a str>> => sql::Array<sql::Nullable<sql::Text>>,
        rate_multipliers: Vec<i16> => sql::Array<sql::SmallInt>,
        created_ats: Vec<DateTime<Utc>> => sql::Array<sql::Timestamptz>,
        kinds: Vec<&'a str> => sql::Array<sql::Text>,
        wake_ats: Vec<DateTime<Utc>> => sql::Array<sql::Timestamptz>,
        clocks_apart: i32 => sql::Integer,
    } -> (),
    "WITH input AS (SELECT * FROM UNNEST(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
       AS t (id, service_id, channel, key_type, api_key_id, template_id, template_version, recipient, normalised_recipient,
             personalisation, client_reference, sender, unsubscribe_url, international, phone_prefix, rate_multiplier,
             created_at, kind, wake_at)),
     due_too AS (INSERT INTO due (subject_id, kind, due_at, wake_at)
       SELECT id, kind::wakeup_kind, created_at - ? * interval '1 second', wake_at FROM input)
     INSERT INTO notifications (id, service_id, channel, key_type, api_key_id, template_id, template_version, recipient,
       normalised_recipient, personalisation, client_reference, sender, unsubscribe_url, international, phone_prefix,
       rate_multiplier, created_at)
     SELECT id, service_id, channel::channel, key_type::key_type, api_key_id, template_id, template_version, recipient,
       normalised_recipient, personalisation, client_reference, sender, unsubscribe_url, international, phone_prefix,
       rate_multiplier, created_at
     FROM input"
}

/// Stores a group: one statement, whatever its size.
///
/// # Errors
/// When the database refuses; then nothing of the group is stored.
pub fn store(conn: &mut PgConnection, new: &[NewNotification]) -> QueryResult<Vec<Stored>> {
    fn column<'a, T>(new: &'a [NewNotification], of: impl Fn(&'a NewNotification) -> T) -> Vec<T> {
        new.iter().map(of).collect()
    }
    let rewake = TimeDelta::from_std(REWAKE_AFTER).unwrap_or(TimeDelta::MAX);
    Insert {
        ids: column(new, |n| n.id.0),
        service_ids: column(new, |n| n.service_id.0),
        channels: column(new, |n| n.channel.as_str()),
        key_types: column(new, |n| n.key_type.as_str()),
        api_key_ids: column(new, |n| n.api_key_id.0),
        template_ids: column(new, |n| n.template_id.0),
        template_versions: column(new, |n| n.template_version),
        recipients: column(new, |n| n.recipient.as_str()),
        normalised_recipients: column(new, |n| n.normalised_recipient.as_str()),
        personalisations: column(new, |n| n.personalisation.as_deref()),
        client_references: column(new, |n| n.client_reference.as_deref()),
        senders: column(new, |n| n.sender.as_deref()),
        unsubscribe_urls: column(new, |n| n.unsubscribe_url.as_deref()),
        internationals: column(new, |n| n.international),
        phone_prefixes: column(new, |n| n.phone_prefix.as_deref()),
        rate_multipliers: column(new, |n| n.rate_multiplier),
        created_ats: column(new, |n| n.created_at),
        kinds: column(new, |n| Kind::deliver(n.channel).as_str()),
        wake_ats: column(new, |n| if n.wake_follows { n.created_at + rewake } else { n.created_at }),
        clocks_apart: due::seconds(due::CLOCKS_APART),
        _binds: std::marker::PhantomData,
    }
    .execute(conn)?;
    let stored = |n: &NewNotification| Stored {
        wake: WakeUp { kind: Kind::deliver(n.channel), subject: n.id.0 },
        wake_follows: n.wake_follows,
    };
    Ok(new.iter().map(stored).collect())
}
