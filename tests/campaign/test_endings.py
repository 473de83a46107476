"""A campaign that is ended leaves nothing behind, and goes on where it stopped with every run counted once."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

GONE_SECONDS = 60.0  # well below what its runs would take
ROOT = Path(__file__).parents[2]
PARTS = ("migration_sidecar", "scripts", "signed_calls", "tests/campaign")
COMMAND = [sys.executable, "-m", "tests.campaign", "engine", "--only", "B", "--match", "B attempt_written"]
COMMAND += ["--each", "1", "--seed", "41"]

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy: outcomes of code that was edited meanwhile would rightly not be taken up again."""
    for part in PARTS:
        shutil.copytree(ROOT / part, tmp_path / "checkout" / part, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "checkout"


@pytest.fixture
def campaign(tmp_path: Path, checkout: Path) -> Iterator[subprocess.Popen[str]]:
    command = [*COMMAND, "--report", str(tmp_path)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=environment(tmp_path), cwd=checkout
    ) as process:
        yield process
        process.kill()


def environment(folder: Path) -> dict[str, str]:
    """A folder for temporary files of its own, by which everything that was started is known again."""
    (folder / "temporary").mkdir(exist_ok=True)
    return {**os.environ, "TMPDIR": str(folder / "temporary")}


def processes_in(folder: Path) -> list[list[str]]:
    found = []
    for each in psutil.process_iter(["environ", "cmdline"]):
        if (each.info["environ"] or {}).get("TMPDIR") == str(folder / "temporary"):
            found.append(each.info["cmdline"])
    return found


def test_it_ends_at_a_signal_and_goes_on_where_it_stopped(
    campaign: subprocess.Popen[str], checkout: Path, tmp_path: Path
) -> None:
    assert campaign.stdout is not None
    assert any(line.startswith("[1/4]") for line in campaign.stdout)
    assert processes_in(tmp_path)
    campaign.send_signal(signal.SIGTERM)
    assert campaign.wait(timeout=GONE_SECONDS) == 128 + signal.SIGTERM
    assert processes_in(tmp_path) == []
    assert list((tmp_path / "temporary").iterdir()) == []

    again = [*COMMAND, "--report", str(tmp_path), "--resume"]
    done = subprocess.run(again, capture_output=True, text=True, env=environment(tmp_path), cwd=checkout, check=True)
    assert "[1/4]" not in done.stdout
    (report,) = tmp_path.glob("*-engine.json")
    document = json.loads(report.read_text())
    assert document["parts"]["B"]["hit"] == document["parts"]["B"]["runs"] == 4
    assert len({run["spec"]["seed"] for run in document["runs"]}) == 4
    assert list(tmp_path.glob("*.unfinished.jsonl")) == []
