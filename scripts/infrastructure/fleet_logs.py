"""The last line that a sidecar logged. Only a rendered fleet logs it to the same file as `dapr run`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from scripts.infrastructure.render import read_fleet

MOST_LOGS = 5  # of one application; Dapr's CLI writes a new one at each start, and deletes none


@dataclass(frozen=True)
class LastLogLine:
    """The last line of a log; `line` is empty when nothing was logged."""

    log: Path
    line: str


def last_log_lines(file: Path, name: str, launcher_log: Path) -> LastLogLine:
    """The last line of the daprd of one application."""
    application = read_fleet(file)[name]
    if application.get("daprdLogDestination") == "console":
        return LastLogLine(launcher_log, _last_line(launcher_log, having=f"app_id={name} "))
    folder = log_folder(file, name)
    # The file name contains the start time.
    logs = sorted(folder.glob(f"{name}_daprd_*.log"))
    return LastLogLine(logs[-1], _last_line(logs[-1])) if logs else LastLogLine(folder, "")


def log_folder(file: Path, name: str) -> Path:
    """Where Dapr's CLI stores the logs of an application and its sidecar, if they do not go to the console."""
    return Path(file.parent, read_fleet(file)[name]["appDirPath"], ".dapr", "logs").resolve()


def prune(folder: Path, most: int = MOST_LOGS) -> None:
    """Deletes the logs of earlier starts but the newest `most` of each application and each sidecar."""
    by_program: dict[str, list[Path]] = {}
    for log in sorted(folder.glob("*.log")):
        by_program.setdefault(log.name.rpartition("_")[0], []).append(log)
    for logs in by_program.values():
        for log in logs[: max(0, len(logs) - most)]:
            log.unlink(missing_ok=True)


def _last_line(log: Path, having: str = "") -> str:
    if not log.exists():
        return ""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if having in line and line.strip()]
    return lines[-1][:500] if lines else ""
