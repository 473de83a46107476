"""Creates and removes the scratch database in which revisions are built."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from asyncpg import InsufficientPrivilegeError, ObjectInUseError, PostgresError

if TYPE_CHECKING:
    from migration_sidecar.database.records import AnyConnection

CREATE_SECONDS = 120.0

# The name has the pid of the session that created it and the time when that session began. If there is no such session
# any more, the database is a leftover. Our clock and the age do not matter.
_NAME = """
SELECT 'migration_sidecar_scratch_' || pid || '_' || (extract(epoch FROM backend_start) * 1000000)::bigint
FROM pg_stat_activity WHERE pid = pg_backend_pid()
"""
_LEFTOVERS = """
SELECT d.datname FROM pg_database d
CROSS JOIN LATERAL regexp_match(d.datname, '^migration_sidecar_scratch_([0-9]{1,10})_([0-9]{1,18})$') AS made
WHERE made IS NOT NULL AND pg_has_role(d.datdba, 'USAGE')
  AND NOT EXISTS (SELECT FROM pg_stat_activity a WHERE a.pid = made[1]::bigint
                  AND coalesce((extract(epoch FROM a.backend_start) * 1000000)::bigint = made[2]::bigint, true))
  AND NOT EXISTS (SELECT FROM pg_stat_activity a WHERE a.datid = d.oid)
"""
_MAY_CREATE = "SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user"
_SETTINGS = """
SELECT split_part(entry, '=', 1) AS name, substr(entry, strpos(entry, '=') + 1) AS value, s.setrole <> 0 AS of_role
FROM pg_db_role_setting s CROSS JOIN unnest(s.setconfig) AS entry
WHERE s.setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND s.setrole IN (0, (SELECT oid FROM pg_roles WHERE rolname = current_user))
"""
_REAL = """
SELECT to_jsonb(d) || jsonb_build_object('encoding_name', pg_encoding_to_char(d.encoding))
FROM pg_database d WHERE datname = current_database()
"""
_PROVIDERS = {"c": "libc", "i": "icu", "b": "builtin"}


async def may_create_databases(connection: AnyConnection) -> bool:
    """Whether the role of this session has CREATEDB."""
    return bool(await connection.fetchval(_MAY_CREATE))


async def scratch_name(connection: AnyConnection) -> str:
    """The name for a scratch database or schema of this session."""
    name: str = await connection.fetchval(_NAME)
    return name


@asynccontextmanager
async def scratch_database(connection: AnyConnection) -> AsyncIterator[str]:
    """Creates the database, gives its name and drops it at the end. If we die, the next adoption drops it."""
    await remove_leftovers(connection)
    name = await scratch_name(connection)
    real = json.loads(await connection.fetchval(_REAL))
    try:
        await connection.execute(_create(name, real), timeout=CREATE_SECONDS)
        await _copy_settings(connection, name)
        yield name
    finally:
        with suppress(PostgresError, OSError):  # the next adoption drops it
            await connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)', timeout=CREATE_SECONDS)


async def remove_leftovers(connection: AnyConnection) -> list[str]:
    """Drops scratch databases of adoptions that were killed and returns their names.

    It leaves those that a session uses, and those whose creating session still exists.
    """
    removed = []
    for row in await connection.fetch(_LEFTOVERS):
        with suppress(ObjectInUseError, InsufficientPrivilegeError):
            await connection.execute(f'DROP DATABASE IF EXISTS "{row["datname"]}"', timeout=CREATE_SECONDS)
            removed.append(row["datname"])
    return removed


def _create(name: str, real: dict[str, Any]) -> str:
    """The statement, with encoding and collation of the real database. Older servers lack some columns of `real`."""
    options = {
        "ENCODING": real["encoding_name"],
        "LC_COLLATE": real["datcollate"],
        "LC_CTYPE": real["datctype"],
        "LOCALE_PROVIDER": _PROVIDERS.get(real.get("datlocprovider", "")),
    }
    if locale := real.get("datlocale") or real.get("daticulocale"):
        options["BUILTIN_LOCALE" if options["LOCALE_PROVIDER"] == "builtin" else "ICU_LOCALE"] = locale
    options["ICU_RULES"] = real.get("daticurules")
    words = [f"{option} '{value.replace(chr(39), chr(39) * 2)}'" for option, value in options.items() if value]
    return f'CREATE DATABASE "{name}" TEMPLATE template0 {" ".join(words)}'


async def _copy_settings(connection: AnyConnection, name: str) -> None:
    """Copies settings of the real database, because one such as search_path decides where objects are created."""
    for setting in await connection.fetch(_SETTINGS):
        where = f'ROLE CURRENT_USER IN DATABASE "{name}"' if setting["of_role"] else f'DATABASE "{name}"'
        with suppress(PostgresError):  # settings for superusers do not change what a revision creates
            async with connection.transaction():
                # FROM CURRENT, because the value is a list for some settings and a single word for others.
                await connection.execute("SELECT set_config($1, $2, true)", setting["name"], setting["value"])
                await connection.execute(f'ALTER {where} SET "{setting["name"]}" FROM CURRENT')
