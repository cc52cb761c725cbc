//! What requests of the internal API may hold.

use db::{callback::CallbackType, retention::Kept, service::Permission, user};
use serde_json::json;
use utoipa::{
    IntoParams, PartialSchema, ToSchema,
    openapi::{
        Array, ObjectBuilder, RefOr, Required, Schema, Type,
        path::{Parameter, ParameterBuilder, ParameterIn},
        schema::{AdditionalProperties, KnownFormat},
    },
};

use super::{
    any_value, email_address, example, in_path, known, nullable, number, object, parameter, personalisation,
    phone_number, query, text, text_only, uuid, uuid_only, whole,
};
use crate::{v1::query::PAGE_SIZE, v2::schema::TEMPLATE_TYPES};

const ADA: &str = "6c3f5a52-1f0e-4c43-9d4f-0a8b7c6d5e01";

bodies! {
    CreateServiceRequest("CreateServiceRequest"): required(
        with_service_fields(object("Other properties are ignored."))
            .property("user_id", uuid("Who makes it, and works with it from then on.")),
        &["user_id", "name", "restricted", "created_by", "email_message_limit", "sms_message_limit", "letter_message_limit"],
    ).examples([json!({
        "name": "Parking permits", "user_id": ADA, "created_by": ADA, "restricted": true,
        "email_message_limit": 50, "sms_message_limit": 50, "letter_message_limit": 50,
    })]);
    UpdateServiceRequest("UpdateServiceRequest"): with_service_fields(object("Other properties are ignored."))
        .examples([json!({ "restricted": false, "sms_message_limit": 250_000 })]);
    MemberRequest("MemberRequest"): object("What the front end lets them do.")
        .property("permissions", Array::new(
            object("One of them.").property("permission", words(user::PERMISSIONS)).required("permission"),
        ))
        .required("permissions")
        .examples([json!({ "permissions": [{ "permission": "send_texts" }] })]);
    UserRequest("UserRequest"): required(
        object("Other properties are ignored.")
            .property("name", text_only())
            .property("email_address", email_address())
            .property("mobile_number", nullable("A UK or international number.", Type::String))
            .property("platform_admin", flag())
            .property("auth_type", words(&["sms_auth", "email_auth", "webauthn_auth"]))
            .property("state", words(&["pending", "active", "inactive"]))
            .property("take_part_in_research", flag())
            .property("receives_new_features_email", flag()),
        &["name", "email_address"],
    ).examples([json!({ "name": "Ada", "email_address": "ada@example.com" })]);
    KeyRequest("KeyRequest"): required(
        object("Other properties are ignored.")
            .property("name", text("Up to 255 characters, and of no other live key of the service."))
            .property("key_type", words(&["normal", "team", "test"]))
            .property("created_by", uuid("Who makes it.")),
        &["name", "key_type", "created_by"],
    ).examples([json!({ "name": "website", "key_type": "normal", "created_by": ADA })]);
    RevokeRequest("RevokeRequest"): object("May be left out.")
        .property("created_by", uuid("Who revokes it."))
        .additional_properties(Some(AdditionalProperties::FreeForm(false)));
    CreateTemplateRequest("CreateTemplateRequest"): required(
        object("Other properties are ignored.")
            .property("name", text_only())
            .property("template_type", template_type())
            .property("content", text("With its placeholders; of an e-mail in Markdown."))
            .property("subject", text("Required of e-mails."))
            .property("service", uuid("The service."))
            .property("created_by", uuid("Who makes it."))
            .property("parent_folder_id", nullable("There are no folders.", Type::String))
            .property("has_unsubscribe_link", nullable("Of an e-mail; null is false.", Type::Boolean)),
        &["name", "template_type", "content", "service", "created_by"],
    ).examples([json!({
        "name": "Permit is ready", "template_type": "sms", "content": "Hello ((name)), your permit is ready",
        "service": example::SERVICE, "created_by": ADA,
    })]);
    UpdateTemplateRequest("UpdateTemplateRequest"): object("What is absent stays as it is; other properties are ignored.")
        .property("name", text_only())
        .property("template_type", template_type())
        .property("content", text_only())
        .property("subject", nullable("Of an e-mail.", Type::String))
        .property("service", uuid("The service."))
        .property("created_by", uuid("Who changes it; required to redact."))
        .property("archived", flag())
        .property("has_unsubscribe_link", flag())
        .property("redact_personalisation", boolean("True: the log shows no personalisation of it ever again."))
        .property("reply_to", nullable("Its own sender or reply-to address; nothing else is changed then.", Type::String))
        .examples([json!({ "content": "Dear ((name)), your permit is ready", "created_by": ADA })]);
    LogRequest("LogRequest"): log_request();
    OneOffRequest("OneOffRequest"): required(
        object("Other properties are ignored.")
            .property("template_id", uuid("The template to send."))
            .property("to", text("A number or an address, as the template wants it."))
            .property("personalisation", personalisation(any_value()))
            .property("created_by", uuid("Who sends it: somebody who works with the service."))
            .property("sender_id", nullable("A sender of texts or a reply-to address of the service.", Type::String)),
        &["template_id", "to", "created_by"],
    ).examples([json!({
        "template_id": example::EMAIL_TEMPLATE, "to": "rosa@example.com", "personalisation": { "name": "Rosa" },
        "created_by": ADA,
    })]);
    ProviderRequest("ProviderRequest"): object("What is absent stays as it is, but for `reason` and `created_by`.")
        .property("priority", number().description(Some("A weight.")).minimum(Some(0)).maximum(Some(100)))
        .property("active", flag())
        .property("reason", nullable("Why.", Type::String))
        .property("created_by", nullable("Who changes it.", Type::String))
        .additional_properties(Some(AdditionalProperties::FreeForm(false)))
        .examples([json!({ "priority": 80, "reason": "the other one is slow" })]);
    GuestListRequest("GuestListRequest"): required(
        object("All of it: what was there is replaced.")
            .property("phone_numbers", Array::new(phone_number()))
            .property("email_addresses", Array::new(email_address())),
        &["phone_numbers", "email_addresses"],
    ).examples([json!({ "phone_numbers": ["07700 900855"], "email_addresses": ["rosa@example.com"] })]);
    RetentionRequest("RetentionRequest"): required(
        object("Other properties are ignored.").property("notification_type", kept()).property("days_of_retention", days()),
        &["notification_type", "days_of_retention"],
    ).examples([json!({ "notification_type": "sms", "days_of_retention": 30 })]);
    RetentionDaysRequest("RetentionDaysRequest"): object("Other properties are ignored.")
        .property("days_of_retention", days())
        .required("days_of_retention")
        .examples([json!({ "days_of_retention": 30 })]);
    CreateCallbackRequest("CreateCallbackRequest"): required(
        callback(), &["url", "bearer_token", "updated_by_id", "callback_type"],
    ).examples([json!({
        "url": "https://www.example.com/receipts", "bearer_token": "something-secret", "updated_by_id": ADA,
        "callback_type": "delivery_status",
    })]);
    UpdateCallbackRequest("UpdateCallbackRequest"): required(callback(), &["updated_by_id", "callback_type"])
        .examples([json!({
            "url": "https://www.example.com/receipts", "updated_by_id": ADA, "callback_type": "delivery_status",
        })]);
    ReplyToRequest("ReplyToRequest"): required(
        object("Other properties are ignored.").property("email_address", email_address()).property("is_default", flag()),
        &["email_address", "is_default"],
    ).examples([json!({ "email_address": "permits@example.com", "is_default": true })]);
    VerifyRequest("VerifyRequest"): object("Other properties are ignored.")
        .property("email", email_address())
        .required("email")
        .examples([json!({ "email": "permits@example.com" })]);
    SmsSenderRequest("SmsSenderRequest"): required(
        object("Other properties are ignored.")
            .property("sms_sender", text("Up to 11 characters."))
            .property("is_default", flag())
            .property("inbound_number_id", nullable("A number that becomes the sender, in the place of the text.",
                Type::String)),
        &["sms_sender", "is_default"],
    ).examples([json!({ "sms_sender": "PERMITS", "is_default": true })]);
    NumberRequest("NumberRequest"): object("May be left out.")
        .property("inbound_number_id", nullable("A free number; any, when absent.", Type::String));
    ReceivedTextsRequest("ReceivedTextsRequest"): object("May be left out.")
        .property("phone_number", text("Only what this number wrote."));
    GiveUpRequest("GiveUpRequest"): object("May be left out.")
        .property("archive", boolean("Whether the number is retired; otherwise another service may get it."));
}

