//! Examples, told as one story: the service “Parking permits” writes to Rosa. A test holds each against its schema, and sends
//! those of requests to a real API.

use serde_json::{Value, json};

pub(super) const SERVICE: &str = "9c1e0a5e-8f7d-4a43-9a6a-0b8d3a1f5c02";
const SMS_TEMPLATE: &str = "2b9d6f0c-53a1-4c7e-8d9b-1f2e3d4c5b6a";
pub(super) const EMAIL_TEMPLATE: &str = "77aa31c8-6c1d-4be5-b0f4-9d8c7b6a5f4e";
pub(super) const SMS: &str = "019a2f3c-9d41-7a10-8c55-2f6b1e0d9a11";
pub(super) const EMAIL: &str = "019a2f3c-9d42-7b21-9c66-3f7c2e1d0b22";
const RECEIVED: &str = "019a2f41-0c77-7c32-8d77-4f8d3e2c1b33";
const HOST: &str = "https://api.pillarbox.example";

pub(super) fn sms_request() -> Value {
    json!({
        "phone_number": "07700 900855",
        "template_id": SMS_TEMPLATE,
        "personalisation": { "name": "Rosa" },
        "reference": "order-17",
    })
}

pub(super) fn email_request() -> Value {
    json!({
        "email_address": "rosa@example.com",
        "template_id": EMAIL_TEMPLATE,
        "personalisation": { "name": "Rosa", "needed": ["proof of address", "a photo"] },
        "one_click_unsubscribe_url": "https://www.example.com/unsubscribe?who=17",
    })
}

pub(super) fn file() -> Value {
    json!({ "file": "ZGF0ZSxwbGFjZQo=", "filename": "appointments.csv", "retention_period": "4 weeks" })
}

pub(super) fn preview_request() -> Value {
    json!({ "personalisation": { "name": "Rosa" } })
}

pub(super) fn v1_sms_request() -> Value {
    json!({ "to": "07700900855", "template": SMS_TEMPLATE, "personalisation": { "name": "Rosa" } })
}

pub(super) fn v1_email_request() -> Value {
    json!({ "to": "rosa@example.com", "template": EMAIL_TEMPLATE, "personalisation": { "name": "Rosa" } })
}

pub(crate) fn sms_accepted() -> Value {
    json!({
        "id": SMS,
        "reference": "order-17",
        "content": { "body": "Hello Rosa, your permit is ready", "from_number": "PILLARBOX" },
        "uri": format!("{HOST}/v2/notifications/{SMS}"),
        "template": {
            "id": SMS_TEMPLATE,
            "version": 3,
            "uri": format!("{HOST}/services/{SERVICE}/templates/{SMS_TEMPLATE}"),
        },
        "scheduled_for": null,
    })
}

pub(crate) fn email_accepted() -> Value {
    json!({
        "id": EMAIL,
        "reference": null,
        "content": {
            "from_email": "parking.permits@mail.example",
            "subject": "Permit for Rosa",
            "body": "Dear Rosa, bring\n\n* proof of address\n* a photo",
            "one_click_unsubscribe_url": "https://www.example.com/unsubscribe?who=17",
        },
        "uri": format!("{HOST}/v2/notifications/{EMAIL}"),
        "template": {
            "id": EMAIL_TEMPLATE,
            "version": 1,
            "uri": format!("{HOST}/services/{SERVICE}/templates/{EMAIL_TEMPLATE}"),
        },
        "scheduled_for": null,
        "sanitised_content": {},
    })
}

pub(crate) fn notification() -> Value {
    json!({
        "id": SMS,
        "reference": "order-17",
        "email_address": null,
        "phone_number": "07700 900855",
        "line_1": null, "line_2": null, "line_3": null, "line_4": null, "line_5": null, "line_6": null,
        "postcode": null,
        "type": "sms",
        "status": "delivered",
        "template": {
            "id": SMS_TEMPLATE,
            "version": 3,
            "uri": format!("{HOST}/v2/template/{SMS_TEMPLATE}/version/3"),
        },
        "body": "Hello Rosa, your permit is ready",
        "subject": null,
        "created_at": "2026-03-02T09:15:00.120034Z",
        "created_by_name": null,
        "sent_at": "2026-03-02T09:15:01.000410Z",
        "completed_at": "2026-03-02T09:15:06.913377Z",
        "scheduled_for": null,
        "postage": null,
        "one_click_unsubscribe_url": null,
        "is_cost_data_ready": true,
        "cost_in_pounds": 0.0227,
        "cost_details": { "billable_sms_fragments": 1, "international_rate_multiplier": 1, "sms_rate": 0.0227 },
    })
}

