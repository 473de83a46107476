"""Seals the oldest events in one file, and deletes the rows of a file that is sealed, signed and verified."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime
from hashlib import file_digest
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg

from audit_verifier.verify import Verdict, verify_file
from migration_sidecar.contract.errors import ProblemError
from migration_sidecar.database.pool import DatabasePool
from services.cas_service.events.store import Role, session
from services.cas_service.evidence.export import begin_export
from services.cas_service.hash_chain import chain

if TYPE_CHECKING:
    from migration_sidecar.database.records import AnyConnection

SEGMENT_SECONDS = 600

LAST_ANCHOR_BEFORE = """
SELECT max(anchor.seq) FROM audit.anchors AS anchor JOIN audit.events AS event USING (seq)
WHERE event.recorded_at < $1
"""


class RetentionRefused(ProblemError):
    """Nothing was sealed or deleted."""

    def __init__(self, reason: str, next_step: str) -> None:
        super().__init__("CM-527", f"{reason}.", next_step=f"{next_step}.")


@dataclass(frozen=True)
class Sealed:
    """What `seal` wrote; both numbers are included."""

    first_seq: int
    last_seq: int
    file: Path
    sha256: str


async def seal(database: DatabasePool, before: datetime, folder: Path) -> Sealed:
    """Seals all unsealed events recorded before that time, up to the last anchor among them.

    Raises RetentionRefused.
    """
    async with session(database, Role.WITNESS) as connection:
        sealed = await chain.segments(connection)
        first = sealed[-1]["last_seq"] + 1 if sealed else 1
        last = await connection.fetchval(LAST_ANCHOR_BEFORE, before)
    if last is None or last < first:
        raise RetentionRefused(
            f"Nothing recorded before {before:%Y-%m-%d} is signed and not sealed yet", "Choose a later moment"
        )
    export = await begin_export(database, first, last)
    unfinished = _file_in(folder, f"segment-{export.chain_id}-{first}-{last}.unfinished.jsonl")
    with unfinished.open("w", encoding="utf-8", newline="\n") as stream:
        async for line in export.lines():
            stream.write(line + "\n")
        stream.flush()
        os.fsync(stream.fileno())
    _require_whole(verify_file(str(unfinished)), first, last)
    file = unfinished.with_name(unfinished.name.replace(".unfinished", ""))
    unfinished.replace(file)
    sha256 = _sha256(file)
    async with session(database, Role.WITNESS) as connection:
        # The store computes the roots of all anchors in the segment again.
        await connection.execute(f"SET LOCAL statement_timeout = '{SEGMENT_SECONDS}s'")
        record = "SELECT audit.record_segment($1, $2, $3, $4)"
        await connection.execute(record, first, last, export.tree.root(), sha256, timeout=SEGMENT_SECONDS)
    return Sealed(first, last, file, sha256)


async def retire(database: DatabasePool, file: Path, keys: Path) -> int:
    """Deletes the rows of a sealed file, and returns how many.

    Verifies the file against the trusted keys first, because afterwards only the file remains. Raises
    RetentionRefused.
    """
    verdict = verify_file(str(file), str(keys))
    _require_whole(verdict, verdict.first_seq, verdict.last_seq)
    async with database.connection() as connection, connection.transaction():
        await _become_owner(connection)
        deleted: int = await connection.fetchval(
            "SELECT audit.retire_segment($1, $2)", verdict.first_seq, _sha256(file), timeout=SEGMENT_SECONDS
        )
    return deleted


async def _become_owner(connection: AnyConnection) -> None:
    try:
        await connection.execute(f"SET LOCAL statement_timeout = '{SEGMENT_SECONDS}s'; SET LOCAL ROLE cas_owner")
    except asyncpg.InsufficientPrivilegeError:
        raise RetentionRefused("This login is no member of cas_owner", "Use one that is, as the migrator's") from None


def _file_in(folder: Path, name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder / name


def _require_whole(verdict: Verdict, first: int, last: int) -> None:
    if not verdict.ok:
        raise RetentionRefused(verdict.sentence.rstrip("."), "Run coordinator audit verify")
    if (verdict.first_seq, verdict.last_seq, verdict.anchored_seq) != (first, last, last):
        raise RetentionRefused("The file does not end where an anchor does", "Seal again, and keep that file")


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return file_digest(stream, "sha256").hexdigest()
