UPDATE attempts SET outcome = 'transient' WHERE outcome = 'unanswered';
ALTER TYPE attempt_outcome RENAME TO attempt_outcome_before;
CREATE TYPE attempt_outcome AS ENUM ('handed-over', 'transient', 'throttled', 'rejected', 'misconfigured', 'refused');
ALTER TABLE attempts ALTER COLUMN outcome TYPE attempt_outcome USING outcome::text::attempt_outcome;
DROP TYPE attempt_outcome_before;
