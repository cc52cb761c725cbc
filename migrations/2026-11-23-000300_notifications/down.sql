DROP TABLE attempts;
DROP TYPE attempt_outcome;
DROP TABLE notifications;
DROP TYPE provider;
DROP TYPE notification_status;
