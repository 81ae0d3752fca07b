-- The head's row is written anew by each append, and while some snapshot is old its old versions stay, over many pages: whoever
-- walks through them pays for all of them. So it is found by its key, once an append, and moved at once. A single audit goes by
-- four statements: the head, the key with the version that it gets, the stream, the event.

-- What `last_recorded_at` was before the last append, which may have to take back that it has moved the head.
ALTER TABLE journal_head ADD COLUMN recorded_before timestamptz NOT NULL DEFAULT 'epoch';

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
    usual    boolean;
    versions int[];
BEGIN
    IF items = 0 THEN
        PERFORM FROM journal_head h WHERE h.one FOR UPDATE; -- somebody asks whether the head can be had
        RETURN;
    END IF;
    -- Takes the head's lock, in a statement of its own, as in `journal_append_at`.
    UPDATE journal_head h
    SET next_position = h.next_position + items, recorded_before = h.last_recorded_at,
        last_recorded_at = greatest(clock_timestamp(), h.last_recorded_at)
    WHERE h.one
    RETURNING h.next_position - items, h.last_recorded_at, h.recorded_before INTO STRICT first, sealed, before;

    usual := date_trunc('month', sealed, 'UTC') = date_trunc('month', before, 'UTC');
    IF usual AND items = 1 THEN
        INSERT INTO event_keys (event_id, position, recorded_at, version, content_digest)
        SELECT event_ids[1], first, sealed, 1 + coalesce((
                SELECT s.version FROM streams s
                WHERE s.cluster_id = cluster_ids[1] AND s.remediation_id = remediation_ids[1]
            ), 0), content_digests[1]
        ON CONFLICT DO NOTHING
        RETURNING version INTO version;
        usual := FOUND;
    ELSIF usual THEN
        SELECT count(DISTINCT g.event_id) = items AND count(k.found) = 0 INTO usual
        FROM unnest(event_ids) AS g(event_id)
        LEFT JOIN LATERAL (SELECT true AS found FROM event_keys k WHERE k.event_id = g.event_id OFFSET 0) k ON true;
    END IF;
    IF NOT usual THEN
        UPDATE journal_head h SET next_position = first, last_recorded_at = before WHERE h.one;
        RETURN QUERY SELECT * FROM journal_append_at(event_ids, content_digests, cluster_ids, remediation_ids,
            occurred_ats, kinds, categories, event_types, outcomes, actor_types, actor_ids, recorded_bys,
            parent_event_ids, trace_ids, span_ids, schema_versions, payloads, digests, NULL);
        RETURN;
    END IF;

    IF items = 1 THEN
        INSERT INTO streams AS s (cluster_id, remediation_id, version, first_recorded_at, last_recorded_at)
        VALUES (cluster_ids[1], remediation_ids[1], journal_append.version, sealed, sealed)
        ON CONFLICT (cluster_id, remediation_id)
        DO UPDATE SET version = excluded.version, last_recorded_at = excluded.last_recorded_at;

        INSERT INTO audit_events (position, recorded_at, event_id, cluster_id, remediation_id, version, occurred_at,
            kind, category, event_type, outcome, actor_type, actor_id, recorded_by, parent_event_id, trace_id, span_id,
            schema_version, payload, digest)
        VALUES (first, sealed, event_ids[1], cluster_ids[1], remediation_ids[1], journal_append.version,
            occurred_ats[1], kinds[1], categories[1], event_types[1], outcomes[1], actor_types[1], actor_ids[1],
            recorded_bys[1], parent_event_ids[1], trace_ids[1], span_ids[1], schema_versions[1], payloads[1]::json,
            digests[1]);

        item := 1;
        status := 'recorded';
        position := first;
        recorded_at := sealed;
        RETURN NEXT;
    ELSE
        versions := ARRAY(
            SELECT (coalesce(s.version, 0)
                + row_number() OVER (PARTITION BY g.cluster_id, g.remediation_id ORDER BY g.ordinal))::int
            FROM unnest(cluster_ids, remediation_ids) WITH ORDINALITY AS g(cluster_id, remediation_id, ordinal)
            LEFT JOIN LATERAL (
                SELECT s.version FROM streams s
                WHERE s.cluster_id = g.cluster_id AND s.remediation_id = g.remediation_id OFFSET 0
            ) s ON true
            ORDER BY g.ordinal);

        INSERT INTO streams AS s (cluster_id, remediation_id, version, first_recorded_at, last_recorded_at)
        SELECT g.cluster_id, g.remediation_id, max(g.version), sealed, sealed
        FROM unnest(cluster_ids, remediation_ids, versions) AS g(cluster_id, remediation_id, version)
        GROUP BY g.cluster_id, g.remediation_id
        ON CONFLICT (cluster_id, remediation_id)
        DO UPDATE SET version = excluded.version, last_recorded_at = excluded.last_recorded_at;

        INSERT INTO audit_events (position, recorded_at, event_id, cluster_id, remediation_id, version, occurred_at,
            kind, category, event_type, outcome, actor_type, actor_id, recorded_by, parent_event_id, trace_id, span_id,
            schema_version, payload, digest)
        SELECT first + g.ordinal - 1, sealed, g.event_id, g.cluster_id, g.remediation_id, g.version,
            g.occurred_at, g.kind, g.category, g.event_type, g.outcome, g.actor_type, g.actor_id, g.recorded_by,
            g.parent_event_id, g.trace_id, g.span_id, g.schema_version, g.payload::json, g.digest
        FROM unnest(event_ids, versions, cluster_ids, remediation_ids, occurred_ats, kinds, categories, event_types,
                outcomes, actor_types, actor_ids, recorded_bys, parent_event_ids, trace_ids, span_ids, schema_versions,
                payloads, digests)
            WITH ORDINALITY AS g(event_id, version, cluster_id, remediation_id, occurred_at, kind, category, event_type,
                outcome, actor_type, actor_id, recorded_by, parent_event_id, trace_id, span_id, schema_version, payload,
                digest, ordinal);

        INSERT INTO event_keys (event_id, position, recorded_at, version, content_digest)
        SELECT g.event_id, first + g.ordinal - 1, sealed, g.version, g.content_digest
        FROM unnest(event_ids, versions, content_digests)
            WITH ORDINALITY AS g(event_id, version, content_digest, ordinal);

        RETURN QUERY
        SELECT g.ordinal::int, 'recorded', first + g.ordinal - 1, g.version, sealed
        FROM unnest(versions) WITH ORDINALITY AS g(version, ordinal);
    END IF;
END $$;
