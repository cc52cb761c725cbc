DROP TABLE unsubscribe_requests;
ALTER TABLE notifications DROP COLUMN unsubscribe_page_url;
ALTER TABLE template_versions DROP COLUMN has_unsubscribe_link;
