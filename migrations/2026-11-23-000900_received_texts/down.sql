DROP TABLE received_texts;
DROP TABLE inbound_numbers;

-- Postgres takes no value out of an enum: make it anew, without the permissions that it does not know.
DELETE FROM service_permissions
    WHERE permission IN ('inbound_sms', 'email_auth', 'edit_folder_permissions', 'international_letters');
ALTER TYPE service_permission RENAME TO service_permission_with_inbound;
CREATE TYPE service_permission AS ENUM ('sms', 'email', 'letter', 'international_sms', 'sms_to_uk_landlines');
ALTER TABLE service_permissions ALTER COLUMN permission TYPE service_permission USING permission::text::service_permission;
DROP TYPE service_permission_with_inbound;
