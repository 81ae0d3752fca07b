-- What nobody may do, and what the service's role may, told anew after every migration. The service reads everything, appends by functions alone, and
-- writes what can be rebuilt. The role's name comes as the setting `binnacle.service_role`, since neither GRANT nor DO
-- takes parameters; `%I` quotes it.
DO $grants$
DECLARE
    service CONSTANT text := current_setting('binnacle.service_role');
    -- Tables that only the owner's functions and migrations write. Every other table can be rebuilt from them.
    guarded CONSTANT text[] := ARRAY['audit_events', 'event_keys', 'streams', 'journal_head', '_sqlx_migrations'];
    -- Functions that act with their owner's rights, for the service.
    serving CONSTANT text[] := ARRAY['journal_append', 'journal_append_batch', 'journal_ensure_partition', 'search_index_model',
        'search_drop_model'];
    -- All that act so, and those behind them.
    definers CONSTANT regprocedure[] := ARRAY(
        SELECT p.oid FROM pg_proc p
        WHERE p.pronamespace = 'public'::regnamespace
          AND (p.prosecdef OR starts_with(p.proname, 'journal_append'))
          AND pg_has_role(p.proowner, 'USAGE')
        ORDER BY p.oid
    );
    item record;
BEGIN
    -- Postgres lets everyone execute a new function; one that acts with its owner's rights must not be such.
    FOR item IN SELECT * FROM unnest(definers) AS name LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', item.name);
    END LOOP;

    -- A service that may act as the owner has nothing to be told, and a REVOKE would hit the owner itself.
    IF pg_has_role(service, current_user, 'USAGE') THEN
        RETURN;
    END IF;

    EXECUTE format('GRANT USAGE ON SCHEMA public TO %I', service);
    EXECUTE format('REVOKE CREATE ON SCHEMA public FROM PUBLIC, %I', service);

    -- The journal's partitions are read through their parent, so those that are made later need no grant.
    FOR item IN
        SELECT c.oid::regclass AS name, c.relname = ANY (guarded) AS guarded
        FROM pg_class c
        WHERE c.relnamespace = 'public'::regnamespace
          AND c.relkind IN ('r', 'p', 'v', 'm')
          AND NOT (c.relispartition AND pg_partition_root(c.oid) IS NOT DISTINCT FROM to_regclass('public.audit_events'))
          AND pg_has_role(c.relowner, 'USAGE')
          AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
        ORDER BY c.oid
    LOOP
        EXECUTE format('REVOKE ALL ON TABLE %s FROM PUBLIC, %I', item.name, service);
        EXECUTE format('GRANT SELECT ON TABLE %s TO %I', item.name, service);
        IF NOT item.guarded THEN
            EXECUTE format('GRANT INSERT, UPDATE, DELETE ON TABLE %s TO %I', item.name, service);
        END IF;
    END LOOP;

    FOR item IN
        SELECT c.oid::regclass AS name
        FROM pg_class c
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'S' AND pg_has_role(c.relowner, 'USAGE')
        ORDER BY c.oid
    LOOP
        EXECUTE format('GRANT USAGE ON SEQUENCE %s TO %I', item.name, service);
    END LOOP;

    FOR item IN
        SELECT f.name, p.proname = ANY (serving) AS serves FROM unnest(definers) AS f(name) JOIN pg_proc p ON p.oid = f.name
    LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM %I', item.name, service);
        IF item.serves THEN
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', item.name, service);
        END IF;
    END LOOP;
END
$grants$
