-- What is derived from the journal and can be dropped and rebuilt from it. Each projection has a cursor, moved in the
-- transaction that writes its rows; `binnacle rebuild` runs the same statements in a schema of its own.

CREATE TABLE projection_cursors (
    name        text PRIMARY KEY,
    position    bigint NOT NULL DEFAULT 0,
    -- The recorded_at of that position: a read from here on skips the partitions before it.
    recorded_at timestamptz NOT NULL DEFAULT 'epoch',
    moved_at    timestamptz NOT NULL DEFAULT now(),
    -- The rules that the rows were made by; a binary with other rules says that a rebuild is due.
    rules       int NOT NULL
);

INSERT INTO projection_cursors (name, rules) VALUES ('remediations', 1), ('event_index', 1);

-- What a projection could not take; the cursor went on. Retried by `binnacle rebuild`.
CREATE TABLE projection_dead_letters (
    projection text NOT NULL,
    position   bigint NOT NULL,
    error      text NOT NULL,
    parked_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (projection, position)
);

-- One row per remediation: the fold's summary as json, and beside it what lists are filtered and ordered by.
CREATE TABLE remediations (
    cluster_id       text NOT NULL,
    remediation_id   text NOT NULL,
    phase            text NOT NULL,
    outcome          text,
    effective        boolean,
    effectiveness    double precision,
    signal_name      text,
    fingerprint      text,
    environment      text,
    severity         text,
    target_kind      text,
    target_namespace text,
    target_name      text,
    action_types     text[] NOT NULL,
    workflow_names   text[] NOT NULL,
    started_at       timestamptz NOT NULL,
    completed_at     timestamptz,
    settled_at       timestamptz,
    duration_ms      double precision NOT NULL,
    bottleneck       text,
    decisions        text[] NOT NULL,
    approvers        text[] NOT NULL,
    approval_wait_ms double precision,
    completeness     double precision NOT NULL,
    last_position    bigint NOT NULL,
    last_version     int NOT NULL,
    summary          json NOT NULL,
    PRIMARY KEY (cluster_id, remediation_id)
);

CREATE INDEX remediations_by_start ON remediations (started_at, cluster_id, remediation_id);
CREATE INDEX remediations_by_id ON remediations (remediation_id text_pattern_ops);
CREATE INDEX remediations_by_fingerprint ON remediations (fingerprint);
CREATE INDEX remediations_by_target ON remediations (target_namespace, target_name);

-- The six services' rows. One parent, so that one statement serves all six; each kind's table has its own name.
CREATE TABLE service_views (
    kind              text NOT NULL,
    cluster_id        text NOT NULL,
    remediation_id    text NOT NULL,
    key               text NOT NULL,
    status            text,
    fields            json NOT NULL,
    first_occurred_at timestamptz NOT NULL,
    last_occurred_at  timestamptz NOT NULL,
    event_ids         uuid[] NOT NULL,
    last_event_id     uuid NOT NULL,
    last_position     bigint NOT NULL,
    PRIMARY KEY (kind, cluster_id, remediation_id, key)
) PARTITION BY LIST (kind);

CREATE TABLE orchestration_view PARTITION OF service_views FOR VALUES IN ('ORCHESTRATION');
CREATE TABLE signal_processing_view PARTITION OF service_views FOR VALUES IN ('SIGNAL_PROCESSING');
CREATE TABLE ai_analysis_view PARTITION OF service_views FOR VALUES IN ('AI_ANALYSIS');
CREATE TABLE workflow_execution_view PARTITION OF service_views FOR VALUES IN ('WORKFLOW_EXECUTION');
CREATE TABLE notification_view PARTITION OF service_views FOR VALUES IN ('NOTIFICATION');
CREATE TABLE effectiveness_view PARTITION OF service_views FOR VALUES IN ('EFFECTIVENESS');

CREATE INDEX service_views_by_time ON service_views (kind, last_occurred_at, cluster_id, remediation_id, key);

-- One row per event: what events are filtered by, and where to find it.
CREATE TABLE event_index (
    position         bigint PRIMARY KEY,
    recorded_at      timestamptz NOT NULL,
    occurred_at      timestamptz NOT NULL,
    cluster_id       text NOT NULL,
    remediation_id   text NOT NULL,
    kind             text NOT NULL,
    category         text NOT NULL,
    event_type       text NOT NULL,
    outcome          text,
    actor_id         text,
    recorded_by      text,
    parent_event_id  uuid,
    trace_id         text,
    environment      text,
    severity         text,
    target_kind      text,
    target_namespace text,
    target_name      text,
    action_type      text
);

CREATE INDEX event_index_by_occurrence ON event_index (occurred_at, position);
CREATE INDEX event_index_by_remediation ON event_index (remediation_id, position);
CREATE INDEX event_index_by_type ON event_index (event_type, position);
CREATE INDEX event_index_by_actor ON event_index (actor_id, position) WHERE actor_id IS NOT NULL;
CREATE INDEX event_index_by_parent ON event_index (parent_event_id, position) WHERE parent_event_id IS NOT NULL;
CREATE INDEX event_index_by_trace ON event_index (trace_id, position) WHERE trace_id IS NOT NULL;
