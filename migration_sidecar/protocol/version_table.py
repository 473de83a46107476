"""The name of a version table."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class VersionTable:
    """The table in which Alembic keeps the revision. The key of the migration lock is made of its name and schema."""

    name: str = "alembic_version"
    schema: str = ""
    # That names without one mean in env.py's session; empty if its search_path has PostgreSQL's default value.
    default_schema: str = field(default="", compare=False)

    @property
    def qualified(self) -> str:
        """Quoted for SQL, with the schema if there is one."""
        parts = (self.schema, self.name) if self.schema else (self.name,)
        return ".".join('"' + part.replace('"', '""') + '"' for part in parts)

    def regclass_name(self, number: int) -> str:
        """The qualified name with the table's oid in a comment, for a statement that asyncpg keeps prepared.

        When search_path leads to another table, the text and so the prepared statement differ.
        """
        return f"{self.qualified} /* {number} */"
