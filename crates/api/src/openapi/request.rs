//! What requests may hold. Bodies and queries are read by hand, since what is wrong with them is said in upstream's words (see
//! `v2/schema.rs`); these schemas describe what the readers take, and `tests/it/openapi.rs` holds the two together.

use serde_json::{Value, json};
use utoipa::{
    IntoParams, PartialSchema, ToSchema,
    openapi::{
        Array, ObjectBuilder, Ref, RefOr, Required, Schema, SchemaFormat, Type,
        path::{Parameter, ParameterBuilder, ParameterIn},
        schema::{AdditionalProperties, AnyOfBuilder, ArrayBuilder, KnownFormat, SchemaType},
    },
};

use super::{example, mebibytes};
use crate::{
    admit,
    config::ApiConfig,
    documents::file_type,
    v1::query::{LARGEST_PAGE, PAGE_SIZE},
    v2::{
        files::{DEFAULT_WEEKS, FILENAME_LIMIT, WEEKS},
        notifications::query::{INCLUDE_JOBS, STATUSES},
        schema::{REFERENCE_LIMIT, TEMPLATE_TYPES},
    },
};

/// Types that stand for a schema, and have no values.
macro_rules! bodies {
    ($($name:ident($title:literal): $schema:expr $(, with $other:ident)?;)+) => {$(
        pub(crate) enum $name {}

        impl ToSchema for $name {
            fn name() -> std::borrow::Cow<'static, str> {
                $title.into()
            }

            $(fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
                schemas.push(($other::name().into_owned(), $other::schema()));
            })?
        }

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                $schema.into()
            }
        }
    )+};
}

pub(crate) use bodies;

bodies! {
    SmsRequest("SmsRequest"): closed(example::sms_request())
        .property("reference", reference())
        .property("phone_number", phone_number())
        .required("phone_number")
        .property("template_id", uuid("The template to send: one for text messages, of this service."))
        .required("template_id")
        .property("personalisation", personalisation(any_value()))
        .property("scheduled_for", scheduled_for())
        .property("sms_sender_id", uuid("Who the text is from; the service’s default sender when absent."));
    EmailRequest("EmailRequest"): closed(example::email_request())
        .property("reference", reference())
        .property("email_address", email_address())
        .required("email_address")
        .property("template_id", uuid("The template to send: one for e-mails, of this service."))
        .required("template_id")
        .property("personalisation", personalisation(value_or_file()))
        .property("scheduled_for", scheduled_for())
        .property("email_reply_to_id", uuid("Where answers go; the service’s default address when absent."))
        .property("one_click_unsubscribe_url", one_click_unsubscribe_url())
        .property("sanitise_content_for", sanitise_content_for()), with File;
    LetterRequest("LetterRequest"): object("Letters are not carried yet: any body gets the answer 400.");
    PreviewRequest("PreviewRequest"): object("Other properties are ignored.")
        .property("personalisation", personalisation(any_value()))
        .examples([example::preview_request()]);
    File("File"): closed(example::file())
        .description(Some(file_description()))
        .property("file", text("The file, in base64.").content_encoding("base64"))
        .required("file")
        .property("filename", nullable(&format!("What the file is called for its recipient, with an extension; up to \
             {FILENAME_LIMIT} characters."), Type::String))
        .property("confirm_email_before_download", nullable("Whether recipients have to enter their e-mail address before \
             they can download the file.", Type::Boolean).default(Some(json!(true))))
        .property("retention_period", retention_period())
        .property("is_csv", nullable("Whether a file without a `filename` is CSV rather than text. Not together with \
             `filename`.", Type::Boolean).deprecated(Some(utoipa::openapi::Deprecated::True)));
    V1SmsRequest("v1.SmsRequest"): v1_request(example::v1_sms_request(), "A UK mobile number.")
        .property("job", text("Not for callers: must be text, and is ignored."));
    V1EmailRequest("v1.EmailRequest"): v1_request(example::v1_email_request(), "An e-mail address.");
}

fn object(description: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Object).description(Some(description))
}

/// Without any other properties.
fn closed(example: Value) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .additional_properties(Some(AdditionalProperties::FreeForm(false)))
        .examples([example])
}

