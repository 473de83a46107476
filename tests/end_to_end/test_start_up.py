"""A plain `dapr run -f dapr.yaml` migrates by itself, and ending it leaves nothing behind."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import psutil

from scripts.infrastructure.signed import wait_until_signed
from tests.end_to_end.accounting import require_accounted_for, verified
from tests.end_to_end.ground import SERVICES, TABLES, Ground, standing


def test_a_plain_dapr_run_migrates_by_itself_and_the_audit_shows_it(tmp_path: Path) -> None:
    with standing(tmp_path, "apply") as ground:
        wait_until_at_head(ground)
        for database, tables in TABLES.items():
            assert ground.tables(database) == tables | {"alembic_version"}
            assert len(ground.applied(database)) == len(set(ground.applied(database)))
        by_service = (
            "SELECT DISTINCT service FROM audit_events WHERE event_type = 'revision.applied' AND actor = 'start-up'"
        )
        recorded: set[str] = set()
        deadline = time.monotonic() + 60
        while recorded != set(SERVICES) and time.monotonic() < deadline:
            recorded = {service for (service,) in ground.query("cas_audit", by_service)}
            time.sleep(0.5)
        assert recorded == set(SERVICES)
        require_accounted_for(ground)
        require_signed_outside(ground)

        launcher = ground.fleet.program.process()
        assert launcher is not None
        started = launcher.children(recursive=True)
        launcher.send_signal(signal.SIGINT)  # what Ctrl-C sends
        _, alive = psutil.wait_procs([launcher, *started], timeout=30)
        assert alive == []


def wait_until_at_head(ground: Ground) -> None:
    states: dict[str, str] = {}
    deadline = time.monotonic() + 90
    while set(states.values()) != {"at_head"} and time.monotonic() < deadline:
        services = ground.ask("GET", "/fleet").json()["services"]
        states = {each["service"]: each["state"] for each in services if each.get("database")}
        time.sleep(0.3)
    assert set(states.values()) == {"at_head"}, states


def require_signed_outside(ground: Ground) -> None:
    """With the settings of dapr.yaml: all that is there is signed within seconds, beside the database and in a file."""
    wait_until_signed(ground.fleet)
    ((newest,),) = ground.query("cas_audit", "SELECT max(seq) FROM audit_events")
    (file,) = (ground.infrastructure.settings.audit_folder / "anchors").glob("anchors-*.jsonl")
    signed = [json.loads(line)["anchor"].split("|")[2] for line in file.read_text().splitlines()]
    assert signed[-1:] == [str(newest)]
    found = verified(ground)
    assert (found["ok"], found["anchored_seq"], found["anchoring"]) == (True, newest, "")
