"""Verifies a file with the stand-alone verifier, which is one file that a reader can check."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from coordinator.cli.console import stderr
from coordinator.client.errors import BadInput

if TYPE_CHECKING:
    from audit_verifier.verify import Verdict


@dataclass(frozen=True)
class FileVerdict:
    """A verdict, and the lines that the command prints of it; the first line is the most important."""

    verdict: Verdict
    lines: list[str]


def verdict_on(
    file: Path,
    keys: Path | None,
    anchors: Path | None,
    segments: Sequence[Path] = (),
    *,
    not_older_than: datetime | None = None,
) -> FileVerdict:
    """Verifies an export or a proof, and the sealed segments that belong to it. A broken file gives a verdict.

    An export whose last anchor was signed before `not_older_than` does not hold.

    Raises BadInput if the file is something else, cannot be read, or cryptography is not installed.
    """
    try:
        from audit_verifier import verify  # needs cryptography, which comes with the extra `audit`
    except ImportError:
        raise BadInput(
            "Signatures cannot be checked here",
            "the package cryptography is not installed",
            "install this package with its extra: audit",
        ) from None
    on_terminal = stderr().is_terminal
    try:
        verdict = verify.verify_file(
            str(file),
            str(keys) if keys else None,
            str(anchors) if anchors else None,
            [str(segment) for segment in segments],
            not_older_than=not_older_than,
            progress=on_terminal,
        )
    except verify.Broken as broken:
        # The trusted keys themselves are not valid: the user must know this before anything else.
        sentence = broken.sentence
        verdict = verify.Verdict("files", False, first_bad_seq=broken.seq, reason=broken.reason, sentence=sentence)
    except (verify.Unreadable, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise BadInput(
            "There is nothing that can be verified", reason, "name an export or a proof, and keys and anchors as files"
        ) from None
    return FileVerdict(verdict, [verify.sentence(verdict), *verdict.notes])
