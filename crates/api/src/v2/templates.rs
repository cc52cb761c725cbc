//! Templates as their service reads them, and what a message would look like.

use std::{collections::HashSet, sync::Arc};

use actix_web::{
    HttpRequest, HttpResponse,
    web::{Data, Payload},
};
use db::template::{self, Dated, Which};
use domain::{
    email,
    id::TemplateId,
    personalisation,
    sms::Sms,
    status::Channel,
    template::{Personalisation, Template},
};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::{
    schema::{self, NOT_A_UUID},
    send, timestamp,
};
use crate::{
    App, accept,
    auth::Caller,
    body,
    budget::{self, Owner, SMALL},
    error::{Problem, V2Error},
    lookup::KnownTemplate,
    openapi::{self, example, refusal, request},
    pages, reads,
};

/// One version of a template.
#[derive(Serialize, ToSchema)]
#[schema(as = Template, examples(example::template))]
struct Shown {
    #[schema(value_type = Uuid)]
    id: TemplateId,
    #[schema(schema_with = openapi::channel)]
    r#type: Channel,
    name: String,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: Option<String>,
    /// An e-mail address.
    created_by: Option<String>,
    version: i32,
    /// With its placeholders; of an e-mail in Markdown.
    body: String,
    /// Null for texts.
    subject: Option<String>,
    /// By name of each placeholder, as first spelt: `{"required": true}`.
    #[schema(value_type = HashMap<String, Object>)]
    personalisation: Map<String, Value>,
    postage: (),
    letter_contact_block: (),
}

/// Every template that is not archived, by name.
#[derive(Serialize, ToSchema)]
#[schema(as = Templates, examples(example::templates))]
struct List {
    templates: Vec<Shown>,
}

/// What a message would look like.
#[derive(Serialize, ToSchema)]
#[schema(as = Preview, examples(example::preview))]
struct Previewed {
    #[schema(value_type = Uuid)]
    id: TemplateId,
    #[schema(schema_with = openapi::channel)]
    r#type: Channel,
    version: i32,
    /// With its values filled in; of an e-mail the Markdown.
    body: String,
    /// Of an e-mail: what is inside its page. Null for texts.
    html: Option<String>,
    /// Null for texts.
    subject: Option<String>,
    postage: (),
}

impl From<Dated> for Shown {
    fn from(Dated { template, created_at, updated_at, created_by }: Dated) -> Self {
        Self {
            id: template.id,
            r#type: template.channel,
            name: template.name,
            created_at: timestamp(created_at),
            updated_at: updated_at.map(timestamp),
            created_by,
            version: template.version,
            personalisation: placeholders(template.subject.as_deref(), &template.content),
            body: template.content,
            subject: template.subject,
            postage: (),
            letter_contact_block: (),
        }
    }
}

/// Each distinct name, the subject's first, as first spelt.
fn placeholders(subject: Option<&str>, content: &str) -> Map<String, Value> {
    let texts = [subject.map(Template::parse), Some(Template::parse(content))];
    let mut seen = HashSet::new();
    let mut names = Map::new();
    for name in texts.iter().flatten().flat_map(Template::placeholders) {
        if seen.insert(personalisation::key(name)) {
            names.insert(name.to_owned(), json!({ "required": true }));
        }
    }
    names
}

/// `GET /v2/template/{id}`, and the same with a version.
#[utoipa::path(
    get, path = "/v2/template/{id}", tag = openapi::TEMPLATES, operation_id = "getTemplate",
    summary = "One template", description = "Its latest version, even when it is archived.",
    params(request::TemplateId),
    responses((status = 200, description = "The template.", body = Shown), refusal::ReadTemplate),
)]
pub(crate) async fn one(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, V2Error> {
    let caller = reads::caller(&app, &request).await?;
    let id = id(&request)?;
    let which = match request.match_info().get("version") {
        None => Which::Current(id),
        // The route lets integers pass; one that is too great for us is no version.
        Some(digits) => match digits.parse().map_err(|_| Problem::NoResult)? {
            0 => Which::Current(id),
            version => Which::Version(id, version),
        },
    };
    let found = find(&app, &caller, which).await?.pop().ok_or(Problem::NoResult)?;
    Ok(HttpResponse::Ok().json(Shown::from(found)))
}

/// `GET /v2/template/{id}/version/{n}`, where version 0 means the latest.
#[utoipa::path(
    get, path = "/v2/template/{id}/version/{version}", tag = openapi::TEMPLATES, operation_id = "getTemplateVersion",
    summary = "One version of a template",
    params(request::TemplateVersion),
    responses((status = 200, description = "The version.", body = Shown), refusal::ReadTemplate),
)]
pub(crate) async fn version(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, V2Error> {
    one(request, app).await
}

/// `GET /v2/templates`.
#[utoipa::path(
    get, path = "/v2/templates", tag = openapi::TEMPLATES, operation_id = "getTemplates",
    summary = "All templates", description = "By name, without archived ones. Other parameters are refused.",
    params(request::TemplateFilters),
    responses((status = 200, description = "The whole list.", body = List), refusal::ReadTemplates),
)]
pub(crate) async fn list(request: HttpRequest, app: Data<App>) -> Result<HttpResponse, V2Error> {
    let caller = reads::caller(&app, &request).await?;
    let which = match schema::template_type(request.query_string())?.as_deref() {
        // Nobody has letters.
        Some("letter") => None,
        word => Some(Which::All(word.and_then(|word| word.parse().ok()))),
    };
    let found = match which {
        Some(which) => find(&app, &caller, which).await?,
        None => Vec::new(),
    };
    let list = List { templates: found.into_iter().map(Shown::from).collect() };
    Ok(pages::whole(&app, Owner::Service(caller.service_id()), &list).await?)
}

