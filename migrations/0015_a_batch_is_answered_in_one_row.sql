-- What became of a batch is answered as lists in one row. As a row for each audit it was written down as a whole before the first
-- left, and sent and read row by row: of a batch of 500 that was 4 in 100 of the instructions that its append took of Postgres.
-- A list of what none of the audits has may be NULL.

CREATE FUNCTION journal_append_batch(
    event_ids uuid[], content_digests bytea[], cluster_ids text[], remediation_ids text[], occurred_ats timestamptz[],
    kinds text[], categories text[], event_types text[], outcomes text[], actor_types text[], actor_ids text[],
    recorded_bys text[], parent_event_ids uuid[], trace_ids text[], span_ids text[], schema_versions smallint[],
    payloads text[], digests bytea[],
    OUT statuses text[], OUT positions bigint[], OUT versions int[], OUT recorded_ats timestamptz[]
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    items       int := cardinality(event_ids);
    first       bigint;
    sealed      timestamptz;
    constrained text;
BEGIN
    IF items = 0 THEN
        PERFORM FROM journal_head h WHERE h.one FOR UPDATE; -- somebody asks whether the head can be had
        statuses := '{}';
        positions := '{}';
        versions := '{}';
        recorded_ats := '{}';
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

        statuses := array_fill('recorded'::text, ARRAY[items]);
        positions := ARRAY(SELECT generate_series(first, first + items - 1));
        recorded_ats := array_fill(sealed, ARRAY[items]);
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
    SELECT array_agg(a.status ORDER BY a.item), array_agg(a.position ORDER BY a.item),
        array_agg(a.version ORDER BY a.item), array_agg(a.recorded_at ORDER BY a.item)
    INTO STRICT statuses, positions, versions, recorded_ats
    FROM journal_append_at(event_ids, ARRAY(SELECT journal_digest(d) FROM unnest(content_digests) AS d), cluster_ids,
        remediation_ids, occurred_ats, kinds, categories, event_types, outcomes, actor_types, actor_ids, recorded_bys,
        parent_event_ids, trace_ids, span_ids, schema_versions, payloads,
        ARRAY(SELECT journal_digest(d) FROM unnest(digests) AS d), NULL) a;
END $$;

-- As servers of the version before ask; a later migration takes it away.
CREATE OR REPLACE FUNCTION journal_append(
    event_ids uuid[], content_digests bytea[], cluster_ids text[], remediation_ids text[], occurred_ats timestamptz[],
    kinds text[], categories text[], event_types text[], outcomes text[], actor_types text[], actor_ids text[],
    recorded_bys text[], parent_event_ids uuid[], trace_ids text[], span_ids text[], schema_versions smallint[],
    payloads text[], digests bytea[]
) RETURNS TABLE (item int, status text, "position" bigint, version int, recorded_at timestamptz)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    SELECT g.item::int, g.status, g.position, g.version, g.recorded_at
    FROM journal_append_batch(event_ids, content_digests, cluster_ids, remediation_ids, occurred_ats, kinds,
            categories, event_types, outcomes, actor_types, actor_ids, recorded_bys, parent_event_ids, trace_ids,
            span_ids, schema_versions, payloads, digests) a,
        unnest(a.statuses, a.positions, a.versions, a.recorded_ats)
            WITH ORDINALITY AS g(status, position, version, recorded_at, item)
    ORDER BY g.item
$$;
