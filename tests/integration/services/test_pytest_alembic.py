"""The nine histories under pytest-alembic, which hands its own engine or connection to env.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module

import pytest
from pytest_alembic import tests as built_in
from pytest_alembic.config import Config
from pytest_alembic.runner import MigrationContext, runner
from pytest_alembic.tests import experimental
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine

from migration_sidecar.worker.scripts.static_analysis import stays_in_transaction
from tests.integration.databases import Database
from tests.integration.services.fleet import FLEET, Service

CHECKS = [
    built_in.test_single_head_revision,
    built_in.test_upgrade,
    built_in.test_model_definitions_match_ddl,
    built_in.test_up_down_consistency,
]


def is_transactional(service: Service) -> bool:
    files = (service.path / "alembic" / "versions").glob("*.py")
    return all(stays_in_transaction(file.read_bytes()) for file in files)


TRANSACTIONAL = [service for service in FLEET if is_transactional(service)]


def each(services: list[Service]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("service", services, ids=lambda service: service.folder)


@pytest.fixture
def alembic_runner(service: Service, database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[MigrationContext]:
    """No DATABASE_URL is set, and alembic.ini names a server that is not of these tests."""
    monkeypatch.chdir(service.path)
    engine = create_async_engine(database.async_url) if service.uses_asyncpg else create_engine(database.url)
    with runner(Config(), engine) as context:
        yield context
    if not service.uses_asyncpg:
        engine.dispose()


@each(FLEET)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_history_passes_what_pytest_alembic_brings(
    check: Callable[[MigrationContext], None], alembic_runner: MigrationContext
) -> None:
    check(alembic_runner)


@each(FLEET)
def test_env_py_knows_every_table_of_its_service(
    service: Service, alembic_runner: MigrationContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check looks for the metadata in the package that it is given, and ours have theirs in the module `models`."""
    package = f"services.{service.folder}"
    monkeypatch.setattr(
        import_module(package), "metadata", import_module(f"{package}.models").Base.metadata, raising=False
    )
    experimental.test_all_models_register_on_metadata(alembic_runner, package)


@each(TRANSACTIONAL)
def test_a_downgrade_leaves_no_trace(alembic_runner: MigrationContext) -> None:
    """It migrates in a transaction of its own and rolls each revision back to a savepoint."""
    experimental.test_downgrade_leaves_no_trace(alembic_runner)


def test_some_services_stay_in_their_transactions() -> None:
    assert TRANSACTIONAL
