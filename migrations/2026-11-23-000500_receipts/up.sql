-- What providers told us, in their words, once each. No phone number and no address: the reference finds the notification.

CREATE TABLE receipts (
    id uuid PRIMARY KEY,
    provider provider NOT NULL,
    reference text NOT NULL,
    status text NOT NULL,
    detail text,
    received_at timestamptz NOT NULL,
    -- What came of it; null until a worker has looked.
    applied_at timestamptz,
    effect text,
    CONSTRAINT receipts_effect_is_dated CHECK ((applied_at IS NULL) = (effect IS NULL))
);
-- A provider that says the same thing twice is heard once.
CREATE UNIQUE INDEX receipts_once ON receipts (reference, status, provider, detail) NULLS NOT DISTINCT;
