-- The same tables as for PostgreSQL. Times are microseconds since 1970-01-01T00:00:00Z; a payload is the
-- client's JSON text.
CREATE TABLE processed_events (
    id              INTEGER PRIMARY KEY,
    topic           TEXT    NOT NULL,
    event_id        TEXT    NOT NULL,
    source          TEXT    NOT NULL,
    payload         TEXT    NOT NULL,
    event_timestamp INTEGER NOT NULL,
    received_at     INTEGER NOT NULL,
    processed_at    INTEGER NOT NULL,
    status          TEXT    NOT NULL DEFAULT 'processed' CHECK (status = 'processed'),
    -- UUID v7: time and counter of the acceptance that this row comes from.
    receipt_id      BLOB    NOT NULL,
    UNIQUE (topic, event_id)
) STRICT;

CREATE TABLE agg_stats (
    id                INTEGER PRIMARY KEY CHECK (id = 1),
    received          INTEGER NOT NULL DEFAULT 0,
    unique_processed  INTEGER NOT NULL DEFAULT 0,
    duplicate_dropped INTEGER NOT NULL DEFAULT 0,
    dead_lettered     INTEGER NOT NULL DEFAULT 0,
    uptime_start      INTEGER NOT NULL DEFAULT (CAST(unixepoch('subsec') * 1000000 AS INTEGER)),
    CONSTRAINT agg_stats_add_up
        CHECK (received = unique_processed + duplicate_dropped + dead_lettered)
) STRICT;

INSERT INTO agg_stats (id) VALUES (1);

CREATE TABLE topic_stats (
    topic             TEXT    PRIMARY KEY,
    unique_processed  INTEGER NOT NULL,
    duplicate_dropped INTEGER NOT NULL,
    last_processed_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Which claims are committed: of each worker all up to last_claim. A worker without a row may not commit.
CREATE TABLE worker_claims (
    worker_id  BLOB    PRIMARY KEY,
    last_claim INTEGER NOT NULL DEFAULT 0,
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What could not be stored, as it was found in the queue.
CREATE TABLE dead_letters (
    id         INTEGER PRIMARY KEY,
    raw        BLOB    NOT NULL,
    reason     TEXT    NOT NULL,
    receipt_id BLOB,
    failed_at  INTEGER NOT NULL
) STRICT;
