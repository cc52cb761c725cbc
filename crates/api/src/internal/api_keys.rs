//! A service's API keys: made and shown once, listed, revoked. What replicas remember of keys is a second old at most, so a
//! revoked one opens none of them after two.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Payload, ServiceConfig, post},
};
use db::{
    api_key::{self, KeyRow, NewKey},
    platform, user,
};
use domain::{
    id::{ApiKeyId, ServiceId},
    status::KeyType,
};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    Wrapped, client,
    fields::{Fields, Read},
    id, json, json_or_nothing, service_id,
};
use crate::{
    App,
    error::{InternalError, Problem},
    openapi::{self, internal::tag, refusal::internal as refusal, request::internal as ask},
    routes::{READ, WRITE, at, get},
    v2::{
        schema::{Form, uuid},
        timestamp,
    },
};

#[rustfmt::skip]
pub(crate) fn table(config: &mut ServiceConfig) {
    config
        .service(at("/service/{service}/api-key", WRITE).route(post().to(create)))
        .service(at("/service/{service}/api-key/revoke/{key}", WRITE).route(post().to(revoke)))
        .service(at("/service/{service}/api-keys", READ).route(get().to(list)))
        .service(at("/service/{service}/api-keys/{key}", READ).route(get().to(one)));
}

/// A key without its secret.
#[derive(Serialize, ToSchema)]
#[schema(as = ApiKey)]
struct Shown {
    #[schema(value_type = Uuid)]
    id: ApiKeyId,
    name: String,
    #[schema(schema_with = openapi::key_type)]
    key_type: KeyType,
    #[schema(format = DateTime)]
    expiry_date: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: Option<String>,
    created_by: Uuid,
}

impl From<KeyRow> for Shown {
    fn from(key: KeyRow) -> Self {
        Self {
            id: key.id,
            name: key.name,
            key_type: key.key_type,
            expiry_date: key.revoked_at.map(timestamp),
            created_at: timestamp(key.created_at),
            updated_at: key.updated_at.map(timestamp),
            created_by: key.created_by.unwrap_or(platform::USER),
        }
    }
}

/// `{"apiKeys": …}`
#[derive(Serialize, ToSchema)]
#[schema(as = ApiKeys)]
#[serde(rename_all = "camelCase")]
struct Keys {
    api_keys: Vec<Shown>,
}

/// `GET /service/{service}/api-keys`
#[utoipa::path(
    get, path = "/service/{service}/api-keys", tag = tag::KEYS, operation_id = "getApiKeys",
    summary = "The keys of a service", params(ask::Service),
    responses(
        (status = 200, description = "Live keys, and those that were revoked within seven days.", body = Keys),
        refusal::Read,
    ),
)]
pub(crate) async fn list(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, InternalError> {
    client(&app, &request)?;
    let api_keys = recent(&app, service_id(&request)?).await?.into_iter().map(Shown::from).collect();
    Ok(HttpResponse::Ok().json(Keys { api_keys }))
}

/// `GET /service/{service}/api-keys/{key}`
#[utoipa::path(
    get, path = "/service/{service}/api-keys/{key}", tag = tag::KEYS, operation_id = "getApiKey",
    summary = "One key", params(ask::Service, ask::Key),
    responses((status = 200, description = "A list of one.", body = Keys), refusal::ReadKey),
)]
pub(crate) async fn one(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, InternalError> {
    client(&app, &request)?;
    let (service, id) = (service_id(&request)?, id(&request, "key")?);
    let mut keys = recent(&app, service).await?.into_iter();
    let found = keys.find(|key| key.id.0 == id && key.revoked_at.is_none());
    // Not the key's id: upstream's slip, which clients may have learned.
    let none = || Problem::NotFound(format!("API key not found for id: {service}").into());
    Ok(HttpResponse::Ok().json(Keys { api_keys: vec![found.ok_or_else(none)?.into()] }))
}

/// `POST /service/{service}/api-key`
#[utoipa::path(
    post, path = "/service/{service}/api-key", tag = tag::KEYS, operation_id = "createApiKey",
    summary = "Make a key", params(ask::Service), request_body = ask::KeyRequest,
    responses(
        (status = 201, description = "Its secret, which is never shown again.", body = inline(Wrapped<Uuid>)),
        refusal::CreateKey,
    ),
)]
pub(crate) async fn create(
    request: HttpRequest,
    payload: Payload,
    app: Data<App>,
) -> Result<HttpResponse, InternalError> {
    client(&app, &request)?;
    let service = service_id(&request)?;
    recent(&app, service).await?;
    let asked = Asked::read(Fields::of(json(&app, payload).await?)?)?;
    let (now, secret) = (app.clock.now(), Uuid::new_v4());
    let duplicate = Problem::field("name", format!("Duplicate API key name '{}'", asked.name));
    let keyring = app.keyring.clone();
    let made = app.db.run("api_key.create", move |conn| {
        if !user::exists(conn, asked.created_by)? {
            return Ok(None);
        }
        let new = NewKey {
            id: ApiKeyId::new(now),
            service_id: service,
            key_type: asked.key_type,
            name: &asked.name,
            secret,
            created_by: Some(asked.created_by),
        };
        api_key::create(conn, &keyring, &new, now).map(Some)
    });
    match made.await? {
        Some(true) => Ok(HttpResponse::Created().json(Wrapped { data: secret })),
        Some(false) => Err(duplicate.into()),
        None => Err(Problem::field("created_by", "User not found").into()),
    }
}

