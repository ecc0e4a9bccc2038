-- The counters as they were at moments that are multiples of ten seconds. Whichever program comes first writes the row.
CREATE TABLE stats_history (
    at                timestamptz PRIMARY KEY,
    received          bigint      NOT NULL,
    unique_processed  bigint      NOT NULL,
    duplicate_dropped bigint      NOT NULL,
    dead_lettered     bigint      NOT NULL,
    CONSTRAINT stats_history_adds_up
        CHECK (received = unique_processed + duplicate_dropped + dead_lettered)
);
