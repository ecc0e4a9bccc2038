-- Every event lies in a bucket; those that are known already lie in bucket 0. Nothing is rewritten, because PostgreSQL keeps a
-- constant default in the catalogue. Programs of the version before go on storing events meanwhile.
SET LOCAL lock_timeout = '5s';
ALTER TABLE processed_events ADD COLUMN bucket integer NOT NULL DEFAULT 0;
ALTER TABLE processed_events ADD CONSTRAINT processed_events_bucket_check CHECK (bucket = 0) NOT VALID;
