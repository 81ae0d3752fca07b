-- The journal: every audit once, in one order, for ever. Only `journal_append` adds to it, and nothing changes it.
--
-- The order is made in one place, the row of `journal_head`: whoever holds its lock gives out positions, and holds it
-- until commit. So positions have no gaps, and who has seen position 7 never finds a new 6.

CREATE TABLE journal_head (
    one              boolean PRIMARY KEY DEFAULT true CHECK (one),
    journal_id       uuid NOT NULL DEFAULT gen_random_uuid(),
    next_position    bigint NOT NULL DEFAULT 1 CHECK (next_position > 0),
    last_recorded_at timestamptz NOT NULL DEFAULT 'epoch'
);

INSERT INTO journal_head DEFAULT VALUES;

-- Partitioned by the database's own clock, taken under the head's lock: a partition is a contiguous range of positions.
-- `payload` is json, not jsonb: it is part of the text that is hashed and has to come back byte for byte.
CREATE TABLE audit_events (
    position        bigint NOT NULL,
    recorded_at     timestamptz NOT NULL,
    event_id        uuid NOT NULL,
    cluster_id      text NOT NULL,
    remediation_id  text NOT NULL,
    version         int NOT NULL CHECK (version > 0),
    occurred_at     timestamptz NOT NULL,
    kind            text NOT NULL,
    category        text NOT NULL,
    event_type      text NOT NULL,
    outcome         text,
    actor_type      text,
    actor_id        text,
    recorded_by     text,
    parent_event_id uuid,
    trace_id        text,
    span_id         text,
    schema_version  smallint NOT NULL,
    payload         json NOT NULL,
    digest          bytea NOT NULL CHECK (octet_length(digest) = 32),
    PRIMARY KEY (position, recorded_at)
) PARTITION BY RANGE (recorded_at);

CREATE INDEX audit_events_stream ON audit_events (cluster_id, remediation_id, version);

-- Every id ever recorded. A unique index over partitions cannot promise that, so the ids have a table of their own.
CREATE TABLE event_keys (
    event_id       uuid PRIMARY KEY,
    position       bigint NOT NULL,
    recorded_at    timestamptz NOT NULL,
    version        int NOT NULL,
    content_digest bytea NOT NULL CHECK (octet_length(content_digest) = 32)
);

-- The head of each stream: it gives the next version, and the bounds that let a read touch only the partitions it needs.
CREATE TABLE streams (
    cluster_id        text NOT NULL,
    remediation_id    text NOT NULL,
    version           int NOT NULL,
    first_recorded_at timestamptz NOT NULL,
    last_recorded_at  timestamptz NOT NULL,
    PRIMARY KEY (cluster_id, remediation_id)
);

-- A remediation asked for without its cluster is looked up by its name alone.
CREATE INDEX streams_by_remediation ON streams (remediation_id);

CREATE FUNCTION journal_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the journal is append-only: % of % is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END $$;

-- Row triggers are inherited by partitions; statement triggers are not, and only they see a TRUNCATE or a change that
-- hits no row. `journal_ensure_partition` gives each partition its own.
CREATE TRIGGER refuse_row BEFORE UPDATE OR DELETE ON audit_events
    FOR EACH ROW EXECUTE FUNCTION journal_refuse_change();
CREATE TRIGGER refuse_statement BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_events
    FOR EACH STATEMENT EXECUTE FUNCTION journal_refuse_change();
CREATE TRIGGER refuse_statement BEFORE UPDATE OR DELETE OR TRUNCATE ON event_keys
    FOR EACH STATEMENT EXECUTE FUNCTION journal_refuse_change();
CREATE TRIGGER refuse_statement BEFORE DELETE OR TRUNCATE ON journal_head
    FOR EACH STATEMENT EXECUTE FUNCTION journal_refuse_change();
CREATE TRIGGER refuse_statement BEFORE DELETE OR TRUNCATE ON streams
    FOR EACH STATEMENT EXECUTE FUNCTION journal_refuse_change();

-- Makes the partition of the month (UTC) that holds `month_of`, unless it is there; answers its name. Attaching locks out
-- no append and no read, which creating it in place would.
CREATE FUNCTION journal_ensure_partition(month_of timestamptz) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    month  timestamp := date_trunc('month', month_of AT TIME ZONE 'UTC');
    start  timestamptz := month AT TIME ZONE 'UTC';
    finish timestamptz := (month + interval '1 month') AT TIME ZONE 'UTC';
    name   text := 'audit_events_y' || to_char(month, 'YYYY"m"MM');
