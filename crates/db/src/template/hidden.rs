//! The template of the e-mail that tests a reply-to address. Each service that tests one gets its own, which is hidden: neither
//! its lists nor its keys know it.

use chrono::{DateTime, Utc};
use diesel::{
    Connection, ExpressionMethods, OptionalExtension, PgConnection, QueryDsl, QueryResult, RunQueryDsl,
};
use domain::{
    id::{ServiceId, TemplateId},
    status::Channel,
};
use uuid::Uuid;

use super::{Author, Template, create};
use crate::{pg_enum::PgChannel, schema::templates, service};

const NAME: &str = "Test of a reply-to address";
const SUBJECT: &str = "Your reply-to address works";
const CONTENT: &str = "This is a test. Answers to e-mails of this service can be sent to the address that you read this at.\n\n\
                       There is nothing for you to do.";

/// The template, made when there is none; None: there is no such service.
///
/// # Errors
/// When a query fails; then nothing is written.
pub fn reply_to_test(
    conn: &mut PgConnection,
    service: ServiceId,
    now: DateTime<Utc>,
) -> QueryResult<Option<Template>> {
    conn.transaction(|conn| {
        if !service::lock(conn, service)? {
            return Ok(None);
        }
        let known: Option<Uuid> = templates::table
            .filter(templates::service_id.eq(service.0))
            .filter(templates::hidden)
            .filter(templates::channel.eq(PgChannel(Channel::Email)))
            .filter(templates::name.eq(NAME))
            .select(templates::id)
            .first(conn)
            .optional()?;
        let template = Template {
            id: known.map_or_else(|| TemplateId::new(now), TemplateId),
            service_id: service,
            channel: Channel::Email,
            name: NAME.into(),
            version: 1,
            subject: Some(SUBJECT.into()),
            content: CONTENT.into(),
            has_unsubscribe_link: false,
            archived: false,
        };
        if known.is_none() {
            create(conn, &template, &Author { id: None, email_address: String::new() }, now)?;
            let made = templates::table.find(template.id.0);
            diesel::update(made).set(templates::hidden.eq(true)).execute(conn)?;
        }
        Ok(Some(template))
    })
}
