-- Messages to people.
--
-- Partitioned by day on the id (a UUIDv7, so the id is the time), with a default partition so that nothing is ever refused;
-- the scheduler makes the days ahead. No foreign keys: services, templates and keys are archived, never deleted, the door has
-- just read them, and a check per row and key would cost a tenth of the throughput.
--
-- `status` is in no index on purpose, not even in a partial one's predicate: the update that settles a delivery stays a HOT
-- update, which writes no index entry.

CREATE TYPE notification_status AS ENUM (
    'created', 'sending', 'pending', 'sent', 'delivered', 'temporary-failure', 'permanent-failure', 'technical-failure'
);
CREATE TYPE provider AS ENUM ('mmg', 'firetext', 'smtp');

CREATE TABLE notifications (
    id uuid NOT NULL,
    service_id uuid NOT NULL,
    channel channel NOT NULL,
    key_type key_type NOT NULL,
    api_key_id uuid,
    template_id uuid NOT NULL,
    template_version integer NOT NULL,
    -- As the caller gave it, and as it is sent to and compared.
    recipient text NOT NULL,
    normalised_recipient text NOT NULL,
    -- Sealed JSON; starts with the id of the sealing key. Null: none was given.
    personalisation bytea,
    client_reference text,
    -- The sender of a text, or the address that answers to an e-mail go to, fixed when the notification was accepted.
    sender text,
    unsubscribe_url text,
    international boolean NOT NULL DEFAULT false,
    -- Key into the price list; texts only.
    phone_prefix text,
    rate_multiplier smallint NOT NULL DEFAULT 1,
    status notification_status NOT NULL DEFAULT 'created',
    created_at timestamptz NOT NULL,
    -- When the status last changed.
    updated_at timestamptz,
    sent_at timestamptz,
    sent_by provider,
    -- The provider's own id, when it gives one.
    provider_reference text,
    billable_units integer NOT NULL DEFAULT 0,
    PRIMARY KEY (id),
    CONSTRAINT notifications_created_is_untouched CHECK (status <> 'created' OR (sent_at IS NULL AND updated_at IS NULL)),
    CONSTRAINT notifications_handed_over_by_someone CHECK (
        status NOT IN ('sending', 'pending', 'sent', 'delivered', 'permanent-failure') OR sent_by IS NOT NULL),
    CONSTRAINT notifications_change_is_dated CHECK (status = 'created' OR updated_at IS NOT NULL),
    CONSTRAINT notifications_sent_is_international CHECK (status <> 'sent' OR (channel = 'sms' AND international)),
    CONSTRAINT notifications_pending_is_sms CHECK (status <> 'pending' OR channel = 'sms'),
    CONSTRAINT notifications_units_not_negative CHECK (billable_units >= 0)
) PARTITION BY RANGE (id);

CREATE INDEX notifications_of_service ON notifications (service_id, id);
-- By its hash: a reference may have 1,000 characters of four bytes, and an index entry has room for 2,704 bytes.
CREATE INDEX notifications_by_client_reference ON notifications (service_id, md5(client_reference), id)
    WHERE client_reference IS NOT NULL;

-- Room on each page for the one or two updates that follow, so that they stay on it.
CREATE TABLE notifications_default PARTITION OF notifications DEFAULT WITH (fillfactor = 70);

-- Every try to hand a notification to a provider, for the operator who asks what happened.
CREATE TYPE attempt_outcome AS ENUM ('handed-over', 'transient', 'throttled', 'rejected', 'misconfigured', 'refused');

CREATE TABLE attempts (
    notification_id uuid NOT NULL,
    attempted_at timestamptz NOT NULL,
    -- Null: none could be chosen.
    provider provider,
    took_ms integer NOT NULL,
    outcome attempt_outcome NOT NULL,
    -- The reason of a failure, in the provider's or our words; never a recipient, never content.
    reason text,
    PRIMARY KEY (notification_id, attempted_at)
) PARTITION BY RANGE (notification_id);

CREATE TABLE attempts_default PARTITION OF attempts DEFAULT;
