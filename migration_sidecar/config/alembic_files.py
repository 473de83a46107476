"""The two files that Alembic reads: an ini file and pyproject.toml.

Standard library only, because a service's env.py imports this module through `environment`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from configparser import ConfigParser, Error, InterpolationSyntaxError, RawConfigParser
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

TOML_NAME = "pyproject.toml"
OWN_SECTION = "migration_sidecar"


class ConfigFileError(ValueError):
    """A configuration file, or a key in it, cannot be used. `key` names it; its text is never shown."""

    def __init__(self, key: str, reason: str, *, malformed: bool = False) -> None:
        super().__init__(f"{key}: {reason}.")
        self.key, self.reason, self.malformed = key, reason, malformed


@dataclass(frozen=True)
class AlembicFiles:
    """The configuration of one environment. `named` is the file that was asked for; the other one is in its folder.

    With `project`, the folder of a Flask application, `named` need not exist, and pyproject.toml is in that folder.
    """

    named: Path
    project: Path | None = None

    @classmethod
    def locate(cls, named: Path | None, environment: Mapping[str, str] = os.environ) -> AlembicFiles:
        """The file that `alembic` would use: the argument, ALEMBIC_CONFIG, alembic.ini, pyproject.toml."""
        if named is None:
            named = Path(environment.get("ALEMBIC_CONFIG") or "alembic.ini")
            if not named.exists() and Path(TOML_NAME).exists():
                named = Path(TOML_NAME)
        # Not resolve(): the file may be a link, and %(here)s means the folder of the link.
        return cls(Path(os.path.abspath(named)))  # noqa: PTH100

    @property
    def folder(self) -> Path:
        """The folder that %(here)s means."""
        return self.project or self.named.parent

    @property
    def ini(self) -> Path:
        """The ini file, which need not exist."""
        return self.folder / "alembic.ini" if self.named.name == TOML_NAME else self.named

    @property
    def toml(self) -> Path:
        """The pyproject.toml, which need not exist."""
        return self.folder / TOML_NAME

    def own(self) -> dict[str, Any]:
        """The values of our own section; those of the ini file win. Raises ConfigFileError."""
        parser = RawConfigParser(default_section="")
        _read(parser, self._ini_text, self.ini.name)
        section = dict(parser[OWN_SECTION]) if parser.has_section(OWN_SECTION) else {}
        return {**_table(self._tool, OWN_SECTION), **section}

    def alembic(self, option: str, section: str = "alembic") -> str | None:
        """One option as Alembic reads it, with %(here)s replaced. Raises ConfigFileError."""
        here = str(self.folder)
        parser = ConfigParser({"here": here.replace("%", "%%")})
        _read(parser, self._ini_text, self.ini.name)
        try:
            value = parser.get(section, option, fallback=None)
        except InterpolationSyntaxError:
            raise ConfigFileError(option, "it holds a % that is not doubled", malformed=True) from None
        except Error:  # env.py often defines such values with config.set_section_option
            raise ConfigFileError(option, f"{self.ini.name} refers to something it does not define") from None
        if value is None:
            table: Any = _table(self._tool, "alembic")
            value = table.get(option, _dotted(table, option))
        return value.replace("%(here)s", here) if isinstance(value, str) else None

    def has_section(self, section: str) -> bool:
        """Whether Alembic can be used with `--name` and this section. Raises ConfigFileError."""
        parser = RawConfigParser()
        _read(parser, self._ini_text, self.ini.name)
        return parser.has_section(section) or "alembic" in self._tool

    @cached_property
    def _ini_text(self) -> str:
        if (self.project or self.ini != self.named) and not self.ini.exists():
            return ""
        return _text(self.ini)

    @cached_property
    def _tool(self) -> dict[str, Any]:
        if self.toml != self.named and not self.toml.exists():
            return {}
        try:
            import tomllib
        except ImportError:  # before Python 3.11; a version of Alembic that reads the file requires tomli
            import tomli as tomllib  # type: ignore[import-not-found, no-redef]
        try:
            return _table(tomllib.loads(_text(self.toml)), "tool")
        except tomllib.TOMLDecodeError:
            raise ConfigFileError(self.toml.name, "it is not valid TOML") from None


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise ConfigFileError(file.name, "the file cannot be read") from None


def _read(parser: RawConfigParser, text: str, name: str) -> None:
    try:
        parser.read_string(text)
    except Error:
        raise ConfigFileError(name, "it is not a valid ini file") from None


def _table(parent: Any, name: str) -> dict[str, Any]:
    child = parent.get(name) if isinstance(parent, dict) else None
    return child if isinstance(child, dict) else {}


def _dotted(table: Any, option: str) -> Any:
    """TOML reads an unquoted key sqlalchemy.url as a table in a table."""
    for part in option.split("."):
        table = table.get(part) if isinstance(table, dict) else None
    return table
