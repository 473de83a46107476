"""Starts programs that outlive this process, finds them again by pid file, and never signals other processes."""

from __future__ import annotations

import fcntl
import json
import os
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
# Start times are computed from the boot time, which is rounded.
SAME_START_SECONDS = 2.0
# An environment variable with the pid file, inherited by all processes that a program starts.
MARK_VARIABLE = "RMBRAIN_STARTED_AS"


@dataclass(frozen=True)
class Program:
    """One supervised program. Its pid file and log are in `directory` and have its name."""

    name: str
    command: Sequence[str]
    directory: Path
    stop_signals: tuple[signal.Signals, ...] = (signal.SIGTERM,)
    environment: Mapping[str, str] = field(default_factory=dict)
    # Names and patterns of variables that it inherits, in addition to those that every program needs.
    inherits: Sequence[str] = ()
    # The folder that it runs in; ours if there is none.
    working_folder: Path | None = None
    # Whether `stop` also ends all processes that it started, even if it has ended itself.
    ends_descendants: bool = False

    @property
    def pid_file(self) -> Path:
        """The JSON file with pid, start time and command."""
        return self.directory / f"{self.name}.pid"

    @property
    def log(self) -> Path:
        """The output of the running program. The log of the start before has the suffix .previous."""
        return self.directory / f"{self.name}.log"

    def process(self) -> psutil.Process | None:
        """The running process, or None. A pid that another program has now counts as not running."""
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
        """Does nothing while it runs.

        Raises RunsOtherwise if it runs with another command, ToolMissing or NotHealthy.
        """
        running = self.process()
        if running is not None:
            self._demand_same_command()
            return running
        private.make_folder(self.directory)
        with suppress(FileNotFoundError):
            self.log.replace(self.log.with_suffix(".log.previous"))
        with private.create(self.log) as log:
            # Whoever shortens the log of a running program gets one that begins again, and no file with a hole.
            fcntl.fcntl(log, fcntl.F_SETFL, fcntl.fcntl(log, fcntl.F_GETFL) | os.O_APPEND)
            return self._record(self._launch(log.fileno()))

    def _launch(self, log: int) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**inherited(self.inherits), **self.environment, MARK_VARIABLE: str(self.pid_file)},
                start_new_session=True,
                umask=private.UMASK,
                cwd=self.working_folder,
            )
        except FileNotFoundError as error:
            raise ToolMissing(self.name, str(error.filename)) from None

    def _record(self, child: subprocess.Popen[bytes]) -> psutil.Process:
        try:
            process = psutil.Process(child.pid)
            record = {"pid": child.pid, "started": process.create_time(), "command": list(self.command)}
        except psutil.NoSuchProcess:
            raise NotHealthy(self.name, "its process", "it ended at once", self.log) from None
        child.returncode = 0  # it will outlive this process: no ResourceWarning, please
        unfinished = self.pid_file.with_suffix(".pid.new")
        private.write(unfinished, json.dumps(record))
        unfinished.replace(self.pid_file)
        return process

    def _demand_same_command(self) -> None:
        running = self._recorded().get("command", [])
        if running != list(self.command):
            raise RunsOtherwise(self.name, set(running) - set(self.command), set(self.command) - set(running))

    def wait_until(self, ready: Callable[[], bool], waiting_for: str, timeout_seconds: float = 30.0) -> None:
        """Returns when `ready`. Raises NotHealthy when the program ends before, or after the timeout."""
        deadline = time.monotonic() + timeout_seconds
        while not ready():
            if self.process() is None:
                raise NotHealthy(self.name, waiting_for, "it ended", self.log)
            if time.monotonic() > deadline:
                raise NotHealthy(self.name, waiting_for, f"{timeout_seconds:.0f} s passed", self.log)
            time.sleep(0.05)

    def stop(self) -> bool:
        """Sends the stop signals, then SIGKILL, and returns when it has ended. Returns whether anything ran."""
        process = self.process()
        descendants = self._descendants()
        if process is not None:
            end([process], self.name, self.stop_signals)
        end(descendants, self.name)
        self.pid_file.unlink(missing_ok=True)
        return process is not None or bool(descendants)

    def has_descendants(self) -> bool:
        """Whether a process that it started still runs."""
        return bool(self._descendants())

    def command_lines(self) -> list[list[str]]:
        """The command lines of all running processes that it started."""
        return [words for each in self._descendants() if (words := _command_line_of(each))]

    def _descendants(self) -> list[psutil.Process]:
        """Processes with its mark in their environment. The mark remains when their parent is killed."""
        if not self.ends_descendants:
            return []
        own = self.process()
        return [each for each in psutil.process_iter() if each != own and _mark_of(each) == str(self.pid_file)]


def end(processes: Sequence[psutil.Process], name: str, signals: Sequence[signal.Signals] = (signal.SIGTERM,)) -> None:
    """Sends each signal to all, waits up to ten seconds after each, and finally sends SIGKILL. Raises WouldNotStop.

    A process that has ended already is no error.
    """
    alive = list(processes)
    for number in (*signals, signal.SIGKILL):
        for process in alive:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)
        alive = _still_running(alive, GRACE_SECONDS)
        if not alive:
            return
    raise WouldNotStop(name, alive[0].pid)


def _still_running(processes: Sequence[psutil.Process], seconds: float) -> list[psutil.Process]:
    """The processes that still run after at most so many seconds.

    A zombie counts as ended: process 1 of a container may never wait for its children.
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
    """The command with a parent-death signal, so that a killed test leaves no server behind."""
    name = number.name.removeprefix("SIG")
    return ["setpriv", "--pdeathsig", name, *command] if shutil.which("setpriv") else list(command)


def _command_line_of(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _mark_of(process: psutil.Process) -> str | None:
    try:
        return process.environ().get(MARK_VARIABLE)
    except psutil.Error:
        return None
