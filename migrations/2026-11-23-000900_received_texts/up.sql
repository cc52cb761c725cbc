-- Texts that people send to services, and the numbers that they send them to.

-- One of these is needed here, the others complete the list of the internal API. A value cannot be used in the transaction
-- that adds it; nothing here does.
ALTER TYPE service_permission ADD VALUE 'inbound_sms';
ALTER TYPE service_permission ADD VALUE 'email_auth';
ALTER TYPE service_permission ADD VALUE 'edit_folder_permissions';
ALTER TYPE service_permission ADD VALUE 'international_letters';

CREATE TABLE inbound_numbers (
    id uuid PRIMARY KEY,
    -- As people dial it: 07… or a short code.
    number text NOT NULL,
    -- Who rents it out to us.
    provider provider NOT NULL,
    -- Null: free.
    service_id uuid REFERENCES services (id),
    -- An archived number receives nothing and is given to nobody.
    active boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL,
    updated_at timestamptz,
    CONSTRAINT inbound_numbers_once UNIQUE (number),
    CONSTRAINT inbound_numbers_one_for_a_service UNIQUE (service_id),
    CONSTRAINT inbound_numbers_digits CHECK (number ~ '^[0-9]{3,11}$'),
    CONSTRAINT inbound_numbers_carry_texts CHECK (provider IN ('mmg', 'firetext')),
    CONSTRAINT inbound_numbers_archived_is_nobodys CHECK (active OR service_id IS NULL)
);

CREATE TABLE received_texts (
    -- A UUIDv7: the order in which they came, and the paging cursor.
    id uuid PRIMARY KEY,
    service_id uuid NOT NULL REFERENCES services (id),
    -- The number that it was sent to, as it was then: numbers change hands.
    notify_number text NOT NULL,
    -- The number that it came from, in clear like the recipients of notifications: people search for it.
    user_number text NOT NULL,
    -- Sealed text; starts with the id of the sealing key.
    content bytea NOT NULL,
    provider provider NOT NULL,
    provider_reference text,
    -- When it was sent, by the provider's word.
    provider_date timestamptz,
    -- A keyed hash of what tells this text from every other one: a provider that says the same thing twice is heard once.
    -- Null: nothing does. Keyed, because short texts could be guessed from a plain hash.
    fingerprint bytea,
    created_at timestamptz NOT NULL,
    CONSTRAINT received_texts_once UNIQUE (fingerprint)
);
CREATE INDEX received_texts_of_service ON received_texts (service_id, id);
