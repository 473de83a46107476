"""Journal rows that no program of ours writes, and that whoever may write to the table can."""

from __future__ import annotations

from tests.integration.databases import Database

TIMES = ["0044-01-01 BC", "infinity", "-infinity", "20000-01-01", "0001-01-01 00:00+14", "9999-12-31 23:59-12"]
DETAILS = ["[]", "null", '"x"', '{"before": "x"}', '{"heads": [null]}', '{"duration_ms": 1e400}', '{"problem": 1}']
DETAILS += [f'{{"tables": {"[" * depth}{"]" * depth}}}' for depth in (40, 210, 300, 900)]  # one each for its reader
DETAILS += ['{"message": "' + "x" * 600_000 + '"}']
BY_HAND = """
INSERT INTO migration_sidecar.journal (seq, event_id, operation_id, attempt, kind, revision, at, detail)
OVERRIDING SYSTEM VALUE VALUES (%s, gen_random_uuid(), 'by-hand', 1, %s, 'zz', %s, %s)
"""


def write_by_hand(database: Database) -> int:
    """One row for each thing that no program of ours writes; how many there are."""
    with database.connect() as connection:
        connection.execute("ALTER TABLE migration_sidecar.journal DROP CONSTRAINT journal_kind_check")
        rows = [("applied", at, "{}") for at in TIMES] + [("applied", "2026-01-01", detail) for detail in DETAILS]
        rows += [("dropped", "2026-01-01", "{}")]
        for number, (kind, at, detail) in enumerate(rows):
            connection.execute(BY_HAND, (1000 + number, kind, at, detail))
        return len(rows)
