"""The nine databases as the legacy SQL makes them, taken into their histories by `migration-sidecar adopt`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from typer.testing import CliRunner

import migration_sidecar.engine.engine
from migration_sidecar.cli import app
from tests.integration.databases import Database
from tests.integration.migration_sidecar.conftest import SharedProcesses
from tests.integration.services.fleet import BY_FOLDER, FLEET, Service, alembic, psql

Adopt = Callable[..., dict[str, object]]


@pytest.fixture(scope="module")
def processes() -> Iterator[SharedProcesses]:
    shared = SharedProcesses()
    yield shared
    shared.really_stop()


@pytest.fixture
def adopt(processes: SharedProcesses, monkeypatch: pytest.MonkeyPatch) -> Adopt:
    monkeypatch.setattr(migration_sidecar.engine.engine, "ForkserverClient", lambda *_: processes)

    def run(service: Service, database: Database, revision: str, *more: str) -> dict[str, object]:
        words = ["adopt", "--revision", revision, "--json", *more, "--config", str(service.path / "alembic.ini")]
        result = CliRunner().invoke(app, [*words, "--database-url", service.url(database)], catch_exceptions=False)
        answer: dict[str, object] = json.loads(result.stdout)
        return answer

    return run


@pytest.mark.parametrize("service", FLEET, ids=lambda service: service.folder)
def test_the_legacy_sql_is_adopted_at_its_revision_and_at_no_other(
    service: Service, database: Database, adopt: Adopt
) -> None:
    legacy = str(service.legacy_revision)
    psql(database, service.path / "migrations" / "init.sql")
    number = int(legacy[-4:])
    for other in (f"{legacy[:-4]}{each:04}" for each in (number - 1, number + 1) if each):
        found = adopt(service, database, other, "--dry-run")
        assert found["state"] == "different"
        assert found["differences"]
    assert adopt(service, database, legacy)["state"] == "adopted"
    alembic(service, database, "upgrade", "head")
    alembic(service, database, "check")


def test_the_later_changes_of_documents_are_adopted_at_theirs(database: Database, adopt: Adopt) -> None:
    service = BY_FOLDER["document_service"]
    for file in ("init.sql", "add_category_column.sql", "update_processed_events_canonical.sql"):
        psql(database, service.path / "migrations" / file)
    assert adopt(service, database, "document_0002", "--dry-run")["state"] == "different"
    assert adopt(service, database, "document_0003")["state"] == "adopted"
