-- What the front end keeps of a service, and what each of its members may do there.

-- Lower case, letters and digits joined by dots: two names that differ in nothing else are the same to people. Not unique by
-- constraint: services that were stored before, or by seeding, may share one. Who names a service by the internal API holds a
-- lock while it looks.
ALTER TABLE services ADD COLUMN normalised_name text;
UPDATE services SET normalised_name = email_local_part;
ALTER TABLE services ALTER COLUMN normalised_name SET NOT NULL;
CREATE INDEX services_by_normalised_name ON services (normalised_name);

ALTER TABLE users
    -- Runs the platform; the services that such a person makes are not counted as live ones.
    ADD COLUMN platform_admin boolean NOT NULL DEFAULT false;

-- What a member may do at the front end; nothing here depends on it.
ALTER TABLE service_users
    ADD COLUMN permissions text[] NOT NULL DEFAULT '{}',
    ADD CONSTRAINT service_users_permissions_known CHECK (permissions <@ ARRAY[
        'manage_users', 'manage_templates', 'manage_settings', 'send_texts', 'send_emails', 'send_letters',
        'manage_api_keys', 'view_activity']);

-- Apart from services, because no message depends on it. A service without a row has the defaults.
CREATE TABLE service_details (
    service_id uuid PRIMARY KEY REFERENCES services (id),
    notes text,
    billing_contact_email_addresses text,
    billing_contact_names text,
    billing_reference text,
    purchase_order_number text,
    consent_to_research boolean,
    count_as_live boolean NOT NULL DEFAULT true,
    go_live_at timestamptz,
    go_live_user uuid REFERENCES users (id),
    has_active_go_live_request boolean NOT NULL DEFAULT false,
    -- Somebody has looked whether another service goes by this name.
    confirmed_unique boolean NOT NULL DEFAULT false,
    confirmed_email_sender_name boolean,
    organisation_type text,
    -- Messages a year that the team expects.
    volume_sms integer,
    volume_email integer,
    volume_letter integer,
    created_by uuid REFERENCES users (id),
    updated_at timestamptz
);
