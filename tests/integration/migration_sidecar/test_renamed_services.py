"""A service and its database under new names: what its journal told before is its own, once the catalog says so."""

from __future__ import annotations

from datetime import UTC, datetime

import httpx
import pytest
from psycopg import sql

from coordinator.domain.reconciliation.declarations import Declarations, Former
from coordinator.domain.reconciliation.discrepancy import Discrepancy
from coordinator.domain.reconciliation.reconciliation import Reconciliation
from migration_sidecar.api.app import make_app
from migration_sidecar.contract.journal import JournalPage
from migration_sidecar.contract.messages import RecordedAuditEvent
from scripts.infrastructure.postgres import PostgresServer
from tests.integration.databases import Database
from tests.integration.migration_sidecar.conftest import SharedProcesses
from tests.integration.migration_sidecar.environments import Environment, carry_out


async def journal(environment: Environment) -> JournalPage:
    """After one more migration, as the service tells it today."""
    app = make_app(environment.ini, settings=environment.settings(MIGRATE_ON_STARTUP="off"))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=40) as client,
    ):
        await carry_out(app.state.engine)
        return JournalPage.model_validate_json((await client.get("/migrations/journal")).content)


def gaps(page: JournalPage, told: list[JournalPage], former: Former) -> list[Discrepancy]:
    """The audit has each event as it was told first."""
    found = Reconciliation(frozenset({page.service}), declared=Declarations(former={page.service: former}))
    found.journal_matcher.begin(page.service)
    found.journal_matcher.add_entry(page)
    events = {entry.event.event_id: entry.event for each in reversed(told) for entry in each.entries if entry.event}
    for number, event in enumerate(events.values(), 1):
        facts = event.model_dump() | {"seq": number, "recorded_at": datetime.now(UTC)}
        found.add_audit_event(RecordedAuditEvent.model_validate(facts))
    return list(found.gaps())


async def test_a_journal_goes_on_under_a_new_name(
    environment: Environment,
    database: Database,
    postgres: PostgresServer,
    shared_processes: SharedProcesses,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("migration_sidecar.engine.engine.ForkserverClient", lambda *_: shared_processes)
    environment.revision("a1")
    before = await journal(environment)
    new = f"{database.name}_renamed"
    with postgres.address.connect() as connection:
        rename = sql.SQL("ALTER DATABASE {} RENAME TO {}")
        connection.execute(rename.format(sql.Identifier(database.name), sql.Identifier(new)))
    try:
        environment.set_url(postgres.address.url(new))
        environment.ini.write_text(environment.ini.read_text().replace("service = orders", "service = warehouse"))
        environment.revision("a2")
        today = await journal(environment)
        assert (today.service, today.database) == ("warehouse", new)
        told = [before, today]
        assert gaps(today, told, Former(frozenset({"orders"}), frozenset({database.name}))) == []
        assert gaps(today, told, Former(frozenset({"orders"}))) != []
        assert gaps(today, told, Former()) != []
    finally:
        with postgres.address.connect() as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(new)))
