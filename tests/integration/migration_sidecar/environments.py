"""Small Alembic environments as `alembic init` makes them, and engines that drive them."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from io import StringIO
from itertools import count
from pathlib import Path
from textwrap import dedent, indent
from typing import Any
from uuid import uuid4

from alembic import command
from alembic.config import Config

from migration_sidecar.config.settings import Settings, read_settings
from migration_sidecar.contract.messages import Operation, OperationRequest
from migration_sidecar.engine.engine import Engine
from tests.integration.databases import Database

# Nothing is told by how long something took: these only keep what hangs from taking for ever.
LONG_SECONDS = 120.0
UNTIL_SECONDS = 60.0
# Tests go up and down through the same door as a coordinator.
OURS = "\n\n[migration_sidecar]\nservice = orders\nendpoint_downgrades = true\n"

REVISION = '''\
"""{message}."""

from alembic import op

revision = {revision!r}
down_revision = {below!r}
branch_labels = None
depends_on = {depends_on!r}


def upgrade():
{upgrade}


def downgrade():
{downgrade}
'''


@dataclass
class Environment:
    """A folder with an alembic.ini and an env.py of a template; revisions are chained as they are written.

    Each revision has a transaction of its own, because most tests ask what a failure leaves of the revisions before it.
    With `one_transaction` env.py is as Alembic wrote it.
    """

    folder: Path
    url: str
    template: str = "generic"
    one_transaction: bool = False
    last: str | None = None
    numbers: Any = field(default_factory=lambda: count(1))

    def __post_init__(self) -> None:
        command.init(Config(str(self.ini), stdout=StringIO()), str(self.folder / "alembic"), template=self.template)
        self.set_url(self.url)
        if not self.one_transaction:
            env_py = self.folder / "alembic" / "env.py"
            said = "connection=connection, "
            env_py.write_text(env_py.read_text().replace(said, f"{said}transaction_per_migration=True, "))

    @property
    def ini(self) -> Path:
        return self.folder / "alembic.ini"

    @property
    def versions(self) -> Path:
        return self.folder / "alembic" / "versions"

    def set_url(self, url: str) -> None:
        self.url = url
        lines = self.ini.read_text().split("[migration_sidecar]")[0].splitlines()
        escaped = url.replace("%", "%%")
        changed = [f"sqlalchemy.url = {escaped}" if line.startswith("sqlalchemy.url") else line for line in lines]
        self.ini.write_text("\n".join(changed) + OURS)

    def revision(
        self,
        revision: str,
        upgrade: str | None = None,
        downgrade: str | None = None,
        *,
        below: Any = "the last one",
        depends_on: Any = None,
    ) -> Path:
        """Without a body it makes the table t_<revision>; writing it again replaces the file."""
        path = self.versions / f"{revision}.py"
        before = self.last if below == "the last one" else below
        bodies = {
            "upgrade": upgrade or f'op.execute("CREATE TABLE t_{revision} (id int)")',
            "downgrade": downgrade or f'op.execute("DROP TABLE t_{revision}")',
        }
        path.write_text(
            REVISION.format(
                message=f"Make {revision}",
                revision=revision,
                below=before,
                depends_on=depends_on,
                **{name: indent(dedent(body).strip(), "    ") for name, body in bodies.items()},
            )
        )
        self.last = revision
        return path

    def settings(self, **environment: str) -> Settings:
        return read_settings(self.ini, environment)


def request(target: str = "head", **facts: Any) -> OperationRequest:
    return OperationRequest(**{"operation_id": f"op-{uuid4()}", "target": target, "requested_by": "ada", **facts})


async def carry_out(engine: Engine, wanted: OperationRequest | None = None, **facts: Any) -> Operation:
    """Accepts and waits for the end."""
    accepted = await engine.operations.accept(wanted or request(**facts))
    return await ended(engine, accepted.operation_id)


async def ended(engine: Engine, operation_id: str) -> Operation:
    operation = await engine.operations.find(operation_id, wait_seconds=LONG_SECONDS)
    assert operation.state.ended, f"still {operation.state} after {LONG_SECONDS} s: {operation.waiting_for}"
    return operation


async def until(condition: Callable[[], Any], *, within: float = UNTIL_SECONDS) -> Any:
    """Asks again and again; gives the first answer that is true."""
    async with asyncio.timeout(within):
        while True:
            answer = condition()
            answer = await answer if inspect.isawaitable(answer) else answer
            if answer:
                return answer
            await asyncio.sleep(0.02)


def rows(database: Database, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with database.connect() as connection:
        return connection.execute(query, parameters or None).fetchall()  # type: ignore[arg-type]


def version(database: Database) -> list[str]:
    return [name for (name,) in rows(database, "SELECT version_num FROM alembic_version ORDER BY 1")]


def tables(database: Database) -> set[str]:
    """The tables that revisions made."""
    return {name for (name,) in rows(database, "SELECT tablename FROM pg_tables WHERE tablename LIKE 't\\_%'")}


def applied(database: Database) -> list[str]:
    """Every `applied` row of the journal in its order, whoever wrote it."""
    query = "SELECT revision FROM migration_sidecar.journal WHERE kind = 'applied' ORDER BY seq"
    return [revision for (revision,) in rows(database, query)]


def kinds(database: Database, operation_id: str) -> list[str]:
    query = "SELECT kind FROM migration_sidecar.journal WHERE operation_id = %s ORDER BY seq"
    return [kind for (kind,) in rows(database, query, operation_id)]


MIGRATION_LOCKS = f"""
SELECT count(*) FROM pg_locks
WHERE locktype = 'advisory' AND classid = {0x4D49}
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


def lock_is_free(database: Database) -> bool:
    return rows(database, MIGRATION_LOCKS) == [(0,)]