fn v1_request(example: Value, to: &str) -> ObjectBuilder {
    object("Other properties are ignored.")
        .property("to", text(to))
        .required("to")
        .property("template", text("The id of a template of this service."))
        .required("template")
        .property("personalisation", v1_personalisation())
        .examples([example])
}

fn v1_personalisation() -> ObjectBuilder {
    object(
        "A value for each placeholder of the template, and nothing else. HTML tags are taken out of values.",
    )
    .additional_properties(Some(any_value()))
}

fn text(description: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).description(Some(description))
}

fn nullable(description: &str, of: Type) -> ObjectBuilder {
    let or_null = SchemaType::from_iter([of, Type::Null]);
    ObjectBuilder::new().schema_type(or_null).description(Some(description))
}

fn known(format: KnownFormat) -> Option<SchemaFormat> {
    Some(SchemaFormat::KnownFormat(format))
}

fn uuid(description: &str) -> ObjectBuilder {
    text(description).format(known(KnownFormat::Uuid))
}

fn any_value() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::AnyValue)
}

fn reference() -> ObjectBuilder {
    let description = format!(
        "Yours, to find the notification by later. Need not be unique; up to {REFERENCE_LIMIT} characters. Keep personal \
         data out of it."
    );
    text(&description).max_length(Some(REFERENCE_LIMIT))
}

fn phone_number() -> ObjectBuilder {
    text(
        "A UK or international number, with or without country code, spaces, brackets, hyphens and `+`. Numbers outside \
         the UK and UK landlines need a permission of the service.",
    )
}

fn email_address() -> ObjectBuilder {
    text("One address.").format(known(KnownFormat::Email))
}

fn personalisation(values: impl Into<AdditionalProperties<Schema>>) -> ObjectBuilder {
    object(
        "A value for each placeholder of the template. Names match whatever their case, spaces, `_` and `-`. A list is \
         written as one; `true`, `false` and text like `yes` or `no` decide what `((name??text))` shows. Other names are \
         ignored.",
    )
    .additional_properties(Some(values))
}

fn value_or_file() -> RefOr<Schema> {
    let any = any_value().description(Some("Any other value."));
    AnyOfBuilder::new().item(Ref::from_schema_name(File::name())).item(any).into()
}

fn one_click_unsubscribe_url() -> ObjectBuilder {
    text(
        "An `https` URL for the header `List-Unsubscribe`, to which mail programs post. It takes the place of the template’s \
         own link there. Up to 900 characters.",
    )
    .format(Some(SchemaFormat::Custom("uri".into())))
}

fn scheduled_for() -> ObjectBuilder {
    nullable(
        "Checked, and then ignored: nothing is scheduled by API. ISO 8601, up to 24 hours ahead.",
        Type::String,
    )
}

fn sanitise_content_for() -> ArrayBuilder {
    ArrayBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Array, Type::Null]))
        .items(any_value())
        .description(Some(
            "Names of personalisation whose values come from the public: links in them are taken apart, and characters with a \
             meaning in Markdown are escaped. The answer says what has changed.",
        ))
}

fn retention_period() -> ObjectBuilder {
    let (least, most) = (WEEKS.start(), WEEKS.end());
    let description = format!("How long the file can be downloaded: `{least} week` to `{most} weeks`.");
    nullable(&description, Type::String).default(Some(json!(format!("{DEFAULT_WEEKS} weeks"))))
}

fn file_description() -> String {
    let limit = mebibytes(ApiConfig::default().file_limit);
    let types: Vec<_> = file_type::TYPES.iter().map(|known| format!("`{}`", known.extension)).collect();
    format!(
        "A file, in the place of a value. The e-mail gets a link to a page where it can be downloaded. Up to {limit}; \
         {}. The service needs a contact link.",
        types.join(", ")
    )
}

/// Types that stand for parameters.
macro_rules! parameters {
    ($($name:ident: [$($parameter:expr),+ $(,)?];)+) => {$(
        pub(crate) enum $name {}

        impl IntoParams for $name {
            fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
                vec![$($parameter.build()),+]
            }
        }
    )+};
}

pub(crate) mod internal;

