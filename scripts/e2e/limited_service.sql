-- A service for one run of a client: limits so small that they are met, a number that people can text to, and an e-mail template
-- with the platform's own unsubscribe link. Live, so that any recipient will do.
\set ON_ERROR_STOP on
BEGIN;
INSERT INTO services (id, name, normalised_name, restricted, email_local_part, created_at, rate_limit, sms_message_limit)
VALUES (:'service', 'Limited demo', 'limited.demo', false, 'limited.demo', now(), 9, 1);
INSERT INTO service_permissions (service_id, permission) VALUES (:'service', 'sms'), (:'service', 'email'), (:'service', 'inbound_sms');
INSERT INTO inbound_numbers (id, number, provider, service_id, created_at) VALUES (gen_random_uuid(), :'number', 'mmg', :'service', now());
INSERT INTO templates (id, service_id, channel, name, version, created_at)
VALUES (:'sms_template', :'service', 'sms', 'Code', 1, now()), (:'email_template', :'service', 'email', 'Newsletter', 1, now());
INSERT INTO template_versions (template_id, version, name, subject, content, created_at, created_by, has_unsubscribe_link)
VALUES (:'sms_template', 1, 'Code', NULL, 'Your code is ((code))', now(), 'demo@example.com', false),
       (:'email_template', 1, 'Newsletter', 'News', 'Nothing is new.', now(), 'demo@example.com', true);
COMMIT;
