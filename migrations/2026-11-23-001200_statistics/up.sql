-- How many notifications there are, by day, template, type of key, status and provider. No figure is ever counted from rows.
--
-- Whoever writes `notifications`, be it us, another team or an operator with psql, appends what changes to `statistics_deltas` in
-- the same statement: a trigger sees to it, so that the figures are exact at every moment and nobody can forget them. To
-- append is to wait for no one. The scheduler folds the deltas into `statistics`; readers add both (`figures`), in one
-- snapshot. Dropping old partitions fires no trigger: figures stay when rows are gone.

CREATE TABLE statistics (
    service_id uuid NOT NULL,
    -- In London, of the notification's creation.
    day date NOT NULL,
    template_id uuid NOT NULL,
    channel channel NOT NULL,
    key_type key_type NOT NULL,
    status notification_status NOT NULL,
    -- Null until one has taken it.
    provider provider,
    count bigint NOT NULL,
    billable_units bigint NOT NULL,
    -- When the newest of them was created.
    last_created_at timestamptz
) WITH (fillfactor = 70);
CREATE UNIQUE INDEX statistics_once ON statistics (service_id, day, template_id, channel, key_type, status, provider)
    NULLS NOT DISTINCT;
CREATE INDEX statistics_of_day ON statistics (day);

CREATE TABLE statistics_deltas (LIKE statistics) WITH (
    autovacuum_vacuum_scale_factor = 0.0,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_cost_delay = 0
);

CREATE VIEW figures AS SELECT * FROM statistics UNION ALL SELECT * FROM statistics_deltas;

-- Notifications whose status few have, so that they are found among millions: an index on the status itself would cost every
-- other one its HOT update.
CREATE TABLE uncommon_statuses (
    notification_id uuid PRIMARY KEY,
    service_id uuid NOT NULL,
    status notification_status NOT NULL
);
CREATE INDEX uncommon_statuses_of_service ON uncommon_statuses (service_id, status, notification_id);

CREATE FUNCTION is_uncommon(status notification_status) RETURNS boolean LANGUAGE sql IMMUTABLE
    RETURN status IN ('pending', 'sent', 'temporary-failure', 'permanent-failure', 'technical-failure');

CREATE FUNCTION notifications_inserted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO statistics_deltas
    SELECT service_id, (created_at AT TIME ZONE 'Europe/London')::date, template_id, channel, key_type, status, sent_by,
        count(*), sum(billable_units), max(created_at)
    FROM new_rows GROUP BY 1, 2, 3, 4, 5, 6, 7;
    INSERT INTO uncommon_statuses SELECT id, service_id, status FROM new_rows WHERE is_uncommon(status);
    RETURN NULL;
END $$;

CREATE FUNCTION notifications_updated() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO statistics_deltas
    SELECT service_id, day, template_id, channel, key_type, status, sent_by, sum(count), sum(units), max(created_at)
    FROM (
        SELECT service_id, (created_at AT TIME ZONE 'Europe/London')::date AS day, template_id, channel, key_type, status,
            sent_by, -1 AS count, -billable_units AS units, created_at FROM old_rows
        UNION ALL
        SELECT service_id, (created_at AT TIME ZONE 'Europe/London')::date, template_id, channel, key_type, status,
            sent_by, 1, billable_units, created_at FROM new_rows
    ) AS moved
    GROUP BY 1, 2, 3, 4, 5, 6, 7 HAVING sum(count) <> 0 OR sum(units) <> 0;
    DELETE FROM uncommon_statuses AS u USING old_rows AS o
    WHERE is_uncommon(o.status) AND u.notification_id = o.id;
    INSERT INTO uncommon_statuses SELECT id, service_id, status FROM new_rows WHERE is_uncommon(status)
    ON CONFLICT (notification_id) DO UPDATE SET status = EXCLUDED.status;
    RETURN NULL;
END $$;

-- What is there already.
INSERT INTO statistics
SELECT service_id, (created_at AT TIME ZONE 'Europe/London')::date, template_id, channel, key_type, status, sent_by,
    count(*), sum(billable_units), max(created_at)
FROM notifications GROUP BY 1, 2, 3, 4, 5, 6, 7;
INSERT INTO uncommon_statuses SELECT id, service_id, status FROM notifications WHERE is_uncommon(status);

CREATE TRIGGER notifications_inserted AFTER INSERT ON notifications
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION notifications_inserted();
CREATE TRIGGER notifications_updated AFTER UPDATE ON notifications
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION notifications_updated();
