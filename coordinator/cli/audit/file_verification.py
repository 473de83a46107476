"""Verifies a file by the stand-alone verifier, whose word a sceptic can check in ten minutes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from coordinator.cli.console import remarks
from coordinator.client.errors import BadInput

if TYPE_CHECKING:
    from audit_verifier.verify import Verdict


@dataclass(frozen=True)
class Judged:
    verdict: Verdict
    lines: list[str]


def verdict_on(file: Path, keys: Path | None, anchors: Path | None) -> Judged:
    """Raises BadInput where there is nothing to verify; what is broken is a verdict."""
    try:
        from audit_verifier import verify  # what it needs to check signatures comes with the extra `audit`
    except ImportError:
        raise BadInput(
            "Signatures cannot be checked here",
            "the package cryptography is not installed",
            "install this package with its extra: audit",
        ) from None
    seen = remarks().is_terminal
    try:
        verdict = verify.verify_file(
            str(file), str(keys) if keys else None, str(anchors) if anchors else None, progress=seen
        )
    except verify.Broken as broken:
        # The trusted keys themselves do not hold: whoever trusts them must know before anything else.
        sentence = broken.sentence
        verdict = verify.Verdict("files", False, first_bad_seq=broken.seq, reason=broken.reason, sentence=sentence)
    except (verify.Unreadable, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise BadInput(
            "There is nothing that can be verified", reason, "name an export or a proof, and keys and anchors as files"
        ) from None
    return Judged(verdict, [verify.sentence(verdict), *verdict.notes])
