DROP TABLE service_details;
ALTER TABLE service_users DROP COLUMN permissions;
ALTER TABLE users DROP COLUMN platform_admin;
ALTER TABLE services DROP COLUMN normalised_name;
