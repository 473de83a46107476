"""The nine histories: up, down, and in agreement with the models, the guide, the legacy SQL and each other."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from tests.integration.databases import CreateDatabase, Database
from tests.integration.services.fleet import BY_FOLDER, FLEET, WITH_LEGACY_SQL, Service, alembic, catalog, psql, tables

every_service = pytest.mark.parametrize("service", FLEET, ids=lambda service: service.folder)

DOCUMENT_CHANGES = [
    ("add_category_column.sql", "document_0002"),
    ("update_processed_events_canonical.sql", "document_0003"),
]


@every_service
def test_a_history_goes_up_and_down_and_up_to_the_same_schema(service: Service, database: Database) -> None:
    alembic(service, database, "upgrade", "head")
    at_head = catalog(database)
    alembic(service, database, "downgrade", "base")
    assert tables(database) == {"alembic_version"}
    alembic(service, database, "upgrade", "head")
    assert catalog(database) == at_head
    assert tables(database) == {"alembic_version", *service.tables}


@every_service
def test_the_models_describe_head_to_the_last_check(service: Service, create_database: CreateDatabase) -> None:
    """`alembic check` does not look at checks, partial indexes and defaults; the catalog does."""
    migrated, modelled = create_database(), create_database()
    alembic(service, migrated, "upgrade", "head")
    alembic(service, migrated, "check")
    models = import_module(f"services.{service.folder}.models")
    models.Base.metadata.create_all(create_engine(modelled.url, poolclass=NullPool))
    assert catalog(migrated) == catalog(modelled)


def test_processed_events_is_the_same_in_every_service_that_has_it(create_database: CreateDatabase) -> None:
    described = []
    for service in FLEET:
        if "processed_events" in service.tables:
            database = create_database()
            alembic(service, database, "upgrade", "head")
            described.append({fact for fact in catalog(database) if fact[0] == "processed_events"})
    assert len(described) >= 7
    assert all(facts == described[0] for facts in described)


@pytest.mark.parametrize(("service", "revision"), WITH_LEGACY_SQL, ids=[each.folder for each, _ in WITH_LEGACY_SQL])
def test_legacy_sql_runs_twice_and_leads_into_the_history(
    service: Service, revision: str, create_database: CreateDatabase
) -> None:
    by_hand, migrated = create_database(), create_database()
    for _ in range(2):
        psql(by_hand, service.path / "migrations" / "init.sql")
    alembic(service, migrated, "upgrade", revision)
    assert catalog(by_hand) == catalog(migrated)
    alembic(service, by_hand, "stamp", revision)
    alembic(service, by_hand, "upgrade", "head")


def test_the_legacy_sql_of_documents_leads_to_category_and_canonical_events(create_database: CreateDatabase) -> None:
    by_hand, migrated = create_database(), create_database()
    service = BY_FOLDER["document_service"]
    psql(by_hand, service.path / "migrations" / "init.sql")
    for file, revision in DOCUMENT_CHANGES:
        for _ in range(2):
            psql(by_hand, service.path / "migrations" / file)
        alembic(service, migrated, "upgrade", revision)
        assert catalog(by_hand) == catalog(migrated)
    alembic(service, by_hand, "stamp", "document_0003")
    alembic(service, by_hand, "upgrade", "head")


@every_service
def test_the_generated_sql_makes_the_same_schema(
    service: Service, create_database: CreateDatabase, tmp_path: Path
) -> None:
    migrated, by_script = create_database(), create_database()
    alembic(service, migrated, "upgrade", "head")
    alembic(service, by_script, "upgrade", "head", "--sql", output=tmp_path / "upgrade.sql")
    psql(by_script, tmp_path / "upgrade.sql")
    assert catalog(by_script) == catalog(migrated)
