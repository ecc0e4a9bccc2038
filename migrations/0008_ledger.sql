-- The ledger in buckets, and counters in slots. From here on, programs of the version before can store nothing in this database:
-- their statements fail, and what they have claimed is adopted by others.

-- In the order in which those who record lock them. Whoever comes after this waits meanwhile, so it must not wait long for a reader
-- such as verify or pg_dump; then it is tried again.
SET LOCAL lock_timeout = '5s';
LOCK TABLE worker_claims, processed_events, topic_stats, agg_stats IN ACCESS EXCLUSIVE MODE;

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_trigger WHERE tgrelid = 'processed_events'::regclass AND NOT tgisinternal) THEN
        RAISE EXCEPTION 'processed_events has a trigger, which would not follow into new buckets'
            USING HINT = 'Drop it, migrate, and create it again on the partitioned table.';
    END IF;
END $$;

-- 1. The table that is there becomes bucket 0, as it is. Its constraint has proven that every row belongs there.
ALTER TABLE processed_events RENAME TO processed_events_0;
ALTER INDEX processed_events_pkey RENAME TO processed_events_0_pkey;
ALTER INDEX processed_events_topic_event_id_key RENAME TO processed_events_0_topic_event_id_key;

-- One sequence draws the ids of all buckets, and goes on where it is. It cannot stay an identity column's, because before
-- PostgreSQL 17 partitions do not share one.
DO $$
DECLARE
    next bigint;
BEGIN
    SELECT last_value + is_called::int INTO next FROM processed_events_id_seq;
    ALTER TABLE processed_events_0 ALTER COLUMN id DROP IDENTITY;
    EXECUTE format('CREATE SEQUENCE processed_events_id_seq START %s', next);
END $$;
ALTER TABLE processed_events_0 ALTER COLUMN id SET DEFAULT nextval('processed_events_id_seq');

CREATE TABLE processed_events (
    LIKE processed_events_0 INCLUDING DEFAULTS,
    CONSTRAINT processed_events_status_check CHECK (status = 'processed')
) PARTITION BY LIST (bucket);
-- Whoever stores an event by hand must say where; the program stores events in the open bucket's table.
ALTER TABLE processed_events ALTER COLUMN bucket DROP DEFAULT;
ALTER SEQUENCE processed_events_id_seq OWNED BY processed_events.id;
ALTER TABLE processed_events ATTACH PARTITION processed_events_0 FOR VALUES IN (0);
ALTER TABLE processed_events_0 DROP CONSTRAINT processed_events_bucket_check;

-- 2. Which buckets there are: at most one is open, and its number is the largest. All ids of a bucket are above those of the
-- bucket before.
CREATE TABLE ledger_buckets (
    bucket        integer     PRIMARY KEY CHECK (bucket >= 0),
    opened_at     timestamptz NOT NULL,
    -- unique_processed of all slots when it was opened, so that its own events are known without counting them.
    unique_before bigint      NOT NULL,
    min_id        bigint      NOT NULL,
    closed_at     timestamptz,
    max_id        bigint,
    events        bigint,
    dropped_at    timestamptz,
    CONSTRAINT ledger_buckets_closed
        CHECK (num_nulls(closed_at, max_id, events) IN (0, 3) AND (dropped_at IS NULL OR closed_at IS NOT NULL))
);
CREATE UNIQUE INDEX ledger_buckets_open ON ledger_buckets ((closed_at IS NULL)) WHERE closed_at IS NULL;
CREATE INDEX ledger_buckets_kept ON ledger_buckets (bucket) WHERE dropped_at IS NULL;
INSERT INTO ledger_buckets (bucket, opened_at, unique_before, min_id) SELECT 0, uptime_start, 0, 1 FROM agg_stats;

-- What is asked before a closed bucket: docs/EXACTLY-ONCE.md. It can be made anew at any time.
CREATE TABLE bucket_filters (
    bucket  integer     PRIMARY KEY,
    filter  bytea       NOT NULL,
    made_at timestamptz NOT NULL DEFAULT now()
);
-- It does not compress.
ALTER TABLE bucket_filters ALTER COLUMN filter SET STORAGE EXTERNAL;

