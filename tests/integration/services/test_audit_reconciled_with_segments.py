"""`coordinator audit reconcile` against an audit whose oldest events were really sealed and taken out."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter
from typer.testing import CliRunner, Result

from coordinator.cli.app import app as command_line
from services.cas_service.segment_sealing import Sealed, retire, seal
from tests.integration.databases import Database
from tests.integration.services.evidence import Evidence, evidence_of
from tests.integration.services.serving import serving
from tests.unit.coordinator.domain.reconciliation.stories import Story, told

Reconcile = Callable[..., Result]
RETIRED = 12


@pytest.fixture
def story() -> Story:
    return told(7)


@pytest.fixture
async def evidence(audit: Database, tmp_path: Path, story: Story) -> AsyncIterator[Evidence]:
    """What the story tells, the first twelve events of it signed."""
    events = [event.model_dump(mode="json", exclude={"seq", "recorded_at"}) for event in story.events]
    async with evidence_of(audit, tmp_path / "audit", every_events=RETIRED) as evidence:
        evidence.send(events[:RETIRED])
        await evidence.sign()
        evidence.send(events[RETIRED:])
        yield evidence


@pytest.fixture
async def sealed(evidence: Evidence) -> Sealed:
    """Taken out of the database."""
    later = datetime.now(UTC) + timedelta(hours=1)
    sealed = await seal(evidence.engine.database, later, evidence.folder / "segments")
    await evidence.sign_all()
    assert await retire(evidence.engine.database, sealed.file, evidence.keys_file) == RETIRED
    return sealed


@pytest.fixture
def reconcile(evidence: Evidence, story: Story, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reconcile]:
    monkeypatch.setenv("AUDIT_FOLDER", str(evidence.folder))
    with serving(evidence.audit, fleet_of(story)) as url:
        monkeypatch.setenv("COORDINATOR_URL", url)
        yield lambda *arguments: CliRunner().invoke(command_line, ["audit", "reconcile", "--json", *arguments])


def fleet_of(story: Story) -> APIRouter:
    router = APIRouter()

    @router.get("/fleet")
    def fleet() -> dict[str, Any]:
        views = [{"service": name, "database": f"{name}_db", "state": "at_head"} for name in story.entries]
        return {"services": views}

    @router.get("/migrations")
    def runs() -> dict[str, Any]:
        return {"runs": [], "next_cursor": None}

    @router.get("/journals/{service}")
    def journal(service: str) -> Any:
        return story.page(service, story.entries[service])

    return router


def test_what_was_taken_out_is_not_seen_without_its_file(sealed: Sealed, reconcile: Reconcile) -> None:
    done = reconcile()
    document = json.loads(done.stdout)
    assert (done.exit_code, document["gaps"], document["in_sealed_segments"]) == (3, [], sealed.last_seq)
    assert document["not_seen"] == {"first_seq": 1, "last_seq": sealed.last_seq}


def test_its_file_shows_that_each_event_is_there(
    sealed: Sealed, reconcile: Reconcile, evidence: Evidence, story: Story
) -> None:
    done = reconcile("--segment", str(sealed.file), "--keys", str(evidence.keys_file))
    document = json.loads(done.stdout)
    assert (done.exit_code, document["gaps"], document["in_sealed_segments"]) == (0, [], 0)
    assert document["audit_events"] == len(story.events) + 2  # that it was sealed, and that it was retired


def test_a_journal_row_that_was_removed_since_is_found_by_the_event_in_the_file(
    sealed: Sealed, reconcile: Reconcile, evidence: Evidence, story: Story
) -> None:
    lost = story.events[3]
    for entries in story.entries.values():
        entries[:] = [entry for entry in entries if not entry.event or entry.event.event_id != lost.event_id]
    done = reconcile("--segment", str(sealed.file), "--keys", str(evidence.keys_file))
    named = {gap.get("event_id") for gap in json.loads(done.stdout)["gaps"]}
    assert (done.exit_code, str(lost.event_id) in named) == (1, True)


def test_a_repeat_of_what_was_taken_out_leaves_everything_accounted_for(
    sealed: Sealed, reconcile: Reconcile, evidence: Evidence, story: Story
) -> None:
    again = [event.model_dump(mode="json", exclude={"seq", "recorded_at"}) for event in story.events[:RETIRED]]
    assert {result for _, _, result in evidence.send(again)} == {"repeated"}
    done = reconcile("--segment", str(sealed.file), "--keys", str(evidence.keys_file))
    assert (done.exit_code, json.loads(done.stdout)["gaps"]) == (0, [])
