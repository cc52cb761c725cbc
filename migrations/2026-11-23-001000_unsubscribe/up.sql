-- One-click unsubscribing: which templates offer it, the links that were given out, and who followed one.

-- The mail ends with a link, and mail programs get one in its headers.
ALTER TABLE template_versions ADD COLUMN has_unsubscribe_link boolean NOT NULL DEFAULT false;

-- `unsubscribe_url` is for the headers: the caller's, or else ours. This is the one in the mail's text, which is always ours.
ALTER TABLE notifications ADD COLUMN unsubscribe_page_url text;

-- What a service has to act on. It outlives the notification, so it refers to everything but that.
CREATE TABLE unsubscribe_requests (
    id uuid PRIMARY KEY,
    notification_id uuid NOT NULL,
    service_id uuid NOT NULL REFERENCES services (id),
    template_id uuid NOT NULL,
    template_version integer NOT NULL,
    -- Sealed for this row's id.
    address bytea NOT NULL,
    created_at timestamptz NOT NULL,
    -- When the service said that it has acted on it.
    processed_at timestamptz,
    FOREIGN KEY (template_id, template_version) REFERENCES template_versions (template_id, version),
    CONSTRAINT unsubscribe_requests_processed_after_created CHECK (processed_at >= created_at)
);
-- However often somebody clicks.
CREATE UNIQUE INDEX unsubscribe_requests_once ON unsubscribe_requests (notification_id) WHERE processed_at IS NULL;
