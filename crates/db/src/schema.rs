//! The tables as diesel sees them; `tests/it/schema.rs` proves that they equal the database's.
//! Statements of the hot path are written out in SQL in the modules that own them, so not every table is here.

/// Postgres enums. Written as `diesel print-schema` would.
pub mod sql_types {
    use diesel::{query_builder::QueryId, sql_types::SqlType};

    macro_rules! pg_types {
        ($($name:ident = $pg:literal)+) => {$(
            #[derive(Clone, Copy, Debug, QueryId, SqlType)]
            #[diesel(postgres_type(name = $pg))]
            pub struct $name;
        )+};
    }

    pg_types! {
        Channel = "channel"
        KeyType = "key_type"
        NotificationStatus = "notification_status"
        Provider = "provider"
        ServicePermission = "service_permission"
    }
}

diesel::table! {
    services (id) {
        id -> Uuid,
        name -> Text,
        active -> Bool,
        restricted -> Bool,
        prefix_sms -> Bool,
        email_sender_name -> Nullable<Text>,
        email_local_part -> Text,
        created_at -> Timestamptz,
        rate_limit -> Integer,
        sms_message_limit -> Integer,
        email_message_limit -> Integer,
        letter_message_limit -> Integer,
        international_sms_message_limit -> Integer,
        contact_link -> Nullable<Text>,
        normalised_name -> Text,
    }
}

diesel::table! {
    users (id) {
        id -> Uuid,
        name -> Text,
        email_address -> Text,
        mobile_number -> Nullable<Text>,
        created_at -> Timestamptz,
        platform_admin -> Bool,
        auth_type -> Nullable<Text>,
        state -> Text,
        take_part_in_research -> Bool,
        receives_new_features_email -> Bool,
    }
}

diesel::table! {
    service_users (service_id, user_id) {
        service_id -> Uuid,
        user_id -> Uuid,
        permissions -> Array<Text>,
    }
}