struct Asked {
    name: String,
    key_type: KeyType,
    created_by: Uuid,
}

impl Asked {
    fn read(mut fields: Fields) -> Result<Self, Problem> {
        const CHECKED: &str = "the check refuses what is absent or wrong";
        let name: Option<Name> = fields.required("name");
        let key_type = fields.required("key_type");
        let created_by = fields.required("created_by");
        fields.check()?;
        Ok(Self {
            name: name.expect(CHECKED).0,
            key_type: key_type.expect(CHECKED),
            created_by: created_by.expect(CHECKED),
        })
    }
}

struct Name(String);

impl Read for Name {
    fn read(value: &Value) -> Result<Self, &'static str> {
        let name = String::read(value)?;
        if name.trim().is_empty() {
            Err("Field may not be blank.")
        } else if name.chars().count() > 255 {
            Err("Longer than maximum length 255.")
        } else {
            Ok(Self(name))
        }
    }
}

impl Read for KeyType {
    fn read(value: &Value) -> Result<Self, &'static str> {
        String::read(value)?.parse().map_err(|_| "Must be one of: normal, team, test.")
    }
}

/// `POST /service/{service}/api-key/revoke/{key}`
#[utoipa::path(
    post, path = "/service/{service}/api-key/revoke/{key}", tag = tag::KEYS, operation_id = "revokeApiKey",
    summary = "Revoke a key", params(ask::Service, ask::Key, ask::Acting), request_body = ask::RevokeRequest,
    responses((status = 202, description = "It opens nothing after two seconds.", body = ()), refusal::RevokeKey),
)]
pub(crate) async fn revoke(
    request: HttpRequest,
    payload: Payload,
    app: Data<App>,
) -> Result<HttpResponse, InternalError> {
    let acting = client(&app, &request)?;
    let (service, id) = (service_id(&request)?, ApiKeyId(id(&request, "key")?));
    let by = revoked_by(&app, payload).await?;
    let now = app.clock.now();
    let revoked = app.db.run("api_key.revoke", move |conn| {
        if !api_key::list(conn, service)?.iter().any(|key| key.id == id) {
            return Ok(Err(Problem::NoResult));
        }
        if let Some(by) = by
            && !user::exists(conn, by)?
        {
            return Ok(Err(Problem::field("created_by", "User not found")));
        }
        // One that was revoked before stays as it is.
        api_key::revoke_as(conn, id, by, acting.user, now).map(|_| Ok(()))
    });
    revoked.await??;
    Ok(HttpResponse::Accepted().json(()))
}

/// The body may be empty.
async fn revoked_by(app: &App, payload: Payload) -> Result<Option<Uuid>, Problem> {
    let mut form = Form::new(json_or_nothing(app, payload).await?)?;
    let created_by = form.optional("created_by", uuid);
    let errors = form.errors();
    if errors.is_empty() { Ok(created_by) } else { Err(Problem::Validation(errors)) }
}

/// The keys that are told of.
async fn recent(app: &App, service: ServiceId) -> Result<Vec<KeyRow>, Problem> {
    let now = app.clock.now();
    let found = app.db.run("api_key.recent", move |conn| match db::service::find(conn, service)? {
        Some(_) => api_key::recent(conn, service, now).map(Some),
        None => Ok(None),
    });
    found.await?.ok_or(Problem::NoResult)
}
