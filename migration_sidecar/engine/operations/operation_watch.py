"""What is asked while an operation is under way: whether somebody wants it ended, and who is in its way."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from asyncpg import UndefinedTableError

from migration_sidecar.alembic_environment.agreed_revisions import Agreed
from migration_sidecar.contract.messages import Operation, OperationRequest
from migration_sidecar.protocol.journal_schema import AGREED, HISTORY

if TYPE_CHECKING:
    from migration_sidecar.database.records import AnyConnection, Records

CANCELLING = "cancelling"  # what stands in `state` from the request to cancel until the operation has ended

# A prepared transaction has no session: pg_blocking_pids gives 0 for it.
_LOOK = """
SELECT o.state = 'cancelling' AS cancelled, blocker.pid, a.application_name AS application, a.xact_start AS since,
       (SELECT l.relation::regclass::text FROM pg_locks l
        WHERE l.pid = $2 AND NOT l.granted AND l.relation IS NOT NULL LIMIT 1) AS wanted
FROM {operations} o
LEFT JOIN LATERAL unnest(pg_blocking_pids($2::int)) AS blocker(pid) ON true
LEFT JOIN pg_stat_activity a ON a.pid = blocker.pid
WHERE o.operation_id = $1
"""


@dataclass(frozen=True)
class Standing:
    """An operation as it is stored, whether somebody asked to cancel it, and whether somebody attempted it."""

    record: Operation
    cancelled: bool
    attempted: bool
    agreed: Agreed | None = None  # what it was accepted to do; version 0.1 did not keep that


@dataclass(frozen=True)
class Seen:
    """One look at an operation under way; `in_the_way` names what it waits for and who holds that."""

    cancelled: bool
    in_the_way: str | None


async def ask_to_cancel(
    connection: AnyConnection, records: Records, operation_id: str
) -> tuple[OperationRequest, Operation] | None:
    """Stored, so that it reaches whichever replica drives the operation; what has ended stays as it is."""
    update = f"""UPDATE {records.tables.operations}
                 SET state = CASE WHEN state IN ('accepted', 'running') THEN $3 ELSE state END
                 WHERE operation_id = $1 AND {HISTORY} = $2 RETURNING request, record"""  # noqa: S608
    try:
        rows = await connection.fetch(update, operation_id, records.history, CANCELLING)
    except UndefinedTableError:
        return None
    if not rows:
        return None
    (row,) = rows
    return OperationRequest.model_validate_json(row["request"]), Operation.model_validate_json(row["record"])


async def standing(connection: AnyConnection, records: Records, operation_id: str) -> Standing | None:
    # By way of JSON, because the table of version 0.1 has no such column.
    query = f"""SELECT record, state, to_jsonb(o) ->> '{AGREED}' AS agreed,
                       EXISTS (SELECT FROM {records.tables.journal} WHERE operation_id = $1) AS attempted
                FROM {records.tables.operations} o WHERE operation_id = $1"""  # noqa: S608 - quoted
    row = await connection.fetchrow(query, operation_id)
    if row is None:
        return None
    record = Operation.model_validate_json(row["record"])
    agreed = Agreed.model_validate_json(row["agreed"]) if row["agreed"] is not None else None
    return Standing(record, row["state"] == CANCELLING, row["attempted"], agreed)


async def keep_progress(connection: AnyConnection, records: Records, record: Operation) -> None:
    """For replicas that only watch; never over an end that was stored meanwhile, nor over a wish to cancel."""
    update = f"""UPDATE {records.tables.operations}
                 SET record = $2::jsonb, state = CASE WHEN state = 'accepted' THEN $3 ELSE state END
                 WHERE operation_id = $1 AND state IN ('accepted', 'running', 'cancelling')"""  # noqa: S608 - quoted
    await connection.execute(update, record.operation_id, record.model_dump_json(), record.state)


async def look(connection: AnyConnection, records: Records, operation_id: str, session: int | None) -> Seen:
    """`session` is the server process that migrates, where it is known."""
    rows = await connection.fetch(_LOOK.format(operations=records.tables.operations), operation_id, session)
    names = [holder(row["pid"], row["application"], row["since"]) for row in rows if row["pid"] is not None]
    wanted = f"table {rows[0]['wanted']}" if names and rows[0]["wanted"] else "a lock"
    return Seen(
        cancelled=any(row["cancelled"] for row in rows),
        in_the_way=f"waits for {wanted}, held by {' and '.join(dict.fromkeys(names))}" if names else None,
    )


def holder(pid: int, application: str | None, since: datetime | None) -> str:
    """A session in words, which stay the same while it is the same transaction; `since` is hidden from some roles."""
    if pid == 0:
        return "a prepared transaction"
    facts = [application or "no application name", *([f"since {since:%Y-%m-%d %H:%M:%S} UTC"] if since else [])]
    return f"pid {pid} ({', '.join(facts)})"
