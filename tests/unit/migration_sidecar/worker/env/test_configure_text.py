"""The version table that env.py names is found in its text, by the values that its names had when it failed."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import pytest

from migration_sidecar.worker.env.configure_text import written_version_table

BEFORE = """
class settings:
    schema = 'ops'

    @property
    def broken(self):
        1 / 0

NAME, NUMBER = 'v', 7
"""


def traceback_of(file: Path, text: str) -> TracebackType | None:
    file.write_text(text)
    try:
        exec(compile(text, str(file), "exec"), {"__name__": "env"})
    except ZeroDivisionError as error:
        return error.__traceback__
    return None


@pytest.mark.parametrize(
    ("call", "found"),
    [
        ("context.configure(version_table='a', version_table_schema='b')", ("a", "b")),
        ("configure(x=1, version_table=NAME)", ("v", "")),
        ("context.configure(version_table_schema=settings.schema)", ("", "ops")),
        ("context.configure(version_table=settings().broken, version_table_schema=unknown.name)", ("", "")),
        ("context.configure(version_table=NUMBER, version_table_schema=None, **options)", ("", "")),
        ("context.run_migrations()", ("", "")),
    ],
)
def test_what_is_named_plainly_is_found(call: str, found: tuple[str, str], tmp_path: Path) -> None:
    file = tmp_path / "env.py"
    ended_at = traceback_of(file, BEFORE + f"1 / 0\n{call}\n")
    assert ended_at is not None
    assert written_version_table(file, ended_at) == found


def test_without_a_traceback_and_without_a_file_nothing_but_literals_is_known(tmp_path: Path) -> None:
    file = tmp_path / "env.py"
    file.write_text("context.configure(version_table='a', version_table_schema=SPACE)")
    assert written_version_table(file, None) == ("a", "")
    assert written_version_table(tmp_path / "gone.py", None) == ("", "")
