"""The log of a fleet stays small while the fleet runs, and the process that sees to it harms and outlives nothing."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from scripts.infrastructure import bounded_log
from scripts.infrastructure.fleet import Fleet
from scripts.infrastructure.settings import ROOT, Settings
from scripts.infrastructure.supervise import Program

MOST = 100_000
FLOOD = """
import itertools, time
for number in itertools.count():
    print(f"line {number} " + "x" * 900, flush=True)
    time.sleep(0.0002)
"""


@pytest.fixture
def flood(tmp_path: Path) -> Iterator[Program]:
    program = Program("dapr-run", [sys.executable, "-c", FLOOD], tmp_path)
    yield program
    program.stop()


def numbers(log: Path) -> list[int]:
    """Of the whole lines; the first one may be cut."""
    return [int(line.split()[1]) for line in log.read_text().splitlines()[1:] if len(line) > 900]


def test_a_flood_of_lines_leaves_two_small_files(flood: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    flood.start()
    sizes: list[int] = []

    def wait_for_more(_: float) -> None:
        flood.wait_until(lambda: flood.log.stat().st_size > MOST, "more lines")
        sizes.append(flood.log.stat().st_size)

    monkeypatch.setattr(bounded_log, "time", SimpleNamespace(sleep=wait_for_more))
    bounded_log.keep_small(flood.log, lambda: len(sizes) < 20, MOST)
    older = flood.log.with_suffix(".log.older")
    assert numbers(older)[-1] * 900 > 15 * MOST
    assert max(sizes) < 5 * MOST
    assert older.stat().st_size < 2 * MOST
    assert stat.S_IMODE(older.stat().st_mode) == 0o600
    assert flood.log.stat().st_size < 5 * MOST


def test_the_end_of_what_was_written_is_kept_in_order(tmp_path: Path) -> None:
    log = tmp_path / "dapr-run.log"
    log.write_text("".join(f"line {number} {'x' * 900}\n" for number in range(300)))
    assert bounded_log.shorten(log, MOST)
    assert log.read_bytes() == b""
    kept = numbers(log.with_suffix(".log.older"))
    assert kept == list(range(kept[0], 300))
    assert len(kept) > 100


@pytest.mark.parametrize("size", [0, MOST])
def test_a_small_log_and_none_are_left_alone(tmp_path: Path, size: int) -> None:
    log = tmp_path / "dapr-run.log"
    assert not bounded_log.shorten(log, MOST)
    log.write_bytes(b"x" * size)
    assert not bounded_log.shorten(log, MOST)
    assert log.stat().st_size == size
    assert not log.with_suffix(".log.older").exists()


def test_the_process_beside_a_program_keeps_its_log_small_and_ends_with_it(flood: Program) -> None:
    flood.start()
    keeper = bounded_log.keeper_of(flood, ROOT, MOST)
    process = keeper.start()
    keeper.wait_until(flood.log.with_suffix(".log.older").exists, "the first cut")
    flood.stop()
    process.wait(timeout=20)
    assert keeper.log.read_text() == ""


def test_the_program_goes_on_when_that_process_is_killed(flood: Program) -> None:
    flood.start()
    process = bounded_log.keeper_of(flood, ROOT, MOST).start()
    process.kill()
    process.wait(timeout=10)
    size = flood.log.stat().st_size
    flood.wait_until(lambda: flood.log.stat().st_size > size, "another line")


def test_every_start_of_a_fleet_has_such_a_process_and_stop_ends_it(tmp_path: Path) -> None:
    (tmp_path / "dapr").write_text("#!/bin/sh\nsleep 60\n")
    (tmp_path / "dapr").chmod(0o755)
    file = tmp_path / "dapr.yaml"
    file.write_text("common: {configFilePath: dapr-config.yaml}\napps: []\n")
    fleet = Fleet(Settings(state=tmp_path / "state", dapr=tmp_path), file)
    try:
        fleet.start()
        process = fleet.log_keeper.process()
        assert process is not None
        assert process.cmdline()[-1] == str(bounded_log.MOST_BYTES)
        assert os.getpgid(process.pid) == process.pid
    finally:
        fleet.stop()
    ended, _ = psutil.wait_procs([process], timeout=10)
    assert ended == [process]