fn required(object: ObjectBuilder, names: &[&str]) -> ObjectBuilder {
    names.iter().fold(object, |object, name| object.required(*name))
}

fn words(words: &[&str]) -> ObjectBuilder {
    text_only().enum_values(Some(words.iter().copied()))
}

fn boolean(description: &str) -> ObjectBuilder {
    flag().description(Some(description))
}

fn flag() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Boolean)
}

fn template_type() -> ObjectBuilder {
    words(&TEMPLATE_TYPES)
}

fn kept() -> ObjectBuilder {
    words(&Kept::ALL.map(Kept::as_str))
}

fn callback_type() -> ObjectBuilder {
    words(&CallbackType::ALL.map(CallbackType::as_str))
}

fn days() -> ObjectBuilder {
    number().minimum(Some(1)).maximum(Some(36_500))
}

fn callback() -> ObjectBuilder {
    object("Other properties are ignored.")
        .property("url", text("An `https` URL."))
        .property(
            "bearer_token",
            text("What callbacks are sent with; at least 10 characters, never shown again."),
        )
        .property("updated_by_id", uuid("Who says so."))
        .property("callback_type", callback_type())
}

/// What may be said of a service.
fn with_service_fields(object: ObjectBuilder) -> ObjectBuilder {
    let count = || number().minimum(Some(0));
    let permissions: Vec<&str> = Permission::ALL.iter().map(|permission| permission.as_str()).collect();
    let mut object = object
        .property("name", text("Of no other service, whatever case and punctuation."))
        .property("permissions", Array::new(words(&permissions)))
        .property("organisation_type", nullable("Free text.", Type::String))
        .property("go_live_at", nullable("In UTC, with a space or a `T`.", Type::String))
        .property("created_by", uuid("Who made it."))
        .property("go_live_user", nullable("Who made it live.", Type::String));
    for name in [
        "active",
        "restricted",
        "prefix_sms",
        "count_as_live",
        "has_active_go_live_request",
        "confirmed_unique",
    ] {
        object = object.property(name, flag());
    }
    for name in [
        "rate_limit",
        "sms_message_limit",
        "email_message_limit",
        "letter_message_limit",
        "international_sms_message_limit",
    ] {
        object = object.property(name, count());
    }
    for name in ["volume_sms", "volume_email", "volume_letter"] {
        object = object.property(name, nullable("How many a year they expect.", Type::Integer));
    }
    for name in ["consent_to_research", "confirmed_email_sender_name"] {
        object = object.property(name, nullable("Null: not said.", Type::Boolean));
    }
    for name in [
        "custom_email_sender_name",
        "contact_link",
        "notes",
        "billing_contact_email_addresses",
        "billing_contact_names",
        "billing_reference",
        "purchase_order_number",
    ] {
        object = object.property(name, nullable("Null: none.", Type::String));
    }
    object
}

