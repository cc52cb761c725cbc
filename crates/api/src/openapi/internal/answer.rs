//! Answers of the internal API that no struct of this crate is serialised to.

use db::{
    callback::CallbackType,
    user::{AuthType, State},
};
use domain::status::{Channel, ProviderId, Status};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        Array, ObjectBuilder, Ref, RefOr, Schema, SchemaFormat, Type,
        schema::{AnyOfBuilder, ArrayBuilder, KnownFormat, SchemaType},
    },
};

use crate::openapi::{self, refusal::PLAIN_ERROR, request::bodies, words};

bodies! {
    Service("Service"): service();
    User("User"): user();
    UserList("UserList"): Array::new(Ref::from_schema_name("User")), with User;
    ServiceList("ServiceList"): Array::new(Ref::from_schema_name("Service")), with Service;
    DetailedServices("DetailedServices"): Array::new(all([
        ("id", uuid()),
        ("name", text()),
        ("notification_type", nullable(Type::String)),
        ("restricted", boolean()),
        ("active", boolean()),
        ("created_at", text().description(Some("A date as in headers."))),
        ("statistics", statistics()),
    ]));
    Services("Services"): all([(
        "data",
        AnyOfBuilder::new().item(ServiceList::schema()).item(DetailedServices::schema()),
    )]);
    History("History"): all([
        ("service_history", Array::new(anything("The service as it was, with `version`, `created_by_id` (who made this version), \
            `changed_by` (for whom the client acted) and `changed_at`."))),
        ("api_key_history", Array::new(anything("A key as it was, with the same."))),
    ]);
    Sent("Sent"): all([("id", uuid().description(Some("The notification.")))]);
    GuestList("GuestList"): all([("email_addresses", Array::new(text())), ("phone_numbers", Array::new(text()))]);
    Empty("Empty"): all::<ObjectBuilder>([]);
    RetentionOrNone("RetentionOrNone"): AnyOfBuilder::new().item(retention()).item(Empty::schema());
    RetentionMade("RetentionMade"): all([("result", retention())]);
    NumberOrNone("NumberOrNone"): AnyOfBuilder::new().item(number_of_service()).item(Empty::schema());
    NewestTexts("NewestTexts"): all([
        ("data", Schema::from(Array::new(received_text()))),
        ("has_next", Schema::from(boolean().build())),
    ]);
    TextsSummary("TextsSummary"): all([("count", integer()), ("most_recent", nullable(Type::String))]);
    NumberUsage("NumberUsage"): all([("most_recent_date", nullable_time())]);
    NoNumber("NoNumber"): AnyOfBuilder::new()
        .item(all([("message", text())]))
        .item(Ref::from_schema_name(PLAIN_ERROR));
    ListedProviders("ListedProviders"): Array::new(
        provider(nullable(Type::String).description(Some("A date as in headers.")))
            .property("current_month_billable_sms", integer())
            .required("current_month_billable_sms"),
    );
    ProviderVersions("ProviderVersions"): Array::new(
        provider(nullable_time())
            .property("version", integer())
            .required("version")
            .property("created_by", person())
            .required("created_by"),
    );
    Monthly("Monthly"): object()
        .description(Some("By month (`2026-04`), by type, by status: how many."))
        .additional_properties(Some(all(["sms", "email", "letter"].map(|channel| {
            (channel, object().additional_properties(Some(integer())))
        }))));
    Count("Count"): all([("notifications_sent_count", integer())]);
    LastUse("LastUse"): all([("last_date_used", nullable_time())]);
    UsedTemplate("UsedTemplate"): all([
        ("template_id", uuid()),
        ("template_name", text()),
        ("template_type", openapi::channel()),
        ("last_date_used", time()),
    ]).schema_type(SchemaType::from_iter([Type::Object, Type::Null]));
    OfProviders("OfProviders"): Array::new(all([
        ("provider", providers()),
        ("notification_type", openapi::channel()),
        ("requested", integer()),
        ("delivered", integer()),
        ("failed", integer()),
        ("billable_units", integer()),
    ]));
    Platform("Platform"): all(["sms", "email", "letter"].map(|channel| (channel, of_platform())));
    TemplateUsage("TemplateUsage"): all([(
        "stats",
        Array::new(all([
            ("template_id", uuid()),
            ("name", text()),
            ("type", openapi::channel()),
            ("month", integer()),
            ("year", integer()),
            ("count", integer()),
            ("is_precompiled_letter", boolean()),
        ])),
    )]);
}

/// An object in which all of these are always there.
fn all<S: Into<RefOr<Schema>>>(properties: impl IntoIterator<Item = (&'static str, S)>) -> ObjectBuilder {
    properties
        .into_iter()
        .fold(object(), |object, (name, schema)| object.property(name, schema).required(name))
}

fn object() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Object)
}

fn anything(description: &str) -> ObjectBuilder {
    object().description(Some(description))
}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

fn known(format: KnownFormat) -> Option<SchemaFormat> {
    Some(SchemaFormat::KnownFormat(format))
}

fn uuid() -> ObjectBuilder {
    text().format(known(KnownFormat::Uuid))
}

fn time() -> ObjectBuilder {
    text().format(known(KnownFormat::DateTime))
}

fn boolean() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Boolean)
}

fn integer() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Integer)
}

fn nullable(of: Type) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::from_iter([of, Type::Null]))
}

fn nullable_uuid() -> ObjectBuilder {
    nullable(Type::String).format(known(KnownFormat::Uuid))
}

fn nullable_time() -> ObjectBuilder {
    nullable(Type::String).format(known(KnownFormat::DateTime))
}

fn providers() -> ObjectBuilder {
    words(ProviderId::ALL.iter().map(|provider| provider.as_str()))
}

