"""Makes a PostgreSQL role for each service and for Dapr's state. Each one owns its own database and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from scripts.infrastructure.catalog import members
from scripts.infrastructure.databases import COORDINATOR_DATABASE, owner_of_state
from scripts.infrastructure.ownership import give_database, give_objects
from scripts.infrastructure.postgres import Address
from scripts.infrastructure.role_passwords import AUDIT_ROLES, RolePasswords, role_of

# Auditors and other services are members of these. Nobody logs in as a member of cas_owner but the audit's service.
CALLERS_OF_THE_AUDIT = ("cas_ingest", "cas_reader", "cas_witness")
ATTRIBUTES = "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD"
DATABASES = "SELECT datname, pg_get_userbyid(datdba) FROM pg_database WHERE datallowconn"

Connection = psycopg.Connection[tuple[Any, ...]]


@dataclass(frozen=True)
class ServiceRoles:
    """`ours`: we run the server. On another one, roles and databases of others are left as they are."""

    server: Address
    passwords: RolePasswords
    ours: bool
    say: Callable[[str], None]

    def give(self) -> None:
        """Makes what is missing and changes what is otherwise, so it can be called again at any time.

        A database that does not exist yet gets its owner at the next call. Raises InUse.
        """
        with self.server.connect() as administrator:
            if not _is_superuser(administrator):
                login = self.server.user
                self.say(f"Services have no roles of their own: {login} is no superuser, so all log in as {login}")
                return
            owners = dict(administrator.execute(DATABASES).fetchall())
            databases = [member.database for member in members()]
            logins = [name for name in databases if self._login_made(administrator, name, owners.get(name))]
            state = COORDINATOR_DATABASE in owners and self._login_made(
                administrator, COORDINATOR_DATABASE, owner_of_state(self.server)
            )
            if (audit := databases[0]) in logins:  # it migrates before all others
                _make_audit_roles(administrator, audit, exists=audit in owners)
            if self.ours:
                for name in owners:
                    _execute(administrator, "REVOKE CONNECT, TEMPORARY ON DATABASE {} FROM PUBLIC", name)
            if state:
                allowed = "GRANT CONNECT ON DATABASE {} TO {}"
                _execute(administrator, allowed, COORDINATOR_DATABASE, role_of(COORDINATOR_DATABASE))
        for name in logins:
            if name in owners:
                give_database(self.server, name, role_of(name))
        if state:
            give_objects(self.server, COORDINATOR_DATABASE, role_of(COORDINATOR_DATABASE))

    def _login_made(self, administrator: Connection, database: str, owner: str | None) -> bool:
        """Whether the service of this database logs in with a role of its own."""
        role = role_of(database)
        exists = administrator.execute("SELECT FROM pg_roles WHERE rolname = %s", [role]).fetchone() is not None
        if why := self._why_not(role, exists, owner):
            self.passwords.file(role).unlink(missing_ok=True)
            self.say(f"No role of its own for {database}: {why}, so its service logs in as {self.server.user}")
            return False
        if not exists:
            _execute(administrator, "CREATE ROLE {}", role)
        if self.ours or not exists:
            # Only the hash that PostgreSQL stores goes to the server, where a log might have the statement.
            password = self.passwords.make(role).encode()
            verifier = administrator.pgconn.encrypt_password(password, role.encode(), b"scram-sha-256").decode()
            statement = sql.SQL("ALTER ROLE {} " + ATTRIBUTES + " {}")
            administrator.execute(statement.format(sql.Identifier(role), sql.Literal(verifier)))
        return True

    def _why_not(self, role: str, exists: bool, owner: str | None) -> str:
        if role == self.server.user:
            return "the administrator has that name"
        if not self.ours and exists and not self.passwords.exists(role):
            return f"the server has a role {role} already"
        if not self.ours and owner not in (None, self.server.user, role):
            return f"it belongs to {owner}"
        return ""


def _is_superuser(connection: Connection) -> bool:
    return connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone() == (True,)


def _make_audit_roles(administrator: Connection, audit: str, exists: bool) -> None:
    """The revisions of the audit make these roles if they are missing. Its service need not have the right to do so."""
    for role in AUDIT_ROLES:
        if administrator.execute("SELECT FROM pg_roles WHERE rolname = %s", [role]).fetchone() is None:
            _execute(administrator, "CREATE ROLE {}", role)
        _execute(administrator, "GRANT {} TO {}", role, role_of(audit))
    if exists:
        for role in CALLERS_OF_THE_AUDIT:
            _execute(administrator, "GRANT CONNECT ON DATABASE {} TO {}", audit, role)


def _execute(connection: Connection, statement: str, *names: str) -> None:
    connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))
