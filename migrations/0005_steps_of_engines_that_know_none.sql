-- A remediation whose engine knows no steps is complete without them, and an assessment without a score has that of its
-- components. Rows that were made by older rules say otherwise, and ask for a rebuild.

-- A store without rows has none that were made by older rules.
UPDATE projection_cursors SET rules = 3 WHERE name = 'remediations' AND position = 0;
-- A remediation's own text says what its assessment came to.
UPDATE projection_cursors SET rules = 2 WHERE name = 'search_documents' AND position = 0;
