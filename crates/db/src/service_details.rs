//! Services as the people who run them see them: everything that is kept of one.
//!
//! What sending needs to know is [`service::Service`](crate::service::Service), and stays apart. Field names are those of the
//! wire contract, because a history keeps a service as it is told.

mod change;

use std::{collections::HashMap, fmt};

use chrono::{DateTime, Utc};
use diesel::{
    AsChangeset, ExpressionMethods, Insertable, PgConnection, PgTextExpressionMethods, QueryDsl, QueryResult,
    Queryable, RunQueryDsl, Selectable, SelectableHelper,
};
use domain::{id::ServiceId, sender_name::sendable_local_part};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use uuid::Uuid;

pub use self::change::{NewService, Refused, archive, create, update};
use crate::{
    pg_enum::PgPermission,
    platform,
    schema::{callbacks, service_details, service_permissions, service_users, services},
    service::{self, Permission},
};

/// Everything that is kept of a service.
#[derive(Clone, Debug, Serialize)]
pub struct Details {
    pub id: ServiceId,
    #[serde(skip)]
    pub created_at: DateTime<Utc>,
    #[serde(flatten)]
    pub settings: Settings,
    #[serde(serialize_with = "names")]
    pub permissions: Vec<Permission>,
    #[serde(flatten)]
    pub facts: Facts,
    /// Where it is told of what happens; changed elsewhere.
    #[serde(rename = "service_callback_api")]
    pub callbacks: Vec<CallbackOf>,
}

#[derive(Clone, Debug, Serialize)]
pub struct CallbackOf {
    pub callback_id: Uuid,
    pub callback_type: String,
}

/// What messages depend on.
#[derive(Clone, Debug, Serialize, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = services, treat_none_as_null = true)]
pub struct Settings {
    pub name: String,
    pub active: bool,
    /// Trial mode.
    pub restricted: bool,
    pub prefix_sms: bool,
    #[serde(rename = "custom_email_sender_name")]
    pub email_sender_name: Option<String>,
    pub rate_limit: i32,
    pub sms_message_limit: i32,
    pub email_message_limit: i32,
    pub letter_message_limit: i32,
    pub international_sms_message_limit: i32,
    pub contact_link: Option<String>,
    /// Made from the name that e-mails show, whenever a service is stored.
    #[serde(rename = "email_sender_local_part")]
    pub email_local_part: String,
    /// What is left of the name when case and punctuation do not count. Made likewise.
    #[serde(skip)]
    normalised_name: String,
}

/// What no message depends on.
#[derive(Clone, Serialize, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = service_details, treat_none_as_null = true)]
pub struct Facts {
    pub notes: Option<String>,
    pub billing_contact_email_addresses: Option<String>,
    pub billing_contact_names: Option<String>,
    pub billing_reference: Option<String>,
    pub purchase_order_number: Option<String>,
    pub consent_to_research: Option<bool>,
    pub count_as_live: bool,
    #[serde(serialize_with = "with_a_space")]
    pub go_live_at: Option<DateTime<Utc>>,
    pub go_live_user: Option<Uuid>,
    pub has_active_go_live_request: bool,
    pub confirmed_unique: bool,
    pub confirmed_email_sender_name: Option<bool>,
    pub organisation_type: Option<String>,
    pub volume_sms: Option<i32>,
    pub volume_email: Option<i32>,
    pub volume_letter: Option<i32>,
    /// Who made its newest version. None: an operator's tool, which is told as the platform.
    #[serde(serialize_with = "somebody")]
    pub created_by: Option<Uuid>,
    #[serde(skip)]
    pub updated_at: Option<DateTime<Utc>>,
}

/// People are named in it.
impl fmt::Debug for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Facts").field("count_as_live", &self.count_as_live).finish_non_exhaustive()
    }
}

impl Default for Facts {
    fn default() -> Self {
        Self {
            notes: None,
            billing_contact_email_addresses: None,
            billing_contact_names: None,
            billing_reference: None,
            purchase_order_number: None,
            consent_to_research: None,
            count_as_live: true,
            go_live_at: None,
            go_live_user: None,
            has_active_go_live_request: false,
            confirmed_unique: false,
            confirmed_email_sender_name: None,
            organisation_type: None,
            volume_sms: None,
            volume_email: None,
            volume_letter: None,
            created_by: None,
            updated_at: None,
        }
    }
}

fn names<S: Serializer>(permissions: &[Permission], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(permissions.iter().map(|permission| permission.as_str()))
}

fn somebody<S: Serializer>(user: &Option<Uuid>, serializer: S) -> Result<S::Ok, S::Error> {
    user.unwrap_or(platform::USER).serialize(serializer)
}

/// The one time that the wire contract writes so.
fn with_a_space<S: Serializer>(time: &Option<DateTime<Utc>>, serializer: S) -> Result<S::Ok, S::Error> {
    time.map(|time| time.format("%Y-%m-%d %H:%M:%S%.6f").to_string()).serialize(serializer)
}

