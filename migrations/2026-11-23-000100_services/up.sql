-- Who sends: services, what they may do, the keys they authenticate with, and what recipients see as the sender.

CREATE TYPE channel AS ENUM ('sms', 'email');
CREATE TYPE key_type AS ENUM ('normal', 'team', 'test');
CREATE TYPE service_permission AS ENUM ('sms', 'email', 'letter', 'international_sms', 'sms_to_uk_landlines');

CREATE TABLE services (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    -- An archived service authenticates no one and sends nothing.
    active boolean NOT NULL DEFAULT true,
    -- Trial mode: only team members and the guest list can be reached.
    restricted boolean NOT NULL DEFAULT true,
    -- Put the name in front of texts.
    prefix_sms boolean NOT NULL DEFAULT true,
    -- Display name of e-mails; the name when null.
    email_sender_name text,
    -- The part before the @ of the From address, made from whichever name e-mails show.
    email_local_part text NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT services_name_not_blank CHECK (btrim(name) <> '')
);

CREATE TABLE service_permissions (
    service_id uuid NOT NULL REFERENCES services (id),
    permission service_permission NOT NULL,
    PRIMARY KEY (service_id, permission)
);

CREATE TABLE api_keys (
    id uuid PRIMARY KEY,
    service_id uuid NOT NULL REFERENCES services (id),
    name text NOT NULL,
    key_type key_type NOT NULL,
    -- Sealed, never hashed: verifying an HMAC needs the secret itself. The value starts with the id of the sealing key.
    secret bytea NOT NULL,
    created_at timestamptz NOT NULL,
    revoked_at timestamptz,
    CONSTRAINT api_keys_name_not_blank CHECK (btrim(name) <> ''),
    CONSTRAINT api_keys_revoked_after_created CHECK (revoked_at >= created_at)
);
CREATE INDEX api_keys_of_service ON api_keys (service_id);
CREATE UNIQUE INDEX api_keys_name_once_among_live ON api_keys (service_id, name) WHERE revoked_at IS NULL;

CREATE TABLE sms_senders (
    id uuid PRIMARY KEY,
    service_id uuid NOT NULL REFERENCES services (id),
    sender text NOT NULL,
    is_default boolean NOT NULL,
    archived_at timestamptz,
    created_at timestamptz NOT NULL,
    CONSTRAINT sms_senders_default_not_archived CHECK (NOT (is_default AND archived_at IS NOT NULL))
);
CREATE INDEX sms_senders_of_service ON sms_senders (service_id);
CREATE UNIQUE INDEX sms_senders_one_default ON sms_senders (service_id) WHERE is_default;

CREATE TABLE reply_to_addresses (
    id uuid PRIMARY KEY,
    service_id uuid NOT NULL REFERENCES services (id),
    address text NOT NULL,
    is_default boolean NOT NULL,
    archived_at timestamptz,
    created_at timestamptz NOT NULL,
    CONSTRAINT reply_to_addresses_default_not_archived CHECK (NOT (is_default AND archived_at IS NOT NULL))
);
CREATE INDEX reply_to_addresses_of_service ON reply_to_addresses (service_id);
CREATE UNIQUE INDEX reply_to_addresses_one_default ON reply_to_addresses (service_id) WHERE is_default;

-- Whom team keys, and every key of a service in trial mode, may reach.
CREATE TABLE guest_list (
    service_id uuid NOT NULL REFERENCES services (id),
    channel channel NOT NULL,
    -- Digits with country code, or a lower-cased address.
    normalised_recipient text NOT NULL,
    PRIMARY KEY (service_id, channel, normalised_recipient)
);

-- What one fragment of a UK text costs, in pounds, from a day on.
CREATE TABLE sms_rates (
    valid_from timestamptz PRIMARY KEY,
    rate double precision NOT NULL,
    CONSTRAINT sms_rates_not_negative CHECK (rate >= 0)
);
-- The rate of the wire contract's examples; operators add theirs.
INSERT INTO sms_rates VALUES ('2000-01-01T00:00:00Z', 0.0227);
