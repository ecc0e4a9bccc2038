-- Alone in a transaction, because it reads all events once. Meanwhile events are stored as always. What is proven here need not
-- be looked at again when the table becomes a partition.
ALTER TABLE processed_events VALIDATE CONSTRAINT processed_events_bucket_check;