BEGIN
    -- Not by `to_regclass`: it looks into a cache, and having waited for the lock would not see what a rival has made.
    IF EXISTS (SELECT FROM pg_class c WHERE c.relname = name AND c.relnamespace = 'public'::regnamespace) THEN
        RETURN name;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('binnacle partitions'));
    IF EXISTS (SELECT FROM pg_class c WHERE c.relname = name AND c.relnamespace = 'public'::regnamespace) THEN
        RETURN name;
    END IF;
    EXECUTE format('CREATE TABLE public.%I (LIKE public.audit_events INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', name);
    EXECUTE format('ALTER TABLE public.audit_events ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
        name, start, finish);
    EXECUTE format('CREATE TRIGGER refuse_statement BEFORE UPDATE OR DELETE OR TRUNCATE ON public.%I '
        'FOR EACH STATEMENT EXECUTE FUNCTION public.journal_refuse_change()', name);
    RETURN name;
END $$;

-- Appends a batch and answers each item, in the order given: `recorded`, `duplicate` (the id was recorded before with the
-- same content) or `conflict` (with other content); position, version and recorded_at are those of the recorded event.
--
-- The lock is a statement of its own and the look for repeats is in the next one, because a statement that waited for the
-- lock would still look with the snapshot from before the wait, and record an id twice.
--
-- The plan is made once and for index look-ups only: planning anew would cost more than the append, and a plan that was
-- made while the tables were small must still fit when they are large.
--
-- `sealed_ats` makes history for demos, tests and benches (owner only), item by item; NULL takes the clock for all.
CREATE FUNCTION journal_append_at(
    event_ids uuid[], content_digests bytea[], cluster_ids text[], remediation_ids text[], occurred_ats timestamptz[],
    kinds text[], categories text[], event_types text[], outcomes text[], actor_types text[], actor_ids text[],
    recorded_bys text[], parent_event_ids uuid[], trace_ids text[], span_ids text[], schema_versions smallint[],
    payloads text[], digests bytea[], sealed_ats timestamptz[]
) RETURNS TABLE (item int, status text, "position" bigint, version int, recorded_at timestamptz)
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    head  journal_head%ROWTYPE;
    clock timestamptz;
    -- The time of the first and of the last item; the same one, unless history is made.
    sealed timestamptz;
    ends   timestamptz;
