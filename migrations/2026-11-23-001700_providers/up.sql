-- The companies that carry messages, and how each stands: whether it takes part, and with what weight. Configuration only says
-- how a process reaches them. Whoever sends reads this table every few seconds, and never on a message's way.

CREATE TABLE providers (
    id uuid PRIMARY KEY,
    identifier provider NOT NULL UNIQUE,
    display_name text NOT NULL,
    channel channel NOT NULL,
    -- The weight with which it is drawn among the active ones.
    priority smallint NOT NULL,
    active boolean NOT NULL,
    -- Carries texts to other countries.
    supports_international boolean NOT NULL,
    -- Of the last change; `history` has all of them.
    reason text,
    created_by uuid,
    updated_at timestamptz,
    CONSTRAINT providers_priority_up_to_100 CHECK (priority BETWEEN 0 AND 100)
);

INSERT INTO providers (id, identifier, display_name, channel, priority, active, supports_international) VALUES
    ('2f0a4c5e-98a1-4d7b-8f5b-3d0a6a3f5c01', 'mmg', 'MMG', 'sms', 51, true, true),
    ('2f0a4c5e-98a1-4d7b-8f5b-3d0a6a3f5c02', 'firetext', 'Firetext', 'sms', 49, true, false),
    ('2f0a4c5e-98a1-4d7b-8f5b-3d0a6a3f5c03', 'smtp', 'SMTP', 'email', 100, true, false);

INSERT INTO history (kind, subject_id, version, state, changed_at)
SELECT 'provider', id, 1, jsonb_build_object('id', id, 'identifier', identifier, 'display_name', display_name,
    'notification_type', channel, 'priority', priority, 'active', active, 'supports_international', supports_international,
    'reason', reason), now()
FROM providers;
