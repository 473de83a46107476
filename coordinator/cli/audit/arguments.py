"""Arguments that several `coordinator audit` commands share, and their checks."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from coordinator.client.errors import BadInput

AGE = re.compile(r"([1-9]\d{0,4})([mhd])", re.ASCII)
AGE_UNITS = {"m": "minutes", "h": "hours", "d": "days"}

Keys = Annotated[Path | None, typer.Option(help="audit-keys.json, from a place you trust; it says who signed.")]
Anchors = Annotated[Path | None, typer.Option(help="Anchors kept outside the database; they show missing events.")]
Segments = Annotated[
    list[Path] | None,
    typer.Option("--segment", help="A sealed segment that is no longer in the audit's database; repeatable."),
]
NotOlderThan = Annotated[
    str | None,
    typer.Option(
        "--not-older-than",
        metavar="AGE",
        help="Fail unless the last anchor was signed then or later: so long ago (90m, 36h, 7d), a day or a time.",
        show_default=False,
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Overwrite the file if it exists.")]


def moment(text: str) -> str:
    """A day or a time in ISO 8601; a day means its midnight, and without a time zone UTC. Raises BadInput."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise BadInput(
            "This is not a time", f"{text!r} is neither a day nor a time", "write 2026-11-22 or 2026-11-22T15:00"
        ) from None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).isoformat()


def oldest_allowed(text: str | None, now: datetime) -> datetime | None:
    """What `--not-older-than` means, as in the stand-alone verifier. Raises BadInput."""
    if text is None:
        return None
    if match := AGE.fullmatch(text):
        return now - timedelta(**{AGE_UNITS[match[2]]: int(match[1])})
    return datetime.fromisoformat(moment(text))


def refuse_to_overwrite(file: Path, *, force: bool) -> None:
    """Raises BadInput if the file exists, as it may be evidence, or if its folder is missing.

    Commands call it before they fetch anything.
    """
    if file.exists() and not force:
        raise BadInput("The file exists already", f"{file} would be overwritten", "name another file, or use --force")
    if not file.parent.is_dir():
        raise BadInput("The file cannot be written", f"there is no folder {file.parent}", "make it, or name another")
