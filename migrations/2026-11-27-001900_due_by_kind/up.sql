-- expanding: an older program sorts meanwhile, where this one goes by the index.
-- The sweep looks for each kind by itself: where the queue of one is long, it is left alone, and its backlog must not be walked
-- to find the others.

DROP INDEX due_to_wake;
CREATE INDEX due_to_wake ON due (kind, wake_at);
