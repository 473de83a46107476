"""Answer auditors: a view for each question, and what makes each quick"""

import sqlalchemy as sa
from alembic import context, op

revision = "audit_0009"
down_revision = "audit_0008"
branch_labels = None
depends_on = None

# An expression over jsonb may not be asked of an index before row-level security; a column may.
REVISION = "ALTER TABLE public.audit_events ADD COLUMN revision text GENERATED ALWAYS AS (detail ->> 'revision') STORED"

FILTERS = ("database", "actor", "outcome", "revision")
TOLD_ONCE = "event_type IN ('migration.requested', 'migration.approved', 'migration.finished')"
FAILED = """event_type IN ('attempt.failed', 'attempt.refused', 'migration.rejected', 'migration.rejections_counted',
    'migration.conflict', 'audit.conflict', 'drift.found')
    OR event_type IN ('migration.step_finished', 'migration.finished')
    AND outcome IN ('failed', 'needs_attention', 'compensated')"""
BY_HAND = "detail ->> 'way_in' = 'by hand'"
CHANGES = "event_type IN ('revision.applied', 'revision.reverted', 'revision.stamped')"

# Which values never meet: of filters that exclude each other PostgreSQL would otherwise expect many matches, and read
# the whole table in the order of seq to find the first of them.
STATISTICS = {
    "audit.places": "service, database, event_type, outcome",
    "audit.people": "actor, event_type, outcome",
    "audit.people_in_places": "actor, service",
}
STATISTICS_TARGET = 300

# Names that are longer than any PostgreSQL has are nobody's tables, and would not fit into the index.
CHANGED_TABLES = """
CREATE TABLE audit.changed_tables (
    table_name text NOT NULL,
    seq bigint NOT NULL,
    PRIMARY KEY (table_name, seq)
)
"""
FILL_CHANGED_TABLES = """
INSERT INTO audit.changed_tables
SELECT changed.name, event.seq
FROM public.audit_events AS event
CROSS JOIN LATERAL jsonb_array_elements_text(event.detail -> 'tables') AS changed (name)
WHERE jsonb_typeof(event.detail -> 'tables') = 'array' AND length(changed.name) <= 255
ON CONFLICT DO NOTHING
"""
NOTE_CHANGED_TABLES = """
CREATE FUNCTION audit.note_changed_tables() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO audit.changed_tables
    SELECT changed.name, NEW.seq FROM jsonb_array_elements_text(NEW.detail -> 'tables') AS changed (name)
    WHERE length(changed.name) <= 255
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$
"""
NOTE = """
CREATE TRIGGER note_changed_tables AFTER INSERT ON public.audit_events
FOR EACH ROW WHEN (jsonb_typeof(NEW.detail -> 'tables') = 'array') EXECUTE FUNCTION audit.note_changed_tables()
"""

# A foreign key would do it too, but PostgreSQL would then refuse TRUNCATE with other words than ours.
FORGET_CHANGED_TABLES = """
CREATE FUNCTION audit.forget_changed_tables() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM audit.changed_tables AS changed USING gone WHERE changed.seq = gone.seq;
    RETURN NULL;
END
$$
"""
FORGET = """
CREATE TRIGGER forget_changed_tables AFTER DELETE ON public.audit_events REFERENCING OLD TABLE AS gone
FOR EACH STATEMENT EXECUTE FUNCTION audit.forget_changed_tables()
"""

# Without a service it is everybody's. What closes before it opens closes on the next day.
WINDOWS = """
CREATE TABLE audit.windows (
    number integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    service text,
    weekdays integer[] NOT NULL DEFAULT '{1,2,3,4,5,6,7}' CHECK (weekdays <@ '{1,2,3,4,5,6,7}'),
    opens time NOT NULL,
    closes time NOT NULL,
    time_zone text NOT NULL DEFAULT 'UTC' CHECK (timestamptz '2000-01-01 00:00Z' AT TIME ZONE time_zone IS NOT NULL)
)
"""

EVENTS = """
CREATE OR REPLACE VIEW audit.events AS
SELECT seq, event_id, event_type, occurred_at, recorded_at, source, request_id, service, database, actor,
    from_revision, to_revision, outcome, duration_ms, detail, payload_hash, prev_hash, hash,
    audit.payload_text(event) AS payload, revision
FROM public.audit_events AS event
"""

