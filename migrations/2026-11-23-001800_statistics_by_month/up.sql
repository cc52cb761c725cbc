-- The figures once more, by month: a year of days is tens of thousands of rows for a busy service, too many to add up while
-- somebody waits. Folding fills both, and the view adds what is not folded yet, so that these are as exact.

LOCK TABLE statistics IN SHARE ROW EXCLUSIVE MODE; -- no fold in between

CREATE TABLE statistics_by_month (
    service_id uuid NOT NULL,
    -- Its first day.
    month date NOT NULL,
    template_id uuid NOT NULL,
    channel channel NOT NULL,
    key_type key_type NOT NULL,
    status notification_status NOT NULL,
    count bigint NOT NULL,
    last_created_at timestamptz
) WITH (fillfactor = 70);
CREATE UNIQUE INDEX statistics_by_month_once
    ON statistics_by_month (service_id, month, template_id, channel, key_type, status);

INSERT INTO statistics_by_month
SELECT service_id, date_trunc('month', day::timestamp)::date, template_id, channel, key_type, status,
    sum(count), max(last_created_at)
FROM statistics GROUP BY 1, 2, 3, 4, 5, 6;

CREATE VIEW figures_by_month AS
SELECT * FROM statistics_by_month
UNION ALL
SELECT service_id, date_trunc('month', day::timestamp)::date, template_id, channel, key_type, status, count, last_created_at
FROM statistics_deltas;
