"""Years of a fleet's history, appended through the audit's own function: twenty thousand runs in a million events."""

from __future__ import annotations

import time
from typing import Any

import psycopg

from bench.ground import Say

BATCH = 1000

# A run has 50 events: requested, approved, started; five for each of nine services; finished; one migration by hand.
# Every twentieth run fails in its last service.
INSERT_HISTORY = """
SELECT count(*) FROM audit.append_events((SELECT jsonb_agg(jsonb_build_object(
    'event_id', gen_random_uuid(), 'event_type', event_type, 'source', 'bench', 'actor', 'person-' || run %% 40,
    'occurred_at', now() - interval '365 days' * (1 - number::float8 / %(events)s),
    'request_id', CASE WHEN step < 49 THEN 'release-' || run END,
    'service', CASE WHEN step BETWEEN 3 AND 47 OR step = 49 THEN 'cds-' || service END,
    'database', CASE WHEN step BETWEEN 3 AND 47 OR step = 49 THEN 'cds_' || service END,
    'from_revision', 'one_' || run %% 5000, 'to_revision', 'one_' || run %% 5000 + 1, 'duration_ms', number %% 900,
    'outcome', CASE WHEN step = 48 OR event_type = 'migration.step_finished'
        THEN CASE WHEN run %% 20 = 0 AND (service = 8 OR step = 48) THEN 'failed' ELSE 'succeeded' END
        WHEN event_type LIKE 'revision.%%' THEN 'applied' END,
    'detail', jsonb_build_object('operation_id', concat('release-', run, '.cds-', service), 'attempt', 1,
        'sha256', repeat('ab', 32), 'revision', 'one_' || run %% 5000 + 1,
        'way_in', CASE WHEN step = 49 THEN 'by hand' ELSE 'endpoint' END, 'actor_basis', 'claimed')
        || CASE WHEN event_type LIKE 'revision.%%'
            THEN jsonb_build_object('tables', jsonb_build_array('public.table_' || run %% 3000))
            ELSE '{}' END
) ORDER BY number)
FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS number
CROSS JOIN LATERAL (SELECT number / 50 AS run, number %% 50 AS step, (number %% 50 - 3) / 5 AS service) AS place
CROSS JOIN LATERAL (SELECT CASE
    WHEN step = 0 THEN 'migration.requested' WHEN step = 1 THEN 'migration.approved'
    WHEN step = 2 THEN 'migration.started' WHEN step = 48 THEN 'migration.finished'
    WHEN step = 49 THEN 'revision.applied' ELSE (ARRAY['migration.step_started', 'attempt.started',
        'revision.applied', 'revision.applied', 'migration.step_finished'])[1 + (step - 3) %% 5] END AS event_type
) AS kind))
"""


def insert_history(url: str, events: int, say: Say) -> float:
    """Appends so many events. Returns events per second."""
    begun = time.monotonic()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = off")
        for first in range(0, events, BATCH):
            _insert_history(connection, first, min(first + BATCH, events) - 1, events)
            if first and first % 100_000 == 0:
                say(f"{first:,} events of {events:,}")
        seconds = time.monotonic() - begun
        connection.execute("VACUUM ANALYZE")
    return events / seconds


def _insert_history(connection: psycopg.Connection[Any], first: int, last: int, events: int) -> None:
    connection.execute(INSERT_HISTORY, {"first": first, "last": last, "events": events}).fetchall()
