-- Alone in a transaction, because it reads all events once. Meanwhile events are stored as always: the rows of topics are
-- locked only while they are written, at the end.
UPDATE topic_stats SET first_processed_at = known.first_processed_at
FROM (SELECT topic, min(processed_at) AS first_processed_at FROM processed_events GROUP BY topic) AS known
WHERE topic_stats.topic = known.topic;
