-- Dead letters can be retried one by one, so they tell how often that was done and when, and a refused text tells when it was
-- refused. Servers of the version before leave these columns to their defaults.
ALTER TABLE projection_dead_letters
    ADD COLUMN tries    int NOT NULL DEFAULT 1,
    ADD COLUMN tried_at timestamptz NOT NULL DEFAULT now();
UPDATE projection_dead_letters SET tried_at = parked_at;

-- When the model refused it last; not known of those that were refused before.
ALTER TABLE search_embeddings ADD COLUMN refused_at timestamptz;
