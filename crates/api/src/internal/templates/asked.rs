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
    /// See [`unsubscribe_link`].
    pub(super) has_unsubscribe_link: Option<Value>,
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
        let has_unsubscribe_link = form.optional("has_unsubscribe_link", Ok);
        match (name, template_type, content, created_by, form.errors_of_known()) {
            (Some(name), Some(channel), Some(content), Some(created_by), errors) if errors.is_empty() => {
                Ok(Self {
                    name,
                    channel,
                    content,
                    subject,
                    created_by,
                    parent_folder_id: parent_folder_id.flatten(),
                    has_unsubscribe_link,
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
    /// See [`unsubscribe_link`].
    pub(super) has_unsubscribe_link: Option<Value>,
    /// The rest.
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
        let has_unsubscribe_link = form.optional("has_unsubscribe_link", Ok);
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
            has_unsubscribe_link,
            change: Change { name, subject, content, archived, ..Change::default() },
            created_by,
        })
    }
}

pub(crate) const NO_LINKS_IN_TEXTS: &str = "Only email templates can have an unsubscribe link";

/// No part of upstream's schema, so that its faults come after those and are told by field. Front ends say null of each text.
pub(super) fn unsubscribe_link(channel: Channel, said: Option<Value>) -> Result<bool, Problem> {
    let refused = |message| Err(Problem::field("has_unsubscribe_link", message));
    match (said, channel) {
        (None | Some(Value::Null), _) => Ok(false),
        (Some(Value::Bool(true)), Channel::Sms) => refused(NO_LINKS_IN_TEXTS),
        (Some(Value::Bool(has_link)), _) => Ok(has_link),
        (Some(_), _) => refused("Not a valid boolean."),
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
