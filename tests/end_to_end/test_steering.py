"""What an operator can do with a run while the whole fleet carries it out; the audit accounts for all of it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.end_to_end.accounting import PROGRAMS, environment_of
from tests.end_to_end.ground import Ground

PRODUCT = "cds-product"


def command(ground: Ground, request_id: str, verb: str, **more: Any) -> httpx.Response:
    return ground.ask("POST", f"/migrations/{request_id}/{verb}", json={"reason": "as the test wants", **more})


def typed(ground: Ground, *words: str) -> subprocess.CompletedProcess[str]:
    """A command of `coordinator`, as the operator types it."""
    program: list[str | Path] = [PROGRAMS / "coordinator", *words]
    return subprocess.run(program, env=environment_of(ground), capture_output=True, text=True, timeout=120)


def state_of(run: dict[str, Any], service: str) -> str:
    (state,) = [step["state"] for step in run["steps"] if step["service"] == service]
    return str(state)


def is_at_work(run: dict[str, Any]) -> bool:
    return bool(run["steps"]) and state_of(run, PRODUCT) == "running"


def is_at(ground: Ground, revision: str) -> bool:
    return "alembic_version" in ground.tables("cds_product") and ground.revision("cds_product") == revision


def is_held(run: dict[str, Any]) -> bool:
    return bool(run["state"] in ("paused", "awaiting_approval") and run.get("waiting"))


def test_a_paused_run_holds_after_the_step_under_way_and_goes_on_when_resumed(slow_product: Ground) -> None:
    name = f"paused-{uuid4()}"
    slow_product.publish({"request_id": name, "services": "all"})
    slow_product.run_when(name, is_at_work)
    assert command(slow_product, name, "pause").json()["stop"]["verb"] == "pause"
    run = slow_product.run_when(name, is_held)
    assert (state_of(run, PRODUCT), state_of(run, "cds-task")) == ("succeeded", "pending")
    assert run["possible"] == ["resume", "cancel"]
    shown = typed(slow_product, "status", name)
    assert shown.returncode == 4
    assert "paused it: as the test wants" in shown.stdout
    resumed = typed(slow_product, "resume", name, "--reason", "it may go on", "--watch")
    assert resumed.returncode == 0, resumed.stderr
    assert slow_product.ended(name)["state"] == "succeeded"


def test_a_pause_now_stops_at_a_whole_revision_and_what_is_left_is_done_after_it(slow_product: Ground) -> None:
    name = f"paused-now-{uuid4()}"
    slow_product.publish({"request_id": name, "services": "all"})
    slow_product.run_when(name, lambda run: is_at_work(run) and is_at(slow_product, "product_0005"))
    command(slow_product, name, "pause", now=True).raise_for_status()
    run = slow_product.run_when(name, is_held)
    assert state_of(run, PRODUCT) == "pending"
    assert slow_product.revision("cds_product") == "product_0005"
    command(slow_product, name, "resume").raise_for_status()
    run = slow_product.ended(name)
    assert run["state"] == "succeeded"
    assert slow_product.revision("cds_product") == "slow"
    applied = slow_product.applied("cds_product")
    assert len(applied) == len(set(applied))


def test_a_cancelled_run_ends_at_a_whole_revision_and_starts_nothing_more(slow_product: Ground) -> None:
    name = f"cancelled-{uuid4()}"
    slow_product.publish({"request_id": name, "services": "all"})
    slow_product.run_when(name, is_at_work)
    typed(slow_product, "cancel", name, "--reason", "the release is called off")
    run = slow_product.ended(name)
    assert run["state"] == "cancelled"
    assert (state_of(run, PRODUCT), state_of(run, "cds-task")) == ("cancelled", "cancelled")
    assert slow_product.tables("cds_task") == set()
    assert command(slow_product, name, "resume").json()["code"] == "CM-606"


def test_a_retry_goes_on_in_the_same_run_when_the_revision_is_repaired(ground: Ground) -> None:
    name = f"retried-{uuid4()}"
    file = ground.add_revision("interaction_service", "broken", 'op.execute("SELECT 1/0")')
    try:
        ground.publish({"request_id": name, "services": "all"})
        assert ground.ended(name)["state"] == "failed"
        file.write_text(file.read_text().replace("1/0", "1"))
        done = typed(ground, "retry", name, "--reason", "the revision is corrected", "--watch")
        assert done.returncode == 0, done.stderr
        run = ground.ended(name)
        assert (run["state"], run["round"], run["generation"]) == ("succeeded", 2, 2)
        assert [step["state"] for step in run["steps"]] == ["succeeded"] * 9
        assert ground.revision("interaction_db") == "broken"
    finally:
        file.unlink()


def test_a_plan_that_needs_an_approval_waits_for_it_and_an_approval_of_another_plan_is_void(ground: Ground) -> None:
    name = f"approved-{uuid4()}"
    ground.publish({"request_id": name, "services": "all", "approval": "required", "requested_by": "release-bot"})
    waiting = ground.run_when(name, is_held)
    assert waiting["approval"]["because"] == ["request"]
    assert ground.tables("cds_client") == set()
    assert typed(ground, "approve", name, "--plan", "0" * 64, "--reason", "I looked").returncode == 2
    file = ground.add_revision("client_service", "late", "op.execute('SELECT 1')")
    try:
        approve = ("approve", name, "--reason", "I looked", "--plan")
        assert typed(ground, *approve, waiting["plan_digest"]).returncode == 0
        void = ground.run_when(name, lambda run: bool(run["approval"] and run["approval"]["state"] == "void"))
        assert "late" in " ".join(void["approval"]["void_because"])
        void = ground.run_when(name, is_held)
        assert typed(ground, *approve, void["plan_digest"], "--watch").returncode == 0
        assert ground.ended(name)["state"] == "succeeded"
        assert ground.revision("cds_client") == "late"
    finally:
        file.unlink()


@pytest.fixture
def failing_product(ground: Ground) -> Iterator[Ground]:
    """At head; then one service has a new revision that can be taken back, and a later one has a broken one."""
    name = f"before-{uuid4()}"
    ground.publish({"request_id": name, "services": "all"})
    assert ground.ended(name)["state"] == "succeeded"
    good = ground.add_revision("client_service", "marked", "op.execute(\"COMMENT ON TABLE clients IS 'marked'\")")
    good.write_text(good.read_text().replace("    pass", '    op.execute("COMMENT ON TABLE clients IS NULL")'))
    broken = ground.add_revision("product_service", "broken", 'op.execute("SELECT 1/0")')
    yield ground
    good.unlink()
    broken.unlink()


def test_compensation_takes_back_what_the_run_changed(failing_product: Ground) -> None:
    name, before = f"compensated-{uuid4()}", failing_product.revision("cds_client")
    failing_product.publish({"request_id": name, "services": "all", "on_failure": "compensate"})
    run = failing_product.ended(name)
    assert (run["state"], state_of(run, "cds-client"), state_of(run, PRODUCT)) == ("compensated", "reverted", "failed")
    assert run["error"]["revision"] == "broken"
    assert failing_product.revision("cds_client") == before


def test_a_downgrade_needs_somebody_else_and_takes_the_database_back(ground: Ground) -> None:
    up, down = f"up-{uuid4()}", f"down-{uuid4()}"
    ground.publish({"request_id": up, "services": ["cas-audit", "cds-task"]})
    assert ground.ended(up)["state"] == "succeeded"
    head = ground.revision("cds_task")
    (before,) = [step["planned"][-2] for step in ground.ended(up)["steps"] if step["service"] == "cds-task"]
    body = {"request_id": down, "services": ["cds-task"], "action": "downgrade", "target": {"cds-task": before}}
    ground.publish({**body, "requested_by": "release-bot"})
    waiting = ground.run_when(down, is_held)
    assert ground.revision("cds_task") == head
    command(ground, down, "approve", plan_digest=waiting["plan_digest"]).raise_for_status()
    assert ground.ended(down)["state"] == "succeeded"
    assert ground.revision("cds_task") == before
    assert ground.ask("POST", "/migrations", json={**body, "request_id": f"{down}-audit", "services": ["cas-audit"],
                      "target": {"cas-audit": "audit_0001"}}).json()["code"] == "CM-206"  # fmt: skip
