-- When a topic's first event was stored.
ALTER TABLE topic_stats ADD COLUMN first_processed_at INTEGER NOT NULL DEFAULT 0;

UPDATE topic_stats SET first_processed_at = coalesce(
    (SELECT min(processed_at) FROM processed_events WHERE processed_events.topic = topic_stats.topic),
    last_processed_at);