-- What was dropped stays counted.
CREATE TABLE retired_events (
    bucket integer NOT NULL,
    topic  text    COLLATE "C" NOT NULL,
    events bigint  NOT NULL,
    PRIMARY KEY (bucket, topic)
);

-- 3. Counters in slots. What is counted already is slot 1; a worker that registers gets a slot and makes its row.
ALTER TABLE agg_stats DROP CONSTRAINT agg_stats_id_check;
ALTER TABLE agg_stats RENAME COLUMN id TO slot;
ALTER TABLE agg_stats ADD CONSTRAINT agg_stats_slot_check CHECK (slot >= 1);

ALTER TABLE topic_stats ADD COLUMN slot smallint NOT NULL DEFAULT 1;
ALTER TABLE topic_stats ALTER COLUMN slot DROP DEFAULT;
ALTER TABLE topic_stats DROP CONSTRAINT topic_stats_pkey;
ALTER TABLE topic_stats ADD PRIMARY KEY (topic, slot);

ALTER TABLE worker_claims ADD COLUMN slot smallint NOT NULL DEFAULT 1;

CREATE VIEW agg_stats_total AS
SELECT sum(received)::bigint          AS received,
       sum(unique_processed)::bigint  AS unique_processed,
       sum(duplicate_dropped)::bigint AS duplicate_dropped,
       sum(dead_lettered)::bigint     AS dead_lettered,
       min(uptime_start)              AS uptime_start
FROM agg_stats;

CREATE VIEW topic_stats_total AS
SELECT topic,
       sum(unique_processed)::bigint  AS unique_processed,
       sum(duplicate_dropped)::bigint AS duplicate_dropped,
       min(first_processed_at)        AS first_processed_at,
       max(last_processed_at)         AS last_processed_at
FROM topic_stats
GROUP BY topic;

-- 4. What only the owner of the tables may do, in functions that others may call. Whoever does something with a bucket locks its row,
-- and whoever finds it locked leaves it to the other one. A role that may only connect cannot do that, as it could with an advisory
-- lock.

-- Allows on one bucket's table what is allowed on processed_events.
CREATE FUNCTION grant_on_bucket(to_bucket integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    allowed record;
BEGIN
    FOR allowed IN
        SELECT privilege_type,
               CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END AS grantee
        FROM pg_class CROSS JOIN LATERAL aclexplode(relacl)
        WHERE oid = 'processed_events'::regclass AND privilege_type IN ('SELECT', 'INSERT')
    LOOP
        EXECUTE format('GRANT %s ON processed_events_%s TO %s', allowed.privilege_type, to_bucket, allowed.grantee);
    END LOOP;
END $$;

-- Closes a bucket and opens the next one. Answers how many events are in the closed one; NULL: it was not the open one, or
-- somebody else does it now.
--
-- Every transaction that records holds ROW EXCLUSIVE on worker_claims before it looks which bucket is open. SHARE waits for all
-- of them, and those that come later see the next bucket.
CREATE FUNCTION open_next_bucket(after_bucket integer) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    next    integer := after_bucket + 1;
    drawn   bigint;
    counted bigint;
    closed  bigint;
BEGIN
    PERFORM FROM ledger_buckets WHERE bucket = after_bucket AND closed_at IS NULL FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    EXECUTE format('CREATE TABLE processed_events_%s (LIKE processed_events INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', next);
    EXECUTE format('ALTER TABLE processed_events_%s ALTER COLUMN bucket SET DEFAULT %s, ADD PRIMARY KEY (id), '
                   'ADD UNIQUE (topic, event_id)', next, next);
    EXECUTE format('ALTER TABLE processed_events ATTACH PARTITION processed_events_%s FOR VALUES IN (%s)', next, next);
    PERFORM grant_on_bucket(next);
    LOCK TABLE worker_claims IN SHARE MODE;
    SELECT last_value - (NOT is_called)::int INTO drawn FROM processed_events_id_seq;
    SELECT sum(unique_processed) INTO counted FROM agg_stats;
    UPDATE ledger_buckets SET closed_at = clock_timestamp(), max_id = drawn, events = counted - unique_before
    WHERE bucket = after_bucket
    RETURNING events INTO closed;
    INSERT INTO ledger_buckets (bucket, opened_at, unique_before, min_id)
    VALUES (next, clock_timestamp(), counted, drawn + 1);
    RETURN closed;
END $$;

CREATE FUNCTION refuse_late_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the bucket of % is closed', TG_TABLE_NAME
        USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Store events in the open bucket: ledger_buckets tells which.';
END $$;

-- Nobody can store an event in a closed bucket any more, also not by way of processed_events, for which only triggers of rows count. That is done after it was closed, because it waits for VACUUM. Answers whether
-- the bucket is this transaction's until it ends: then it may make the filter.
CREATE FUNCTION seal_bucket(closed_bucket integer) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    PERFORM FROM ledger_buckets
    WHERE bucket = closed_bucket AND closed_at IS NOT NULL AND dropped_at IS NULL
    FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgname = 'sealed'
                   AND tgrelid = to_regclass('processed_events_' || closed_bucket))
    THEN
        EXECUTE format('CREATE TRIGGER sealed BEFORE INSERT ON processed_events_%s '
                       'FOR EACH ROW EXECUTE FUNCTION refuse_late_event()', closed_bucket);
    END IF;
    RETURN true;
