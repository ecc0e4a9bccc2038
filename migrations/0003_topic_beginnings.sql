-- When a topic's first event was stored. Topics that are there already get theirs from the next migration.
ALTER TABLE topic_stats ADD COLUMN first_processed_at timestamptz NOT NULL DEFAULT now();
