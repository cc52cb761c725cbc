-- What the front end tells of templates and keys: who made which version, where answers go, and what nobody is to read.

ALTER TABLE templates
    -- The log does not show what was filled into messages of this template. Never undone.
    ADD COLUMN redact_personalisation boolean NOT NULL DEFAULT false,
    ADD COLUMN redacted_by uuid REFERENCES users (id),
    -- One of the service's sms_senders or reply_to_addresses, by channel; null: its default.
    ADD COLUMN reply_to uuid;

ALTER TABLE template_versions
    -- The name that the template had then.
    ADD COLUMN name text,
    ADD COLUMN archived boolean NOT NULL DEFAULT false,
    -- Whose e-mail address created_by was. Null: an operator's, who need not be a user.
    ADD COLUMN created_by_id uuid REFERENCES users (id);
UPDATE template_versions SET name = templates.name FROM templates WHERE templates.id = template_id;
ALTER TABLE template_versions ALTER COLUMN name SET NOT NULL;

ALTER TABLE api_keys
    -- Null: an operator did.
    ADD COLUMN created_by uuid REFERENCES users (id),
    ADD COLUMN updated_at timestamptz;
UPDATE api_keys SET updated_at = revoked_at;
