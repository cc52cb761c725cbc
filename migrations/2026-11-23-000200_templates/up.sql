-- What is sent. A version never changes: notifications point at one, and are rendered from it for as long as they live.

CREATE TABLE templates (
    id uuid PRIMARY KEY,
    service_id uuid NOT NULL REFERENCES services (id),
    channel channel NOT NULL,
    name text NOT NULL,
    -- The current version.
    version integer NOT NULL,
    -- One-off messages of the front end use templates that the public API does not show.
    hidden boolean NOT NULL DEFAULT false,
    archived_at timestamptz,
    created_at timestamptz NOT NULL,
    updated_at timestamptz,
    CONSTRAINT templates_version_from_one CHECK (version >= 1)
);
CREATE INDEX templates_of_service ON templates (service_id);

CREATE TABLE template_versions (
    template_id uuid NOT NULL REFERENCES templates (id) DEFERRABLE INITIALLY DEFERRED,
    version integer NOT NULL,
    -- E-mails only.
    subject text,
    content text NOT NULL,
    created_at timestamptz NOT NULL,
    -- An e-mail address, as the public API shows it.
    created_by text,
    PRIMARY KEY (template_id, version)
);
ALTER TABLE templates ADD CONSTRAINT templates_current_version_exists
    FOREIGN KEY (id, version) REFERENCES template_versions (template_id, version) DEFERRABLE INITIALLY DEFERRED;