/// The parameters of the list, and lists of values in the place of what is repeated.
fn log_request() -> ObjectBuilder {
    let mut object = object(
        "As the parameters of `GET`; a list stands for a parameter that is repeated. Others are ignored.",
    );
    for name in ["template_type", "status"] {
        object = object.property(name, any_value().description(Some("A word, or a list of words.")));
    }
    for name in ["page", "page_size", "limit_days"] {
        object = object.property(name, any_value().description(Some("A whole number, also as text.")));
    }
    for name in ["include_jobs", "include_from_test_key", "include_one_off", "count_pages"] {
        object = object.property(name, any_value().description(Some("A boolean, or the text `True`.")));
    }
    object
        .property("to", nullable("Part of a recipient or of a client reference.", Type::String))
        .property("older_than", nullable("The id of a notification.", Type::String))
        .examples([json!({ "to": "0770090", "status": ["failed"] })])
}

parameters! {
    Acting: [parameter("X-Notify-User-Id", ParameterIn::Header, "For whom the client acts. Histories keep it, nothing checks \
        it.", uuid_only())];
    Service: [in_path("service", "The service.", uuid_only(), example::SERVICE)];
    User: [in_path("user", "The user.", uuid_only(), ADA)];
    Key: [in_path("key", "The key.", uuid_only(), "0b7e4c1d-8a52-4f7e-9b30-5c4d3e2f1a02")];
    Template: [in_path("template", "The template.", uuid_only(), example::EMAIL_TEMPLATE)];
    Version: [in_path("version", "From 1 on.", number().minimum(Some(0)), 1)];
    Notification: [in_path("id", "The notification.", uuid_only(), example::SMS)];
    Provider: [in_path("id", "The provider.", uuid_only(), "1c8f5d2e-9b63-4a8f-8c41-6d5e4f3a2b03")];
    Retention: [in_path("id", "The rule.", uuid_only(), "2d9a6e3f-0c74-4b9a-9d52-7e6f5a4b3c04")];
    RetentionType: [in_path("type", "What is kept.", kept(), "sms")];
    Callback: [in_path("id", "The callback.", uuid_only(), "3e0b7f4a-1d85-4c0b-8e63-8f7a6b5c4d05")];
    CallbackOf: [
        query("callback_type", "What it tells of; with another one, there is no such callback.", callback_type())
            .required(Required::True),
    ];
    ReplyTo: [in_path("id", "The address.", uuid_only(), "4f1c8a5b-2e96-4d1c-9f74-9a8b7c6d5e06")];
    SmsSender: [in_path("id", "The sender.", uuid_only(), "5a2d9b6c-3fa7-4e2d-8a85-0b9c8d7e6f07")];
    ReceivedText: [in_path("id", "The text.", uuid_only(), "019a2f41-0c77-7c32-8d77-4f8d3e2c1b33")];
    ServiceName: [
        query("service_name", "Part of the name.", text_only()).required(Required::True),
    ];
    ServiceFilters: [
        query("only_active", "`True`: without those that are archived.", text_only()),
        query("user_id", "Only those that this user works with. Nothing else counts then but `only_active`.", uuid_only()),
        query("detailed", "`True`: their figures.", text_only()),
        query("include_from_test_key", "Whether figures have what test keys sent.",
            text_only().default(Some(json!("True")))),
        start_date(),
        end_date(),
    ];
    Detailed: [
        query("detailed", "`True`: also its figures, of seven days and today.", text_only()),
        query("today_only", "`True`: only today’s figures.", text_only()),
    ];
    TodayOnly: [query("today_only", "`True`: only today’s.", text_only())];
    LimitDays: [query("limit_days", "Today and so many days before, in London.", number())];
    WholeDays: [
        query("whole_days", "Today and so many days before, in London: 0 to 7. This or `limit_days` must be given.", number()),
        query("limit_days", "The same.", number()),
    ];
    Year: [
        query("year", "The financial year that begins in April of this one.", number()).required(Required::True),
    ];
    TemplateType: [query("template_type", "Only this type.", template_type())];
    Dates: [start_date(), end_date()];
    Page: [query("page", "Which page, from 1 on.", whole(1))];
    Placeholders: [
        query("placeholders", "A value for each placeholder of the template, by its name.",
            object("By name.").additional_properties(Some(text_only()))).explode(Some(true)),
    ];
    LogFilters: [
        several_words("template_type"),
        several_words("status"),
        query("page", "Which page, from 1 on.", whole(1)),
        query("page_size", "How many notifications a page has, up to 250.", whole(PAGE_SIZE)),
        limit_days(),
        flag_word("include_jobs", "True"),
        flag_word("include_from_test_key", "False"),
        flag_word("include_one_off", "True"),
        flag_word("count_pages", "True"),
        search(),
        older_than(),
    ];
    RowFilters: [
        several_words("template_type"),
        several_words("status"),
        query("page_size", "How many rows there are at most, up to 5,000.", whole(PAGE_SIZE)),
        limit_days(),
        flag_word("include_one_off", "True"),
        search(),
        older_than(),
    ];
}

fn several_words(name: &str) -> ParameterBuilder {
    query(name, "May stand several times. What is none narrows to nothing.", Array::new(text_only()))
        .explode(Some(true))
}

fn flag_word(name: &str, default: &str) -> ParameterBuilder {
    query(name, "`True`, or else false.", text_only().default(Some(json!(default))))
}

fn limit_days() -> ParameterBuilder {
    query("limit_days", "Since midnight in London, so many days ago.", number().minimum(Some(0)))
}

fn search() -> ParameterBuilder {
    query("to", "Part of a recipient or of a client reference.", text_only())
}

fn older_than() -> ParameterBuilder {
    query("older_than", "The id of a notification: what was made before it.", uuid_only())
}

fn start_date() -> ParameterBuilder {
    query("start_date", "The first day, in London; today when absent.", date())
}

fn end_date() -> ParameterBuilder {
    query("end_date", "The last day, in London; today when absent.", date())
}

fn date() -> ObjectBuilder {
    text_only().format(known(KnownFormat::Date))
}
