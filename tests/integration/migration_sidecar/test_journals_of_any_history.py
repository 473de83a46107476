"""Random histories, migrated up and down by the product: their journals are accounted for, and no row can be lost."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coordinator.domain.reconciliation.discrepancy import Discrepancy
from coordinator.domain.reconciliation.journal_continuity import EFFECTS, JournalContinuity
from migration_sidecar.api.app import make_app
from migration_sidecar.contract.errors import ProblemError
from migration_sidecar.contract.journal import JournalEntry, JournalPage
from migration_sidecar.contract.messages import Action
from migration_sidecar.engine.engine import Engine
from migration_sidecar.protocol.origin import Origin
from scripts.infrastructure.postgres import PostgresServer
from tests.integration.databases import fresh_database
from tests.integration.migration_sidecar.conftest import SharedProcesses
from tests.integration.migration_sidecar.environments import Environment, ended, request
from tests.unit.migration_sidecar.alembic_environment.test_agreement_with_alembic import Labels, graphs, labels
from tests.unit.migration_sidecar.alembic_environment.test_history import Graph

Journey = list[tuple[Action, str]]


@st.composite
def journeys(draw: st.DrawFn) -> tuple[Graph, Labels, Journey]:
    graph = draw(graphs().filter(lambda graph: len(graph) > 2))
    given_labels = draw(labels(graph))
    named = [*sorted(graph), *(label for each in given_labels.values() for label in each)]
    ups = st.sampled_from([*sorted(graph), "heads", *(f"{name}@heads" for name in named)])
    downs = st.sampled_from([*sorted(graph), "base", *(f"{name}@base" for name in named)])
    up, down = st.tuples(st.just(Action.UPGRADE), ups), st.tuples(st.just(Action.DOWNGRADE), downs)
    return graph, given_labels, [(Action.UPGRADE, draw(ups)), *draw(st.lists(up | down, min_size=2, max_size=4))]


def write(environment: Environment, graph: Graph, given_labels: Labels) -> None:
    for revision, (down, depends) in graph.items():
        path = environment.revision(revision, below=down or None, depends_on=depends or None)
        if revision in given_labels:
            with path.open("a") as file:
                file.write(f"branch_labels = {given_labels[revision]!r}\n")


async def live(app: Any, journey: Journey) -> JournalPage:
    """Migrates along the journey; what Alembic would refuse too is left out. Returns the whole journal."""
    engine: Engine = app.state.engine
    for action, target in journey:
        try:
            # By hand, because the endpoint takes neither base nor one branch down.
            wanted = request(target, action=action)
            accepted = await engine.operations.accept(wanted, origin=Origin.BY_HAND)
        except ProblemError:
            continue
        assert (await ended(engine, accepted.operation_id)).state.value in ("succeeded", "failed")
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        return JournalPage.model_validate_json((await client.get("/migrations/journal?limit=1000")).content)


def gaps(page: JournalPage, entries: list[JournalEntry]) -> list[Discrepancy]:
    continuity = JournalContinuity(page.service)
    for entry in entries:
        continuity.add(entry)
    return list(continuity.gaps(page.positions))


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(told=journeys(), one_transaction=st.booleans())
def test_the_journal_of_any_history_is_accounted_for_and_each_row_is_missed(
    told: tuple[Graph, Labels, Journey],
    one_transaction: bool,
    postgres: PostgresServer,
    shared_processes: SharedProcesses,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("migration_sidecar.engine.engine.ForkserverClient", lambda *_: shared_processes)
    graph, given_labels, journey = told

    async def journal(environment: Environment) -> JournalPage:
        app = make_app(environment.ini, settings=environment.settings(MIGRATE_ON_STARTUP="off"))
        async with app.router.lifespan_context(app):
            return await live(app, journey)

    with fresh_database(postgres) as database:
        folder: Path = tmp_path_factory.mktemp("history") / "orders"
        environment = Environment(folder, database.url, one_transaction=one_transaction)
        write(environment, graph, given_labels)
        page = asyncio.run(journal(environment))
    assert gaps(page, page.entries) == []
    moves = [at for at, entry in enumerate(page.entries) if entry.kind in EFFECTS]
    assert all(page.entries[at].heads_before is not None for at in moves)
    for at in moves[1:]:
        assert gaps(page, page.entries[:at] + page.entries[at + 1 :]) != [], page.entries[at]
