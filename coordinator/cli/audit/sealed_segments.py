"""Tells a comparison the events of sealed segments, which are in files and no longer in the audit's database."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from coordinator.cli.audit.file_verification import verdict_on
from coordinator.client.errors import BadInput
from coordinator.domain.reconciliation.reconciliation import Reconciliation
from migration_sidecar.contract.messages import RecordedAuditEvent


def tell_segments(found: Reconciliation, files: list[Path], keys: Path | None, chain_id: str) -> int:
    """Up to which seq no event is missing in them; raises BadInput for a file that is no segment of this audit."""
    covered = 0
    judged = [(verdict_on(file, keys, None).verdict, file) for file in files]
    for verdict, file in sorted(judged, key=lambda each: each[0].first_seq):
        if not verdict.ok:
            raise _refused(file, f"it does not hold: {verdict.sentence}")
        if verdict.kind != "export" or verdict.chain_id != chain_id:
            raise _refused(file, "it is no segment of this audit")
        for event in _events(file):
            if event.seq > found.last_seq:
                found.told(event, sealed=True)
        if verdict.first_seq <= covered + 1:
            covered = max(covered, verdict.last_seq)
    return covered


def _events(file: Path) -> Iterator[RecordedAuditEvent]:
    """Of a file that was verified, so each line is what it should be."""
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            facts = json.loads(line)
            if "payload" in facts:
                payload = json.loads(facts["payload"])
                del payload["format"]
                place = {"seq": facts["seq"], "recorded_at": facts["recorded_at"]}
                yield RecordedAuditEvent.model_validate(payload | place)


def _refused(file: Path, why: str) -> BadInput:
    return BadInput("That segment cannot be used", f"{file}: {why}", f"look at it with coordinator audit verify {file}")
