//! A template as the front end is told of it.

use std::collections::HashMap;

use db::{log, template::Detailed};
use domain::{
    id::{ServiceId, TemplateId},
    status::Channel,
};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{App, internal::log::Person, lookup::KnownService, openapi, v2::timestamp};

/// A template at one of its versions. There are no folders and no letters.
#[derive(Serialize, ToSchema)]
#[schema(as = Template)]
pub(super) struct Shown {
    #[schema(value_type = Uuid)]
    id: TemplateId,
    name: String,
    #[schema(schema_with = openapi::channel)]
    template_type: Channel,
    content: String,
    subject: Option<String>,
    archived: bool,
    hidden: bool,
    version: i32,
    #[schema(value_type = Uuid)]
    service: ServiceId,
    created_by: Author,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: Option<String>,
    folder: (),
    postage: (),
    reply_to: Option<Uuid>,
    reply_to_text: Option<String>,
    letter_attachment: (),
    letter_languages: (),
    letter_welsh_content: (),
    letter_welsh_subject: (),
    is_precompiled_letter: bool,
    redact_personalisation: bool,
    has_unsubscribe_link: bool,
    #[schema(value_type = Vec<Object>)]
    email_files: [(); 0],
}

/// Who made it: an id, or in versions a person.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = Author)]
enum Author {
    Id(Uuid),
    Person(Person),
}

impl Shown {
    pub(super) fn new(app: &App, service: &KnownService, detailed: Detailed) -> Self {
        let made_by = detailed.made_by();
        let Detailed { dated, redact_personalisation, reply_to, .. } = detailed;
        let template = dated.template;
        let sender = service.sender_of(template.channel, reply_to);
        let fallback = match template.channel {
            Channel::Sms => Some(app.accepting.default_sms_sender.as_str()),
            Channel::Email => None,
        };
        Self {
            id: template.id,
            name: template.name,
            template_type: template.channel,
            content: template.content,
            subject: template.subject,
            archived: template.archived,
            // Those that are never get here.
            hidden: false,
            version: template.version,
            service: template.service_id,
            created_by: Author::Id(made_by),
            created_at: timestamp(dated.created_at),
            updated_at: dated.updated_at.map(timestamp),
            folder: (),
            postage: (),
            reply_to,
            reply_to_text: sender.or(fallback).map(ToOwned::to_owned),
            letter_attachment: (),
            letter_languages: (),
            letter_welsh_content: (),
            letter_welsh_subject: (),
            is_precompiled_letter: false,
            redact_personalisation,
            has_unsubscribe_link: template.has_unsubscribe_link,
            email_files: [],
        }
    }

    /// Its author as these people are known.
    pub(super) fn by_people(self, people: &HashMap<Uuid, log::Person>) -> Self {
        let created_by = match self.created_by {
            Author::Id(id) => match people.get(&id).cloned() {
                Some(log::Person { name, email_address }) => {
                    Author::Person(Person { id, name, email_address })
                }
                None => Author::Id(id),
            },
            known @ Author::Person(_) => known,
        };
        Self { created_by, ..self }
    }

    /// The same with values filled in.
    pub(super) fn saying(self, subject: Option<String>, content: String) -> Self {
        Self { subject, content, ..self }
    }
}
