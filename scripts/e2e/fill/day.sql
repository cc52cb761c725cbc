-- The notifications of one day, `ago` days before today (UTC), in its own partition. The triggers on the table make the figures.
--
-- Most are of the busy service, one in fifty of another; 85 in 100 of a normal key, 10 of a team key, 5 of a test key. What
-- became of them: of today's every fiftieth is on its way, and the last forty wait; one text in 5,000 is pending, one in 500
-- went abroad; 3 in 200 failed temporarily, 1 in 200 permanently, 1 in 100,000 technically; the others were delivered.
SET timezone = 'UTC';
SET synchronous_commit = off;
SET work_mem = '128MB';
SET client_min_messages = warning;
SELECT (current_date - :ago)::timestamp AT TIME ZONE 'UTC' AS from_time,
    least(now() - interval '2 seconds', (current_date - :ago + 1)::timestamp AT TIME ZONE 'UTC') AS to_time,
    'notifications_' || to_char(current_date - :ago, 'YYYYMMDD') AS partition,
    lpad(to_hex((extract(epoch FROM (current_date - :ago)::timestamp) * 1000)::bigint), 12, '0') || repeat('0', 20) AS first_id,
    lpad(to_hex((extract(epoch FROM (current_date - :ago + 1)::timestamp) * 1000)::bigint), 12, '0') || repeat('0', 20) AS end_id
\gset
CREATE TABLE IF NOT EXISTS :partition PARTITION OF notifications FOR VALUES FROM (:'first_id') TO (:'end_id') WITH (fillfactor = 70);

BEGIN;
CREATE TEMPORARY TABLE chances ON COMMIT DROP AS
SELECT row_number() OVER (PARTITION BY s.name LIKE 'Busy%', k.key_type ORDER BY t.id) - 1 AS number, s.name LIKE 'Busy%' AS busy,
    k.key_type, t.service_id, t.id AS template, t.channel, k.id AS api_key,
    count(*) OVER (PARTITION BY s.name LIKE 'Busy%', k.key_type) AS choices
FROM services AS s JOIN templates AS t ON t.service_id = s.id JOIN api_keys AS k ON k.service_id = s.id
WHERE s.name LIKE 'Busy %' OR s.name LIKE 'Quiet %';

INSERT INTO notifications (id, service_id, channel, key_type, api_key_id, template_id, template_version, recipient,
    normalised_recipient, client_reference, international, phone_prefix, status, created_at, updated_at, sent_at, sent_by,
    provider_reference, billable_units)
SELECT
    (lpad(to_hex(us / 1000), 12, '0') || to_hex(28672 + us % 1000 * 4096 / 1000) || '8' || substr(md5(n::text || us), 1, 15))::uuid,
    service_id, channel, key_type, api_key, template, 1,
    recipient, CASE channel WHEN 'sms' THEN '44' || substr(recipient, 2) ELSE recipient END,
    CASE WHEN n % 5 = 0 THEN 'case-' || n END, status = 'sent', CASE channel WHEN 'sms' THEN '44' END,
    status, made_at, CASE WHEN status <> 'created' THEN made_at + interval '3 seconds' END,
    CASE WHEN status <> 'created' THEN made_at + interval '1 second' END,
    CASE WHEN status IN ('created', 'technical-failure') THEN NULL
        WHEN channel = 'email' THEN 'smtp' WHEN n % 10 < 7 THEN 'mmg' ELSE 'firetext' END::provider,
    NULL, CASE WHEN channel = 'sms' AND status <> 'created' THEN 1 ELSE 0 END
FROM (
    SELECT n, us, to_timestamp(us / 1000000) + us % 1000000 * interval '1 microsecond' AS made_at, c.*,
        CASE c.channel WHEN 'sms' THEN '077009' || lpad((n * 7919 % 100000)::text, 5, '0')
            ELSE 'person' || n * 7919 % 1000000 || '@example.com' END AS recipient,
        CASE
            WHEN :ago = 0 AND n > :rows - 40 THEN 'created'
            WHEN n % 100000 = 77777 % :rows THEN 'technical-failure'
            WHEN :ago = 0 AND n % 50 = 1 THEN 'sending'
            WHEN c.channel = 'sms' AND n % 5000 = 2 THEN 'pending'
            WHEN c.channel = 'sms' AND n % 500 = 3 THEN 'sent'
            WHEN n % 200 IN (4, 5, 6) THEN 'temporary-failure'
            WHEN n % 200 = 7 THEN 'permanent-failure'
            ELSE 'delivered' END::notification_status AS status
    FROM (
        SELECT n, (extract(epoch FROM :'from_time'::timestamptz) * 1000000)::bigint
                + (extract(epoch FROM :'to_time'::timestamptz - :'from_time'::timestamptz) * 1000000 * (n - 1) / :rows)::bigint AS us,
            n % 50 <> 49 AS busy, hashint8(n) % 1000 + 1000 AS lot,
            (CASE WHEN n * 31 % 100 < 85 THEN 'normal' WHEN n * 31 % 100 < 95 THEN 'team' ELSE 'test' END)::key_type AS key_type
        FROM generate_series(1::bigint, :rows) AS n OFFSET 0) AS one
    JOIN chances AS c ON c.busy = one.busy AND c.key_type = one.key_type AND c.number = one.lot % c.choices) AS filled;
-- What waits has its row in `due`, an hour from now, so that nothing of it is delivered meanwhile.
INSERT INTO due (subject_id, kind, due_at, wake_at)
SELECT id, CASE channel WHEN 'sms' THEN 'deliver_sms' ELSE 'deliver_email' END::wakeup_kind, now() + interval '1 hour',
    now() + interval '1 hour'
FROM notifications WHERE :ago = 0 AND status = 'created' AND id >= :'first_id' AND id < :'end_id' ON CONFLICT DO NOTHING;
COMMIT;
ANALYZE :partition;
\echo :partition
