-- The events, each once. Keys compare by bytes ("C"): cheaper than a language's order, and the order in
-- which the program sorts a batch.
CREATE TABLE processed_events (
    id              bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic           text        COLLATE "C" NOT NULL,
    event_id        text        COLLATE "C" NOT NULL,
    source          text        NOT NULL,
    payload         jsonb       NOT NULL,
    event_timestamp timestamptz NOT NULL,
    received_at     timestamptz NOT NULL,
    processed_at    timestamptz NOT NULL DEFAULT now(),
    status          text        NOT NULL DEFAULT 'processed' CHECK (status = 'processed'),
    -- UUID v7: time and counter of the acceptance that this row comes from.
    receipt_id      uuid        NOT NULL,
    UNIQUE (topic, event_id)
);

-- The counters, one row. They change in the transaction that stores what they count.
-- A low fillfactor leaves room in the page, so that each update stays there (heap-only tuples).
CREATE TABLE agg_stats (
    id                smallint    PRIMARY KEY CHECK (id = 1),
    received          bigint      NOT NULL DEFAULT 0,
    unique_processed  bigint      NOT NULL DEFAULT 0,
    duplicate_dropped bigint      NOT NULL DEFAULT 0,
    dead_lettered     bigint      NOT NULL DEFAULT 0,
    uptime_start      timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT agg_stats_add_up
        CHECK (received = unique_processed + duplicate_dropped + dead_lettered)
) WITH (fillfactor = 10);

INSERT INTO agg_stats (id) VALUES (1);

CREATE TABLE topic_stats (
    topic             text        COLLATE "C" PRIMARY KEY,
    unique_processed  bigint      NOT NULL,
    duplicate_dropped bigint      NOT NULL,
    last_processed_at timestamptz NOT NULL
) WITH (fillfactor = 50);

-- Which claims are committed: of each worker all up to last_claim. A worker without a row may not commit.
CREATE TABLE worker_claims (
    worker_id  uuid        PRIMARY KEY,
    last_claim bigint      NOT NULL DEFAULT 0,
    updated_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);

-- What could not be stored, as it was found in the queue.
CREATE TABLE dead_letters (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    raw        bytea       NOT NULL,
    reason     text        NOT NULL,
    receipt_id uuid,
    failed_at  timestamptz NOT NULL DEFAULT now()
);
