DROP TABLE due;
DROP TYPE wakeup_kind;
