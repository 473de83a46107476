"""Processes that carry out one run after another, each with a PostgreSQL of its own; the same code for all of them."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import psutil

from tests.campaign.ground import Ground, GroundFailed
from tests.campaign.outcome import Outcome, Spec
from tests.campaign.races import race
from tests.campaign.runs import carry_out
from tests.campaign.service import Zygote
from tests.campaign.soak import soak
from tests.campaign.stage import can_mount

RUN_SECONDS = 240.0  # a run over its limit is a violation, and its worker is ended with all that it started
START_SECONDS = 90.0
GONE_SECONDS = 5.0
PR_SET_PDEATHSIG, CLONE_NEWNS = 1, 0x20000

# Forked, so that what is edited while a campaign runs changes nothing.
_processes = get_context("fork")


class Worker:
    """One process; `end` takes everything along that it started."""

    def __init__(self, subject: Path, folder: Path) -> None:
        self.folder = folder
        self.channel, theirs = _processes.Pipe()
        self.process = _processes.Process(target=_work, args=(theirs, subject, folder), daemon=False)
        self.process.start()
        theirs.close()
        self.spec: Spec | None = None
        self._began = time.monotonic()
        self._fresh = True

    def give(self, spec: Spec) -> None:
        self.spec, self._began = spec, time.monotonic()
        with suppress(OSError):  # it died: its channel tells
            self.channel.send(spec)

    @property
    def overdue(self) -> bool:
        limit = RUN_SECONDS + (START_SECONDS if self._fresh else 0)
        return self.spec is not None and time.monotonic() - self._began > limit

    def outcome(self) -> Outcome | None:
        """None while the run is under way. A worker that died or is overdue (a violation) is of no more use."""
        assert self.spec is not None
        if self.overdue:
            return self._broken(f"did not end within {RUN_SECONDS:.0f} s")
        if not self.channel.poll():
            return None
        try:
            outcome: Outcome = self.channel.recv()
        except (EOFError, OSError):
            return self._broken(self._last_words(), own=True)
        self.spec, self._fresh = None, False
        return outcome

    def end(self) -> None:
        """With every descendant, by pid: nothing of a run outlives it."""
        if self.process.pid is None:
            return
        left: list[psutil.Process] = []
        with suppress(psutil.Error):
            left = psutil.Process(self.process.pid).children(recursive=True)
        self.process.kill()
        self.process.join(GONE_SECONDS)
        for each in left:
            with suppress(psutil.Error):
                each.kill()
        deadline = time.monotonic() + GONE_SECONDS
        while any(_alive(each) for each in left) and time.monotonic() < deadline:
            time.sleep(0.02)
        self.channel.close()

    def _last_words(self) -> str:
        """A worker that ends is the campaign's fault; its log is gone when the campaign ends."""
        log = self.folder / "worker.log"
        lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
        return f"its worker ended: {lines[-1] if lines else 'it said nothing'}"

    def _broken(self, why: str, *, own: bool = False) -> Outcome:
        assert self.spec is not None
        seconds = round(time.monotonic() - self._began, 2)
        return Outcome(asdict(self.spec), seconds=seconds, **{"own_troubles" if own else "violations": [why]})


def _alive(process: psutil.Process) -> bool:
    """What nobody has reaped yet is gone for all purposes."""
    with suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


@contextmanager
def crew(number: int, subject: Path, folder: Path) -> Iterator[list[Worker]]:
    workers = [Worker(subject, folder / f"worker-{each}") for each in range(number)]
    try:
        yield workers
    finally:
        for worker in workers:
            worker.end()


def _work(channel: Connection, subject: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    log = os.open(folder / "worker.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 2)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the campaign, which decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    _keep_mounts_to_ourselves()
    ground = Ground(folder / "ground", subject)
    ground.open()
    zygote = Zygote(subject, ground.folder / "zygote.log")
    ways = {"D": race, "E": soak}
    while True:
        try:
            spec: Spec = channel.recv()
        except EOFError:
            return
        try:
            outcome = ways.get(spec.part, carry_out)(spec, ground, zygote)
        except GroundFailed as error:
            outcome = Outcome(asdict(spec), own_troubles=[str(error)])
        channel.send(outcome)


def _keep_mounts_to_ourselves() -> None:
    """What is mounted for a run is gone with its worker, however that ends."""
    if can_mount() and ctypes.CDLL(None).unshare(CLONE_NEWNS) == 0:
        subprocess.run(["mount", "--make-rprivate", "/"], check=False, capture_output=True)
