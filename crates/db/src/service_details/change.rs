//! How services are made, changed and archived. Whoever changes one holds its row, so that no two make the same version.

use chrono::{DateTime, Utc};
use diesel::{
    BoolExpressionMethods, Connection, ExpressionMethods, OptionalExtension, PgConnection, QueryDsl,
    QueryResult, RunQueryDsl, insert_into,
};
use domain::{
    id::{ApiKeyId, ServiceId, SmsSenderId, TemplateId},
    sender_name::{email_local_part, normalised_name},
};
use uuid::Uuid;

use super::{Details, find};
use crate::{
    api_key,
    history::{self, Kind},
    schema::{api_keys, service_details, services, templates},
    sender, service, template, user,
};

/// Why a service is not made or changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There is no such service, or no such person.
    #[error("No result found")]
    Unknown,
    /// Case and punctuation do not count.
    #[error("Duplicate service name '{0}'")]
    NameTaken(String),
    /// Nothing to send e-mails as could be made from it.
    #[error("Must include a letter or a digit")]
    NameWithoutLetters,
    #[error("Must include a letter or a digit")]
    SenderNameWithoutLetters,
}

/// A service that is to be.
#[derive(Debug)]
pub struct NewService<'a> {
    pub details: Details,
    /// Who makes it, and is a member with every permission from then on. None: an operator, who need not be a user.
    pub user: Option<Uuid>,
    /// Whom its texts come from until it says otherwise.
    pub sms_sender: &'a str,
}

/// Makes a service, which is active whatever its details say.
///
/// # Errors
/// When a query fails; then nothing is written.
pub fn create(
    conn: &mut PgConnection,
    new: NewService<'_>,
    by: Option<Uuid>,
    now: DateTime<Utc>,
) -> QueryResult<Result<Details, Refused>> {
    let NewService { mut details, user, sms_sender } = new;
    conn.transaction(|conn| {
        if let Some(user) = user {
            let Some(person) = user::find(conn, user)? else { return Ok(Err(Refused::Unknown)) };
            details.facts.count_as_live = !person.standing.platform_admin;
        }
        details.settings.active = true;
        if let Err(refused) = prepare(conn, &mut details)? {
            return Ok(Err(refused));
        }
        let id = details.id;
        insert_into(services::table)
            .values((services::id.eq(id.0), services::created_at.eq(details.created_at), &details.settings))
            .execute(conn)?;
        store(conn, &details, by, now)?;
        let default =
            sender::NewSender { id: SmsSenderId::new(now).0, text: sms_sender.to_owned(), is_default: true };
        sender::put(conn, sender::Kind::Sms, id, &default, now)?;
        if let Some(user) = user {
            user::enter(conn, user, id, user::PERMISSIONS.iter().copied())?;
        }
        Ok(Ok(details))
    })
}

/// Changes a service, while nobody else does. What `change` refuses stays as it was.
///
/// # Errors
/// When a query fails; then nothing is written.
pub fn update<E: From<Refused>>(
    conn: &mut PgConnection,
    id: ServiceId,
    change: impl FnOnce(&mut Details) -> Result<(), E>,
    by: Option<Uuid>,
    now: DateTime<Utc>,
) -> QueryResult<Result<Details, E>> {
    conn.transaction(|conn| {
        let Some(mut details) = hold(conn, id)? else { return Ok(Err(Refused::Unknown.into())) };
        if let Err(refused) = change(&mut details) {
            return Ok(Err(refused));
        }
        details.facts.updated_at = Some(now);
        if let Err(refused) = prepare(conn, &mut details)? {
            return Ok(Err(refused.into()));
        }
        store(conn, &details, by, now)?;
        Ok(Ok(details))
    })
}