parameters! {
    NotificationId: [in_path("id", "The notification.", uuid_only(), example::SMS)];
    TemplateId: [in_path("id", "The template.", uuid_only(), example::EMAIL_TEMPLATE)];
    TemplateVersion: [
        in_path("id", "The template.", uuid_only(), example::EMAIL_TEMPLATE),
        in_path("version", "From 1 on; 0 means the latest.", number().minimum(Some(0)), 1),
    ];
    UnsubscribeLink: [
        in_path("id", "The notification.", uuid_only(), example::EMAIL),
        in_path("token", "Whose mail it was, sealed.", text_only(), "AQAAAAEexample"),
    ];
    IdempotencyKey: [
        parameter(admit::HEADER, ParameterIn::Header, &idempotency_key_description(), idempotency_key()),
    ];
    NotificationFilters: [
        several("template_type", "Only notifications of these types.", &TEMPLATE_TYPES),
        several("status", "Only notifications with one of these statuses. `failed` stands for all that failed, `accepted` for \
             `created` and `sending`, `received` for `delivered`.", &STATUSES),
        query("reference", "Only notifications with exactly this reference.", text_only()),
        older_than("notification"),
        query("include_jobs", "Whether notifications made from jobs are listed too; only for live keys. To leave them out, \
             leave the parameter out.", text_only().enum_values(Some(INCLUDE_JOBS))),
    ];
    TemplateFilters: [
        query("type", "Only templates of this type.", text_only().enum_values(Some(TEMPLATE_TYPES))),
    ];
    OlderReceivedTexts: [older_than("text")];
    V1NotificationFilters: [
        query("page", "Which page, from 1 on.", whole(1)),
        query("page_size", &format!("How many notifications a page has, up to {LARGEST_PAGE}."), whole(PAGE_SIZE)),
        query("limit_days", "Only notifications made today (UTC) or on one of so many days before.", number()),
        several("template_type", "Only notifications of these types.", &["sms", "email"]),
        several("status", "Only notifications with one of these statuses, literally: `failed` does not stand for others.",
            &["created", "sending", "delivered", "pending", "failed", "technical-failure", "temporary-failure",
              "permanent-failure"]),
        query("include_jobs", "Whether notifications made from jobs are listed too; only for live keys.",
            ObjectBuilder::new().schema_type(Type::Boolean).default(Some(json!(false)))),
    ];
    Simple: [
        query("simple", "With any value: whether this process answers, without asking the database.", text_only()),
    ];
}

fn parameter(
    name: &str,
    place: ParameterIn,
    description: &str,
    schema: impl Into<RefOr<Schema>>,
) -> ParameterBuilder {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(Required::False)
        .description(Some(description))
        .schema(Some(schema))
}

fn query(name: &str, description: &str, schema: impl Into<RefOr<Schema>>) -> ParameterBuilder {
    parameter(name, ParameterIn::Query, description, schema)
}

fn in_path(
    name: &str,
    description: &str,
    schema: impl Into<RefOr<Schema>>,
    example: impl Into<Value>,
) -> ParameterBuilder {
    let parameter = parameter(name, ParameterIn::Path, description, schema);
    parameter.required(Required::True).example(Some(example.into()))
}

/// A parameter that may stand several times.
fn several(name: &str, description: &str, words: &[&str]) -> ParameterBuilder {
    let word = text_only().enum_values(Some(words.iter().copied()));
    query(name, description, Array::new(word)).explode(Some(true))
}

fn older_than(what: &str) -> ParameterBuilder {
    let description = format!("The id of a {what}: what follows after it, in the order of the list.");
    query("older_than", &description, uuid_only())
}

fn text_only() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

fn uuid_only() -> ObjectBuilder {
    text_only().format(known(KnownFormat::Uuid))
}

fn number() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Integer)
}

fn whole(default: i64) -> ObjectBuilder {
    number().minimum(Some(1)).default(Some(json!(default)))
}

fn idempotency_key() -> ObjectBuilder {
    text_only().min_length(Some(1)).max_length(Some(db::idempotency::KEY_LIMIT))
}

fn idempotency_key_description() -> String {
    let hours = db::idempotency::REMEMBERED_FOR.num_hours();
    format!(
        "Makes it safe to send a request again. Whoever repeats a request with the same key and body within {hours} hours gets \
         the same answer, with the header `{}: {}`, and one notification. The same key with another body gets 422; while the \
         first request is being worked on, 409. A refused request is not remembered. 1 to {} characters of ASCII.",
        admit::REPLAYED.0,
        admit::REPLAYED.1,
        db::idempotency::KEY_LIMIT,
    )
}
