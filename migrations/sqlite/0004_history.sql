-- The counters as they were at moments that are multiples of ten seconds.
CREATE TABLE stats_history (
    at                INTEGER PRIMARY KEY,
    received          INTEGER NOT NULL,
    unique_processed  INTEGER NOT NULL,
    duplicate_dropped INTEGER NOT NULL,
    dead_lettered     INTEGER NOT NULL,
    CONSTRAINT stats_history_adds_up
        CHECK (received = unique_processed + duplicate_dropped + dead_lettered)
) STRICT;
