//! Recipients, placeholders and text messages against the vectors.

use domain::phone::{PhoneError, PhoneNumber, SmsPermissions};
use domain::template::{Lists, Missing, Template};
use serde_json::{Value, json};

use crate::reader::{all, check, flag, kinds, personalisation, string};

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
    let refused = |stage: &str, error: PhoneError| json!({"error": error.message(), "code": error.code(), "api_error": error.api_message(), "stage": stage});
    let raw = string(input, "number");
    let parsed = if is_contact { PhoneNumber::parse_contact(&raw) } else { PhoneNumber::parse(&raw) };
    let number = match parsed {
        Ok(number) => number,
        Err(error) => return refused("parse", error),
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
        return refused("permission", error);
    }
    produced["international"] = json!(number.is_international());
    produced["crown_dependency"] = json!(number.is_crown_dependency());
    produced["country_prefix"] = json!(number.country_prefix());
    produced["rate_multiplier"] = json!(number.rate_multiplier());
    produced["numeric_sender"] = json!(number.needs_numeric_sender());
    produced
}
