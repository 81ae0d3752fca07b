-- Postgres compiles the CHECKs of a table anew for each statement that writes into it: of what it does for a single audit that
-- was nearly a fifth. What they promised of the journal is kept by the functions that the service may call.
-- These look for nothing any more that the writing itself tells: the stream's row answers the version, a key that is there or a
-- month without its partition fails. What is not usual takes back all that was done, and goes the long way.

-- Appends would queue up behind this wait for whoever reads for long; it is tried again.
SET LOCAL lock_timeout = '2s';

ALTER TABLE journal_head DROP CONSTRAINT journal_head_one_check, DROP CONSTRAINT journal_head_next_position_check;
ALTER TABLE event_keys DROP CONSTRAINT event_keys_content_digest_check;
ALTER TABLE audit_events DROP CONSTRAINT audit_events_version_check, DROP CONSTRAINT audit_events_digest_check;

-- There is one head, and no other is added.
DROP TRIGGER refuse_statement ON journal_head;
CREATE TRIGGER refuse_statement BEFORE INSERT OR DELETE OR TRUNCATE ON journal_head
    FOR EACH STATEMENT EXECUTE FUNCTION journal_refuse_change();

-- A digest of SHA-256; of any other length it is none, which no column of digests takes. It is no call, but becomes part of the
-- statement.
CREATE FUNCTION journal_digest(digest bytea) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN octet_length(digest) = 32 THEN digest END
$$;

