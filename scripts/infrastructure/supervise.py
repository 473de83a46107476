"""Starts programs that outlive us, finds them again by pid file, and never signals a process that is not ours."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from scripts.infrastructure import private
from scripts.infrastructure.errors import NotHealthy, RunsOtherwise, ToolMissing, WouldNotStop
from scripts.infrastructure.inherited import inherited

GRACE_SECONDS = 10.0
# The boot time that start times are computed from is itself rounded.
SAME_START_SECONDS = 2.0
# Inherited by everything a program starts.
MARK = "RMBRAIN_STARTED_AS"


@dataclass(frozen=True)
class Program:
    """One supervised program; its pid file and log live in `directory` under its name."""

    name: str
    command: Sequence[str]
    directory: Path
    stop_signals: tuple[signal.Signals, ...] = (signal.SIGTERM,)
    environment: Mapping[str, str] = field(default_factory=dict)
    # Names and patterns of what it gets from our own environment, beside what any program needs.
    inherits: Sequence[str] = ()
    # Whether everything that it started ends with it, however it ended itself.
    ends_descendants: bool = False

    @property
    def pid_file(self) -> Path:
        return self.directory / f"{self.name}.pid"

    @property
    def log(self) -> Path:
        return self.directory / f"{self.name}.log"

    def process(self) -> psutil.Process | None:
        """The running process, or None; a pid that now belongs to another program counts as not running."""
        try:
            recorded = self._recorded()
            process = psutil.Process(recorded["pid"])
            same = abs(process.create_time() - recorded["started"]) < SAME_START_SECONDS
            return process if same and not _has_ended(process) else None
        except (OSError, ValueError, KeyError, TypeError, psutil.Error):
            return None

    def _recorded(self) -> dict[str, Any]:
        record: dict[str, Any] = json.loads(self.pid_file.read_text())
        return record

    def start(self) -> psutil.Process:
        """Starts it unless it runs; raises RunsOtherwise when it runs with other settings than these."""
        running = self.process()
        if running is not None:
            self._demand_same_command()
            return running
        private.make_folder(self.directory)
        with suppress(FileNotFoundError):
            self.log.replace(self.log.with_suffix(".log.previous"))
        with private.create(self.log) as log:
            return self._record(self._launch(log.fileno()))

    def _launch(self, log: int) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**inherited(self.inherits), **self.environment, MARK: str(self.pid_file)},
                start_new_session=True,
                umask=private.UMASK,
            )
        except FileNotFoundError as error:
            raise ToolMissing(self.name, str(error.filename)) from None

    def _record(self, child: subprocess.Popen[bytes]) -> psutil.Process:
        try:
            process = psutil.Process(child.pid)
            record = {"pid": child.pid, "started": process.create_time(), "command": list(self.command)}
        except psutil.NoSuchProcess:
            raise NotHealthy(self.name, "its process", "it ended at once", self.log) from None
        child.returncode = 0  # it is meant to outlive us: Python need not warn that it does
        unfinished = self.pid_file.with_suffix(".pid.new")
        private.write(unfinished, json.dumps(record))
        unfinished.replace(self.pid_file)
        return process

    def _demand_same_command(self) -> None:
        running = self._recorded().get("command", [])
        if running != list(self.command):
            raise RunsOtherwise(self.name, set(running) - set(self.command), set(self.command) - set(running))

    def wait_until(self, ready: Callable[[], bool], waiting_for: str, timeout_seconds: float = 30.0) -> None:
        """Returns when `ready`; raises NotHealthy when it ends before, or when time is up."""
        deadline = time.monotonic() + timeout_seconds
        while not ready():
            if self.process() is None:
                raise NotHealthy(self.name, waiting_for, "it ended", self.log)
            if time.monotonic() > deadline:
                raise NotHealthy(self.name, waiting_for, f"{timeout_seconds:.0f} s passed", self.log)
            time.sleep(0.05)

    def stop(self) -> bool:
        """True when something of it ran; asks first, then insists, and returns only when it is gone."""
        process = self.process()
        left = self._descendants()
        if process is not None:
            end([process], self.name, self.stop_signals)
        end(left, self.name)
        self.pid_file.unlink(missing_ok=True)
        return process is not None or bool(left)

    def has_descendants(self) -> bool:
        """Whether anything that it started still runs."""
        return bool(self._descendants())

    def command_lines(self) -> list[list[str]]:
        """Of everything that it started and that still runs."""
        return [words for each in self._descendants() if (words := _command_line_of(each))]

    def _descendants(self) -> list[psutil.Process]:
        """What it started, found by the mark in the environment, which outlives a killed parent."""
        if not self.ends_descendants:
            return []
        mine = self.process()
        return [each for each in psutil.process_iter() if each != mine and _mark_of(each) == str(self.pid_file)]


def end(processes: Sequence[psutil.Process], name: str, signals: Sequence[signal.Signals] = (signal.SIGTERM,)) -> None:
    """All at once; each signal has ten seconds to work, the last is SIGKILL; one that is gone already is fine."""
    alive = list(processes)
    for number in (*signals, signal.SIGKILL):
        for process in alive:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)
        alive = _outlasting(alive, GRACE_SECONDS)
        if not alive:
            return
    raise WouldNotStop(name, alive[0].pid)


def _outlasting(processes: Sequence[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Those that still run then.

    One that its parent has not waited for has ended all the same: process 1 of a container may never wait for anybody.
    """
    deadline, alive = time.monotonic() + seconds, list(processes)
    while alive and time.monotonic() < deadline:
        _, alive = psutil.wait_procs(alive, 0.1)
        alive = [each for each in alive if not _has_ended(each)]
    return alive


def _has_ended(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def dying_with_us(command: Sequence[str], number: signal.Signals = signal.SIGKILL) -> list[str]:
    """The command under a promise of the kernel: a test that is killed leaves no server behind."""
    name = number.name.removeprefix("SIG")
    return ["setpriv", "--pdeathsig", name, *command] if shutil.which("setpriv") else list(command)


def _command_line_of(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _mark_of(process: psutil.Process) -> str | None:
    try:
        return process.environ().get(MARK)
    except psutil.Error:
        return None
