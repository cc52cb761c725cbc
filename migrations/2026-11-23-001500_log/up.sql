-- Who sent a message that no key sent: the person at the front end.
--
-- The log needs no index of its own. It reads a service's newest rows by `notifications_of_service`, the rare statuses by
-- `uncommon_statuses`, what waits by `due`; an index more would cost every notification an entry.
ALTER TABLE notifications ADD COLUMN created_by uuid;
