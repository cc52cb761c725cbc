-- What others need to know of it.
SELECT 'BUSY_SERVICE_ID=' || id FROM services WHERE name LIKE 'Busy %' ORDER BY created_at DESC, id LIMIT 1;
SELECT 'BUSY_TEMPLATE_ID=' || t.id FROM templates AS t JOIN services AS s ON s.id = t.service_id
WHERE s.name LIKE 'Busy %' AND t.name = 'Code' ORDER BY s.created_at DESC, s.id LIMIT 1;
SELECT 'DATABASE_MB=' || pg_database_size(current_database()) / 1000000;
