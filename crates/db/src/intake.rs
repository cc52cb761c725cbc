//! Accepting: limits, earlier requests, notifications and their due rows; many requests in one transaction.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{PgConnection, QueryResult, RunQueryDsl, sql_types as sql};
use domain::{
    id::{ApiKeyId, NotificationId, ServiceId, TemplateId},
    status::{Channel, KeyType},
    wakeup::{Kind, WakeUp},
};
use uuid::Uuid;

use crate::{
    document::{self, NewDocument},
    due::{self, REWAKE_AFTER},
    error::DbError,
    group_writer::{GroupWriter, Turn},
    idempotency::{self, Earlier, Idempotency, OwnedKey},
    limit::{self, Exceeded, Measure, Usage, exhausted::Exhausted},
    pool::Config,
    statement::{Words, statement},
};

/// A notification as the door hands it over: everything checked, nothing stored.
pub struct NewNotification {
    pub id: NotificationId,
    pub service_id: ServiceId,
    pub channel: Channel,
    pub key_type: KeyType,
    /// None: a person sent it, not a key.
    pub api_key_id: Option<ApiKeyId>,
    /// The person, if one did.
    pub created_by: Option<Uuid>,
    pub template_id: TemplateId,
    pub template_version: i32,
    pub recipient: String,
    pub normalised_recipient: String,
    /// Sealed already, for this id.
    pub personalisation: Option<Vec<u8>>,
    pub client_reference: Option<String>,
    pub sender: Option<String>,
    /// For mail programs, in the headers.
    pub unsubscribe_url: Option<String>,
    /// For people, in the text.
    pub unsubscribe_page_url: Option<String>,
    pub international: bool,
    pub phone_prefix: Option<String>,
    pub rate_multiplier: i16,
    pub created_at: DateTime<Utc>,
    /// The broker is connected, so that a wake-up follows the commit. Otherwise the sweep finds the row at once.
    pub wake_follows: bool,
}

impl NewNotification {
    /// Of what may be long.
    fn bytes(&self) -> usize {
        let texts = [&self.client_reference, &self.sender, &self.unsubscribe_url, &self.unsubscribe_page_url];
        let texts = texts.into_iter().flatten().chain([&self.recipient, &self.normalised_recipient]);
        self.personalisation.as_ref().map_or(0, Vec::len) + texts.map(String::len).sum::<usize>()
    }
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

/// A request to send, judged by everything but the limits and the requests before it.
#[derive(Debug)]
pub struct Request {
    pub service_id: ServiceId,
    pub at: DateTime<Utc>,
    pub measure: Measure,
    pub idempotency: Option<Idempotency>,
    /// None: another rule refuses it, or its recipient is only simulated. It is measured all the same.
    pub new: Option<NewNotification>,
    /// The files of the new one: stored with it, or not at all.
    pub documents: Vec<NewDocument>,
}

impl Request {
    fn bytes(&self) -> usize {
        let new = self.new.as_ref().map_or(0, NewNotification::bytes);
        let answer = self
            .idempotency
            .as_ref()
            .and_then(|key| key.answer.as_ref())
            .map_or(0, |(_, answer)| answer.len());
        new + answer + self.documents.iter().map(NewDocument::bytes).sum::<usize>()
    }
}

/// What became of a request.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Within the limits; what there was to store is stored.
    Admitted(Option<Stored>),
    Exceeded(Exceeded),
    /// It was made before. The answer of then is sealed for this notification.
    Repeated {
        notification: NotificationId,
        answer: Vec<u8>,
    },
    /// Another one was made with its key before.
    KeyReused,
}

/// Admits requests in groups. Those that are certainly beyond a limit are told so at once.
#[derive(Clone, Debug)]
pub struct Intake {
    writer: GroupWriter<Request, Outcome>,
    exhausted: Arc<Exhausted>,
}

