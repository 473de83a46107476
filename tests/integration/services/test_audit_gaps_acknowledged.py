"""A conflict of the real audit: `reconcile` ends with 1 until the audit holds that somebody answers for it."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner, Result

from coordinator.cli.app import app as command_line
from coordinator.domain.audit_events import Actor, acknowledgement_event
from migration_sidecar.contract.audit import StoredAuditEvent
from tests.integration.databases import Database
from tests.integration.services.evidence import Evidence, evidence_of
from tests.integration.services.serving import serving
from tests.integration.services.test_audit_reconciled_with_segments import fleet_of
from tests.unit.coordinator.domain.reconciliation.stories import Story, told

Reconcile = Callable[[], Result]


@pytest.fixture
def story() -> Story:
    return told(7)


@pytest.fixture
async def evidence(audit: Database, tmp_path: Path, story: Story) -> AsyncIterator[Evidence]:
    """What the story tells, and the first event of it a second time, with another actor."""
    events = [event.model_dump(mode="json", exclude={"seq", "recorded_at"}) for event in story.events]
    async with evidence_of(audit, tmp_path / "audit") as evidence:
        evidence.send([*events, {**events[0], "actor": "mallory"}])
        yield evidence


@pytest.fixture
def reconcile(evidence: Evidence, story: Story, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reconcile]:
    monkeypatch.setenv("AUDIT_FOLDER", str(evidence.folder))
    with serving(evidence.audit, fleet_of(story)) as url:
        monkeypatch.setenv("COORDINATOR_URL", url)
        yield lambda: CliRunner().invoke(command_line, ["audit", "reconcile", "--json"])


def test_the_real_audit_takes_an_acknowledgement_and_reconcile_counts_it(
    reconcile: Reconcile, evidence: Evidence
) -> None:
    before = reconcile()
    [gap] = json.loads(before.stdout)["gaps"]
    assert (before.exit_code, gap["kind"]) == (1, "contested")
    url = os.environ["COORDINATOR_URL"]
    about = StoredAuditEvent.model_validate_json(httpx.get(f"{url}/audit/events/{gap['seq']}").content)
    ada = Actor(None, "ada", "signed call, key ada/1234")
    event = acknowledgement_event("contested", about, datetime.now(UTC), ada, "a test of the relay, INC-7")
    answer = httpx.post(f"{url}/audit/events", json={"events": [event.model_dump(mode="json")]})
    assert answer.json() == {"stored": 1, "repeated": 0, "conflicts": []}, answer.text
    after = reconcile()
    document = json.loads(after.stdout)
    assert (after.exit_code, document["gaps"], document["conflicts_refused"]) == (0, [], 1)
    [one] = document["acknowledged"]
    assert (one["acknowledged_by"], one["reason"], one["seq"]) == ("ada", "a test of the relay, INC-7", gap["seq"])
    listed = CliRunner().invoke(command_line, ["audit", "list", "--type", "gap.acknowledged", "--json"])
    assert [each["actor"] for each in json.loads(listed.stdout)["events"]] == ["ada"]