# One subquery for both answers: PostgreSQL remembers its result for the other revisions of the request.
REVISIONS = """
CREATE VIEW audit.revisions AS
SELECT event.seq, event.occurred_at, event.service, event.database, event.revision,
    split_part(event.event_type, '.', 2) AS result, event.from_revision, event.to_revision,
    event.actor, event.detail ->> 'actor_basis' AS actor_basis, request.approved_by, event.request_id,
    request.outcome AS request_outcome, event.detail ->> 'way_in' AS way_in, event.duration_ms,
    event.detail ->> 'message' AS message, event.detail ->> 'sha256' AS sha256, event.detail -> 'tables' AS tables,
    event.detail ->> 'operation_id' AS operation_id, event.detail -> 'attempt' AS attempt,
    event.event_id, event.recorded_at
FROM public.audit_events AS event
CROSS JOIN LATERAL (
    SELECT string_agg(told.actor, ', ' ORDER BY told.seq)
            FILTER (WHERE told.event_type = 'migration.approved') AS approved_by,
        (array_agg(told.outcome ORDER BY told.seq DESC)
            FILTER (WHERE told.event_type = 'migration.finished'))[1] AS outcome
    FROM public.audit_events AS told
    WHERE told.request_id = event.request_id
    AND told.event_type IN ('migration.requested', 'migration.approved', 'migration.finished')
) AS request
WHERE event.event_type IN ('revision.applied', 'revision.reverted', 'revision.stamped')
"""

TABLE_CHANGES = """
CREATE VIEW audit.table_changes AS
SELECT changed.table_name, revisions.*
FROM audit.changed_tables AS changed
JOIN audit.revisions AS revisions ON revisions.seq = changed.seq AND revisions.tables ? changed.table_name
"""

# The error of a step is an object, that of an attempt a sentence.
FAILURES = """
CREATE VIEW audit.failures AS
SELECT seq, occurred_at, event_type, service, database, request_id, actor, revision, outcome,
    coalesce(detail ->> 'code', detail -> 'error' ->> 'code', substring(outcome FROM '^CM-[0-9]+$')) AS code,
    coalesce(detail -> 'error' ->> 'detail', detail ->> 'error', detail ->> 'detail') AS said,
    detail ->> 'way_in' AS way_in, event_id, recorded_at
FROM public.audit_events
WHERE """

# Moved back by the opening time, a moment is within if its day is one of the days and its hour is within the length.
# Where no window is agreed, nothing is outside.
OUTSIDE_WINDOWS = """
CREATE VIEW audit.outside_windows AS
SELECT revisions.* FROM audit.revisions AS revisions
WHERE NOT (
    SELECT bool_or(extract(isodow FROM opened.moved) = ANY (agreed.weekdays)
        AND opened.moved::time::interval < opened.length)
    FROM audit.windows AS agreed
    CROSS JOIN LATERAL (SELECT
        revisions.occurred_at AT TIME ZONE agreed.time_zone - agreed.opens::interval AS moved,
        agreed.closes - agreed.opens + CASE WHEN agreed.closes <= agreed.opens THEN interval '24 hours'
            ELSE interval '0' END AS length
    ) AS opened
    WHERE coalesce(agreed.service = revisions.service, true)
)
"""

HAND = """
CREATE VIEW audit.by_hand AS
SELECT seq, occurred_at, event_type, service, database, actor, detail ->> 'actor_basis' AS actor_basis, revision,
    from_revision, to_revision, outcome, duration_ms, detail ->> 'operation_id' AS operation_id, event_id, recorded_at
FROM public.audit_events
WHERE """

# The first release wrote what was asked under one key.
RUNS = """
CREATE VIEW audit.runs AS
SELECT requested.seq, requested.request_id, requested.occurred_at AS requested_at, requested.actor AS requested_by,
    requested.detail ->> 'actor_basis' AS actor_basis, story.approved_by,
    asked.facts ->> 'reason' AS reason, asked.facts ->> 'action' AS action, asked.facts -> 'services' AS services,
    story.started_at, story.finished_at, story.outcome, story.steps, story.steps_failed, story.revisions
FROM public.audit_events AS requested
CROSS JOIN LATERAL (SELECT coalesce(requested.detail -> 'request', requested.detail) AS facts) AS asked
CROSS JOIN LATERAL (
    SELECT string_agg(told.actor, ', ' ORDER BY told.seq)
            FILTER (WHERE told.event_type = 'migration.approved') AS approved_by,
        min(told.occurred_at) FILTER (WHERE told.event_type = 'migration.started') AS started_at,
        max(told.occurred_at) FILTER (WHERE told.event_type = 'migration.finished') AS finished_at,
        (array_agg(told.outcome ORDER BY told.seq DESC)
            FILTER (WHERE told.event_type = 'migration.finished'))[1] AS outcome,
        count(*) FILTER (WHERE told.event_type = 'migration.step_finished') AS steps,
        count(*) FILTER (WHERE told.event_type = 'migration.step_finished'
            AND told.outcome IN ('failed', 'needs_attention')) AS steps_failed,
        count(*) FILTER (WHERE told.event_type IN ('revision.applied', 'revision.reverted')) AS revisions
    FROM public.audit_events AS told WHERE told.request_id = requested.request_id
) AS story
WHERE requested.event_type = 'migration.requested'
"""

