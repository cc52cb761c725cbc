-- Who changed what, and what it was from then on: services, keys, providers. Each version once; nothing here is ever updated.

CREATE TABLE history (
    kind text NOT NULL,
    subject_id uuid NOT NULL,
    version integer NOT NULL,
    service_id uuid REFERENCES services (id),
    -- As it was after the change. Never a secret.
    state jsonb NOT NULL,
    -- The person at the front end; null when an operator or a program did it.
    changed_by uuid,
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (kind, subject_id, version),
    CONSTRAINT history_version_from_one CHECK (version >= 1)
);
CREATE INDEX history_of_service ON history (service_id, kind) WHERE service_id IS NOT NULL;