/// `POST /v2/template/{id}/preview`.
#[utoipa::path(
    post, path = "/v2/template/{id}/preview", tag = openapi::TEMPLATES, operation_id = "previewTemplate",
    summary = "Preview", description = "Sends nothing, and counts against no limit. The body may be empty.",
    params(request::TemplateId),
    request_body = request::PreviewRequest,
    responses((status = 200, description = "The message.", body = Previewed), refusal::Preview),
)]
pub(crate) async fn preview(
    request: HttpRequest,
    payload: Payload,
    app: Data<App>,
) -> Result<HttpResponse, V2Error> {
    let caller = reads::caller(&app, &request).await?;
    let owner = Owner::Service(caller.service_id());
    let body = body::read_large(&app, owner, body::length(&request), payload).await?;
    let asked = if body.is_empty() { json!({}) } else { body::json_of(&app, body).await? };
    let (id, values) = schema::preview(request.match_info().get("id").unwrap_or_default(), asked)?;
    let values = Personalisation::new(values);
    let template =
        app.lookup.template(caller.service_id(), TemplateId(id)).await?.ok_or(Problem::NoResult)?;
    accept::nothing_missing(&template, &values)?;
    let previewed = previewed(&app, template, values).await?;
    let size = previewed.body.len() + previewed.html.as_ref().map_or(0, String::len);
    // Twice: what it is made of, and the answer.
    let room = if size > SMALL { Some(app.budget.room(owner, size * 2).await?) } else { None };
    Ok(budget::held(HttpResponse::Ok().json(previewed), room))
}

async fn previewed(
    app: &App,
    template: Arc<KnownTemplate>,
    values: Personalisation,
) -> Result<Previewed, Problem> {
    let row = &template.row;
    let (id, r#type, version) = (row.id, row.channel, row.version);
    let (body, html, subject) = match row.channel {
        Channel::Sms => {
            let text = Sms::from_template(&template.body, &values, None);
            // A text that is too long to send is shown all the same, unless it is too long to be shown.
            if !text.is_written() {
                text.sendable().map_err(send::unsendable)?;
            }
            (text.text().to_owned(), None, None)
        }
        Channel::Email => {
            let filled = email::fill(row.subject.as_deref().unwrap_or_default(), &row.content, &values);
            if filled.is_too_long() {
                return Err(send::too_many_bytes(&filled));
            }
            let (is_small, template) = (filled.surely_renders(), template.clone());
            let html = async move { email::html_body(&template.row.content, &values, None) };
            let html = if is_small { html.await } else { app.heavy.run(html).await? };
            let html = html.map_err(|too_large| Problem::bad_request(too_large.to_string()))?;
            (filled.body, Some(html), Some(filled.subject))
        }
    };
    Ok(Previewed { id, r#type, version, body, html, subject, postage: () })
}

fn id(request: &HttpRequest) -> Result<TemplateId, Problem> {
    let id = request.match_info().get("id").and_then(|id| id.parse().ok());
    id.ok_or_else(|| Problem::Validation(vec![format!("id {NOT_A_UUID}")]))
}

async fn find(app: &App, caller: &Caller, which: Which) -> Result<Vec<Dated>, Problem> {
    let service = caller.service_id();
    app.reads.run(service, "template.dated", move |conn| template::dated(conn, service, which)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distinct_placeholders_the_first_spelling_wins() {
        let names = placeholders(Some("((Name)) ((b??x))"), "((name)) ((c)) ((B)) ((C))");
        assert_eq!(names.keys().collect::<Vec<_>>(), ["Name", "b", "c"]);
        assert_eq!(names["Name"], json!({"required": true}));
        assert!(placeholders(None, "none").is_empty());
    }
}
