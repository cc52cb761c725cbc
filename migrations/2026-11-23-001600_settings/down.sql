-- One of each is left: the earliest.
DELETE FROM guest_list later USING guest_list earlier
    WHERE (later.service_id, later.channel, later.normalised_recipient)
        = (earlier.service_id, earlier.channel, earlier.normalised_recipient)
      AND later.position > earlier.position;
ALTER TABLE guest_list
    DROP CONSTRAINT guest_list_pkey,
    DROP COLUMN position,
    DROP COLUMN recipient,
    ADD PRIMARY KEY (service_id, channel, normalised_recipient);

DROP INDEX received_texts_of_user;
-- A number that is off is given up.
UPDATE inbound_numbers SET service_id = NULL WHERE NOT active;
ALTER TABLE inbound_numbers
    ADD CONSTRAINT inbound_numbers_archived_is_nobodys CHECK (active OR service_id IS NULL);

ALTER TABLE reply_to_addresses DROP COLUMN updated_at;
ALTER TABLE sms_senders
    DROP COLUMN inbound_number_id,
    DROP COLUMN updated_at;

DROP TABLE callbacks;
DROP TABLE data_retention;
