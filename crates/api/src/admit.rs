//! What a request to send comes to: the limits (rows 1, 2 and 15 of the wire contract's table), requests made before
//! (`Idempotency-Key`), and storing (row 18), all decided by `db::intake` in one transaction.
//!
//! The other rules are looked at before, since they need no lock, and told after: the limits come first in what callers see,
//! even when the body is wrong, and a refused request has used up a token of its minute.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, http::header::ContentType};
use db::{
    document::NewDocument,
    idempotency::{self, Idempotency},
    intake::{NewNotification, Outcome, Request},
    limit::{Daily, Measure},
    service::Limits,
};
use domain::{
    id::{NotificationId, ServiceId},
    status::{Channel, KeyType},
};

use crate::{
    App,
    auth::Caller,
    budget::{self, Owner, Room, SMALL},
    error::Problem,
    header::{self, Repeated},
    routes::may_be_stored,
};

pub(crate) const HEADER: &str = "Idempotency-Key";
/// Says that an answer was given before.
pub(crate) const REPLAYED: (&str, &str) = ("Idempotent-Replayed", "true");

/// What the rules made of a request: an answer, or none.
pub(crate) type Judged = Result<Ready, Refused>;

/// It may be stored, and this is the answer if it is.
pub(crate) struct Ready {
    pub(crate) id: NotificationId,
    pub(crate) answer: Vec<u8>,
    /// None for a simulated recipient.
    pub(crate) new: Option<NewNotification>,
    /// Its files.
    pub(crate) documents: Vec<NewDocument>,
    /// A text to a number that does not begin with 44.
    pub(crate) abroad: bool,
}

/// A rule forbids it.
pub(crate) struct Refused {
    problem: Problem,
    /// As with [`Ready`], when nothing before row 15 is wrong.
    abroad: bool,
}

impl<P: Into<Problem>> From<P> for Refused {
    fn from(problem: P) -> Self {
        Self { problem: problem.into(), abroad: false }
    }
}

impl Refused {
    pub(crate) fn after_row_15(problem: Problem, abroad: bool) -> Self {
        Self { problem, abroad }
    }
}

/// What a request of the current API is measured against.
pub(crate) fn measure(caller: &Caller, channel: Channel) -> Measure {
    let own = caller.service.service.limits;
    let daily = daily_limits(caller);
    let limit = match channel {
        Channel::Sms => daily.sms,
        Channel::Email => daily.email,
    };
    Measure {
        key_type: caller.key_type,
        channel,
        rate: Some(own.rate),
        daily: Daily::Channel(limit),
        international: None,
    }
}

/// Test keys of services in trial mode are measured as if the service were live.
fn daily_limits(caller: &Caller) -> Limits {
    let service = &caller.service.service;
    if caller.key_type == KeyType::Test && service.restricted { Limits::LIVE } else { service.limits }
}

