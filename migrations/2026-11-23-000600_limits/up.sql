-- How much a service may send, how much it has sent, and which requests it has made before.

ALTER TABLE services
    -- Requests a minute, for each type of key.
    ADD COLUMN rate_limit integer NOT NULL DEFAULT 3000,
    -- Messages a day (UTC). The defaults are those of a live service.
    ADD COLUMN sms_message_limit integer NOT NULL DEFAULT 250000,
    ADD COLUMN email_message_limit integer NOT NULL DEFAULT 250000,
    ADD COLUMN letter_message_limit integer NOT NULL DEFAULT 20000,
    ADD COLUMN international_sms_message_limit integer NOT NULL DEFAULT 100,
    -- Where people who got a file can ask about it; without one no files can be sent.
    ADD COLUMN contact_link text,
    ADD CONSTRAINT services_limits_not_negative CHECK (
        least(rate_limit, sms_message_limit, email_message_limit, letter_message_limit, international_sms_message_limit) >= 0),
    ADD CONSTRAINT services_contact_link_not_blank CHECK (btrim(contact_link) <> '');

-- One row for each service, so that one lock makes every limit of it exact, across any number of api replicas.
-- Updated in each transaction that accepts: no index but the key, and a page of its own, so that the updates stay HOT.
CREATE TABLE service_usage (
    service_id uuid PRIMARY KEY REFERENCES services (id),
    -- The token buckets of the three types of key. Null: never used, so full.
    normal_tokens integer,
    normal_refilled_at timestamptz,
    team_tokens integer,
    team_refilled_at timestamptz,
    test_tokens integer,
    test_refilled_at timestamptz,
    -- What was accepted on that day, without what test keys sent.
    day date NOT NULL DEFAULT 'epoch',
    sms integer NOT NULL DEFAULT 0,
    email integer NOT NULL DEFAULT 0,
    international_sms integer NOT NULL DEFAULT 0
) WITH (
    fillfactor = 10,
    autovacuum_vacuum_scale_factor = 0.0,
    autovacuum_vacuum_threshold = 10000
);

-- Requests with an Idempotency-Key, and what was answered: kept for a day.
CREATE TABLE idempotency (
    service_id uuid NOT NULL REFERENCES services (id),
    key_type key_type NOT NULL,
    key text NOT NULL,
    -- SHA-256 of the path and the body.
    fingerprint bytea NOT NULL,
    -- The notification of the answer. Of a simulated recipient there is none.
    notification_id uuid NOT NULL,
    -- Sealed for that id: it has the content of the message.
    answer bytea NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (service_id, key_type, key),
    CONSTRAINT idempotency_key_is_short CHECK (octet_length(key) BETWEEN 1 AND 255)
);
CREATE INDEX idempotency_oldest ON idempotency (created_at);
