-- Files sent by e-mail, each sealed with a key of its own that is only in the link: nobody who has the database can read one.

CREATE TABLE documents (
    id uuid PRIMARY KEY,
    service_id uuid NOT NULL REFERENCES services (id),
    -- Sealed JSON: the file's name and type, and the address that must be confirmed before it can be downloaded.
    details bytea NOT NULL,
    -- Sealed bytes.
    content bytea NOT NULL,
    -- Of the file, in bytes.
    size integer NOT NULL,
    created_at timestamptz NOT NULL,
    -- Shown to nobody from then on, and deleted soon after.
    expires_at timestamptz NOT NULL,
    -- Addresses that were not the right one, within an hour from the first.
    wrong_answers smallint NOT NULL DEFAULT 0,
    wrong_answers_since timestamptz,
    CONSTRAINT documents_size_not_negative CHECK (size >= 0),
    CONSTRAINT documents_expire_later CHECK (expires_at > created_at),
    CONSTRAINT documents_wrong_answers_are_dated CHECK ((wrong_answers = 0) = (wrong_answers_since IS NULL))
);
-- What is sealed does not get smaller by compression.
ALTER TABLE documents ALTER COLUMN content SET STORAGE EXTERNAL;
CREATE INDEX documents_by_expiry ON documents (expires_at);
