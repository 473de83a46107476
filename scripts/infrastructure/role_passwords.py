"""The PostgreSQL role of each service, and its password in a file that only we can read.

The files are passfiles of libpq: `PGPASSFILE` names one, and psycopg, asyncpg and Dapr's driver read it. So no
password is in dapr.yaml, in an argument or in an environment.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from scripts.infrastructure import private

AUDIT_ROLES = ("cas_ingest", "cas_owner", "cas_reader", "cas_witness")
RESERVED = {"postgres", "public", "none", "user", "current_user", "session_user", "current_role", *AUDIT_ROLES}
LONGEST = 63


def role_of(database: str) -> str:
    """The role has the name of the database where that is a plain word, and otherwise one made from it."""
    word = re.sub(r"[^a-z0-9_]", "_", database.lower())
    plain = re.fullmatch(r"[a-z][a-z0-9_]*", database) and len(database) <= LONGEST
    if plain and database not in RESERVED and not database.startswith("pg_"):
        return database
    return f"service_{word[:40]}_{sha256(database.encode()).hexdigest()[:8]}"


@dataclass(frozen=True)
class RolePasswords:
    """The passwords for one server."""

    folder: Path

    def file(self, role: str) -> Path:
        """The passfile of one role."""
        return self.folder / role

    def exists(self, role: str) -> bool:
        """Whether services may log in as this role: a role without a file is not ours."""
        return self.file(role).is_file()

    def make(self, role: str) -> str:
        """The password, which is made once."""
        for folder in (self.folder.parent, self.folder):
            private.make_folder(folder)
        if not self.exists(role):
            # Letters and digits only: libpq, asyncpg and pgx read other characters of a passfile in different ways.
            private.write(self.file(role), f"*:*:*:{role}:{secrets.token_hex(32)}\n")
        return self.file(role).read_text().rstrip("\n").rpartition(":")[2]
