//! Recipients, placeholders and text messages against the vectors.

use domain::email_address::EmailAddress;
use domain::phone::{PhoneError, PhoneNumber, SmsPermissions};
use domain::sms::{CHARACTER_LIMIT, Sms};
use domain::template::{Lists, Missing, Template};
use serde_json::{Value, json};

use crate::reader::{all, check, flag, kinds, optional_string, personalisation, string};

#[test]
fn placeholders() {
    check("placeholders", all, |input| {
        let content = string(input, "content");
        let missing = match (
            string(input, "output").as_str(),
            flag(input, "redact_missing"),
            flag(input, "with_brackets"),
        ) {
            ("plain", true, _) => Missing::Hidden,
            ("plain", false, true) => Missing::AsTyped,
            ("plain", false, false) => Missing::WithoutBrackets,
            (_, true, _) => Missing::HiddenInHtml,
            (_, false, true) => Missing::AsTypedInHtml,
            (_, false, false) => Missing::WithoutBracketsInHtml,
        };
        let lists = if flag(input, "markdown_lists") { Lists::Bullets } else { Lists::Sentence };
        let template = Template::parse(&content);
        let rendered = if string(input, "html") == "escape" {
            Template::parse_for_html(&content).fill_marking(&personalisation(input), lists, missing)
        } else {
            template.fill_marking(&personalisation(input), lists, missing)
        };
        json!({"placeholders": template.placeholders(), "rendered": rendered})
    });
}

#[test]
fn phone() {
    check("phone", all, |input| phone_case(input, flag(input, "service_contact_number")));
}

#[test]
fn phone_limits() {
    check("content_limits", kinds(&["phone_number"]), |input| {
        let mut produced = phone_case(input, false);
        if let Some(fields) = produced.as_object_mut() {
            fields.retain(|key, _| {
                matches!(key.as_str(), "normalised" | "error" | "code" | "api_error" | "stage")
            });
        }
        produced
    });
}

fn phone_case(input: &Value, is_contact: bool) -> Value {
    let raw = string(input, "number");
    let parsed = if is_contact { PhoneNumber::parse_contact(&raw) } else { PhoneNumber::parse(&raw) };
    let number = match parsed {
        Ok(number) => number,
        Err(error) => return refused_phone("parse", error),
    };
    let mut produced = json!({
        "normalised": number.normalised(),
        "human_readable": number.human_readable(),
        "country_code": number.country_code(),
        "uk": number.is_uk(),
    });
    if is_contact {
        return produced;
    }
    let permissions = SmsPermissions {
        international: flag(input, "allow_international"),
        uk_landline: flag(input, "allow_uk_landline"),
    };
    if let Err(error) = number.permitted(permissions) {
        return refused_phone("permission", error);
    }
    produced["international"] = json!(number.is_international());
    produced["crown_dependency"] = json!(number.is_crown_dependency());
    produced["country_prefix"] = json!(number.country_prefix());
    produced["rate_multiplier"] = json!(number.rate_multiplier());
    produced["numeric_sender"] = json!(number.needs_numeric_sender());
    produced
}

fn refused_phone(stage: &str, error: PhoneError) -> Value {
    json!({
        "error": error.message(),
        "code": error.code(),
        "api_error": error.api_message(),
        "stage": stage,
    })
}

#[test]
fn email_address() {
    check("email_address", all, |input| match EmailAddress::parse(&string(input, "address")) {
        Ok(address) => json!({"address": address.as_given(), "normalised": address.normalised()}),
        Err(error) => json!({"error": error.to_string()}),
    });
}

#[test]
fn email_address_limits() {
    check("content_limits", kinds(&["email_address"]), |input| {
        match EmailAddress::parse(&string(input, "address")) {
            Ok(_) => json!({"valid": true}),
            Err(error) => json!({"valid": false, "error": error.to_string()}),
        }
    });
}

#[test]
fn sms() {
    check("sms", all, |input| {
        let (template, values) = (Template::parse(&string(input, "content")), personalisation(input));
        let sms = Sms::from_template(&template, &values, prefix(input).as_deref());
        json!({
            "text": sms.text(),
            "character_count": sms.length(),
            "character_count_without_prefix": sms.length_without_prefix(),
            "fragment_count": sms.fragments(),
            "extended_gsm_count": sms.extended_characters(),
            "characters_above_previous_fragment_boundary": sms.places_in_last_fragment(),
            "characters_above_limit": sms.length_without_prefix().saturating_sub(CHARACTER_LIMIT),
            "ucs2_characters": sms.ucs2_characters(),
            "too_long": sms.is_too_long(),
            "empty": sms.is_empty(),
            "placeholders": template.placeholders(),
            "missing_personalisation": template.missing(&values),
            "additional_personalisation": template.surplus(&values),
        })
    });
}

#[test]
fn sms_limits() {
    check("content_limits", kinds(&["sms_message"]), |input| {
        let sms = Sms::render(&string(input, "content"), &personalisation(input), prefix(input).as_deref());
        let mut produced = json!({
            "character_count": sms.length(),
            "character_count_without_prefix": sms.length_without_prefix(),
            "fragment_count": sms.fragments(),
            "characters_above_limit": sms.length_without_prefix().saturating_sub(CHARACTER_LIMIT),
            "too_long": sms.is_too_long(),
            "empty": sms.is_empty(),
        });
        if let Err(refusal) = sms.sendable() {
            produced["error"] = json!(refusal.to_string());
            // The name that the API gives to every refusal of content; not this crate's to choose.
            produced["code"] = json!("BadRequestError");
        }
        produced
    });
}

fn prefix(input: &Value) -> Option<String> {
    optional_string(input, "prefix").filter(|_| flag(input, "show_prefix"))
}
