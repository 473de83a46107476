"""Reads the events of sealed segments, which are in files and no longer in the audit's database."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from coordinator.cli.audit.file_verification import verdict_on
from coordinator.client.errors import BadInput
from coordinator.domain.reconciliation.reconciliation import Reconciliation
from migration_sidecar.contract.messages import RecordedAuditEvent


def add_segments(reconciliation: Reconciliation, files: list[Path], keys: Path | None, chain_id: str) -> int:
    """Verifies the files and adds their events. Returns the last seq up to which no event is missing in them.

    Raises BadInput for a file that is not a valid segment of this audit.
    """
    covered = 0
    verdicts = [(verdict_on(file, keys, None).verdict, file) for file in files]
    for verdict, file in sorted(verdicts, key=lambda pair: pair[0].first_seq):
        if not verdict.ok:
            raise _refused(file, f"it does not hold: {verdict.sentence}")
        if verdict.kind != "export" or verdict.chain_id != chain_id:
            raise _refused(file, "it is no segment of this audit")
        for event in _events(file):
            if event.seq > reconciliation.last_seq:
                reconciliation.add_audit_event(event, sealed=True)
        if verdict.first_seq <= covered + 1:
            covered = max(covered, verdict.last_seq)
    return covered


def unseen_events(covered: int, retired_until: int) -> dict[str, int] | None:
    """The events that are in no file that was given and no longer in the database; None if there are none."""
    return {"first_seq": covered + 1, "last_seq": retired_until} if covered < retired_until else None


def _events(file: Path) -> Iterator[RecordedAuditEvent]:
    """The events of a file. It was verified before, so each line has the right form."""
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            facts = json.loads(line)
            if "payload" in facts:
                payload = json.loads(facts["payload"])
                del payload["format"]
                position = {"seq": facts["seq"], "recorded_at": facts["recorded_at"]}
                yield RecordedAuditEvent.model_validate(payload | position)


def _refused(file: Path, why: str) -> BadInput:
    return BadInput("That segment cannot be used", f"{file}: {why}", f"look at it with coordinator audit verify {file}")