END $$;

-- Drops the oldest bucket if it was closed so long ago, and keeps its numbers by topic. Answers which, and how many events.
--
-- Whoever reads processed_events waits while the lock on it is waited for; so that is tried for a short time, and again.
CREATE FUNCTION drop_oldest_bucket(retention interval, lock_within interval, attempts integer)
RETURNS TABLE (dropped integer, dropped_events bigint) LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    oldest ledger_buckets;
BEGIN
    SELECT * INTO oldest FROM ledger_buckets
    WHERE bucket = (SELECT min(bucket) FROM ledger_buckets WHERE dropped_at IS NULL) AND dropped_at IS NULL
    FOR UPDATE SKIP LOCKED;
    IF NOT FOUND OR oldest.closed_at IS NULL OR oldest.closed_at > clock_timestamp() - retention THEN
        RETURN;
    END IF;
    EXECUTE format('INSERT INTO retired_events (bucket, topic, events) '
                   'SELECT %s, topic, count(*) FROM processed_events WHERE bucket = %s GROUP BY topic',
                   oldest.bucket, oldest.bucket);
    DELETE FROM bucket_filters WHERE bucket = oldest.bucket;
    UPDATE ledger_buckets SET dropped_at = clock_timestamp() WHERE bucket = oldest.bucket;
    PERFORM set_config('lock_timeout', ceil(extract(epoch FROM lock_within) * 1000)::text, true);
    FOR attempt IN 1..attempts LOOP
        BEGIN
            EXECUTE format('DROP TABLE processed_events_%s', oldest.bucket);
            RETURN QUERY SELECT oldest.bucket, oldest.events;
            RETURN;
        EXCEPTION WHEN lock_not_available THEN
            IF attempt = attempts THEN
                RAISE;
            END IF;
            PERFORM pg_sleep(random() * 4 * extract(epoch FROM lock_within));
        END;
    END LOOP;
END $$;

-- A function of its owner's rights must find the owner's tables, and nobody else's of the same names
-- (https://www.postgresql.org/docs/current/sql-createfunction.html#SQL-CREATEFUNCTION-SECURITY).
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['open_next_bucket(integer)', 'seal_bucket(integer)',
                                'drop_oldest_bucket(interval, interval, integer)', 'grant_on_bucket(integer)']
    LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', name, current_schema());
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', name);
    END LOOP;
END $$;

-- What was allowed on the table is allowed on the whole.
DO $$
DECLARE
    allowed record;
BEGIN
    FOR allowed IN
        SELECT privilege_type,
               CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END AS grantee
        FROM pg_class CROSS JOIN LATERAL aclexplode(relacl)
        WHERE oid = 'processed_events_0'::regclass AND grantee <> relowner
    LOOP
        EXECUTE format('GRANT %s ON processed_events TO %s', allowed.privilege_type, allowed.grantee);
    END LOOP;
END $$;
