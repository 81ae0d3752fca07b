-- Stands in until the first real migration: `sqlx::migrate!` needs the folder.
SELECT 1;
