//! Look-ups on the way in, remembered for two seconds (the wire contract's figure), keys for one.
//!
//! One query for all who wait for the same thing. That there is no such thing is remembered too, and for no longer. Nothing
//! else uses these connections: whoever reads much, or for long, keeps nobody from being known. What strangers ask for (those
//! who have links, or made one up) takes two of them at most.

use std::{collections::HashSet, hash::Hash, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use db::{
    Db, DbError,
    document::{self, Document},
    notification,
    sealing::Keyring,
    service::{Member, Service},
    template::{Dated, Detailed, Which},
};
use domain::{
    clock::Clock,
    email_address::EmailAddress,
    id::{DocumentId, NotificationId, ReplyToId, ServiceId, SmsSenderId, TemplateId},
    phone::PhoneNumber,
    status::Channel,
    template::{Template, UsedNames},
};
use moka::future::Cache;
use tokio::sync::{Semaphore, SemaphorePermit};
use uuid::Uuid;

use crate::auth::KnownKey;

const REMEMBERED_FOR: Duration = Duration::from_secs(2);
/// A revoked key is to be refused everywhere within two seconds, and what it is asked with, and the look-up, take time too.
const KEYS_REMEMBERED_FOR: Duration = Duration::from_secs(1);
/// Entries of each kind; callers who make ids up push out nothing but each other's.
const CAPACITY: u64 = 10_000;
/// Look-ups for strangers at a time.
const FOR_STRANGERS: usize = 2;

/// A service, with what its messages are sent from worked out.
pub(crate) struct KnownService {
    pub(crate) service: Service,
    /// As they go to the provider: UK numbers as `447…`.
    sms_senders: Vec<(SmsSenderId, String)>,
    default_sms_sender: Option<String>,
    /// Normalised: the addresses and numbers of its members.
    team: HashSet<(Channel, String)>,
}

impl KnownService {
    pub(crate) fn new(service: Service) -> Self {
        let sender = |sender: &str| match PhoneNumber::parse(sender) {
            Ok(number) if number.is_uk() => number.normalised().to_owned(),
            Ok(_) | Err(_) => sender.to_owned(),
        };
        let default = service.sms_senders.iter().find(|sender| sender.is_default);
        Self {
            sms_senders: service.sms_senders.iter().map(|s| (s.id, sender(&s.sender))).collect(),
            default_sms_sender: default.map(|default| sender(&default.sender)),
            team: service.team.iter().flat_map(recipients).collect(),
            service,
        }
    }

    pub(crate) fn id(&self) -> ServiceId {
        self.service.id
    }

    pub(crate) fn is_active(&self) -> bool {
        self.service.active
    }

    pub(crate) fn is_member(&self, channel: Channel, normalised: &str) -> bool {
        self.team.contains(&(channel, normalised.to_owned()))
    }

    pub(crate) fn is_guest(&self, channel: Channel, normalised: &str) -> bool {
        self.service.guest_list.iter().any(|(by, guest)| *by == channel && guest == normalised)
    }

    pub(crate) fn sms_sender(&self, id: SmsSenderId) -> Option<&str> {
        self.sms_senders.iter().find(|(known, _)| *known == id).map(|(_, sender)| sender.as_str())
    }

    pub(crate) fn default_sms_sender(&self) -> Option<&str> {
        self.default_sms_sender.as_deref()
    }

    pub(crate) fn reply_to(&self, id: ReplyToId) -> Option<&str> {
        let known = self.service.reply_to_addresses.iter().find(|known| known.id == id);
        known.map(|known| known.address.as_str())
    }

    pub(crate) fn default_reply_to(&self) -> Option<&str> {
        let default = self.service.reply_to_addresses.iter().find(|known| known.is_default);
        default.map(|default| default.address.as_str())
    }

    /// Who a template's texts come from, or where answers to its e-mails go: the service's default unless the template has one
    /// that still is.
    pub(crate) fn sender_of(&self, channel: Channel, reply_to: Option<Uuid>) -> Option<&str> {
        match channel {
            Channel::Sms => {
                let own = reply_to.and_then(|id| self.sms_sender(SmsSenderId(id)));
                own.or_else(|| self.default_sms_sender())
            }
            Channel::Email => {
                let own = reply_to.and_then(|id| self.reply_to(ReplyToId(id)));
                own.or_else(|| self.default_reply_to())
            }
        }
    }
}

/// What is no address, or no number, reaches nobody.
fn recipients(member: &Member) -> impl Iterator<Item = (Channel, String)> {
    let address = EmailAddress::parse(&member.email_address).ok();
    let number = member.mobile_number.as_deref().and_then(|number| PhoneNumber::parse(number).ok());
    let address = address.map(|address| (Channel::Email, address.normalised().to_owned()));
    address.into_iter().chain(number.map(|number| (Channel::Sms, number.normalised().to_owned())))
}

/// The current version of a template, taken apart.
pub(crate) struct KnownTemplate {
    pub(crate) row: db::template::Template,
    /// Who its texts come from, or where answers to its e-mails go, unless that has been archived.
    pub(crate) reply_to: Option<Uuid>,
    pub(crate) subject: Option<Template>,
    pub(crate) body: Template,
    /// By its own text; values by other names are not stored.
    pub(crate) used: UsedNames,
}

impl KnownTemplate {
    pub(crate) fn new(row: db::template::Template, reply_to: Option<Uuid>) -> Self {
        Self {
            subject: row.subject.as_deref().map(Template::parse),
            body: Template::parse(&row.content),
            used: UsedNames::of(row.subject.as_deref().into_iter().chain([&*row.content])),
            row,
            reply_to,
        }
    }
}

impl From<Detailed> for KnownTemplate {
    fn from(detailed: Detailed) -> Self {
        let Detailed { dated: Dated { template, .. }, reply_to, .. } = detailed;
        Self::new(template, reply_to)
    }
}

/// What a fragment costs from when on, oldest first.
pub(crate) type Rates = Arc<[(DateTime<Utc>, f64)]>;

pub(crate) struct Lookup {
    db: Db,
    keyring: Arc<Keyring>,
    clock: Clock,
    services: Cache<ServiceId, Option<Arc<KnownService>>>,
    keys: Cache<ServiceId, Arc<[KnownKey]>>,
    templates: Cache<(ServiceId, TemplateId), Option<Arc<KnownTemplate>>>,
    rates: Cache<(), Rates>,
    schema: Cache<(), Option<String>>,
    documents: Cache<(ServiceId, DocumentId), Option<Arc<Document>>>,
    senders: Cache<NotificationId, Option<ServiceId>>,
    strangers: Semaphore,
}

impl Lookup {
    pub(crate) fn new(db: Db, keyring: Arc<Keyring>, clock: Clock) -> Self {
        Self {
            db,
            keyring,
            clock,
            services: cache(REMEMBERED_FOR),
            keys: cache(KEYS_REMEMBERED_FOR),
            templates: cache(REMEMBERED_FOR),
            rates: cache(REMEMBERED_FOR),
            schema: cache(REMEMBERED_FOR),
            documents: cache(REMEMBERED_FOR),
            senders: cache(REMEMBERED_FOR),
            strangers: Semaphore::new(FOR_STRANGERS),
        }
    }

    /// Whether to ask for this service and its keys costs nothing.
    pub(crate) fn remembers(&self, id: ServiceId) -> bool {
        self.services.contains_key(&id) && self.keys.contains_key(&id)
    }

    /// Those for whom nothing speaks wait for each other, and nobody for them.
    pub(crate) async fn turn_of_strangers(&self) -> Option<SemaphorePermit<'_>> {
        // Never closed.
        self.strangers.acquire().await.ok()
    }

    pub(crate) async fn service(&self, id: ServiceId) -> Result<Option<Arc<KnownService>>, Arc<DbError>> {
        let query = self.db.run("service.find", move |conn| db::service::find(conn, id));
        let known = async { Ok(query.await?.map(KnownService::new).map(Arc::new)) };
        self.services.try_get_with_by_ref(&id, known).await
    }

    /// Also the keys that were revoked lately.
    pub(crate) async fn keys(&self, service: ServiceId) -> Result<Arc<[KnownKey]>, Arc<DbError>> {
        let known = async {
            let (keyring, now) = (self.keyring.clone(), self.clock.now());
            let query = self
                .db
                .run("api_key.visible", move |conn| db::api_key::visible(conn, &keyring, service, now));
            Ok(query.await?.into_iter().map(KnownKey::from).collect())
        };
        self.keys.try_get_with_by_ref(&service, known).await
    }

    pub(crate) async fn template(
        &self,
        service: ServiceId,
        id: TemplateId,
    ) -> Result<Option<Arc<KnownTemplate>>, Arc<DbError>> {
        let which = Which::Current(id);
        let query = self.db.run("template.current", move |conn| db::template::detailed(conn, service, which));
        let known = async { Ok(query.await?.pop().map(KnownTemplate::from).map(Arc::new)) };
        self.templates.try_get_with_by_ref(&(service, id), known).await
    }

    pub(crate) async fn sms_rates(&self) -> Result<Rates, Arc<DbError>> {
        let known = async { Ok(self.db.run("service.sms_rates", db::service::sms_rates).await?.into()) };
        self.rates.try_get_with_by_ref(&(), known).await
    }

    /// The latest migration of the database.
    pub(crate) async fn schema_version(&self) -> Result<Option<String>, Arc<DbError>> {
        let known = self.db.run("migrations.version", db::migrations::version);
        self.schema.try_get_with_by_ref(&(), known).await
    }

    /// What is not past its time, for whoever has a link.
    pub(crate) async fn document(
        &self,
        service: ServiceId,
        id: DocumentId,
    ) -> Result<Option<Arc<Document>>, Arc<DbError>> {
        let now = self.clock.now();
        let known = async {
            let _turn = self.turn_of_strangers().await;
            let query = self.db.run("document.find", move |conn| document::find(conn, service, id, now));
            Ok(query.await?.map(Arc::new))
        };
        let found = self.documents.try_get_with_by_ref(&(service, id), known).await?;
        Ok(found.filter(|document| document.expires_at > now))
    }

    /// Whose notification it is, for whoever has a link.
    pub(crate) async fn sender_of(&self, id: NotificationId) -> Result<Option<ServiceId>, Arc<DbError>> {
        let known = async {
            let _turn = self.turn_of_strangers().await;
            let query = self.db.run("notification.find", move |conn| notification::find(conn, id));
            Ok(query.await?.map(|found| found.service_id))
        };
        self.senders.try_get_with_by_ref(&id, known).await
    }
}

fn cache<K, V>(remembered_for: Duration) -> Cache<K, V>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    Cache::builder().max_capacity(CAPACITY).time_to_live(remembered_for).build()
}