/// Starts the writer; `committed` publishes the wake-ups.
#[must_use]
pub fn start(config: Config, committed: impl Fn(&[Outcome]) + Send + 'static) -> Intake {
    let exhausted = Arc::new(Exhausted::default());
    let known = Arc::clone(&exhausted);
    let write =
        move |conn: &mut PgConnection, group: &[Request], turn| admit_knowing(conn, group, turn, &known);
    let line = |request: &Request| (request.service_id.0, request.bytes());
    Intake { writer: GroupWriter::start_in_lines("intake", config, line, write, committed), exhausted }
}

impl Intake {
    /// Judges a request, and stores what is admitted; answers after the commit. When this is dropped before the request's
    /// turn, nothing of it is stored.
    ///
    /// # Errors
    /// When the database is away, cannot keep up, or refuses it ([`GroupWriter::submit`]).
    pub async fn submit(&self, request: Request) -> Result<Outcome, DbError> {
        let (service, may_be_repeated) = (request.service_id, request.idempotency.is_some());
        match self.exhausted.refuse(service, &request.measure, request.at, may_be_repeated) {
            Some(exceeded) => Ok(Outcome::Exceeded(exceeded)),
            None => self.writer.submit(request).await,
        }
    }

    /// Waits for the end of the writer, without keeping it from ending.
    ///
    /// # Errors
    /// When it panicked: nothing is written any more.
    pub fn ended(&self) -> impl Future<Output = Result<(), DbError>> + Send + 'static + use<> {
        self.writer.ended()
    }
}

/// Judges a group in its order, and stores what passes: three statements, one more each way for requests with a key, and one
/// for files. None for requests of a service whose usage another group holds: they do not hold up the others.
///
/// # Errors
/// When the database refuses; then nothing of the group is stored.
pub fn admit(conn: &mut PgConnection, group: &[Request], turn: Turn) -> QueryResult<Vec<Option<Outcome>>> {
    admit_knowing(conn, group, turn, &Exhausted::default())
}

fn admit_knowing(
    conn: &mut PgConnection,
    group: &[Request],
    turn: Turn,
    exhausted: &Exhausted,
) -> QueryResult<Vec<Option<Outcome>>> {
    let Some(now) = group.iter().map(|request| request.at).max() else { return Ok(Vec::new()) };
    let services: BTreeSet<Uuid> = group.iter().map(|request| request.service_id.0).collect();
    let services: Vec<Uuid> = services.into_iter().collect();
    let mut usage = match turn {
        Turn::Free => limit::lock_free(conn, &services)?,
        Turn::Wait(turn) => limit::wait_for(conn, &services, turn)?,
    };
    if usage.is_empty() {
        return Ok(group.iter().map(|_| None).collect());
    }
    let keys: Vec<_> = group.iter().filter_map(owned_key).collect();
    let mut earlier: HashMap<_, _> = match &*keys {
        [] => HashMap::new(),
        keys => idempotency::find(conn, keys, now)?.into_iter().collect(),
    };
    let (mut outcomes, mut new, mut answers) = (Vec::with_capacity(group.len()), Vec::new(), Vec::new());
    let mut documents = Vec::new();
    for request in group {
        let Ok(at) = usage.binary_search_by_key(&request.service_id.0, |(id, _)| id.0) else {
            outcomes.push(None);
            continue;
        };
        let usage = &mut usage[at].1;
        let (measure, now) = (&request.measure, request.at);
        if let Some(bucket) = exhausted.bucket(request.service_id, measure.key_type) {
            usage.lower_bucket(measure, bucket, now);
        }
        let outcome = judge(request, usage, &mut earlier, &mut answers);
        let refusal = if let Outcome::Exceeded(exceeded) = outcome { Some(exceeded) } else { None };
        exhausted.learn(request.service_id, measure, now, usage, refusal);
        if let (Outcome::Admitted(Some(_)), Some(admitted)) = (&outcome, &request.new) {
            new.push(admitted);
            documents.extend(&request.documents);
        }
        outcomes.push(Some(outcome));
    }
    if !new.is_empty() {
        insert(conn, &new)?;
    }
    if !documents.is_empty() {
        document::store_all(conn, documents)?;
    }
    if !answers.is_empty() {
        idempotency::remember(conn, &answers, now)?;
    }
    limit::write(conn, &usage)?;
    Ok(outcomes)
}

