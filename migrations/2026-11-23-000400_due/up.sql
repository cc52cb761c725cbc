-- What is due is the work: outbox, scheduled send, retry schedule and lease in one narrow table.
-- crates/db/src/due.rs tells the whole story.

CREATE TYPE wakeup_kind AS ENUM ('deliver_sms', 'deliver_email', 'apply_receipt');

CREATE TABLE due (
    -- A notification's or a receipt's id.
    subject_id uuid PRIMARY KEY,
    kind wakeup_kind NOT NULL,
    -- It may be claimed from this time on. A claim moves it forward by the lease.
    due_at timestamptz NOT NULL,
    -- The sweep looks at it at this time. Apart from due_at, so that a claim changes no indexed column (a HOT update).
    wake_at timestamptz NOT NULL,
    -- Steps of the retry ladder burnt.
    failures smallint NOT NULL DEFAULT 0,
    -- Who works on it, until due_at.
    lease uuid,
    CONSTRAINT due_failures_not_negative CHECK (failures >= 0)
) WITH (
    -- Every row is updated once or twice and then deleted, within seconds: keep room for it, and clean up early.
    fillfactor = 50,
    autovacuum_vacuum_scale_factor = 0.0,
    autovacuum_vacuum_threshold = 20000,
    autovacuum_vacuum_cost_delay = 0
);
CREATE INDEX due_to_wake ON due (wake_at);
