-- The platform's service, its template and its user stay: they may have sent by now, and are like any others to the version before.
ALTER TABLE users
    DROP COLUMN receives_new_features_email,
    DROP COLUMN take_part_in_research,
    DROP COLUMN state,
    DROP COLUMN auth_type;