CREATE OR REPLACE FUNCTION journal_append(
    event_ids uuid[], content_digests bytea[], cluster_ids text[], remediation_ids text[], occurred_ats timestamptz[],
    kinds text[], categories text[], event_types text[], outcomes text[], actor_types text[], actor_ids text[],
    recorded_bys text[], parent_event_ids uuid[], trace_ids text[], span_ids text[], schema_versions smallint[],
    payloads text[], digests bytea[]
) RETURNS TABLE (item int, status text, "position" bigint, version int, recorded_at timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    items       int := cardinality(event_ids);
    first       bigint;
    sealed      timestamptz;
    versions    int[];
    constrained text;
BEGIN
    IF items = 0 THEN
        PERFORM FROM journal_head h WHERE h.one FOR UPDATE; -- somebody asks whether the head can be had
        RETURN;
    END IF;
    -- What is not usual takes back all that this block has done.
    BEGIN
        -- Takes the head's lock, in a statement of its own, as in `journal_append_at`.
        UPDATE journal_head h
        SET next_position = h.next_position + items, last_recorded_at = greatest(clock_timestamp(), h.last_recorded_at)
        WHERE h.one
        RETURNING h.next_position - items, h.last_recorded_at INTO STRICT first, sealed;

        -- In the order given, which is also that of the positions of each stream.
        WITH given AS MATERIALIZED (
            SELECT i.cluster_id, i.remediation_id, array_agg(i.ordinal ORDER BY i.ordinal) AS ordinals
            FROM (
                SELECT unnest(cluster_ids) AS cluster_id, unnest(remediation_ids) AS remediation_id,
                    generate_series(1, items) AS ordinal
            ) i
            GROUP BY i.cluster_id, i.remediation_id
        ), streamed AS (
            INSERT INTO streams AS s (cluster_id, remediation_id, version, first_recorded_at, last_recorded_at)
            SELECT g.cluster_id, g.remediation_id, cardinality(g.ordinals), sealed, sealed FROM given g
            ON CONFLICT (cluster_id, remediation_id)
            DO UPDATE SET version = s.version + excluded.version, last_recorded_at = excluded.last_recorded_at
            RETURNING cluster_id, remediation_id, version
        )
        SELECT array_agg(o.version ORDER BY o.ordinal) INTO STRICT versions
        FROM (
            SELECT unnest(g.ordinals) AS ordinal,
                s.version - cardinality(g.ordinals) + generate_series(1, cardinality(g.ordinals)) AS version
            FROM given g JOIN streamed s ON s.cluster_id = g.cluster_id AND s.remediation_id = g.remediation_id
            OFFSET 0
        ) o;

        INSERT INTO event_keys (event_id, position, recorded_at, version, content_digest)
        SELECT g.event_id, g.position, sealed, g.version, journal_digest(g.content_digest)
        FROM (
            SELECT unnest(event_ids) AS event_id, generate_series(first, first + items - 1) AS position,
                unnest(versions) AS version, unnest(content_digests) AS content_digest
        ) g;

        -- `unnest` beside one another go item by item; in `FROM` each would first be written down as a whole.
        INSERT INTO audit_events (position, recorded_at, event_id, cluster_id, remediation_id, version, occurred_at,
            kind, category, event_type, outcome, actor_type, actor_id, recorded_by, parent_event_id, trace_id, span_id,
            schema_version, payload, digest)
        SELECT g.position, sealed, g.event_id, g.cluster_id, g.remediation_id, g.version, g.occurred_at, g.kind,
            g.category, g.event_type, g.outcome, g.actor_type, g.actor_id, g.recorded_by, g.parent_event_id, g.trace_id,
            g.span_id, g.schema_version, g.payload::json, journal_digest(g.digest)
        FROM (
            SELECT generate_series(first, first + items - 1) AS position, unnest(event_ids) AS event_id,
                unnest(cluster_ids) AS cluster_id, unnest(remediation_ids) AS remediation_id, unnest(versions) AS version,
                unnest(occurred_ats) AS occurred_at, unnest(kinds) AS kind, unnest(categories) AS category,
                unnest(event_types) AS event_type, unnest(outcomes) AS outcome, unnest(actor_types) AS actor_type,
                unnest(actor_ids) AS actor_id, unnest(recorded_bys) AS recorded_by,
                unnest(parent_event_ids) AS parent_event_id, unnest(trace_ids) AS trace_id, unnest(span_ids) AS span_id,
                unnest(schema_versions) AS schema_version, unnest(payloads) AS payload, unnest(digests) AS digest
        ) g;

        RETURN QUERY
        SELECT g.ordinal::int, 'recorded', first + g.ordinal - 1, g.version, sealed
        FROM unnest(versions) WITH ORDINALITY AS g(version, ordinal);
        RETURN;
    EXCEPTION
        WHEN unique_violation THEN
            NULL; -- an id that was recorded before, or is here twice
        WHEN check_violation THEN
            GET STACKED DIAGNOSTICS constrained = CONSTRAINT_NAME;
            IF constrained <> '' THEN
                RAISE; -- and not a month without its partition, which is no constraint's
            END IF;
    END;
    RETURN QUERY SELECT * FROM journal_append_at(event_ids, ARRAY(SELECT journal_digest(d) FROM unnest(content_digests) AS d),
        cluster_ids, remediation_ids, occurred_ats, kinds, categories, event_types, outcomes, actor_types, actor_ids,
        recorded_bys, parent_event_ids, trace_ids, span_ids, schema_versions, payloads,
        ARRAY(SELECT journal_digest(d) FROM unnest(digests) AS d), NULL);
END $$;

-- The same of one audit.
CREATE OR REPLACE FUNCTION journal_append(
    event_id uuid, content_digest bytea, cluster_id text, remediation_id text, occurred_at timestamptz, kind text,
    category text, event_type text, outcome text, actor_type text, actor_id text, recorded_by text,
    parent_event_id uuid, trace_id text, span_id text, schema_version smallint, payload text, digest bytea,
    OUT status text, OUT "position" bigint, OUT version int, OUT recorded_at timestamptz
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    constrained text;
BEGIN
    BEGIN
        UPDATE journal_head h
        SET next_position = h.next_position + 1, last_recorded_at = greatest(clock_timestamp(), h.last_recorded_at)
        WHERE h.one
        RETURNING h.next_position - 1, h.last_recorded_at INTO STRICT position, recorded_at;

        INSERT INTO streams AS s (cluster_id, remediation_id, version, first_recorded_at, last_recorded_at)
        VALUES (journal_append.cluster_id, journal_append.remediation_id, 1, journal_append.recorded_at,
            journal_append.recorded_at)
        ON CONFLICT (cluster_id, remediation_id)
        DO UPDATE SET version = s.version + 1, last_recorded_at = excluded.last_recorded_at
        RETURNING version INTO STRICT version;

        INSERT INTO event_keys (event_id, position, recorded_at, version, content_digest)
        VALUES (journal_append.event_id, journal_append.position, journal_append.recorded_at, journal_append.version,
            journal_digest(journal_append.content_digest));

        INSERT INTO audit_events (position, recorded_at, event_id, cluster_id, remediation_id, version, occurred_at,
            kind, category, event_type, outcome, actor_type, actor_id, recorded_by, parent_event_id, trace_id, span_id,
            schema_version, payload, digest)
        VALUES (journal_append.position, journal_append.recorded_at, journal_append.event_id, journal_append.cluster_id,
            journal_append.remediation_id, journal_append.version, journal_append.occurred_at, journal_append.kind,
            journal_append.category, journal_append.event_type, journal_append.outcome, journal_append.actor_type,
            journal_append.actor_id, journal_append.recorded_by, journal_append.parent_event_id,
            journal_append.trace_id, journal_append.span_id, journal_append.schema_version,
            journal_append.payload::json, journal_digest(journal_append.digest));

        status := 'recorded';
        RETURN;
    EXCEPTION
        WHEN unique_violation THEN
            NULL;
        WHEN check_violation THEN
            GET STACKED DIAGNOSTICS constrained = CONSTRAINT_NAME;
            IF constrained <> '' THEN
                RAISE;
            END IF;
    END;
    SELECT a.status, a.position, a.version, a.recorded_at INTO STRICT status, position, version, recorded_at
    FROM journal_append_at(ARRAY[event_id], ARRAY[journal_digest(content_digest)], ARRAY[cluster_id],
        ARRAY[remediation_id], ARRAY[occurred_at], ARRAY[kind], ARRAY[category], ARRAY[event_type], ARRAY[outcome],
        ARRAY[actor_type], ARRAY[actor_id], ARRAY[recorded_by], ARRAY[parent_event_id], ARRAY[trace_id],
        ARRAY[span_id], ARRAY[schema_version], ARRAY[payload], ARRAY[journal_digest(digest)], NULL) a;
END $$;

-- Nothing asks for it any more but calls of the functions before these that are under way: a later migration takes it away.
COMMENT ON COLUMN journal_head.recorded_before IS 'of no use since migration 0014';
