-- expanding
-- People as front ends know them; and the platform as a service and a user. The service sends what comes from the platform itself,
-- the user stands for whoever is nobody in particular: an operator's tool, a seed.

ALTER TABLE users
    -- The second factor. Null: nobody said; a text to whoever has a number, an e-mail to the others.
    ADD COLUMN auth_type text,
    -- Whether the person has proved to be who they are: those that were there before have.
    ADD COLUMN state text NOT NULL DEFAULT 'active',
    ADD COLUMN take_part_in_research boolean NOT NULL DEFAULT true,
    ADD COLUMN receives_new_features_email boolean NOT NULL DEFAULT true,
    ADD CONSTRAINT users_auth_types CHECK (auth_type IN ('sms_auth', 'email_auth', 'webauthn_auth')),
    ADD CONSTRAINT users_states CHECK (state IN ('pending', 'active', 'inactive')),
    ADD CONSTRAINT users_texts_need_a_number CHECK (auth_type <> 'sms_auth' OR mobile_number IS NOT NULL);

-- The ids are upstream's: front ends know them. Nobody reads mail at the address.
INSERT INTO users (id, name, email_address, created_at)
VALUES ('6af522d0-2915-4e52-83a3-3690455a5fe6', 'Pillarbox', 'platform@pillarbox.invalid', now())
ON CONFLICT DO NOTHING;

INSERT INTO services (id, name, restricted, email_local_part, normalised_name, created_at, rate_limit, sms_message_limit,
    email_message_limit, letter_message_limit, international_sms_message_limit)
VALUES ('d6aa2c68-a2d9-4437-ab19-3ae8eb202553', 'Pillarbox', false, 'pillarbox', 'pillarbox', now(), 3000, 250000, 250000, 20000, 250000)
ON CONFLICT DO NOTHING;
INSERT INTO service_permissions (service_id, permission)
VALUES ('d6aa2c68-a2d9-4437-ab19-3ae8eb202553', 'sms'), ('d6aa2c68-a2d9-4437-ab19-3ae8eb202553', 'email')
ON CONFLICT DO NOTHING;
INSERT INTO service_details (service_id, count_as_live, created_by)
VALUES ('d6aa2c68-a2d9-4437-ab19-3ae8eb202553', false, '6af522d0-2915-4e52-83a3-3690455a5fe6')
ON CONFLICT DO NOTHING;

INSERT INTO templates (id, service_id, channel, name, version, created_at, redact_personalisation)
VALUES ('a42f1d17-9404-46d5-a647-d013bdfca3e1', 'd6aa2c68-a2d9-4437-ab19-3ae8eb202553', 'email', 'Test of a reply-to address', 1,
    now(), true)
ON CONFLICT DO NOTHING;
INSERT INTO template_versions (template_id, version, name, subject, content, created_at, created_by, created_by_id)
VALUES ('a42f1d17-9404-46d5-a647-d013bdfca3e1', 1, 'Test of a reply-to address', 'Your reply-to address works',
    E'This is a test. Answers to e-mails of a service can be sent to the address that you read this at.\n\nThere is nothing for you to do.',
    now(), 'platform@pillarbox.invalid', '6af522d0-2915-4e52-83a3-3690455a5fe6')
ON CONFLICT DO NOTHING;
