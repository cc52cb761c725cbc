ALTER TABLE api_keys DROP COLUMN updated_at, DROP COLUMN created_by;
ALTER TABLE template_versions DROP COLUMN created_by_id, DROP COLUMN archived, DROP COLUMN name;
ALTER TABLE templates DROP COLUMN reply_to, DROP COLUMN redacted_by, DROP COLUMN redact_personalisation;