fn owned_key(request: &Request) -> Option<idempotency::Owned<'_>> {
    let key = request.idempotency.as_ref()?.key.as_str();
    Some((request.service_id, request.measure.key_type, key))
}

type Known = HashMap<OwnedKey, Earlier>;

/// In the order of the wire contract: the minute, then whether it was made before, the day, everything else, abroad.
fn judge<'r>(
    request: &'r Request,
    usage: &mut Usage,
    earlier: &mut Known,
    answers: &mut Vec<(idempotency::Owned<'r>, Earlier)>,
) -> Outcome {
    let (measure, at) = (&request.measure, request.at);
    if let Err(exceeded) = usage.take_token(measure, at) {
        return Outcome::Exceeded(exceeded);
    }
    let key = owned_key(request);
    let known = key.and_then(|(service, key_type, key)| earlier.get(&(service, key_type, key.to_owned())));
    if let (Some(known), Some(asked)) = (known, &request.idempotency) {
        return if known.fingerprint == asked.fingerprint {
            Outcome::Repeated { notification: known.notification, answer: known.answer.clone() }
        } else {
            Outcome::KeyReused
        };
    }
    let within = usage.check_day(measure, at).and_then(|()| usage.check_international(measure, at));
    if let Err(exceeded) = within {
        return Outcome::Exceeded(exceeded);
    }
    if request.new.is_some() {
        usage.count(measure);
    }
    let asked = request.idempotency.as_ref();
    let answer = asked.and_then(|asked| Some((asked.fingerprint, asked.answer.as_ref()?)));
    if let (Some(key), Some((fingerprint, (notification, answer)))) = (key, answer) {
        let now_known = Earlier {
            fingerprint: fingerprint.to_vec(),
            notification: *notification,
            answer: answer.clone(),
        };
        earlier.insert((key.0, key.1, key.2.to_owned()), now_known.clone());
        answers.push((key, now_known));
    }
    Outcome::Admitted(request.new.as_ref().map(stored))
}

