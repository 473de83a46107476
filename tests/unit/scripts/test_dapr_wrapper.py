"""The `dapr` of a checkout: what scripts/setup puts in front of Dapr's own program."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def wrapper() -> str:
    return (ROOT / "scripts" / "setup").read_text().partition("<<'WRAPPER'\n")[2].partition("\nWRAPPER\n")[0]


def test_the_password_that_a_person_exported_for_psql_does_not_reach_the_fleet(tmp_path: Path) -> None:
    """All drivers take PGPASSWORD before the passfile of the service's own role."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "dapr").write_text(wrapper())
    (tmp_path / "dapr").mkdir()
    program = tmp_path / "dapr" / "dapr"
    program.write_text('#!/bin/sh\necho "$1 ${PGPASSWORD-none} $PGUSER"\n')
    program.chmod(0o755)
    environment = {"PATH": os.environ["PATH"], "PGPASSWORD": "postgres", "PGUSER": "somebody"}
    command = ["bash", str(tmp_path / "bin" / "dapr"), "run"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "run none somebody\n"
