"""What Alembic finds on env.py's own connection when it runs the migrations."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import text

from migration_sidecar.protocol.catalog.database_identity import IDENTITY, MAY_READ_SYSTEM, SYSTEM, DatabaseIdentity
from migration_sidecar.protocol.results import SeenVersionTable
from migration_sidecar.worker import version_table
from migration_sidecar.worker.env.engine_url import url_of_connection
from migration_sidecar.worker.env.written_versions import WrittenVersions

# usename stays the one that logged in, also after SET SESSION AUTHORIZATION.
_SESSION = text(f"""
SELECT {IDENTITY}, CAST(current_database() AS text) AS name, CAST(current_user AS text) AS role,
       (SELECT CAST(usename AS text) FROM pg_stat_activity WHERE pid = pg_backend_pid()) AS login,
       pg_is_in_recovery() AS standby, current_setting('transaction_read_only') = 'on' AS read_only,
       current_setting('default_transaction_read_only') = 'on' AS read_only_by_default,
       (SELECT source FROM pg_settings WHERE name = 'default_transaction_read_only') AS default_from,
       CAST(pg_current_xact_id_if_assigned() AS text) AS xid
""")  # noqa: S608 - our own text
_BY_ENV_PY = ("client", "session")  # where the value of a setting comes from: PGOPTIONS, connect arguments, SET


def facts_of_run(context: Any, heads: Collection[str], written: WrittenVersions) -> dict[str, Any]:
    """The fields of ConfiguredDatabase that are known when run_migrations was called."""
    connection, name = context.connection, context.version_table
    schema = version_table.named_schema(connection, context.version_table_schema)
    session, found = connection.execute(_SESSION).one(), version_table.find(connection, name, schema)
    seen: SeenVersionTable = {"oid": found.oid, "revisions": sorted(heads), "width": found.width}
    elsewhere = written.lost(session.xid, name, schema)
    return {
        "url": url_of_connection(connection, session.name),
        "version_table": name,
        "version_table_schema": schema,
        "default_schema": version_table.default_schema_of(found),
        "role": session.role if session.role != session.login else "",
        "migrates": True,
        "identity": _identity(connection, session),
        "seen": elsewhere or seen,
        "prepares": session.xid is not None or elsewhere is not None,
        "access": _access(session),
    }


def _access(session: Any) -> str:
    read_only, default = session.read_only, session.read_only_by_default
    if session.default_from in _BY_ENV_PY:
        # A default that was set holds from the next transaction on, and a probe does not end the one that is open.
        read_only = read_only and default
    elif read_only == default:
        return ""
    return "" if session.standby else "read_only" if read_only else "read_write"


def _identity(connection: Any, session: Any) -> DatabaseIdentity:
    may_read = connection.execute(text(MAY_READ_SYSTEM)).scalar()
    system = connection.execute(text(SYSTEM)).scalar() if may_read else None
    return {"started": session.started, "database": session.database, "system": system}