/// Admits and stores a request, or says why not; returns after the commit.
pub(crate) async fn admit(
    app: &App,
    caller: &Caller,
    mut measure: Measure,
    key: Option<&Key<'_>>,
    judged: Judged,
) -> Result<HttpResponse, Problem> {
    let (ready, refused) = match judged {
        // Of our own failures nothing can be said but that; limits do not matter then.
        Err(refused) if refused.problem.is_ours() => return Err(refused.problem),
        Err(Refused { problem, abroad }) => (None, Some((problem, abroad))),
        Ok(ready) => (Some(ready), None),
    };
    let abroad =
        refused.as_ref().map_or_else(|| ready.as_ref().is_some_and(|r| r.abroad), |(_, abroad)| *abroad);
    measure.international = abroad.then(|| daily_limits(caller).international_sms);
    let (new, answer, documents) = match ready {
        Some(Ready { id, answer, new, documents, .. }) => (new, Some((id, answer)), documents),
        None => (None, None, Vec::new()),
    };
    let room = room(app, caller, answer.as_ref()).await?;
    let seal = |(id, answer): &(NotificationId, Vec<u8>)| (*id, app.keyring.seal(id.0, answer));
    let idempotency = key.map(|key| Idempotency {
        key: key.guard.owned.2.clone(),
        fingerprint: key.fingerprint,
        answer: answer.as_ref().map(seal),
    });
    let request = Request {
        service_id: caller.service_id(),
        at: app.clock.now(),
        measure,
        idempotency,
        new,
        documents,
    };
    may_be_stored();
    let outcome = match (app.accepting.intake.submit(request).await, refused) {
        // The limits cannot be asked; what is wrong with the request is known all the same.
        (Err(_), Some((problem, _))) | (Ok(Outcome::Admitted(_)), Some((problem, _))) => return Err(problem),
        (Err(error), None) => return Err(error.into()),
        (Ok(outcome), _) => outcome,
    };
    match (outcome, answer) {
        (Outcome::Admitted(_), Some((_, answer))) => Ok(budget::held(created().body(answer), room)),
        (Outcome::Admitted(_), None) => Err(Problem::Internal("nothing to answer".into())),
        (Outcome::Exceeded(exceeded), _) => Err(Problem::LimitExceeded(exceeded)),
        (Outcome::KeyReused, _) => Err(Problem::IdempotencyKeyReused),
        (Outcome::Repeated { notification, answer }, _) => {
            let answer = app.keyring.open(notification.0, &answer);
            let answer = answer.map_err(|error| Problem::Internal(error.to_string()))?;
            Ok(created().insert_header(REPLAYED).body(answer))
        }
    }
}

/// For an answer that is large, and for what is sealed of it.
async fn room(
    app: &App,
    caller: &Caller,
    answer: Option<&(NotificationId, Vec<u8>)>,
) -> Result<Option<Room>, Problem> {
    match answer {
        Some((_, answer)) if answer.len() > SMALL => {
            let owner = Owner::Service(caller.service_id());
            app.budget.room(owner, answer.len() * 2).await.map(Some)
        }
        Some(_) | None => Ok(None),
    }
}

fn created() -> HttpResponseBuilder {
    let mut answer = HttpResponse::Created();
    answer.content_type(ContentType::json());
    answer
}

/// The `Idempotency-Key` of a request that is being worked on.
pub(crate) struct Key<'a> {
    guard: InFlightGuard<'a>,
    fingerprint: [u8; 32],
}

/// The key of a request, which no other one that is being worked on here may have. Two at two replicas meet in the database:
/// the second waits for the first one's commit and repeats its answer.
pub(crate) fn key<'a>(
    app: &'a App,
    caller: &Caller,
    request: &HttpRequest,
    body: &[u8],
) -> Result<Option<Key<'a>>, Problem> {
    let header = header::only(request.headers(), HEADER);
    let header = header.map_err(|Repeated| Problem::bad_request(format!("{HEADER} must be given once")))?;
    let Some(header) = header else { return Ok(None) };
    let key = header.to_str().ok().filter(|key| (1..=idempotency::KEY_LIMIT).contains(&key.len()));
    let key = key.ok_or_else(|| {
        let limit = idempotency::KEY_LIMIT;
        Problem::bad_request(format!("{HEADER} must be 1 to {limit} characters of ASCII"))
    })?;
    let owned = (caller.service_id(), caller.key_type, key.to_owned());
    let guard = app.in_flight.enter(owned).ok_or(Problem::IdempotencyKeyInFlight)?;
    Ok(Some(Key { guard, fingerprint: idempotency::fingerprint(request.path(), body) }))
}

type OwnedKey = (ServiceId, KeyType, String);

/// The keys of the requests that this process is working on.
#[derive(Default)]
pub(crate) struct InFlight(Mutex<HashSet<OwnedKey>>);

impl InFlight {
    fn enter(&self, owned: OwnedKey) -> Option<InFlightGuard<'_>> {
        let is_first = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(owned.clone());
        is_first.then(|| InFlightGuard { all: self, owned })
    }
}

struct InFlightGuard<'a> {
    all: &'a InFlight,
    owned: OwnedKey,
}

impl Drop for InFlightGuard<'_> {
    fn drop(&mut self) {
        self.all.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.owned);
    }
}