/// `requested`, `delivered`, `failed`.
pub(crate) fn counts() -> ObjectBuilder {
    all(["requested", "delivered", "failed"].map(|name| (name, integer())))
}

fn statistics() -> ObjectBuilder {
    all(Channel::ALL
        .iter()
        .map(|channel| channel.as_str())
        .chain(["letter"])
        .map(|channel| (channel, counts())))
}

/// Every key of the contract, and figures where they were asked for.
fn service() -> ObjectBuilder {
    let callback =
        all([("callback_id", uuid()), ("callback_type", words(CallbackType::ALL.map(CallbackType::as_str)))]);
    let texts = |names: &'static [&'static str]| names.iter().map(|name| (*name, nullable(Type::String)));
    let flags = [
        "active",
        "restricted",
        "prefix_sms",
        "count_as_live",
        "has_active_go_live_request",
        "confirmed_unique",
    ];
    let numbers = [
        "rate_limit",
        "sms_message_limit",
        "email_message_limit",
        "letter_message_limit",
        "international_sms_message_limit",
    ];
    let single = [("id", uuid()), ("name", text()), ("email_sender_local_part", text())];
    let optional = [
        ("created_by", uuid()),
        ("go_live_user", nullable_uuid()),
        ("go_live_at", nullable(Type::String).description(Some("`YYYY-MM-DD HH:MM:SS.ffffff`, in UTC."))),
        ("consent_to_research", nullable(Type::Boolean)),
        ("confirmed_email_sender_name", nullable(Type::Boolean)),
        ("email_branding", ObjectBuilder::new().schema_type(Type::Null)),
        ("letter_branding", ObjectBuilder::new().schema_type(Type::Null)),
        ("organisation", ObjectBuilder::new().schema_type(Type::Null)),
    ];
    let properties = single
        .into_iter()
        .chain(flags.map(|name| (name, boolean())))
        .chain(numbers.map(|name| (name, integer())))
        .chain(["volume_sms", "volume_email", "volume_letter"].map(|name| (name, nullable(Type::Integer))))
        .chain(optional)
        .chain(texts(&[
            "custom_email_sender_name",
            "contact_link",
            "notes",
            "billing_contact_email_addresses",
            "billing_contact_names",
            "billing_reference",
            "purchase_order_number",
            "organisation_type",
        ]));
    all(properties)
        .property("permissions", Array::new(text()))
        .required("permissions")
        .property("service_callback_api", Array::new(callback))
        .required("service_callback_api")
        .property("statistics", statistics().description(Some("Only with `detailed=True`.")))
}

/// Every key of the contract.
fn user() -> ObjectBuilder {
    let null = || ObjectBuilder::new().schema_type(Type::Null).description(Some("Nobody signs in here yet."));
    all([
        ("id", uuid()),
        ("name", text()),
        ("email_address", text()),
        ("created_at", time()),
        ("auth_type", words(AuthType::ALL.map(AuthType::as_str))),
        ("current_session_id", null()),
        ("failed_login_count", integer()),
        ("email_access_validated_at", time()),
        ("logged_in_at", null()),
        ("mobile_number", nullable(Type::String)),
        ("password_changed_at", text().description(Some("`YYYY-MM-DD HH:MM:SS.ffffff`, in UTC."))),
        (
            "permissions",
            object()
                .description(Some("By active service, where there are any."))
                .additional_properties(Some(Schema::from(Array::new(text())))),
        ),
        ("organisation_permissions", object()),
        ("platform_admin", boolean()),
        ("can_use_webauthn", boolean()),
        ("state", words(State::ALL.map(State::as_str))),
        ("take_part_in_research", boolean()),
        ("receives_new_features_email", boolean()),
    ])
    .property(
        "organisations",
        ArrayBuilder::new().items(text()).max_items(Some(0)).description(Some("There are none.")),
    )
    .required("organisations")
    .property("services", Array::new(uuid()))
    .required("services")
}

fn retention() -> ObjectBuilder {
    all([
        ("id", uuid()),
        ("service_id", uuid()),
        ("service_name", text()),
        ("notification_type", text()),
        ("days_of_retention", integer()),
        ("created_at", time()),
        ("updated_at", nullable_time()),
    ])
}

fn number_of_service() -> ObjectBuilder {
    all([
        ("id", uuid()),
        ("number", text()),
        ("provider", providers()),
        ("service", all([("id", uuid()), ("name", text())])),
        ("active", boolean()),
        ("created_at", time()),
        ("updated_at", nullable_time()),
    ])
}

fn received_text() -> ObjectBuilder {
    all([
        ("id", uuid()),
        ("created_at", time()),
        ("service_id", uuid()),
        ("notify_number", text()),
        ("user_number", text()),
        ("content", text()),
    ])
}

fn person() -> ObjectBuilder {
    all([("id", uuid()), ("name", text()), ("email_address", text())])
        .schema_type(SchemaType::from_iter([Type::Object, Type::Null]))
}

fn provider(updated_at: ObjectBuilder) -> ObjectBuilder {
    all([
        ("id", uuid()),
        ("display_name", text()),
        ("identifier", providers()),
        ("priority", integer()),
        ("notification_type", openapi::channel()),
        ("active", boolean()),
        ("updated_at", updated_at),
        ("supports_international", boolean()),
        ("created_by_name", nullable(Type::String)),
        ("reason", nullable(Type::String)),
    ])
}

fn of_platform() -> ObjectBuilder {
    let failures = [
        "virus-scan-failed",
        Status::TechnicalFailure.as_str(),
        Status::TemporaryFailure.as_str(),
        Status::PermanentFailure.as_str(),
    ];
    all([
        ("total", integer()),
        ("test-key", integer()),
        ("failures", all(failures.map(|name| (name, integer())))),
    ])
}
