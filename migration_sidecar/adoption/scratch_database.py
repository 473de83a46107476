"""A database beside the real one in which a revision is built to be looked at, and of which nothing stays."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from asyncpg import InsufficientPrivilegeError, ObjectInUseError, PostgresError

if TYPE_CHECKING:
    from migration_sidecar.database.records import AnyConnection

CREATE_SECONDS = 120.0

# The name says whose it is: the server process of the session that made it, and when that began. No clock of ours
# and no age is needed to tell a leftover from the scratch of somebody who is at work.
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
    return bool(await connection.fetchval(_MAY_CREATE))


async def own_name(connection: AnyConnection) -> str:
    """A name that tells whose scratch it is: of the session that is asked."""
    name: str = await connection.fetchval(_NAME)
    return name


@asynccontextmanager
async def scratch_database(connection: AnyConnection) -> AsyncIterator[str]:
    """Gives its name; it is removed at the end, and if we die by the next who needs one."""
    await remove_leftovers(connection)
    name = await own_name(connection)
    real = json.loads(await connection.fetchval(_REAL))
    try:
        await connection.execute(_create(name, real), timeout=CREATE_SECONDS)
        await _copy_settings(connection, name)
        yield name
    finally:
        with suppress(PostgresError, OSError):  # the next adoption removes it
            await connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)', timeout=CREATE_SECONDS)


async def remove_leftovers(connection: AnyConnection) -> list[str]:
    """Those of adoptions that were killed; never one that a session uses or whose maker is still there."""
    removed = []
    for row in await connection.fetch(_LEFTOVERS):
        with suppress(ObjectInUseError, InsufficientPrivilegeError):
            await connection.execute(f'DROP DATABASE IF EXISTS "{row["datname"]}"', timeout=CREATE_SECONDS)
            removed.append(row["datname"])
    return removed


def _create(name: str, real: dict[str, Any]) -> str:
    """With the encoding and the sort order of the real one; which of its columns there are depends on the version."""
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
    """ALTER DATABASE … SET search_path and the like decide where a revision's objects go."""
    for setting in await connection.fetch(_SETTINGS):
        where = f'ROLE CURRENT_USER IN DATABASE "{name}"' if setting["of_role"] else f'DATABASE "{name}"'
        with suppress(PostgresError):  # what only a superuser may set does not decide what a revision makes
            async with connection.transaction():
                # FROM CURRENT, because the value is a list for some settings and one word for others.
                await connection.execute("SELECT set_config($1, $2, true)", setting["name"], setting["value"])
                await connection.execute(f'ALTER {where} SET "{setting["name"]}" FROM CURRENT')
