-- Appending what is usual: audits that nobody has sent before, in the month of the last one. The statement of
-- `journal_append_at` can do all there is to do, and takes most of its time to begin; what is usual is done by short
-- statements instead, a single audit without any list. Everything else goes the long way, as before. Whoever appends tells
-- others of it afterwards, once for many appends.

-- A stream is written anew with each of its audits, and none of its indexes changes: with room on its page, neither do they
-- have to be written.
ALTER TABLE streams SET (fillfactor = 70);

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
    head     journal_head%ROWTYPE;
    sealed   timestamptz;
    usual    boolean;
    versions int[];
BEGIN
    -- A statement of its own, as in `journal_append_at`.
    SELECT * INTO STRICT head FROM journal_head FOR UPDATE;
    IF items = 0 THEN
        RETURN; -- somebody asks whether the head can be had
    END IF;
    sealed := greatest(clock_timestamp(), head.last_recorded_at);

    usual := date_trunc('month', sealed, 'UTC') = date_trunc('month', head.last_recorded_at, 'UTC');
    IF items = 1 THEN
        PERFORM FROM event_keys k WHERE k.event_id = event_ids[1];
        usual := usual AND NOT FOUND;
    ELSE
        SELECT usual AND count(DISTINCT g.event_id) = items AND count(k.found) = 0 INTO usual
        FROM unnest(event_ids) AS g(event_id)
        LEFT JOIN LATERAL (SELECT true AS found FROM event_keys k WHERE k.event_id = g.event_id OFFSET 0) k ON true;
    END IF;
    IF NOT usual THEN
        RETURN QUERY SELECT * FROM journal_append_at(event_ids, content_digests, cluster_ids, remediation_ids,
            occurred_ats, kinds, categories, event_types, outcomes, actor_types, actor_ids, recorded_bys,
            parent_event_ids, trace_ids, span_ids, schema_versions, payloads, digests, NULL);
        RETURN;
    END IF;

    IF items = 1 THEN
        INSERT INTO streams AS s (cluster_id, remediation_id, version, first_recorded_at, last_recorded_at)
        VALUES (cluster_ids[1], remediation_ids[1], 1, sealed, sealed)
        ON CONFLICT (cluster_id, remediation_id)
        DO UPDATE SET version = s.version + 1, last_recorded_at = excluded.last_recorded_at
        RETURNING ARRAY[s.version] INTO versions;

        INSERT INTO audit_events (position, recorded_at, event_id, cluster_id, remediation_id, version, occurred_at,
            kind, category, event_type, outcome, actor_type, actor_id, recorded_by, parent_event_id, trace_id, span_id,
            schema_version, payload, digest)
        VALUES (head.next_position, sealed, event_ids[1], cluster_ids[1], remediation_ids[1], versions[1],
            occurred_ats[1], kinds[1], categories[1], event_types[1], outcomes[1], actor_types[1], actor_ids[1],
            recorded_bys[1], parent_event_ids[1], trace_ids[1], span_ids[1], schema_versions[1], payloads[1]::json,
            digests[1]);

        INSERT INTO event_keys (event_id, position, recorded_at, version, content_digest)
        VALUES (event_ids[1], head.next_position, sealed, versions[1], content_digests[1]);

        item := 1;
        status := 'recorded';
        position := head.next_position;
        version := versions[1];
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
        SELECT head.next_position + g.ordinal - 1, sealed, g.event_id, g.cluster_id, g.remediation_id, g.version,
            g.occurred_at, g.kind, g.category, g.event_type, g.outcome, g.actor_type, g.actor_id, g.recorded_by,
            g.parent_event_id, g.trace_id, g.span_id, g.schema_version, g.payload::json, g.digest
        FROM unnest(event_ids, versions, cluster_ids, remediation_ids, occurred_ats, kinds, categories, event_types,
                outcomes, actor_types, actor_ids, recorded_bys, parent_event_ids, trace_ids, span_ids, schema_versions,
                payloads, digests)
            WITH ORDINALITY AS g(event_id, version, cluster_id, remediation_id, occurred_at, kind, category, event_type,
                outcome, actor_type, actor_id, recorded_by, parent_event_id, trace_id, span_id, schema_version, payload,
                digest, ordinal);

        INSERT INTO event_keys (event_id, position, recorded_at, version, content_digest)
        SELECT g.event_id, head.next_position + g.ordinal - 1, sealed, g.version, g.content_digest
        FROM unnest(event_ids, versions, content_digests)
            WITH ORDINALITY AS g(event_id, version, content_digest, ordinal);

        RETURN QUERY
        SELECT g.ordinal::int, 'recorded', head.next_position + g.ordinal - 1, g.version, sealed
        FROM unnest(versions) WITH ORDINALITY AS g(version, ordinal);
    END IF;

    UPDATE journal_head h SET next_position = head.next_position + items, last_recorded_at = sealed;
END $$;