VIEWS = ("revisions", "table_changes", "failures", "outside_windows", "by_hand", "runs")


TRIGGER_FUNCTIONS = ("FUNCTION audit.note_changed_tables()", "FUNCTION audit.forget_changed_tables()")


def upgrade() -> None:
    op.execute(REVISION)
    for column in FILTERS:
        op.create_index(op.f(f"ix_audit_events_{column}_seq"), "audit_events", [column, "seq"])
    op.create_index("ix_audit_events_told_once", "audit_events", ["request_id"], postgresql_where=sa.text(TOLD_ONCE))
    op.create_index("ix_audit_events_failed", "audit_events", ["occurred_at"], postgresql_where=sa.text(FAILED))
    by_hand = ["seq", "occurred_at"]
    op.create_index("ix_audit_events_by_hand", "audit_events", by_hand, postgresql_where=sa.text(BY_HAND))
    op.create_index("ix_audit_events_changes", "audit_events", ["occurred_at"], postgresql_where=sa.text(CHANGES))
    op.create_index("ix_audit_events_recorded_at", "audit_events", ["recorded_at"], postgresql_using="brin")
    for name, columns in STATISTICS.items():
        op.execute(f"CREATE STATISTICS {name} (mcv) ON {columns} FROM public.audit_events")
        op.execute(f"ALTER STATISTICS {name} SET STATISTICS {STATISTICS_TARGET}")
        op.execute(f"ALTER STATISTICS {name} OWNER TO cas_owner")
    op.execute(CHANGED_TABLES)
    op.execute(FILL_CHANGED_TABLES)
    op.execute(NOTE_CHANGED_TABLES)
    op.execute(NOTE)
    op.execute(FORGET_CHANGED_TABLES)
    op.execute(FORGET)
    op.execute(WINDOWS)
    op.execute(EVENTS)
    for view in (REVISIONS, TABLE_CHANGES, FAILURES + FAILED, OUTSIDE_WINDOWS, HAND + BY_HAND, RUNS):
        op.execute(view)
    for view in VIEWS:
        op.execute(f"GRANT SELECT ON audit.{view} TO cas_reader")
    op.execute("GRANT SELECT ON audit.windows TO cas_reader")
    op.execute("GRANT SELECT ON audit.changed_tables TO cas_witness")
    for function in TRIGGER_FUNCTIONS:
        op.execute(f"REVOKE ALL ON {function} FROM PUBLIC")
    tables = ("TABLE audit.changed_tables", "TABLE audit.windows")
    for each in (*tables, *TRIGGER_FUNCTIONS, *(f"VIEW audit.{view}" for view in VIEWS)):
        op.execute(f"ALTER {each} OWNER TO cas_owner")


def downgrade() -> None:
    op.execute(context.script.get_revision("audit_0003").module.REFUSE_TO_TAKE_BACK)
    for view in reversed(VIEWS):
        op.execute(f"DROP VIEW audit.{view}")
    op.execute("DROP TABLE audit.windows")
    for trigger in ("forget_changed_tables", "note_changed_tables"):
        op.execute(f"DROP TRIGGER {trigger} ON public.audit_events")
    for function in TRIGGER_FUNCTIONS:
        op.execute(f"DROP {function}")
    op.execute("DROP TABLE audit.changed_tables")
    op.execute("DROP VIEW audit.events")
    for name in STATISTICS:
        op.execute(f"DROP STATISTICS {name}")
    for name in ("recorded_at", "changes", "by_hand", "failed", "told_once"):
        op.drop_index(f"ix_audit_events_{name}", table_name="audit_events")
    for column in FILTERS:
        op.drop_index(op.f(f"ix_audit_events_{column}_seq"), table_name="audit_events")
    op.drop_column("audit_events", "revision")
    op.execute(context.script.get_revision("audit_0006").module.EVENTS)
    op.execute("ALTER VIEW audit.events OWNER TO cas_owner")
    op.execute("GRANT SELECT ON audit.events TO cas_reader, cas_witness")
