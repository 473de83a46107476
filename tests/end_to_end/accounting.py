"""Whether the audit of a fleet accounts for everything, by the commands that a person has."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from scripts.infrastructure.call_keys import operator_file
from scripts.infrastructure.catalog import members
from tests.end_to_end.ground import Ground

PROGRAMS = Path(sys.prefix) / "bin"
AUDIT = "cas-audit"


def reconciled(ground: Ground, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Exit code and answer of `coordinator audit reconcile`."""
    return asked(ground, "audit", "reconcile", *arguments)


def verified(ground: Ground) -> dict[str, Any]:
    """The answer of `coordinator audit verify`."""
    return asked(ground, "audit", "verify")[1]


def asked(ground: Ground, *words: str) -> tuple[int, dict[str, Any]]:
    """Exit code and answer of a command of `coordinator`, as the operator types it."""
    command = [PROGRAMS / "coordinator", *words, "--json"]
    done = subprocess.run(command, env=environment_of(ground), capture_output=True, text=True, timeout=60)
    return done.returncode, json.loads(done.stdout)


def environment_of(ground: Ground) -> dict[str, str]:
    """For a command of the operator of this fleet."""
    port, token = ground.sidecar.rpartition(":")[2], ground.fleet.token
    key = operator_file(ground.infrastructure.settings.keys_folder)
    return os.environ | {"DAPR_HTTP_PORT": port, "DAPR_API_TOKEN": token, "COORDINATOR_KEY_FILE": str(key)}


def require_accounted_for(ground: Ground) -> None:
    """What waits for an audit that was never migrated follows once it is."""
    request = f"in-the-end-{time.monotonic_ns()}"
    ground.ask("POST", "/migrations", json={"request_id": request, "services": [AUDIT]}).raise_for_status()
    ground.ended(request)
    code, found = reconciled(ground)
    assert code == 0, found


def by_hand(ground: Ground, name: str, *arguments: str) -> None:
    """A person at the machine of a service: `migration-sidecar` where and as the service itself runs."""
    (folder,) = [member.folder for member in members() if member.name == name]
    service = ground.application(name)
    command = [PROGRAMS / "migration-sidecar", *arguments, "--config", Path(folder) / "alembic.ini"]
    subprocess.run(command, env=service.environ(), cwd=service.cwd(), check=True, capture_output=True, timeout=60)
