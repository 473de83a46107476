"""A version table's qualified name; it also names the advisory lock."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class VersionTable:
    """Where Alembic keeps the revision; it names the advisory lock too, so every way in meets at one lock."""

    name: str = "alembic_version"
    schema: str = ""

    @property
    def qualified(self) -> str:
        parts = (self.schema, self.name) if self.schema else (self.name,)
        return ".".join('"' + part.replace('"', '""') + '"' for part in parts)

    def found_as(self, number: int) -> str:
        """For a query that a session keeps: where search_path comes to mean another table it is another query."""
        return f"{self.qualified} /* {number} */"
