"""Starts programs that outlive us, finds them again by pid file, and never signals a process that is not ours."""

from __future__ import annotations

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

import psutil

from scripts.infrastructure.errors import NotHealthy, WouldNotStop

GRACE_SECONDS = 10.0
# The boot time that start times are computed from is itself rounded.
SAME_START_SECONDS = 2.0


@dataclass(frozen=True)
class Program:
    """One supervised program; its pid file and log live in `directory` under its name."""

    name: str
    command: Sequence[str]
    directory: Path
    stop_signals: tuple[signal.Signals, ...] = (signal.SIGTERM,)
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def pid_file(self) -> Path:
        return self.directory / f"{self.name}.pid"

    @property
    def log(self) -> Path:
        return self.directory / f"{self.name}.log"

    def process(self) -> psutil.Process | None:
        """The running process, or None; a pid that now belongs to another program counts as not running."""
        try:
            recorded = json.loads(self.pid_file.read_text())
            process = psutil.Process(recorded["pid"])
            same = abs(process.create_time() - recorded["started"]) < SAME_START_SECONDS
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except (OSError, ValueError, KeyError, TypeError, psutil.Error):
            return None

    def start(self) -> psutil.Process:
        """Starts it unless it runs; the previous log is kept beside the new one."""
        running = self.process()
        if running is not None:
            return running
        self.directory.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            self.log.replace(self.log.with_suffix(".log.previous"))
        with self.log.open("wb") as log:
            child = subprocess.Popen(
                list(self.command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self.environment},
                start_new_session=True,
            )
        return self._record(child)

    def _record(self, child: subprocess.Popen[bytes]) -> psutil.Process:
        try:
            process = psutil.Process(child.pid)
            record = json.dumps({"pid": child.pid, "started": process.create_time()})
        except psutil.NoSuchProcess:
            raise NotHealthy(self.name, "its process", "it ended at once", self.log) from None
        child.returncode = 0  # it is meant to outlive us: Python need not warn that it does
        unfinished = self.pid_file.with_suffix(".pid.new")
        unfinished.write_text(record)
        unfinished.replace(self.pid_file)
        return process

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
        """True when it was running; asks first, then insists, and returns only when it is gone."""
        process = self.process()
        if process is not None:
            self._end(process)
        self.pid_file.unlink(missing_ok=True)
        return process is not None

    def _end(self, process: psutil.Process) -> None:
        for number in (*self.stop_signals, signal.SIGKILL):
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)
            with suppress(psutil.TimeoutExpired):
                process.wait(GRACE_SECONDS)
                return
        raise WouldNotStop(self.name, process.pid)


def dying_with_us(command: Sequence[str]) -> list[str]:
    """The command under a promise of the kernel: a test that is killed leaves no server behind."""
    return ["setpriv", "--pdeathsig", "KILL", *command] if shutil.which("setpriv") else list(command)
