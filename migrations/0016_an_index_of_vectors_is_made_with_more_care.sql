-- The index of a model's vectors looks at 200 neighbours of each new one and no longer at 64 before it ties it to the nearest of them. To
-- make it takes longer, and of what is near it misses less: so it need be asked for less. An index that is there does so with each vector
-- that comes from now on; what it has tied stays as it is.

CREATE OR REPLACE FUNCTION search_index_model(which text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp SET maintenance_work_mem = '256MB' SET max_parallel_maintenance_workers = 0
AS $$
DECLARE
    numbers int;
BEGIN
    SELECT dimension INTO STRICT numbers FROM search_models WHERE model = which FOR UPDATE;
    EXECUTE format(
        'CREATE INDEX IF NOT EXISTS %I ON search_embeddings USING hnsw ((embedding::halfvec(%s)) halfvec_cosine_ops)
            WITH (ef_construction = 200) WHERE model = %L AND state = %L',
        'search_vectors_' || md5(which), numbers, which, 'embedded');
    UPDATE search_models SET indexed = true WHERE model = which;
END
$$;

-- Waits for a server that is just making an index, and for the searches that are under way.
DO $$
DECLARE
    index text;
BEGIN
    FOR index IN SELECT 'search_vectors_' || md5(model) FROM search_models ORDER BY model FOR UPDATE LOOP
        EXECUTE format('ALTER INDEX IF EXISTS %I SET (ef_construction = 200)', index);
    END LOOP;
END
$$;