pub(crate) fn notifications() -> Value {
    json!({
        "notifications": [notification()],
        "links": {
            "current": format!("{HOST}/v2/notifications?status=delivered"),
            "next": format!("{HOST}/v2/notifications?older_than={SMS}&status=delivered"),
        },
    })
}

pub(crate) fn template() -> Value {
    json!({
        "id": EMAIL_TEMPLATE,
        "type": "email",
        "name": "Permit ready",
        "created_at": "2026-01-05T10:00:00.000000Z",
        "updated_at": null,
        "created_by": "sam@example.gov.uk",
        "version": 1,
        "body": "Dear ((name)), bring\n\n((needed))",
        "subject": "Permit for ((name))",
        "personalisation": { "name": { "required": true }, "needed": { "required": true } },
        "postage": null,
        "letter_contact_block": null,
    })
}

pub(crate) fn templates() -> Value {
    json!({ "templates": [template()] })
}

pub(crate) fn preview() -> Value {
    json!({
        "id": SMS_TEMPLATE,
        "type": "sms",
        "version": 3,
        "body": "Hello Rosa, your permit is ready",
        "html": null,
        "subject": null,
        "postage": null,
    })
}

pub(crate) fn received_texts() -> Value {
    json!({
        "received_text_messages": [{
            "id": RECEIVED,
            "created_at": "2026-03-02T09:20:00.000000Z",
            "service_id": SERVICE,
            "notify_number": "07860000001",
            "user_number": "447700900123",
            "content": "STOP please",
        }],
        "links": {
            "current": format!("{HOST}/v2/received-text-messages"),
            "next": format!("{HOST}/v2/received-text-messages?older_than={RECEIVED}"),
        },
    })
}

pub(crate) fn v1_accepted() -> Value {
    json!({ "data": {
        "notification": { "id": EMAIL },
        "body": "Dear Rosa, your permit is ready",
        "template_version": 1,
        "subject": "Permit for Rosa",
    }})
}

fn v1_shown() -> Value {
    json!({
        "id": SMS,
        "to": "+447700900855",
        "notification_type": "sms",
        "status": "delivered",
        "created_at": "2026-03-02T09:15:00.120034+00:00",
        "sent_at": "2026-03-02T09:15:01+00:00",
        "sent_by": "mmg",
        "updated_at": "2026-03-02T09:15:06.913377+00:00",
        "reference": null,
        "billable_units": 1,
        "service": SERVICE,
        "api_key": "44d0f3b2-1c5a-4e8f-9b7d-6a5c4d3e2f10",
        "job": null,
        "job_row_number": null,
        "template": { "id": SMS_TEMPLATE, "name": "Permit ready", "template_type": "sms", "version": 3 },
        "template_version": 3,
        "body": "Hello Rosa, your permit is ready",
        "content_char_count": 32,
    })
}

pub(crate) fn v1_notification() -> Value {
    json!({ "data": { "notification": v1_shown() } })
}

pub(crate) fn v1_notifications() -> Value {
    json!({
        "notifications": [v1_shown()],
        "page_size": 50,
        "total": 123,
        "links": { "next": "/notifications?page=2", "last": "/notifications?page=3" },
    })
}

pub(crate) fn status() -> Value {
    json!({
        "status": "ok",
        "git_commit": "c435ed3",
        "build_time": "2026-03-01T12:00:00Z",
        "db_version": "20261123000700",
    })
}

pub(crate) fn unsubscribed() -> Value {
    json!({ "result": "success", "message": "Unsubscribe successful" })
}
