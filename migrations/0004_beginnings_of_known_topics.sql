-- Alone in a transaction, because it reads all events once. Meanwhile events are stored as always: the rows of topics are
-- locked only at the end, and in the order of their names, as whoever stores events locks them.
WITH known AS MATERIALIZED (
    SELECT topic, min(processed_at) AS first_processed_at FROM processed_events GROUP BY topic
), locked AS MATERIALIZED (
    SELECT topic FROM topic_stats WHERE topic IN (SELECT topic FROM known) ORDER BY topic FOR UPDATE
)
UPDATE topic_stats SET first_processed_at = known.first_processed_at
FROM known JOIN locked USING (topic)
WHERE topic_stats.topic = known.topic;
