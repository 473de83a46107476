"""What a sidecar said last; its lines are in another file than those of `dapr run`, unless the fleet was rendered."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from scripts.infrastructure.render import read_fleet


@dataclass(frozen=True)
class LastWords:
    """`line` is empty where nothing was written."""

    log: Path
    line: str


def last_words(file: Path, name: str, launcher_log: Path) -> LastWords:
    """Of the daprd of one application of a dapr.yaml."""
    application = read_fleet(file)[name]
    if application.get("daprdLogDestination") == "console":
        return LastWords(launcher_log, _last_line(launcher_log, having=f"app_id={name} "))
    folder = log_folder(file, name)
    # The time of the start is in the name.
    logs = sorted(folder.glob(f"{name}_daprd_*.log"))
    return LastWords(logs[-1], _last_line(logs[-1])) if logs else LastWords(folder, "")


def log_folder(file: Path, name: str) -> Path:
    """Where Dapr's CLI keeps the logs of one application and its sidecar, if not on the console."""
    return Path(file.parent, read_fleet(file)[name]["appDirPath"], ".dapr", "logs").resolve()


def _last_line(log: Path, having: str = "") -> str:
    if not log.exists():
        return ""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if having in line and line.strip()]
    return lines[-1][:500] if lines else ""
