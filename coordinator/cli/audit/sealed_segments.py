"""Reads the events of sealed segments, which are in files and no longer in the audit's database."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from hashlib import file_digest
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from coordinator.cli.audit.file_verification import verdict_on
from coordinator.client.audit_verification import LiveVerdict
from coordinator.client.errors import BadInput
from coordinator.domain.reconciliation.reconciliation import Reconciliation
from migration_sidecar.contract.messages import RecordedAuditEvent

if TYPE_CHECKING:
    from audit_verifier.verify import Verdict


class Segment(NamedTuple):
    """A file that holds, and the verdict on it."""

    file: Path
    verdict: Verdict


def verified_segments(files: Sequence[Path], keys: Path | None, live: LiveVerdict) -> list[Segment]:
    """The files in the order of their events. Raises BadInput for a file that is not a valid segment of this audit."""
    segments = [Segment(file, verdict_on(file, keys, None).verdict) for file in files]
    for file, verdict in segments:
        if not verdict.ok:
            raise _refused(file, f"it does not hold: {verdict.sentence}")
        if verdict.kind != "export" or verdict.chain_id != live.chain_id:
            raise _refused(file, "it is no segment of this audit")
    return sorted(segments, key=lambda segment: segment.verdict.first_seq)


def add_segments(reconciliation: Reconciliation, segments: Sequence[Segment]) -> None:
    """Adds the events of the files."""
    for file, _ in segments:
        for event in _events(file):
            if event.seq > reconciliation.last_seq:
                reconciliation.add_audit_event(event, sealed=True)


def covered_by(segments: Sequence[Segment], live: LiveVerdict) -> int:
    """The last seq up to which every retired segment was given: the very file whose SHA-256 the audit has."""
    given = {(_sha256(file), verdict.first_seq, verdict.last_seq, verdict.last_hash) for file, verdict in segments}
    covered = 0
    for each in live.retired:
        if (
            each.first_seq != covered + 1
            or (each.file_sha256, each.first_seq, each.last_seq, each.last_hash) not in given
        ):
            break
        covered = each.last_seq
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


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return file_digest(stream, "sha256").hexdigest()


def _refused(file: Path, why: str) -> BadInput:
    return BadInput("That segment cannot be used", f"{file}: {why}", f"look at it with coordinator audit verify {file}")
