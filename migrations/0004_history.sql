-- What statistics and a target's history ask for: which model analysed and how sure it was, the hashes of the target's spec
-- before and after, and who decided each approval after which wait. The fold tells them, so older rows have them after a
-- rebuild; until then they are unknown there.

ALTER TABLE remediations
    ADD COLUMN model             text,
    ADD COLUMN confidence        double precision,
    ADD COLUMN spec_hash_before  text,
    ADD COLUMN spec_hash_after   text,
    -- One for each of `decisions`.
    ADD COLUMN approval_deciders text[],
    ADD COLUMN approval_waits    double precision[];

-- A store without rows has none that were made by older rules.
UPDATE projection_cursors SET rules = 2 WHERE name = 'remediations' AND position = 0;

-- What happened to a target, latest first. It serves whatever the index before it served.
DROP INDEX remediations_by_target;
CREATE INDEX remediations_by_target ON remediations (target_namespace, target_name, target_kind, started_at);
CREATE INDEX remediations_by_signal ON remediations (signal_name, started_at);

-- What has moved on since a position: those that had begun by then and were told more of later.
CREATE INDEX remediations_by_last_position ON remediations (last_position, first_position);
