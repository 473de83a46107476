"""The service's own login: it may do nothing by itself, and acts in one role at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.cas_service.segment_sealing import RetentionRefused, retire, seal
from tests.integration.databases import Database
from tests.integration.services.evidence import evidence_of
from tests.integration.services.fleet import BY_FOLDER, alembic
from tests.integration.services.test_audit_doors import doors, event, send

GRANT = "GRANT cas_ingest, cas_reader, cas_witness TO servant"


@contextmanager
def servant(audit: Database) -> Iterator[Database]:
    """What production runs as: a login without any right of its own."""
    with audit.connect() as administrator:
        administrator.execute("CREATE ROLE servant LOGIN PASSWORD 'secret' NOINHERIT")
        try:
            yield Database(audit.name, replace(audit.address, user="servant", password="secret"))
        finally:
            administrator.execute("DROP ROLE servant")


async def test_a_login_that_was_granted_the_roles_serves_every_door(audit: Database) -> None:
    with servant(audit) as login, audit.connect() as administrator:
        administrator.execute(GRANT)
        async with doors(login.url) as door:
            assert (await send(door, event())).json()["stored"] == 1
            assert len((await door.get("/audit/events")).json()["events"]) == 1


async def test_a_login_without_the_roles_is_told_what_to_have_granted(audit: Database) -> None:
    with servant(audit) as login:
        async with doors(login.url) as door:
            for answer in (await send(door, event()), await door.get("/audit/events")):
                problem = answer.json()
                assert (answer.status_code, problem["code"], problem["next_step"]) == (503, "CM-504", f"{GRANT}.")


async def test_the_service_may_seal_and_is_told_that_it_may_not_retire(audit: Database, tmp_path: Path) -> None:
    with servant(audit) as login, audit.connect() as administrator:
        administrator.execute(GRANT)
        async with evidence_of(audit, tmp_path) as evidence, evidence_of(login, tmp_path) as service:
            evidence.record(5)
            await evidence.sign()
            sealed = await seal(service.engine.database, datetime.now(UTC) + timedelta(hours=1), tmp_path)
            with pytest.raises(RetentionRefused, match="no member of cas_owner"):
                await retire(service.engine.database, sealed.file, evidence.keys_file)


@pytest.mark.usefixtures("audit_template")  # so that the roles are there, as in a second database of one server
@pytest.mark.parametrize("revision", ["audit_0001", "audit_0004", "audit_0005"])
async def test_before_its_roles_have_rights_the_audit_says_to_come_back(database: Database, revision: str) -> None:
    alembic(BY_FOLDER["cas_service"], database, "upgrade", revision)
    async with doors(database.url) as door:
        for answer in (await send(door, event()), await door.get("/audit/events")):
            problem = answer.json()
            assert (answer.status_code, problem["code"], problem["retryable"]) == (503, "CM-522", True)