BEGIN
    SELECT * INTO STRICT head FROM journal_head FOR UPDATE;

    clock := clock_timestamp();
    IF sealed_ats IS NULL THEN
        sealed := greatest(clock, head.last_recorded_at);
        ends := sealed;
    ELSE
        sealed := sealed_ats[1];
        ends := sealed_ats[array_upper(sealed_ats, 1)];
        IF sealed < head.last_recorded_at OR ends > clock
            OR sealed_ats <> ARRAY(SELECT s FROM unnest(sealed_ats) AS s ORDER BY s) THEN
            RAISE EXCEPTION 'history is made in order, between % and %; this batch is from % to %',
                head.last_recorded_at, clock, sealed, ends USING ERRCODE = 'invalid_parameter_value';
        END IF;
    END IF;
    -- Made on demand when the worker that makes them ahead did not; looked for once a month.
    IF date_trunc('month', ends, 'UTC') <> date_trunc('month', head.last_recorded_at, 'UTC') THEN
        PERFORM journal_ensure_partition(sealed);
        PERFORM journal_ensure_partition(month)
            FROM generate_series(date_trunc('month', sealed, 'UTC'), ends, interval '1 month') AS month;
    END IF;

    RETURN QUERY
    WITH given AS MATERIALIZED (
        SELECT g.*, g.ordinal::int AS item, coalesce(sealed_ats[g.ordinal], sealed) AS sealed_at
        FROM unnest(event_ids, content_digests, cluster_ids, remediation_ids, occurred_ats, kinds, categories,
                event_types, outcomes, actor_types, actor_ids, recorded_bys, parent_event_ids, trace_ids, span_ids,
                schema_versions, payloads, digests)
            WITH ORDINALITY AS g(event_id, content_digest, cluster_id, remediation_id, occurred_at, kind, category,
                event_type, outcome, actor_type, actor_id, recorded_by, parent_event_id, trace_id, span_id,
                schema_version, payload, digest, ordinal)
    ), known AS MATERIALIZED (
        SELECT g.item, k.position, k.version, k.recorded_at, k.content_digest
        FROM given g
        CROSS JOIN LATERAL (SELECT k.* FROM event_keys k WHERE k.event_id = g.event_id OFFSET 0) k
    ), firsts AS (
        SELECT DISTINCT ON (g.event_id) g.item
        FROM given g LEFT JOIN known k ON k.item = g.item
        WHERE k.item IS NULL
        ORDER BY g.event_id, g.item
    ), fresh AS MATERIALIZED (
        SELECT g.*,
            head.next_position + row_number() OVER (ORDER BY g.item) - 1 AS position,
            (coalesce(s.version, 0) + row_number() OVER (PARTITION BY g.cluster_id, g.remediation_id ORDER BY g.item))::int
                AS version
        FROM firsts f
        JOIN given g ON g.item = f.item
        LEFT JOIN LATERAL (
            SELECT s.version FROM streams s
            WHERE s.cluster_id = g.cluster_id AND s.remediation_id = g.remediation_id OFFSET 0
        ) s ON true
    ), entered AS (
        INSERT INTO audit_events (position, recorded_at, event_id, cluster_id, remediation_id, version, occurred_at, kind,
            category, event_type, outcome, actor_type, actor_id, recorded_by, parent_event_id, trace_id, span_id,
            schema_version, payload, digest)
        SELECT f.position, f.sealed_at, f.event_id, f.cluster_id, f.remediation_id, f.version, f.occurred_at, f.kind,
            f.category, f.event_type, f.outcome, f.actor_type, f.actor_id, f.recorded_by, f.parent_event_id, f.trace_id,
            f.span_id, f.schema_version, f.payload::json, f.digest
        FROM fresh f
        ORDER BY f.position
    ), keyed AS (
        INSERT INTO event_keys (event_id, position, recorded_at, version, content_digest)
        SELECT f.event_id, f.position, f.sealed_at, f.version, f.content_digest FROM fresh f
    ), streamed AS (
        INSERT INTO streams AS s (cluster_id, remediation_id, version, first_recorded_at, last_recorded_at)
        SELECT f.cluster_id, f.remediation_id, max(f.version), min(f.sealed_at), max(f.sealed_at)
        FROM fresh f
        GROUP BY f.cluster_id, f.remediation_id
        ON CONFLICT (cluster_id, remediation_id)
        DO UPDATE SET version = excluded.version, last_recorded_at = excluded.last_recorded_at
    ), moved AS (
        UPDATE journal_head h
        SET next_position = h.next_position + n.count, last_recorded_at = ends
        FROM (SELECT count(*) FROM fresh) n
        WHERE n.count > 0
        RETURNING pg_notify('binnacle_journal', (h.next_position - 1)::text)
    )
    SELECT g.item,
        CASE
            WHEN f.item = g.item THEN 'recorded'
            WHEN coalesce(k.content_digest, f.content_digest) = g.content_digest THEN 'duplicate'
            ELSE 'conflict'
        END,
        coalesce(k.position, f.position), coalesce(k.version, f.version), coalesce(k.recorded_at, f.sealed_at)
    FROM given g
    LEFT JOIN known k ON k.item = g.item
    LEFT JOIN fresh f ON f.event_id = g.event_id
    ORDER BY g.item;
END $$;

-- What the service's role may execute. It runs as the owner; the role itself cannot insert anything.
CREATE FUNCTION journal_append(
    event_ids uuid[], content_digests bytea[], cluster_ids text[], remediation_ids text[], occurred_ats timestamptz[],
    kinds text[], categories text[], event_types text[], outcomes text[], actor_types text[], actor_ids text[],
    recorded_bys text[], parent_event_ids uuid[], trace_ids text[], span_ids text[], schema_versions smallint[],
    payloads text[], digests bytea[]
) RETURNS TABLE (item int, status text, "position" bigint, version int, recorded_at timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    RETURN QUERY SELECT * FROM journal_append_at(event_ids, content_digests, cluster_ids, remediation_ids, occurred_ats,
        kinds, categories, event_types, outcomes, actor_types, actor_ids, recorded_bys, parent_event_ids, trace_ids,
        span_ids, schema_versions, payloads, digests, NULL);
END $$;

REVOKE EXECUTE ON FUNCTION journal_ensure_partition FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION journal_append_at FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION journal_append FROM PUBLIC;
