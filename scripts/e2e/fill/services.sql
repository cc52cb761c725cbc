-- A busy service and five small ones, with their templates and keys. No key works: nobody knows its secret.
BEGIN;
CREATE TEMPORARY TABLE made AS
SELECT number, gen_random_uuid() AS service, CASE number WHEN 0 THEN 'Busy' ELSE 'Quiet ' || number END || ' ' ||
    substr(gen_random_uuid()::text, 1, 8) AS name
FROM generate_series(0, 5) AS number;

INSERT INTO services (id, name, normalised_name, restricted, email_local_part, created_at)
SELECT service, name, lower(replace(name, ' ', '.')), false, lower(replace(name, ' ', '.')), now() - interval '2 years' FROM made;
INSERT INTO service_permissions (service_id, permission)
SELECT service, permission::service_permission FROM made, unnest(ARRAY['sms', 'email']) AS permission;

CREATE TEMPORARY TABLE made_templates AS
SELECT service, gen_random_uuid() AS id, (CASE WHEN n <= 3 THEN 'sms' ELSE 'email' END)::channel AS channel,
    (ARRAY['Appointment', 'Reminder', 'Code', 'Confirmation', 'Newsletter'])[n] AS name
FROM made, generate_series(1, 5) AS n;
INSERT INTO templates (id, service_id, channel, name, version, created_at)
SELECT id, service, channel, name, 1, now() - interval '2 years' FROM made_templates;
INSERT INTO template_versions (template_id, version, name, subject, content, created_at)
SELECT id, 1, name, CASE channel WHEN 'email' THEN name END, 'Dear ((name)), this is ' || name || '.', now() - interval '2 years'
FROM made_templates;

INSERT INTO api_keys (id, service_id, name, key_type, secret, created_at)
SELECT gen_random_uuid(), service, key_type || ' key', key_type::key_type, '\x00', now() - interval '2 years'
FROM made, unnest(ARRAY['normal', 'team', 'test']) AS key_type;
COMMIT;
