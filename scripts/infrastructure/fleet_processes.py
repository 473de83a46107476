"""Which processes belong to one fleet, by what proves it: its files, its folder, our user and our network.

Neither a name nor a port proves anything: another fleet of this machine has the same.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from scripts.infrastructure.render import read_common, read_fleet
from scripts.infrastructure.supervise import MARK


@dataclass(frozen=True)
class Found:
    """What runs of a fleet; sidecars and applications by app id, and none without one."""

    launchers: Sequence[psutil.Process]
    sidecars: Mapping[str, Sequence[psutil.Process]]
    applications: Mapping[str, Sequence[psutil.Process]]

    @property
    def everything(self) -> list[psutil.Process]:
        return [*self.launchers, *self.without_launcher]

    @property
    def without_launcher(self) -> list[psutil.Process]:
        return [each for some in (self.applications, self.sidecars) for found in some.values() for each in found]

    def lost_sidecars(self, order: Sequence[str]) -> list[str]:
        """`dapr run` starts one after the other, each sidecar before its application: one passed over is gone."""
        reached = [name for name in order if name in self.sidecars or name in self.applications]
        started = order[: order.index(reached[-1])] if reached else []
        return [name for name in order if name not in self.sidecars and (name in started or name in self.applications)]


@dataclass(frozen=True)
class FleetProcesses:
    """`file` is the dapr.yaml; a process whose mark names another pid file was started for another fleet."""

    file: Path
    pid_file: Path

    def find(self) -> Found:
        if not self.file.exists():
            return Found((), {}, {})
        ours = [process for process in psutil.process_iter() if self._may_be_ours(process)]
        applications = read_fleet(self.file)
        configuration = (self.file.parent / read_common(self.file)["configFilePath"]).resolve()
        return Found(
            launchers=_having(ours, self._is_launcher),
            sidecars=_named(applications, lambda name: _having(ours, _is_sidecar, name, configuration)),
            applications=_named(applications, lambda name: _having(ours, self._is_application, applications[name])),
        )

    def _may_be_ours(self, process: psutil.Process) -> bool:
        try:
            if process.uids().real != os.getuid() or _network(process.pid) != _network(os.getpid()):
                return False
            return process.environ().get(MARK, str(self.pid_file)) == str(self.pid_file)
        except (psutil.Error, OSError):
            return False

    def _is_launcher(self, process: psutil.Process) -> bool:
        return self.file.resolve() in _run_files(process)

    def _is_of_another(self, process: psutil.Process) -> bool:
        """A rendered fleet has the folder and some commands of the committed one; its launcher tells them apart."""
        parent = process.parent()
        files = _run_files(parent) if parent else ()
        return bool(files) and self.file.resolve() not in files

    def _is_application(self, process: psutil.Process, application: dict[str, Any]) -> bool:
        """The APP_ID is Dapr's word that it runs beside a sidecar, and not alone, for somebody who tries something."""
        if process.cmdline()[1:] != application["command"][1:]:
            return False
        home, name = self.file.parent / application["appDirPath"], str(application["appID"])
        if home.resolve() != Path(process.cwd()) or process.environ().get("APP_ID") != name:
            return False
        return not self._is_of_another(process)


def _run_files(process: psutil.Process) -> tuple[Path, ...]:
    """Where the file of a `dapr run -f` may be: a folder can be named too. Nothing for any other process."""
    words = process.cmdline()
    named = option(words, "--run-file") or option(words, "-f")
    if _program(words) != "dapr" or "run" not in words or named is None:
        return ()
    place = _in_folder(process, named)
    return place, place / "dapr.yaml"


def _is_sidecar(process: psutil.Process, name: str, configuration: Path) -> bool:
    words = process.cmdline()
    if _program(words) != "daprd" or option(words, "--app-id") != name:
        return False
    given = option(words, "--config")
    return given is not None and _in_folder(process, given) == configuration


def option(words: Sequence[str], name: str) -> str | None:
    """Its value, in either spelling: `--name value` or `--name=value`."""
    for place, word in enumerate(words, 1):
        if word == name:
            return words[place] if place < len(words) else None
        if word.startswith(f"{name}="):
            return word.partition("=")[2]
    return None


def _named(
    names: Iterable[str], find: Callable[[str], Sequence[psutil.Process]]
) -> dict[str, Sequence[psutil.Process]]:
    return {name: found for name in names if (found := find(name))}


def _having(processes: Sequence[psutil.Process], proof: Callable[..., bool], *more: Any) -> list[psutil.Process]:
    return [each for each in processes if _holds(proof, each, *more)]


def _holds(proof: Callable[..., bool], process: psutil.Process, *more: Any) -> bool:
    """A process that has ended meanwhile proves nothing."""
    with suppress(psutil.Error, OSError):
        return proof(process, *more)
    return False


def _program(words: Sequence[str]) -> str:
    return Path(words[0]).name if words else ""


def _in_folder(process: psutil.Process, path: str) -> Path:
    """As the process itself understands it."""
    return Path(process.cwd(), path).resolve()


def _network(pid: int) -> str:
    """A fleet in another network namespace has ports of its own."""
    return str(Path(f"/proc/{pid}/ns/net").readlink())
