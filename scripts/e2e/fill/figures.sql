-- The days whose rows retention took, when figures reach back further than rows: each as yesterday.
INSERT INTO statistics_deltas
SELECT service_id, day - before, template_id, channel, key_type, status, provider, sum(count), sum(billable_units),
    max(last_created_at) - before * interval '1 day'
FROM figures, generate_series(:days, :figures_days) AS before
WHERE day = (now() AT TIME ZONE 'Europe/London')::date - 1
GROUP BY service_id, day, before, template_id, channel, key_type, status, provider;
ANALYZE notifications, due, uncommon_statuses, statistics_deltas;
CHECKPOINT;