statement! {
    Insert {
        ids: Vec<Uuid> => sql::Array<sql::Uuid>,
        service_ids: Vec<Uuid> => sql::Array<sql::Uuid>,
        channels: Vec<&'a str> => sql::Array<sql::Text>,
        key_types: Vec<&'a str> => sql::Array<sql::Text>,
        api_key_ids: Vec<Option<Uuid>> => sql::Array<sql::Nullable<sql::Uuid>>,
        created_bys: Vec<Option<Uuid>> => sql::Array<sql::Nullable<sql::Uuid>>,
        template_ids: Vec<Uuid> => sql::Array<sql::Uuid>,
        template_versions: Vec<i32> => sql::Array<sql::Integer>,
        recipients: Vec<Words<'a>> => sql::Array<sql::Text>,
        normalised_recipients: Vec<Words<'a>> => sql::Array<sql::Text>,
        personalisations: Vec<Option<&'a [u8]>> => sql::Array<sql::Nullable<sql::Bytea>>,
        client_references: Vec<Option<Words<'a>>> => sql::Array<sql::Nullable<sql::Text>>,
        senders: Vec<Option<Words<'a>>> => sql::Array<sql::Nullable<sql::Text>>,
        unsubscribe_urls: Vec<Option<Words<'a>>> => sql::Array<sql::Nullable<sql::Text>>,
        unsubscribe_page_urls: Vec<Option<Words<'a>>> => sql::Array<sql::Nullable<sql::Text>>,
        internationals: Vec<bool> => sql::Array<sql::Bool>,
        phone_prefixes: Vec<Option<&'a str>> => sql::Array<sql::Nullable<sql::Text>>,
        rate_multipliers: Vec<i16> => sql::Array<sql::SmallInt>,
        created_ats: Vec<DateTime<Utc>> => sql::Array<sql::Timestamptz>,
        kinds: Vec<&'a str> => sql::Array<sql::Text>,
        wake_ats: Vec<DateTime<Utc>> => sql::Array<sql::Timestamptz>,
        clocks_apart: i32 => sql::Integer,
    } -> (),
    "WITH input AS (SELECT * FROM UNNEST(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
       AS t (id, service_id, channel, key_type, api_key_id, created_by, template_id, template_version, recipient,
             normalised_recipient, personalisation, client_reference, sender, unsubscribe_url, unsubscribe_page_url, international,
             phone_prefix, rate_multiplier, created_at, kind, wake_at)),
     due_too AS (INSERT INTO due (subject_id, kind, due_at, wake_at)
       SELECT id, kind::wakeup_kind, created_at - ? * interval '1 second', wake_at FROM input)
     INSERT INTO notifications (id, service_id, channel, key_type, api_key_id, created_by, template_id, template_version,
       recipient, normalised_recipient, personalisation, client_reference, sender, unsubscribe_url, unsubscribe_page_url,
       international, phone_prefix, rate_multiplier, created_at)
     SELECT id, service_id, channel::channel, key_type::key_type, api_key_id, created_by, template_id, template_version,
       recipient, normalised_recipient, personalisation, client_reference, sender, unsubscribe_url, unsubscribe_page_url,
       international, phone_prefix, rate_multiplier, created_at
     FROM input"
}

/// Stores a group whatever the limits: one statement, whatever its size.
///
/// # Errors
/// When the database refuses; then nothing of the group is stored.
pub fn store(conn: &mut PgConnection, new: &[NewNotification]) -> QueryResult<Vec<Stored>> {
    insert(conn, &new.iter().collect::<Vec<_>>())?;
    Ok(new.iter().map(stored).collect())
}

fn stored(new: &NewNotification) -> Stored {
    let wake = WakeUp { kind: Kind::deliver(new.channel), subject: new.id.0 };
    Stored { wake, wake_follows: new.wake_follows }
}

fn insert(conn: &mut PgConnection, new: &[&NewNotification]) -> QueryResult<()> {
    fn column<'a, T>(new: &[&'a NewNotification], of: impl Fn(&'a NewNotification) -> T) -> Vec<T> {
        new.iter().map(|new| of(new)).collect()
    }
    let rewake = TimeDelta::from_std(REWAKE_AFTER).unwrap_or(TimeDelta::MAX);
    Insert {
        ids: column(new, |n| n.id.0),
        service_ids: column(new, |n| n.service_id.0),
        channels: column(new, |n| n.channel.as_str()),
        key_types: column(new, |n| n.key_type.as_str()),
        api_key_ids: column(new, |n| n.api_key_id.map(|id| id.0)),
        created_bys: column(new, |n| n.created_by),
        template_ids: column(new, |n| n.template_id.0),
        template_versions: column(new, |n| n.template_version),
        recipients: column(new, |n| Words(&n.recipient)),
        normalised_recipients: column(new, |n| Words(&n.normalised_recipient)),
        personalisations: column(new, |n| n.personalisation.as_deref()),
        client_references: column(new, |n| n.client_reference.as_deref().map(Words)),
        senders: column(new, |n| n.sender.as_deref().map(Words)),
        unsubscribe_urls: column(new, |n| n.unsubscribe_url.as_deref().map(Words)),
        unsubscribe_page_urls: column(new, |n| n.unsubscribe_page_url.as_deref().map(Words)),
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
    Ok(())
}
