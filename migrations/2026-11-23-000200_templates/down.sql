ALTER TABLE templates DROP CONSTRAINT templates_current_version_exists;
DROP TABLE template_versions;
DROP TABLE templates;
