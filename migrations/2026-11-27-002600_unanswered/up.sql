-- expanding
-- An attempt after which the provider may have the message all the same: it was asked, and no answer came that can be read.
-- Only then is a receipt evidence (crates/db/src/evidence.rs).
ALTER TYPE attempt_outcome ADD VALUE 'unanswered' AFTER 'transient';
