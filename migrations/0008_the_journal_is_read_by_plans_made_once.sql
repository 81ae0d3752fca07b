-- Reading the journal by key: streams, which remediations are folded from, and single entries.
--
-- A statement that finds the bounds of a stream and its entries at once has to be planned for every partition there is, and
-- begins a scan of each: with seven years of months that takes many times as long as the reading. Here the bounds are looked
-- up first. To the second statement they are parameters, so it begins to scan only the partitions that lie within them; and
-- its plan is made once a connection and for index look-ups only, as in `journal_append_at`.
--
-- `(… <= up_to) IS TRUE` keeps the planner from looking positions up in the primary key, where every entry before `up_to`
-- fits. Whoever calls these reads with their own rights.

-- The entries of one stream up to a position, in no particular order.
CREATE FUNCTION journal_stream(wanted_cluster text, wanted_remediation text, up_to bigint) RETURNS SETOF audit_events
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, public, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
DECLARE
    first timestamptz;
    last  timestamptz;
BEGIN
    SELECT s.first_recorded_at, s.last_recorded_at INTO first, last
    FROM streams s
    WHERE s.cluster_id = wanted_cluster AND s.remediation_id = wanted_remediation;

    RETURN QUERY
    SELECT a.*
    FROM audit_events a
    WHERE a.cluster_id = wanted_cluster AND a.remediation_id = wanted_remediation
        AND a.recorded_at >= first AND a.recorded_at <= last AND (a.position <= up_to) IS TRUE;
END $$;

-- The entries of several streams, each up to a position, in no particular order.
CREATE FUNCTION journal_streams(wanted_clusters text[], wanted_remediations text[], up_tos bigint[]) RETURNS SETOF audit_events
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, public, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
DECLARE
    clusters     text[];
    remediations text[];
    bounds       bigint[];
    firsts       timestamptz[];
    lasts        timestamptz[];
    first        timestamptz;
    last         timestamptz;
BEGIN
    SELECT array_agg(s.cluster_id), array_agg(s.remediation_id), array_agg(w.up_to), array_agg(s.first_recorded_at),
        array_agg(s.last_recorded_at), min(s.first_recorded_at), max(s.last_recorded_at)
    INTO clusters, remediations, bounds, firsts, lasts, first, last
    FROM unnest(wanted_clusters, wanted_remediations, up_tos) AS w(cluster_id, remediation_id, up_to)
    CROSS JOIN LATERAL (
        SELECT s.* FROM streams s
        WHERE s.cluster_id = w.cluster_id AND s.remediation_id = w.remediation_id OFFSET 0
    ) s;

    RETURN QUERY
    SELECT e.*
    FROM unnest(clusters, remediations, bounds, firsts, lasts)
        AS w(cluster_id, remediation_id, up_to, first_recorded_at, last_recorded_at)
    CROSS JOIN LATERAL (
        SELECT a.* FROM audit_events a
        WHERE a.cluster_id = w.cluster_id AND a.remediation_id = w.remediation_id
            AND a.recorded_at BETWEEN w.first_recorded_at AND w.last_recorded_at
            AND a.recorded_at BETWEEN first AND last AND (a.position <= w.up_to) IS TRUE OFFSET 0
    ) e;
END $$;

-- The entries at these places, in no particular order. The time of each says in which partition it is.
CREATE FUNCTION journal_entries(positions bigint[], recorded_ats timestamptz[]) RETURNS SETOF audit_events
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, public, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
DECLARE
    first timestamptz;
    last  timestamptz;
BEGIN
    SELECT min(p.recorded_at), max(p.recorded_at) INTO first, last FROM unnest(recorded_ats) AS p(recorded_at);

    RETURN QUERY
    SELECT e.*
    FROM unnest(positions, recorded_ats) AS p(position, recorded_at)
    CROSS JOIN LATERAL (
        SELECT a.* FROM audit_events a
        WHERE a.position = p.position AND a.recorded_at = p.recorded_at AND a.recorded_at BETWEEN first AND last OFFSET 0
    ) e;
END $$;

-- The entries with these event ids, in no particular order; ids that were never recorded are left out.
CREATE FUNCTION journal_entries_of(event_ids uuid[]) RETURNS SETOF audit_events
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, public, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
DECLARE
    positions    bigint[];
    recorded_ats timestamptz[];
BEGIN
    SELECT array_agg(k.position), array_agg(k.recorded_at) INTO positions, recorded_ats
    FROM event_keys k
    WHERE k.event_id = ANY (event_ids);

    RETURN QUERY SELECT e.* FROM journal_entries(positions, recorded_ats) e;
END $$;
