-- What search needs: a small number for each remediation, documents worth finding, and their vectors.

-- The position of a stream's first event never changes, so it stands for the remediation where many rows have to name it.
ALTER TABLE remediations ADD COLUMN first_position bigint;
UPDATE remediations r SET first_position = (
    SELECT e.position FROM audit_events e
    WHERE e.cluster_id = r.cluster_id AND e.remediation_id = r.remediation_id AND e.version = 1
);
ALTER TABLE remediations ALTER COLUMN first_position SET NOT NULL;
CREATE UNIQUE INDEX remediations_by_first_position ON remediations (first_position);

-- Texts worth finding, each told by one event, which never change; and for each remediation one that says in words what it
-- was, kept current. They are searched by their words at once, and by their meaning once their text has a vector.
CREATE TABLE search_documents (
    -- Of the remediation.
    first_position bigint NOT NULL,
    -- The position of the event that tells it; 0 for the remediation as a whole.
    source         bigint NOT NULL,
    -- Its place among the documents of its event.
    part           int NOT NULL,
    -- The position at which it became what it is.
    position       bigint NOT NULL,
    event_id       uuid NOT NULL,
    recorded_at    timestamptz NOT NULL,
    kind           text NOT NULL,
    facet          text NOT NULL,
    field          text NOT NULL,
    text           text NOT NULL,
    -- Tells the text apart from every other: the first half of its SHA-256.
    content        uuid NOT NULL,
    words          tsvector NOT NULL,
    PRIMARY KEY (first_position, source, part)
);

CREATE INDEX search_documents_by_words ON search_documents USING gin (words);
CREATE INDEX search_documents_by_content ON search_documents (content, first_position);
CREATE INDEX search_documents_by_position ON search_documents (position);

INSERT INTO projection_cursors (name, rules) VALUES ('search_documents', 1);

-- A word of full-text search as a query for it, whatever characters it has.
CREATE FUNCTION search_word(word text) RETURNS tsquery
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN ('''' || replace(replace(word, E'\\', E'\\\\'), '''', '''''') || '''')::tsquery;

-- A query for any of a question's words.
CREATE FUNCTION search_any_word(question text) RETURNS tsquery
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN (SELECT string_agg(public.search_word(lexeme)::text, ' | ')::tsquery FROM unnest(to_tsvector('english', question)));

-- The models whose vectors are there. One serves; another may be on its way to replace it.
CREATE TABLE search_models (
    model       text PRIMARY KEY,
    dimension   int NOT NULL CHECK (dimension BETWEEN 1 AND 4000),
    -- 'serving' answers questions; 'building' will, once everything is embedded.
    role        text NOT NULL CHECK (role IN ('serving', 'building')),
    -- Up to which position documents were given to the model, and by which choice of kinds and fields.
    enqueued    bigint NOT NULL DEFAULT 0,
    choice      text NOT NULL,
    -- Whether its vectors have an index; without one they are compared one by one.
    indexed     boolean NOT NULL DEFAULT false,
    made_at     timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX search_models_one_serves ON search_models (role) WHERE role = 'serving';

-- One row per model and text. The same text is embedded once, whichever remediations tell it, and rebuilding the documents
-- loses no vector.
CREATE TABLE search_embeddings (
    model           text NOT NULL REFERENCES search_models ON DELETE CASCADE,
    content         uuid NOT NULL,
    state           text NOT NULL CHECK (state IN ('pending', 'embedded', 'failed')),
    embedding       halfvec,
    -- How often it was tried in vain, and why.
    attempts        int NOT NULL DEFAULT 0,
    reason          text,
    -- When it may be tried (again); a worker that holds it moves this ahead.
    next_attempt_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (model, content),
    CHECK ((state = 'embedded') = (embedding IS NOT NULL))
);
-- In the very order in which texts are claimed: thousands are handed over at one time, and are not to be sorted for each batch.
CREATE INDEX search_embeddings_waiting ON search_embeddings (model, next_attempt_at, content) WHERE state <> 'embedded';
CREATE INDEX search_embeddings_failed ON search_embeddings (next_attempt_at, model, content) WHERE state = 'failed';

-- Makes the index of a model's vectors, once there are enough of them to need one: an approximate index made at once is
-- quicker than one that grows row by row. It is partial and of a fixed dimension, so each model has its own. Only the owner
-- may make indexes, so the service calls this. It takes one processor and leaves the others to appends.
CREATE FUNCTION search_index_model(which text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp SET maintenance_work_mem = '256MB' SET max_parallel_maintenance_workers = 0
AS $$
DECLARE
    numbers int;
BEGIN
    SELECT dimension INTO STRICT numbers FROM search_models WHERE model = which FOR UPDATE;
    EXECUTE format(
        'CREATE INDEX IF NOT EXISTS %I ON search_embeddings USING hnsw ((embedding::halfvec(%s)) halfvec_cosine_ops)
            WHERE model = %L AND state = %L',
        'search_vectors_' || md5(which), numbers, which, 'embedded');
    UPDATE search_models SET indexed = true WHERE model = which;
END
$$;

-- Forgets a model with its vectors and their index.
CREATE FUNCTION search_drop_model(which text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
BEGIN
    EXECUTE format('DROP INDEX IF EXISTS %I', 'search_vectors_' || md5(which));
    DELETE FROM search_models WHERE model = which;
END
$$;
