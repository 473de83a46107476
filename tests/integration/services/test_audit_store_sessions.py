"""The service's own login: it may do nothing by itself, and acts in one role at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from tests.integration.databases import Database
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


@pytest.mark.usefixtures("audit_template")  # so that the roles are there, as in a second database of one server
@pytest.mark.parametrize("revision", ["audit_0001", "audit_0004", "audit_0005"])
async def test_before_its_roles_have_rights_the_audit_says_to_come_back(database: Database, revision: str) -> None:
    alembic(BY_FOLDER["cas_service"], database, "upgrade", revision)
    async with doors(database.url) as door:
        for answer in (await send(door, event()), await door.get("/audit/events")):
            problem = answer.json()
            assert (answer.status_code, problem["code"], problem["retryable"]) == (503, "CM-522", True)
