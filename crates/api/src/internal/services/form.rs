//! What a front end says of a service, field by field.

use std::str::FromStr;

use db::{
    service::Permission,
    service_details::{Details, Facts, Settings},
};
use domain::{id::parse_lenient, python};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    error::Problem,
    internal::fields::{Fields, Read},
};

/// These must be said of a new service.
const REQUIRED: [&str; 6] =
    ["name", "restricted", "created_by", "email_message_limit", "sms_message_limit", "letter_message_limit"];

pub(super) fn create(fields: &mut Fields, details: &mut Details) -> Result<(), Problem> {
    for name in REQUIRED {
        fields.require(name);
    }
    update(fields, details)
}

/// What is absent stays as it is.
pub(super) fn update(fields: &mut Fields, details: &mut Details) -> Result<(), Problem> {
    settings(fields, &mut details.settings);
    facts(fields, &mut details.facts);
    permissions(fields, &mut details.permissions);
    fields.check()
}

fn settings(fields: &mut Fields, settings: &mut Settings) {
    fields.set("name", &mut settings.name);
    fields.set("active", &mut settings.active);
    fields.set("restricted", &mut settings.restricted);
    fields.set("prefix_sms", &mut settings.prefix_sms);
    for (name, limit) in [
        ("rate_limit", &mut settings.rate_limit),
        ("sms_message_limit", &mut settings.sms_message_limit),
        ("email_message_limit", &mut settings.email_message_limit),
        ("letter_message_limit", &mut settings.letter_message_limit),
        ("international_sms_message_limit", &mut settings.international_sms_message_limit),
    ] {
        if let Some(Count(count)) = fields.optional(name) {
            *limit = count;
        }
    }
    for (name, text) in [
        ("custom_email_sender_name", &mut settings.email_sender_name),
        ("contact_link", &mut settings.contact_link),
    ] {
        // Nothing but spaces says nothing.
        if let Some(said) = fields.optional::<Option<String>>(name) {
            *text = said.filter(|said| !said.trim().is_empty());
        }
    }
}

fn facts(fields: &mut Fields, facts: &mut Facts) {
    fields.set("notes", &mut facts.notes);
    fields.set("billing_contact_email_addresses", &mut facts.billing_contact_email_addresses);
    fields.set("billing_contact_names", &mut facts.billing_contact_names);
    fields.set("billing_reference", &mut facts.billing_reference);
    fields.set("purchase_order_number", &mut facts.purchase_order_number);
    fields.set("consent_to_research", &mut facts.consent_to_research);
    fields.set("count_as_live", &mut facts.count_as_live);
    fields.set("go_live_at", &mut facts.go_live_at);
    fields.set("has_active_go_live_request", &mut facts.has_active_go_live_request);
    fields.set("confirmed_unique", &mut facts.confirmed_unique);
    fields.set("confirmed_email_sender_name", &mut facts.confirmed_email_sender_name);
    fields.set("organisation_type", &mut facts.organisation_type);
    for (name, volume) in [
        ("volume_sms", &mut facts.volume_sms),
        ("volume_email", &mut facts.volume_email),
        ("volume_letter", &mut facts.volume_letter),
    ] {
        if let Some(count) = fields.optional::<Option<Count>>(name) {
            *volume = count.map(|Count(count)| count);
        }
    }
    if let Some(Person(id)) = fields.optional("created_by") {
        facts.created_by = Some(id);
    }
    if let Some(person) = fields.optional::<Option<Person>>("go_live_user") {
        facts.go_live_user = person.map(|Person(id)| id);
    }
}

/// From 0 on.
struct Count(i32);

impl Read for Count {
    fn read(value: &Value) -> Result<Self, &'static str> {
        let count = i32::read(value)?;
        if count < 0 { Err("Must be greater than or equal to 0.") } else { Ok(Self(count)) }
    }
}

/// Somebody's id. What is none is nobody's, and is refused as such when the person is looked for.
struct Person(Uuid);

impl Read for Person {
    fn read(value: &Value) -> Result<Self, &'static str> {
        let text = String::read(value)?;
        Ok(Self(parse_lenient(&text).unwrap_or(Uuid::nil())))
    }
}

fn permissions(fields: &mut Fields, permissions: &mut Vec<Permission>) {
    let Some(names) = fields.optional::<Vec<String>>("permissions") else { return };
    let mut wanted = Vec::new();
    let mut repeated: Vec<&str> = Vec::new();
    for name in &names {
        match Permission::from_str(name) {
            Err(_) => {
                return fields.wrong("permissions", format!("Invalid Service Permission: '{name}'"));
            }
            Ok(known) if !wanted.contains(&known) => wanted.push(known),
            Ok(_) if !repeated.contains(&name.as_str()) => repeated.push(name),
            Ok(_) => {}
        }
    }
    if repeated.is_empty() {
        // In the order in which they are read again.
        *permissions = Permission::ALL.iter().copied().filter(|known| wanted.contains(known)).collect();
    } else {
        let repeated = python::repr(&json!(repeated));
        fields.wrong("permissions", format!("Duplicate Service Permission: {repeated}"));
    }
}
