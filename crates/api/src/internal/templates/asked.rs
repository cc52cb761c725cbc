//! Bodies about templates. What is wrong with one is said as `/v2` says it; fields that nobody knows are ignored.

use db::template::Change;
use domain::status::Channel;
use serde_json::Value;
use uuid::Uuid;

use crate::{
    error::Problem,
    v2::schema::{Form, TEMPLATE_TYPES, boolean, not_one_of, text, uuid, uuid_or_null},
};

/// A template to be made.
pub(super) struct Creation {
    pub(super) name: String,
    /// None: a letter.
    pub(super) channel: Option<Channel>,
    pub(super) content: String,
    /// Of e-mails only.
    pub(super) subject: Option<String>,
    pub(super) created_by: Uuid,
    pub(super) parent_folder_id: Option<Uuid>,
    pub(super) has_unsubscribe_link: bool,
}

impl Creation {
    pub(super) fn read(body: Value) -> Result<Self, Problem> {
        let is_text = body["template_type"] == "sms";
        let mut form = Form::new(body)?;
        let name = form.required("name", text);
        let template_type = form.required("template_type", template_type);
        let content = form.required("content", text);
        form.required("service", uuid);
        let created_by = form.required("created_by", uuid);
        let subject = if is_text { form.optional("subject", text) } else { form.required("subject", text) };
        let parent_folder_id = form.optional("parent_folder_id", uuid_or_null);
        let has_unsubscribe_link = form.optional("has_unsubscribe_link", boolean);
        match (name, template_type, content, created_by, form.errors_of_known()) {
            (Some(name), Some(channel), Some(content), Some(created_by), errors) if errors.is_empty() => {
                Ok(Self {
                    name,
                    channel,
                    content,
                    subject,
                    created_by,
                    parent_folder_id: parent_folder_id.flatten(),
                    has_unsubscribe_link: has_unsubscribe_link.unwrap_or_default(),
                })
            }
            (.., errors) => Err(Problem::Validation(errors)),
        }
    }
}

/// What is to become of a template.
pub(super) struct Update {
    pub(super) redact_personalisation: bool,
    /// Some: it is to be set, if to nothing.
    pub(super) reply_to: Option<Option<Uuid>>,
    pub(super) change: Change,
    pub(super) created_by: Option<Uuid>,
}

impl Update {
    pub(super) fn read(body: Value) -> Result<Self, Problem> {
        let mut form = Form::new(body)?;
        let name = form.optional("name", text);
        form.optional("template_type", template_type);
        let content = form.optional("content", text);
        form.optional("service", uuid);
        let subject = form.optional("subject", text_or_null);
        let created_by = form.optional("created_by", uuid);
        let archived = form.optional("archived", boolean);
        let has_unsubscribe_link = form.optional("has_unsubscribe_link", boolean);
        let redact_personalisation = form.optional("redact_personalisation", boolean);
        let reply_to = form.optional("reply_to", uuid_or_null);
        let errors = form.errors_of_known();
        if !errors.is_empty() {
            return Err(Problem::Validation(errors));
        }
        let subject = subject.flatten();
        Ok(Self {
            redact_personalisation: redact_personalisation.unwrap_or_default(),
            reply_to,
            change: Change { name, subject, content, has_unsubscribe_link, archived },
            created_by,
        })
    }
}

fn template_type(value: Value) -> Result<Option<Channel>, String> {
    let word = text(value)?;
    if TEMPLATE_TYPES.contains(&word.as_str()) {
        Ok(word.parse().ok())
    } else {
        Err(not_one_of(&word, &TEMPLATE_TYPES))
    }
}

/// As the front end sends the subject of a text.
fn text_or_null(value: Value) -> Result<Option<String>, String> {
    if value.is_null() { Ok(None) } else { text(value).map(Some) }
}
