"""Reads our own section of the configuration, [migration_sidecar] or [tool.migration_sidecar], with strict checks."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from migration_sidecar.config.alembic_files import OWN_SECTION, AlembicFiles
from migration_sidecar.contract.errors import Misconfigured

STRING_KEYS = (
    "service",
    "version_table",
    "version_table_schema",
    "audit",
    "journal_table",
    "python",
    "allowed_hosts",
    "target",
)
NUMBER_KEYS = ("memory_limit_mb", "patience_seconds", "loading_seconds")
SWITCHES = (
    "endpoint_downgrades",
    "never_taken_back",
    "serve_openapi",
    "transaction_per_revision",
    "beside_other_tables",
)
SESSION_SETTINGS = (
    "lock_timeout",
    "patient_lock_timeout",
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
    "client_connection_check_interval",
    "tcp_user_timeout",
)
DURATION = re.compile(r"\d{1,9}\s?(ms|s|min|h)?")


class Section:
    """The values of the section. Raises ConfigFileError or Misconfigured, which name a key and never show a value."""

    def __init__(self, files: AlembicFiles) -> None:
        self._folder = files.folder
        self._values = files.own()
        known = (*STRING_KEYS, *NUMBER_KEYS, *SWITCHES, *SESSION_SETTINGS)
        for key in self._values:
            if key not in known:
                raise Misconfigured(f"{OWN_SECTION}.{key}", f"there is no such setting; there are {', '.join(known)}")

    def string(self, key: str) -> str | None:
        """One line of text with %(here)s replaced, None if the key is missing. Raises Misconfigured."""
        value = self._values.get(key)
        if value is None:
            return None
        if not isinstance(value, str) or not value.strip() or "\n" in value:
            raise Misconfigured(f"{OWN_SECTION}.{key}", "it must be one line of text")
        return value.replace("%(here)s", str(self._folder))

    def number(self, key: str, otherwise: int) -> int:
        """A positive whole number, or `otherwise` if the key is missing. Raises Misconfigured."""
        value = str(self._values.get(key, otherwise))
        if not re.fullmatch(r"[1-9]\d{0,8}", value):
            raise Misconfigured(f"{OWN_SECTION}.{key}", "it must be a whole number above 0")
        return int(value)

    def boolean(self, key: str) -> bool:
        """`true` or `false`, false if the key is missing. Raises Misconfigured."""
        value = str(self._values.get(key, "false")).strip().lower()
        if value not in ("true", "false"):
            raise Misconfigured(f"{OWN_SECTION}.{key}", "it must be true or false")
        return value == "true"

    def guards(self) -> dict[str, str]:
        """The guards that are set, durations as PostgreSQL writes them. Raises Misconfigured for another text."""
        guards = {key: str(self._values[key]).strip() for key in SESSION_SETTINGS if key in self._values}
        for key, value in guards.items():
            if not DURATION.fullmatch(value):
                raise Misconfigured(f"{OWN_SECTION}.{key}", "it must be a duration such as 500ms, 2s or 10min")
        return guards

    def interpreter(self, option: str | None) -> Path | None:
        """The service's own interpreter, from the option `--python` or the setting, or None. Raises Misconfigured.

        A relative path in the option starts at the working directory, one in the setting at the file's folder.
        """
        named, folder, key = (
            (option, Path.cwd(), "--python")
            if option
            else (self.string("python"), self._folder, f"{OWN_SECTION}.python")
        )
        if named is None:
            return None
        path = shutil.which(named) if os.sep not in named else os.path.join(folder, named)  # noqa: PTH118
        # Not resolve(): a venv's interpreter is a link, and following it loses the venv.
        if path is None or not os.access(path, os.X_OK) or Path(path).is_dir():
            raise Misconfigured(key, "there is no interpreter that can be run; name the service's own python")
        return Path(os.path.abspath(path))  # noqa: PTH100
