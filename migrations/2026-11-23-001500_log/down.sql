ALTER TABLE notifications DROP COLUMN created_by;