impl Settings {
    fn sendable(mut self) -> Self {
        self.email_local_part = sendable_local_part(self.email_local_part);
        self
    }
}

impl Details {
    /// A service in trial mode with what the wire contract gives one that says no more of itself.
    #[must_use]
    pub fn new(name: String, now: DateTime<Utc>) -> Self {
        let limits = service::Limits::TRIAL;
        let settings = Settings {
            name,
            active: true,
            restricted: true,
            prefix_sms: true,
            email_sender_name: None,
            rate_limit: limits.rate,
            sms_message_limit: limits.sms,
            email_message_limit: limits.email,
            letter_message_limit: limits.letter,
            international_sms_message_limit: 250_000,
            contact_link: None,
            email_local_part: String::new(),
            normalised_name: String::new(),
        };
        let permissions = vec![
            Permission::Sms,
            Permission::Email,
            Permission::Letter,
            Permission::InternationalSms,
            Permission::InternationalLetters,
        ];
        Self {
            id: ServiceId::new(now),
            created_at: now,
            settings,
            permissions,
            facts: Facts::default(),
            callbacks: Vec::new(),
        }
    }

    fn state(&self) -> Value {
        let time = |time: DateTime<Utc>| time.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string();
        let mut state = json!(self);
        state["created_at"] = json!(time(self.created_at));
        state["updated_at"] = json!(self.facts.updated_at.map(time));
        state
    }
}

/// Which services are wanted. Nothing narrows: all.
#[derive(Clone, Debug, Default)]
pub struct Which {
    pub id: Option<ServiceId>,
    pub only_active: bool,
    /// Those that this person works with.
    pub member: Option<Uuid>,
    /// In the name, in whichever case.
    pub name_part: Option<String>,
}

/// Services, oldest first.
///
/// # Errors
/// When a query fails.
pub fn list(conn: &mut PgConnection, which: &Which) -> QueryResult<Vec<Details>> {
    let mut query = services::table
        .left_join(service_details::table)
        .order((services::created_at, services::id))
        .select((services::id, services::created_at, Settings::as_select(), Option::<Facts>::as_select()))
        .into_boxed();
    if let Some(id) = which.id {
        query = query.filter(services::id.eq(id.0));
    }
    if which.only_active {
        query = query.filter(services::active);
    }
    if let Some(member) = which.member {
        let theirs = service_users::table.filter(service_users::user_id.eq(member));
        query = query.filter(services::id.eq_any(theirs.select(service_users::service_id)));
    }
    if let Some(part) = &which.name_part {
        let part = part.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
        query = query.filter(services::name.ilike(format!("%{part}%")));
    }
    let rows: Vec<(Uuid, DateTime<Utc>, Settings, Option<Facts>)> = query.load(conn)?;
    let ids: Vec<Uuid> = rows.iter().map(|row| row.0).collect();
    let mut permissions = permissions_of(conn, &ids)?;
    let mut callbacks = callbacks_of(conn, &ids)?;
    let details =
        |(id, created_at, settings, facts): (Uuid, DateTime<Utc>, Settings, Option<Facts>)| Details {
            id: ServiceId(id),
            created_at,
            settings: settings.sendable(),
            permissions: permissions.remove(&id).unwrap_or_default(),
            facts: facts.unwrap_or_default(),
            callbacks: callbacks.remove(&id).unwrap_or_default(),
        };
    Ok(rows.into_iter().map(details).collect())
}

fn permissions_of(conn: &mut PgConnection, ids: &[Uuid]) -> QueryResult<HashMap<Uuid, Vec<Permission>>> {
    let rows: Vec<(Uuid, PgPermission)> = service_permissions::table
        .filter(service_permissions::service_id.eq_any(ids))
        .order(service_permissions::permission)
        .load(conn)?;
    let mut by_service: HashMap<Uuid, Vec<Permission>> = HashMap::new();
    for (service, permission) in rows {
        by_service.entry(service).or_default().push(permission.0);
    }
    Ok(by_service)
}

fn callbacks_of(conn: &mut PgConnection, ids: &[Uuid]) -> QueryResult<HashMap<Uuid, Vec<CallbackOf>>> {
    let rows: Vec<(Uuid, Uuid, String)> = callbacks::table
        .filter(callbacks::service_id.eq_any(ids))
        .order(callbacks::callback_type)
        .select((callbacks::service_id, callbacks::id, callbacks::callback_type))
        .load(conn)?;
    let mut by_service: HashMap<Uuid, Vec<CallbackOf>> = HashMap::new();
    for (service, callback_id, callback_type) in rows {
        by_service.entry(service).or_default().push(CallbackOf { callback_id, callback_type });
    }
    Ok(by_service)
}

/// One service, archived or not.
///
/// # Errors
/// When a query fails.
pub fn find(conn: &mut PgConnection, id: ServiceId) -> QueryResult<Option<Details>> {
    list(conn, &Which { id: Some(id), ..Which::default() }).map(|mut found| found.pop())
}
