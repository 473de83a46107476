"""Every script in scripts/ helps when it is asked to, and refuses what means nothing, before it does anything."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SCRIPTS = sorted(file.name for file in (ROOT / "scripts").iterdir() if file.is_file() and os.access(file, os.X_OK))
# What they are given is for pytest, which knows best.
FOR_PYTEST = ("check", "test")
# Which program it is for needs a set-up; `campaign` has options of its own.
ITS_OWN = ("campaign",)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A fresh clone: no .venv, and nothing that a set-up could be made from."""
    (tmp_path / "scripts").mkdir()
    for file in (each for each in (ROOT / "scripts").iterdir() if each.is_file()):
        shutil.copy(file, tmp_path / "scripts")
    return tmp_path


def run(checkout: Path, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [checkout / "scripts" / script, *arguments],
        env={"PATH": "/usr/bin:/bin"},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def made_in(checkout: Path) -> set[str]:
    return {file.name for file in checkout.iterdir()} - {"scripts"}


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["up", "--help"], ["--bogus", "-h"]])
def test_help_is_help_and_nothing_else(checkout: Path, script: str, arguments: list[str]) -> None:
    """Before, `stop --help` stopped the servers, and `quickstart --help` started everything."""
    asked = run(checkout, script, *arguments)
    assert (asked.returncode, asked.stderr) == (0, "")
    assert len(asked.stdout) > 60
    assert not made_in(checkout)


@pytest.mark.parametrize("script", [each for each in SCRIPTS if each not in (*FOR_PYTEST, *ITS_OWN)])
@pytest.mark.parametrize("argument", ["--bogus", "now", "", "-x"])
def test_an_argument_that_means_nothing_is_refused_with_one_sentence(
    checkout: Path, script: str, argument: str
) -> None:
    refused = run(checkout, script, argument)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert len(refused.stderr.splitlines()) == 1
    assert script in refused.stderr
    assert "--help" in refused.stderr
    assert not made_in(checkout)


@pytest.mark.parametrize("arguments", [[], ["up", "now"], ["up", "--yes"], ["status", "--yaml"], ["--json", "status"]])
def test_infra_takes_only_what_its_help_names(checkout: Path, arguments: list[str]) -> None:
    refused = run(checkout, "infra", *arguments)
    assert (refused.returncode, refused.stdout, len(refused.stderr.splitlines())) == (2, "", 1)
    assert not made_in(checkout)


@pytest.mark.parametrize("script", FOR_PYTEST)
def test_what_is_for_pytest_is_passed_on(checkout: Path, script: str) -> None:
    """Here as far as the set-up, which a checkout without sources does not survive."""
    begun = run(checkout, script, "-k", "something")
    assert begun.returncode not in (0, 2)
    assert "--help" not in begun.stderr
