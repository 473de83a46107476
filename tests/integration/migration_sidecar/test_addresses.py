"""Whatever libpq and SQLAlchemy take as an address is taken, also by our own sessions, which another driver opens."""

from __future__ import annotations

import pytest
from sqlalchemy.engine import URL, make_url

from migration_sidecar.contract.messages import DatabaseState, OperationState
from scripts.infrastructure import ports
from tests.integration.databases import Database
from tests.integration.migration_sidecar.conftest import StartEngine
from tests.integration.migration_sidecar.environments import Environment, carry_out, version

OURS = "from migration_sidecar.environment import run\n\nrun(None)\n"
ADDRESSES = {
    "options of libpq": "{host}:{port}/{name}?connect_timeout=9&keepalives=1&fallback_application_name=x",
    "options of the server": "{host}:{port}/{name}?options=-c%20search_path%3Dpublic&application_name=x",
    "several hosts as SQLAlchemy writes them": "/{name}?host={host}:{closed}&host={host}:{port}",
    "several hosts as libpq writes them": "/{name}?host={host},{host}&port={closed},{port}",
    "whichever can be written to": "/{name}?host={host},{host}&port={closed},{port}&target_session_attrs=read-write",
}


@pytest.mark.parametrize("address", ADDRESSES.values(), ids=ADDRESSES)
@pytest.mark.parametrize("env", [OURS, None], ids=["our env.py", "Alembic's own"])
async def test_an_address_that_alembic_can_use_is_used(
    address: str, env: str | None, environment: Environment, database: Database, start_engine: StartEngine
) -> None:
    url, (closed,) = make_url(database.url), ports.choose(1)
    user = URL.create(url.drivername, url.username, url.password).render_as_string(hide_password=False)
    where = address.format(host=url.host, port=url.port, name=url.database, closed=closed)
    environment.set_url(f"{user}{where}")
    if env is not None:
        (environment.folder / "alembic" / "env.py").write_text(env)
    environment.revision("a1")
    engine = start_engine(environment)
    operation = await carry_out(engine)
    assert operation.state is OperationState.SUCCEEDED, operation.error
    assert version(database) == ["a1"]
    assert (await engine.reader.status()).state is DatabaseState.AT_HEAD
