DROP TABLE service_users;
DROP TABLE users;
