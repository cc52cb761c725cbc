-- People who work with services. Team keys, and every key of a service in trial mode, may reach them.

CREATE TABLE users (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    email_address text NOT NULL,
    mobile_number text,
    created_at timestamptz NOT NULL,
    CONSTRAINT users_name_not_blank CHECK (btrim(name) <> '')
);
CREATE UNIQUE INDEX users_email_address_once ON users (lower(email_address));

CREATE TABLE service_users (
    service_id uuid NOT NULL REFERENCES services (id),
    user_id uuid NOT NULL REFERENCES users (id),
    PRIMARY KEY (service_id, user_id)
);
CREATE INDEX service_users_of_user ON service_users (user_id);
