-- Events that were removed after their retention stay counted.
CREATE TABLE retired_events (
    topic  TEXT    PRIMARY KEY,
    events INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The same names as in PostgreSQL, where several rows of counters are added up.
CREATE VIEW agg_stats_total AS
SELECT received, unique_processed, duplicate_dropped, dead_lettered, uptime_start FROM agg_stats;
CREATE VIEW topic_stats_total AS
SELECT topic, unique_processed, duplicate_dropped, first_processed_at, last_processed_at FROM topic_stats;
