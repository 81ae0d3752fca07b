-- Whether an id was recorded before is told by its key as it is written, in the place of a look for each id beforehand; of the
-- streams of a batch each is looked up once; and a single audit goes without any list, from the call on.

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
    items    int := cardinality(event_ids);
    first    bigint;
    sealed   timestamptz;
    before   timestamptz;
    versions int[];
BEGIN
    IF items = 0 THEN
        PERFORM FROM journal_head h WHERE h.one FOR UPDATE; -- somebody asks whether the head can be had
        RETURN;
    END IF;
    -- What is not usual takes back all that this block has done.
    BEGIN
        -- Takes the head's lock, in a statement of its own, as in `journal_append_at`.
        UPDATE journal_head h
        SET next_position = h.next_position + items, recorded_before = h.last_recorded_at,
            last_recorded_at = greatest(clock_timestamp(), h.last_recorded_at)
        WHERE h.one
        RETURNING h.next_position - items, h.last_recorded_at, h.recorded_before INTO STRICT first, sealed, before;
        IF date_trunc('month', sealed, 'UTC') <> date_trunc('month', before, 'UTC') THEN
            RAISE SQLSTATE 'BN001';
        END IF;

        -- In the order given, which is also that of the positions of each stream.
        versions := (
            SELECT array_agg(o.version ORDER BY o.ordinal)
            FROM (
                SELECT unnest(g.ordinals) AS ordinal,
                    coalesce(s.version, 0) + generate_series(1, cardinality(g.ordinals)) AS version
                FROM (
                    SELECT i.cluster_id, i.remediation_id, array_agg(i.ordinal ORDER BY i.ordinal) AS ordinals
                    FROM (
                        SELECT unnest(cluster_ids) AS cluster_id, unnest(remediation_ids) AS remediation_id,
                            generate_series(1, items) AS ordinal
                    ) i
                    GROUP BY i.cluster_id, i.remediation_id
                ) g
                LEFT JOIN LATERAL (
                    SELECT s.version FROM streams s
                    WHERE s.cluster_id = g.cluster_id AND s.remediation_id = g.remediation_id OFFSET 0
                ) s ON true
                OFFSET 0
            ) o
        );

        INSERT INTO event_keys (event_id, position, recorded_at, version, content_digest)
        SELECT unnest(event_ids), generate_series(first, first + items - 1), sealed, unnest(versions),
            unnest(content_digests);

        INSERT INTO streams AS s (cluster_id, remediation_id, version, first_recorded_at, last_recorded_at)
        SELECT g.cluster_id, g.remediation_id, max(g.version), sealed, sealed
        FROM (
            SELECT unnest(cluster_ids) AS cluster_id, unnest(remediation_ids) AS remediation_id,
                unnest(versions) AS version
        ) g
        GROUP BY g.cluster_id, g.remediation_id
        ON CONFLICT (cluster_id, remediation_id)
        DO UPDATE SET version = excluded.version, last_recorded_at = excluded.last_recorded_at;

        -- `unnest` beside one another go item by item; in `FROM` each would first be written down as a whole.
        INSERT INTO audit_events (position, recorded_at, event_id, cluster_id, remediation_id, version, occurred_at,
            kind, category, event_type, outcome, actor_type, actor_id, recorded_by, parent_event_id, trace_id, span_id,
            schema_version, payload, digest)
        SELECT g.position, sealed, g.event_id, g.cluster_id, g.remediation_id, g.version, g.occurred_at, g.kind,
            g.category, g.event_type, g.outcome, g.actor_type, g.actor_id, g.recorded_by, g.parent_event_id, g.trace_id,
            g.span_id, g.schema_version, g.payload::json, g.digest
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
    EXCEPTION WHEN unique_violation OR SQLSTATE 'BN001' THEN
        NULL; -- an id that was recorded before, or is here twice; or the first audits of a month
    END;
    RETURN QUERY SELECT * FROM journal_append_at(event_ids, content_digests, cluster_ids, remediation_ids, occurred_ats,
        kinds, categories, event_types, outcomes, actor_types, actor_ids, recorded_bys, parent_event_ids, trace_ids,
        span_ids, schema_versions, payloads, digests, NULL);