diesel::table! {
    service_details (service_id) {
        service_id -> Uuid,
        notes -> Nullable<Text>,
        billing_contact_email_addresses -> Nullable<Text>,
        billing_contact_names -> Nullable<Text>,
        billing_reference -> Nullable<Text>,
        purchase_order_number -> Nullable<Text>,
        consent_to_research -> Nullable<Bool>,
        count_as_live -> Bool,
        go_live_at -> Nullable<Timestamptz>,
        go_live_user -> Nullable<Uuid>,
        has_active_go_live_request -> Bool,
        confirmed_unique -> Bool,
        confirmed_email_sender_name -> Nullable<Bool>,
        organisation_type -> Nullable<Text>,
        volume_sms -> Nullable<Integer>,
        volume_email -> Nullable<Integer>,
        volume_letter -> Nullable<Integer>,
        created_by -> Nullable<Uuid>,
        updated_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::sql_types::ServicePermission;

    service_permissions (service_id, permission) {
        service_id -> Uuid,
        permission -> ServicePermission,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::sql_types::KeyType;

    api_keys (id) {
        id -> Uuid,
        service_id -> Uuid,
        name -> Text,
        key_type -> KeyType,
        secret -> Bytea,
        created_at -> Timestamptz,
        revoked_at -> Nullable<Timestamptz>,
        created_by -> Nullable<Uuid>,
        updated_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    sms_senders (id) {
        id -> Uuid,
        service_id -> Uuid,
        sender -> Text,
        is_default -> Bool,
        archived_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        updated_at -> Nullable<Timestamptz>,
        inbound_number_id -> Nullable<Uuid>,
    }
}

diesel::table! {
    reply_to_addresses (id) {
        id -> Uuid,
        service_id -> Uuid,
        address -> Text,
        is_default -> Bool,
        archived_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        updated_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::sql_types::Channel;

    guest_list (service_id, channel, position) {
        service_id -> Uuid,
        channel -> Channel,
        normalised_recipient -> Text,
        recipient -> Text,
        position -> Integer,
    }
}

diesel::table! {
    sms_rates (valid_from) {
        valid_from -> Timestamptz,
        rate -> Double,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::sql_types::Channel;

    templates (id) {
        id -> Uuid,
        service_id -> Uuid,
        channel -> Channel,
        name -> Text,
        version -> Integer,
        hidden -> Bool,
        archived_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        updated_at -> Nullable<Timestamptz>,
        redact_personalisation -> Bool,
        redacted_by -> Nullable<Uuid>,
        reply_to -> Nullable<Uuid>,
    }
}

diesel::table! {
    template_versions (template_id, version) {
        template_id -> Uuid,
        version -> Integer,
        subject -> Nullable<Text>,
        content -> Text,
        created_at -> Timestamptz,
        created_by -> Nullable<Text>,
        has_unsubscribe_link -> Bool,
        name -> Text,
        archived -> Bool,
        created_by_id -> Nullable<Uuid>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::sql_types::{Channel, KeyType, NotificationStatus, Provider};

    notifications (id) {
        id -> Uuid,
        service_id -> Uuid,
        channel -> Channel,
        key_type -> KeyType,
        api_key_id -> Nullable<Uuid>,
        template_id -> Uuid,
        template_version -> Integer,
        recipient -> Text,
        normalised_recipient -> Text,
        personalisation -> Nullable<Bytea>,
        client_reference -> Nullable<Text>,
        sender -> Nullable<Text>,
        unsubscribe_url -> Nullable<Text>,
        international -> Bool,
        phone_prefix -> Nullable<Text>,
        rate_multiplier -> SmallInt,
        status -> NotificationStatus,
        created_at -> Timestamptz,
        updated_at -> Nullable<Timestamptz>,
        sent_at -> Nullable<Timestamptz>,
        sent_by -> Nullable<Provider>,
        provider_reference -> Nullable<Text>,
        billable_units -> Integer,
        unsubscribe_page_url -> Nullable<Text>,
        created_by -> Nullable<Uuid>,
    }
}

diesel::table! {
    unsubscribe_requests (id) {
        id -> Uuid,
        notification_id -> Uuid,
        service_id -> Uuid,
        template_id -> Uuid,
        template_version -> Integer,
        address -> Bytea,
        created_at -> Timestamptz,
        processed_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::sql_types::Provider;

    inbound_numbers (id) {
        id -> Uuid,
        number -> Text,
        provider -> Provider,
        service_id -> Nullable<Uuid>,
        active -> Bool,
        created_at -> Timestamptz,
        updated_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::sql_types::Provider;

    received_texts (id) {
        id -> Uuid,
        service_id -> Uuid,
        notify_number -> Text,
        user_number -> Text,
        content -> Bytea,
        provider -> Provider,
        provider_reference -> Nullable<Text>,
        provider_date -> Nullable<Timestamptz>,
        fingerprint -> Nullable<Bytea>,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    data_retention (id) {
        id -> Uuid,
        service_id -> Uuid,
        notification_type -> Text,
        days_of_retention -> Integer,
        created_at -> Timestamptz,
        updated_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    callbacks (id) {
        id -> Uuid,
        service_id -> Uuid,
        callback_type -> Text,
        url -> Text,
        bearer_token -> Bytea,
        updated_by_id -> Uuid,
        created_at -> Timestamptz,
        updated_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::sql_types::{Channel, Provider};

    providers (id) {
        id -> Uuid,
        identifier -> Provider,
        display_name -> Text,
        channel -> Channel,
        priority -> SmallInt,
        active -> Bool,
        supports_international -> Bool,
        reason -> Nullable<Text>,
        created_by -> Nullable<Uuid>,
        updated_at -> Nullable<Timestamptz>,
    }
}

diesel::joinable!(inbound_numbers -> services (service_id));
diesel::joinable!(data_retention -> services (service_id));
diesel::table! {
    documents (id) {
        id -> Uuid,
        service_id -> Uuid,
        details -> Bytea,
        content -> Bytea,
        size -> Integer,
        created_at -> Timestamptz,
        expires_at -> Timestamptz,
        wrong_answers -> SmallInt,
        wrong_answers_since -> Nullable<Timestamptz>,
    }
}

diesel::joinable!(template_versions -> templates (template_id));
diesel::joinable!(service_users -> services (service_id));
diesel::joinable!(service_users -> users (user_id));
diesel::joinable!(service_details -> services (service_id));
diesel::joinable!(templates -> services (service_id));
diesel::allow_tables_to_appear_in_same_query!(services, templates, template_versions);
diesel::allow_tables_to_appear_in_same_query!(service_users, users);
diesel::allow_tables_to_appear_in_same_query!(service_details, service_users, services);
diesel::allow_tables_to_appear_in_same_query!(inbound_numbers, services);
diesel::allow_tables_to_appear_in_same_query!(data_retention, received_texts, services);
diesel::allow_tables_to_appear_in_same_query!(inbound_numbers, service_permissions);
