-- What a service sets for itself: how long its things are kept, who is told of them, whom it may reach in trial mode, and the
-- senders that its messages come from.

CREATE TABLE data_retention (
    id uuid PRIMARY KEY,
    service_id uuid NOT NULL REFERENCES services (id),
    -- Also of letters, which are not carried yet.
    notification_type text NOT NULL,
    days_of_retention integer NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz,
    CONSTRAINT data_retention_once_for_a_type UNIQUE (service_id, notification_type),
    CONSTRAINT data_retention_types CHECK (notification_type IN ('sms', 'email', 'letter')),
    CONSTRAINT data_retention_a_day_at_least CHECK (days_of_retention >= 1)
);

CREATE TABLE callbacks (
    id uuid PRIMARY KEY,
    service_id uuid NOT NULL REFERENCES services (id),
    -- What is told there.
    callback_type text NOT NULL,
    url text NOT NULL,
    -- Sealed; starts with the id of the sealing key.
    bearer_token bytea NOT NULL,
    -- The person at the front end: recorded, not verified.
    updated_by_id uuid NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz,
    CONSTRAINT callbacks_once_for_a_type UNIQUE (service_id, callback_type),
    CONSTRAINT callbacks_types
        CHECK (callback_type IN ('delivery_status', 'complaint', 'returned_letter', 'inbound_sms'))
);

ALTER TABLE sms_senders
    ADD COLUMN updated_at timestamptz,
    -- Where people can answer: the sender is this number, for as long as the service has it.
    ADD COLUMN inbound_number_id uuid REFERENCES inbound_numbers (id);
ALTER TABLE reply_to_addresses ADD COLUMN updated_at timestamptz;

-- A number may be off and still be a service's, which receives nothing then.
ALTER TABLE inbound_numbers DROP CONSTRAINT inbound_numbers_archived_is_nobodys;
-- The newest text of each person, and a conversation with one.
CREATE INDEX received_texts_of_user ON received_texts (service_id, user_number, id);

-- What was put in is shown again, in its order; what it means stands beside it.
ALTER TABLE guest_list
    ADD COLUMN recipient text,
    ADD COLUMN position integer;
UPDATE guest_list guest SET recipient = guest.normalised_recipient, position = numbered.position
    FROM (SELECT service_id, channel, normalised_recipient,
            row_number() OVER (PARTITION BY service_id, channel ORDER BY normalised_recipient) AS position
          FROM guest_list) numbered
    WHERE (guest.service_id, guest.channel, guest.normalised_recipient)
        = (numbered.service_id, numbered.channel, numbered.normalised_recipient);
ALTER TABLE guest_list
    ALTER COLUMN recipient SET NOT NULL,
    ALTER COLUMN position SET NOT NULL,
    DROP CONSTRAINT guest_list_pkey,
    ADD PRIMARY KEY (service_id, channel, position);
