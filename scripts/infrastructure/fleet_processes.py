"""Finds the processes of one fleet by its files, its folder, our user and our network namespace.

Names and ports do not identify a fleet: another fleet on this machine may have the same ones.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from scripts.infrastructure.render import configuration_of, read_fleet
from scripts.infrastructure.supervise import MARK_VARIABLE


@dataclass(frozen=True)
class RunningProcesses:
    """The running processes of a fleet.

    Sidecars and applications are listed by app id; an id without a process is absent.
    """

    launchers: Sequence[psutil.Process]
    sidecars: Mapping[str, Sequence[psutil.Process]]
    applications: Mapping[str, Sequence[psutil.Process]]

    @property
    def everything(self) -> list[psutil.Process]:
        """All processes, launchers first."""
        return [*self.launchers, *self.without_launcher]

    @property
    def without_launcher(self) -> list[psutil.Process]:
        """All applications and sidecars."""
        return [each for group in (self.applications, self.sidecars) for some in group.values() for each in some]

    def lost_sidecars(self, order: Sequence[str]) -> list[str]:
        """The app ids whose sidecar has ended.

        `dapr run` starts the applications in order, each sidecar first. So a sidecar is lost if a later process
        runs.
        """
        reached = [name for name in order if name in self.sidecars or name in self.applications]
        started = order[: order.index(reached[-1])] if reached else []
        return [name for name in order if name not in self.sidecars and (name in started or name in self.applications)]


@dataclass(frozen=True)
class FleetProcesses:
    """Looks for the fleet of `file`. A process that is marked with another pid file belongs to another fleet."""

    file: Path
    pid_file: Path

    def find(self) -> RunningProcesses:
        """The processes that run now."""
        if not self.file.exists():
            return RunningProcesses((), {}, {})
        ours = [process for process in psutil.process_iter() if self._may_be_ours(process)]
        applications = read_fleet(self.file)
        return RunningProcesses(
            launchers=_matching(ours, self._is_launcher),
            sidecars=_named(
                applications, lambda name: _matching(ours, _is_sidecar, name, configuration_of(self.file, name))
            ),
            applications=_named(applications, lambda name: _matching(ours, self._is_application, applications[name])),
        )

    def _may_be_ours(self, process: psutil.Process) -> bool:
        try:
            if process.uids().real != os.getuid() or _network(process.pid) != _network(os.getpid()):
                return False
            return process.environ().get(MARK_VARIABLE, str(self.pid_file)) == str(self.pid_file)
        except (psutil.Error, OSError):
            return False

    def _is_launcher(self, process: psutil.Process) -> bool:
        return self.file.resolve() in _run_files(process)

    def _is_of_another(self, process: psutil.Process) -> bool:
        """A rendered fleet shares a folder and some commands with the committed one; only the launcher differs."""
        parent = process.parent()
        files = _run_files(parent) if parent else ()
        return bool(files) and self.file.resolve() not in files

    def _is_application(self, process: psutil.Process, application: dict[str, Any]) -> bool:
        """Dapr sets APP_ID, so an application that a user started alone for a test does not count."""
        if process.cmdline()[1:] != application["command"][1:]:
            return False
        home, name = self.file.parent / application["appDirPath"], str(application["appID"])
        if home.resolve() != Path(process.cwd()) or process.environ().get("APP_ID") != name:
            return False
        return not self._is_of_another(process)


def _run_files(process: psutil.Process) -> tuple[Path, ...]:
    """The files that the argument of `dapr run -f` may mean: it can also be a folder. Empty for other programs."""
    words = process.cmdline()
    named = option(words, "--run-file") or option(words, "-f")
    if _program(words) != "dapr" or "run" not in words or named is None:
        return ()
    path = _in_folder(process, named)
    return path, path / "dapr.yaml"


def _is_sidecar(process: psutil.Process, name: str, configuration: Path) -> bool:
    words = process.cmdline()
    if _program(words) != "daprd" or option(words, "--app-id") != name:
        return False
    configured = option(words, "--config")
    return configured is not None and _in_folder(process, configured) == configuration


def option(words: Sequence[str], name: str) -> str | None:
    """The value of an option, written `--name value` or `--name=value`; None if it is absent."""
    for position, word in enumerate(words, 1):
        if word == name:
            return words[position] if position < len(words) else None
        if word.startswith(f"{name}="):
            return word.partition("=")[2]
    return None


def _named(
    names: Iterable[str], find: Callable[[str], Sequence[psutil.Process]]
) -> dict[str, Sequence[psutil.Process]]:
    return {name: processes for name in names if (processes := find(name))}


def _matching(processes: Sequence[psutil.Process], test: Callable[..., bool], *arguments: Any) -> list[psutil.Process]:
    return [each for each in processes if _passes(test, each, *arguments)]


def _passes(test: Callable[..., bool], process: psutil.Process, *arguments: Any) -> bool:
    """A process that ends during the test does not pass it."""
    with suppress(psutil.Error, OSError):
        return test(process, *arguments)
    return False


def _program(words: Sequence[str]) -> str:
    return Path(words[0]).name if words else ""


def is_program_here(process: psutil.Process, name: str) -> bool:
    """Whether it is such a program, of our own user, in our network."""
    try:
        ours = process.uids().real == os.getuid() and _network(process.pid) == _network(os.getpid())
        return ours and _program(process.cmdline()) == name
    except (psutil.Error, OSError):
        return False


def _in_folder(process: psutil.Process, path: str) -> Path:
    """The path as that process understands it: relative to its own working directory."""
    return Path(process.cwd(), path).resolve()


def _network(pid: int) -> str:
    """The network namespace of a process. A fleet in another namespace has its own ports."""
    return str(Path(f"/proc/{pid}/ns/net").readlink())
