-- expanding
-- Which migrations leave programs at work that do not know them. `pillarboxctl migrate` notes it before it applies one, so that a
-- program can tell of a migration that it does not have.
CREATE TABLE expanding_migrations (
    version text PRIMARY KEY
);