/// Ends a service: its templates are archived, its keys revoked, its name is free. One that is not active stays as it is.
///
/// # Errors
/// When a query fails; then nothing is written.
pub fn archive(
    conn: &mut PgConnection,
    id: ServiceId,
    by: Option<Uuid>,
    now: DateTime<Utc>,
) -> QueryResult<Result<(), Refused>> {
    conn.transaction(|conn| {
        let Some(mut details) = hold(conn, id)? else { return Ok(Err(Refused::Unknown)) };
        if !details.settings.active {
            return Ok(Ok(()));
        }
        details.settings.active = false;
        details.settings.name =
            format!("_archived_{}_{}", now.format("%Y-%m-%d-%H:%M:%S"), details.settings.name);
        details.facts.updated_at = Some(now);
        if let Err(refused) = prepare(conn, &mut details)? {
            return Ok(Err(refused));
        }
        archive_templates(conn, id, now)?;
        let keys: Vec<Uuid> = api_keys::table
            .filter(api_keys::service_id.eq(id.0).and(api_keys::revoked_at.is_null()))
            .select(api_keys::id)
            .load(conn)?;
        for key in keys {
            api_key::revoke(conn, ApiKeyId(key), by, now)?;
        }
        store(conn, &details, by, now)?;
        Ok(Ok(()))
    })
}

fn archive_templates(conn: &mut PgConnection, id: ServiceId, now: DateTime<Utc>) -> QueryResult<()> {
    let live =
        || templates::table.filter(templates::service_id.eq(id.0).and(templates::archived_at.is_null()));
    let shown: Vec<Uuid> = live().filter(templates::hidden.eq(false)).select(templates::id).load(conn)?;
    for template in shown {
        let change = template::Change { archived: Some(true), ..template::Change::default() };
        template::update(conn, (id, TemplateId(template)), change, None, now)?;
    }
    // Hidden ones are the front end's, and have no versions that anybody looks at.
    diesel::update(live()).set(templates::archived_at.eq(now)).execute(conn)?;
    Ok(())
}

fn hold(conn: &mut PgConnection, id: ServiceId) -> QueryResult<Option<Details>> {
    // Two statements: the first one's snapshot may be older than what it waited for.
    if service::lock(conn, id)? { find(conn, id) } else { Ok(None) }
}

/// Works out what follows from the details, and whether they may be stored.
fn prepare(conn: &mut PgConnection, details: &mut Details) -> QueryResult<Result<(), Refused>> {
    let settings = &mut details.settings;
    settings.normalised_name = normalised_name(&settings.name);
    if settings.normalised_name.is_empty() {
        return Ok(Err(Refused::NameWithoutLetters));
    }
    let shown = settings.email_sender_name.as_deref().unwrap_or(&settings.name);
    if normalised_name(shown).is_empty() {
        return Ok(Err(Refused::SenderNameWithoutLetters));
    }
    settings.email_local_part = email_local_part(shown);
    // Held until the end of the transaction: of two who want one name at once, the second sees the first's.
    diesel::sql_query("SELECT pg_advisory_xact_lock(hashtextextended('service name ' || $1, 0))")
        .bind::<diesel::sql_types::Text, _>(&settings.normalised_name)
        .execute(conn)?;
    let another: Option<Uuid> = services::table
        .filter(services::normalised_name.eq(&settings.normalised_name).and(services::id.ne(details.id.0)))
        .select(services::id)
        .first(conn)
        .optional()?;
    if another.is_some() {
        return Ok(Err(Refused::NameTaken(settings.name.clone())));
    }
    for person in [details.facts.created_by, details.facts.go_live_user].into_iter().flatten() {
        if !user::exists(conn, person)? {
            return Ok(Err(Refused::Unknown));
        }
    }
    Ok(Ok(()))
}

/// Stores a service that is there, and what it is from now on.
fn store(
    conn: &mut PgConnection,
    details: &Details,
    by: Option<Uuid>,
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let id = details.id;
    diesel::update(services::table.find(id.0)).set(&details.settings).execute(conn)?;
    service::put_permissions(conn, id, &details.permissions)?;
    insert_into(service_details::table)
        .values((service_details::service_id.eq(id.0), &details.facts))
        .on_conflict(service_details::service_id)
        .do_update()
        .set(&details.facts)
        .execute(conn)?;
    let change = history::Change {
        kind: Kind::Service,
        subject_id: id.0,
        service_id: Some(id),
        state: &details.state(),
        changed_by: by,
        changed_at: now,
    };
    history::record(conn, &change).map(drop)
}
