DROP TRIGGER notifications_updated ON notifications;
DROP TRIGGER notifications_inserted ON notifications;
DROP FUNCTION notifications_updated();
DROP FUNCTION notifications_inserted();
DROP TABLE uncommon_statuses;
DROP FUNCTION is_uncommon(notification_status);
DROP VIEW figures;
DROP TABLE statistics_deltas;
DROP TABLE statistics;
