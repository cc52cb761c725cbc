DELETE FROM history WHERE kind = 'provider';
DROP TABLE providers;