END $$;

-- The same of one audit. To take back what was done would cost more here than to look whether it has to be.
CREATE FUNCTION journal_append(
    event_id uuid, content_digest bytea, cluster_id text, remediation_id text, occurred_at timestamptz, kind text,
    category text, event_type text, outcome text, actor_type text, actor_id text, recorded_by text,
    parent_event_id uuid, trace_id text, span_id text, schema_version smallint, payload text, digest bytea,
    OUT status text, OUT "position" bigint, OUT version int, OUT recorded_at timestamptz
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    before timestamptz;
    usual  boolean;
BEGIN
    UPDATE journal_head h
    SET next_position = h.next_position + 1, recorded_before = h.last_recorded_at,
        last_recorded_at = greatest(clock_timestamp(), h.last_recorded_at)
    WHERE h.one
    RETURNING h.next_position - 1, h.last_recorded_at, h.recorded_before INTO STRICT position, recorded_at, before;

    usual := date_trunc('month', recorded_at, 'UTC') = date_trunc('month', before, 'UTC');
    IF usual THEN
        INSERT INTO event_keys (event_id, position, recorded_at, version, content_digest)
        SELECT journal_append.event_id, journal_append.position, journal_append.recorded_at, 1 + coalesce((
                SELECT s.version FROM streams s
                WHERE s.cluster_id = journal_append.cluster_id AND s.remediation_id = journal_append.remediation_id
            ), 0), journal_append.content_digest
        ON CONFLICT DO NOTHING
        RETURNING version INTO version;
        usual := FOUND;
    END IF;
    IF NOT usual THEN
        UPDATE journal_head h SET next_position = journal_append.position, last_recorded_at = before WHERE h.one;
        SELECT a.status, a.position, a.version, a.recorded_at INTO status, position, version, recorded_at
        FROM journal_append_at(ARRAY[event_id], ARRAY[content_digest], ARRAY[cluster_id], ARRAY[remediation_id],
            ARRAY[occurred_at], ARRAY[kind], ARRAY[category], ARRAY[event_type], ARRAY[outcome], ARRAY[actor_type],
            ARRAY[actor_id], ARRAY[recorded_by], ARRAY[parent_event_id], ARRAY[trace_id], ARRAY[span_id],
            ARRAY[schema_version], ARRAY[payload], ARRAY[digest], NULL) a;
        RETURN;
    END IF;

    INSERT INTO streams AS s (cluster_id, remediation_id, version, first_recorded_at, last_recorded_at)
    VALUES (journal_append.cluster_id, journal_append.remediation_id, journal_append.version,
        journal_append.recorded_at, journal_append.recorded_at)
    ON CONFLICT (cluster_id, remediation_id)
    DO UPDATE SET version = excluded.version, last_recorded_at = excluded.last_recorded_at;

    INSERT INTO audit_events (position, recorded_at, event_id, cluster_id, remediation_id, version, occurred_at, kind,
        category, event_type, outcome, actor_type, actor_id, recorded_by, parent_event_id, trace_id, span_id,
        schema_version, payload, digest)
    VALUES (journal_append.position, journal_append.recorded_at, journal_append.event_id, journal_append.cluster_id,
        journal_append.remediation_id, journal_append.version, journal_append.occurred_at, journal_append.kind,
        journal_append.category, journal_append.event_type, journal_append.outcome, journal_append.actor_type,
        journal_append.actor_id, journal_append.recorded_by, journal_append.parent_event_id, journal_append.trace_id,
        journal_append.span_id, journal_append.schema_version, journal_append.payload::json, journal_append.digest);
    status := 'recorded';
END $$;
