"""Gives a database, and what its administrator made in it, to the role of its service."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

from scripts.infrastructure.errors import InUse
from scripts.infrastructure.postgres import Address

LOCK_TIMEOUT = "5s"
# The owner's column of each catalog. REASSIGN OWNED refuses the first superuser of a server, because the system
# catalogs are his too. Event triggers, foreign data wrappers, publications and objects of extensions stay with him.
OWNERS = {
    "pg_namespace": "nspowner",
    "pg_class": "relowner",
    "pg_type": "typowner",
    "pg_proc": "proowner",
    "pg_collation": "collowner",
    "pg_conversion": "conowner",
    "pg_operator": "oprowner",
    "pg_opclass": "opcowner",
    "pg_opfamily": "opfowner",
    "pg_ts_dict": "dictowner",
    "pg_ts_config": "cfgowner",
    "pg_statistic_ext": "stxowner",
    "pg_foreign_server": "srvowner",
    "pg_largeobject_metadata": "lomowner",
}
# What follows another object has its owner: indexes, sequences of a column, row types and array types. Temporary
# objects end with their session.
FOLLOWING = """
SELECT 'pg_class'::regclass, c.oid FROM pg_class c
WHERE c.relkind NOT IN ('r', 'p', 'v', 'm', 'f', 'S') OR c.relpersistence = 't' OR c.relkind = 'S' AND EXISTS (
    SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i'))
UNION ALL SELECT 'pg_type'::regclass, t.oid FROM pg_type t LEFT JOIN pg_class c ON c.oid = t.typrelid
WHERE t.typtype = 'm' OR c.relkind <> 'c' OR EXISTS (SELECT FROM pg_type element WHERE element.typarray = t.oid)
UNION ALL SELECT 'pg_namespace'::regclass, oid FROM pg_namespace WHERE nspname ~ '^pg_'
UNION ALL SELECT classid, objid FROM pg_depend WHERE deptype = 'e'
"""
ME = "(SELECT oid FROM pg_roles WHERE rolname = current_user)"
OWNED = " UNION ALL ".join(
    f"SELECT '{catalog}'::regclass AS class, oid FROM {catalog} WHERE {owner} = {ME}"  # noqa: S608 - from OWNERS
    for catalog, owner in OWNERS.items()
)
# Below 16384 are the objects of initdb. A large object is known by the catalog of its pages.
OBJECTS = f"""
SELECT CASE object.type WHEN 'statistics object' THEN 'statistics' ELSE object.type END, object.identity
FROM ({OWNED}) AS owned
CROSS JOIN replace(owned.class::text, '_metadata', '') AS known
CROSS JOIN LATERAL pg_identify_object(known::regclass, owned.oid, 0) AS object
WHERE owned.oid >= 16384 AND (owned.class, owned.oid) NOT IN ({FOLLOWING})
ORDER BY owned.class, owned.oid
"""  # noqa: S608 - from OWNERS
SETS_ROLE = """
SELECT setconfig @> ARRAY['role=' || %s] FROM pg_db_role_setting
WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND setrole = (SELECT oid FROM pg_roles WHERE rolname = current_user)
"""


def give_objects(server: Address, database: str, role: str) -> int:
    """Gives all objects of the administrator in this database to the role. Returns how many. Raises InUse."""
    return _in_one_transaction(server, database, lambda connection: _give_objects(connection, role))


def give_database(server: Address, database: str, role: str) -> int:
    """The same, and the database itself. From then on the administrator acts as that role in this database.

    So what a person migrates as administrator belongs to the service. Raises InUse.
    """

    def give(connection: psycopg.Connection[Any]) -> int:
        names = {"database": sql.Identifier(database), "role": sql.Identifier(role)}
        if connection.execute(OWNER, [database]).fetchone() != (role,):
            connection.execute(sql.SQL("ALTER DATABASE {database} OWNER TO {role}").format(**names))
        if connection.execute(SETS_ROLE, [role]).fetchone() != (True,):
            setting = "ALTER ROLE {user} IN DATABASE {database} SET role = {role}"
            connection.execute(sql.SQL(setting).format(**names, user=sql.Identifier(server.user)))
        return _give_objects(connection, role)

    return _in_one_transaction(server, database, give)


OWNER = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = %s"


def _in_one_transaction(server: Address, database: str, work: Any) -> int:
    with server.connect(database) as connection, connection.transaction():
        connection.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(LOCK_TIMEOUT))
        try:
            given: int = work(connection)
        except psycopg.errors.LockNotAvailable:
            raise InUse(database) from None
    return given


def _give_objects(connection: psycopg.Connection[Any], role: str) -> int:
    objects = connection.execute(OBJECTS).fetchall()
    for kind, identity in objects:
        # PostgreSQL has quoted the identity itself.
        statement = sql.SQL("ALTER {} {} OWNER TO {}").format(sql.SQL(kind), sql.SQL(identity), sql.Identifier(role))
        connection.execute(statement)
    return len(objects)
