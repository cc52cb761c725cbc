DROP INDEX due_to_wake;
CREATE INDEX due_to_wake ON due (wake_at);
