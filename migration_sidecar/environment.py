"""What a service's three-line env.py calls: migrates under the same lock and journal as every way in."""

from __future__ import annotations

import asyncio
import getpass
import os
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

from alembic import context
from sqlalchemy import MetaData, create_engine
from sqlalchemy.engine import URL, Connection
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from migration_sidecar.child import hook
from migration_sidecar.child.journal import Attempt, write
from migration_sidecar.child.process import describe_failure
from migration_sidecar.settings import database_url


def run(metadata: MetaData, **options: Any) -> None:
    """Carries out whatever Alembic was asked for; `options` go to Alembic's context.configure as they are."""
    url = database_url(Path(context.config.config_file_name or "alembic.ini"))
    if context.is_offline_mode():
        context.configure(url=url, target_metadata=metadata, literal_binds=True, **options)
        with context.begin_transaction():
            context.run_migrations()
        return
    by_hand = None if hook.installed() else ByHand()
    if by_hand is not None:
        hook.install(by_hand.attempt, by_hand.tell, lock_wait_seconds=600)
    if "asyncpg" in url.drivername:
        asyncio.run(_run_async(url, metadata, by_hand, options))
    else:
        engine = create_engine(url, poolclass=NullPool)
        with engine.connect() as connection:
            _migrate(connection, metadata, by_hand, options)


async def _run_async(url: URL, metadata: MetaData, by_hand: ByHand | None, options: dict[str, Any]) -> None:
    engine = create_async_engine(url, poolclass=NullPool)
    async with engine.connect() as connection:
        await connection.run_sync(_migrate, metadata, by_hand, options)


def _migrate(connection: Connection, metadata: MetaData, by_hand: ByHand | None, options: dict[str, Any]) -> None:
    try:
        context.configure(connection=connection, target_metadata=metadata, **options)
        with context.begin_transaction():
            context.run_migrations()
    except Exception as error:
        if by_hand is not None:
            by_hand.record_failure(connection, error)
        raise


class ByHand:
    """A person runs Alembic: nobody else would write the closing row of a failure or say what is waited for."""

    def __init__(self) -> None:
        person = f"{getpass.getuser()}@{os.uname().nodename}"
        self.attempt = Attempt(operation_id=f"by-hand-{uuid4()}", number=1, actor=person, way_in="by hand")
        self.revision: str | None = None

    def tell(self, event: str, **facts: Any) -> None:
        if event == "revision":
            self.revision = facts["revision"]
        if event == "waiting" and facts["sentence"]:
            print(facts["sentence"], file=sys.stderr)

    def record_failure(self, connection: Connection, error: Exception) -> None:
        if connection.invalidated or connection.closed:
            return  # the attempt row is there without an end, which is what is known
        connection.rollback()
        problem = describe_failure(error, self.revision)
        write(connection, self.attempt, "failed", error=problem["detail"], sqlstate=problem["sqlstate"])
        connection.commit()
