"""The file, the line and the statement at which a migration stopped."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.util.pyfiles import load_module_py

from migration_sidecar.worker.failing_place import LONGEST_STATEMENT, failing_place, mask_statement

REVISION = """\
from helper import fail
revision = "a2"
down_revision = None

def upgrade():
    fail()
"""


def raised_by(folder: Path, name: str, text: str, function: str, monkeypatch: pytest.MonkeyPatch) -> Exception:
    monkeypatch.syspath_prepend(folder)
    (folder / "helper.py").write_text("def fail():\n    raise LookupError\n")
    (folder / name).write_text(text)
    module = load_module_py(name.replace(".", "_"), folder / name)
    with pytest.raises(LookupError) as caught:
        getattr(module, function)()
    return caught.value


def test_the_line_of_the_revision_is_named_where_a_module_of_its_own_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = raised_by(tmp_path, "20_rows.py", REVISION, "upgrade", monkeypatch)
    assert failing_place(error, "a2") == "20_rows.py:6"


def test_an_error_of_env_py_has_its_line_and_that_of_neither_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = raised_by(tmp_path, "env.py", "def run():\n    raise LookupError\n", "run", monkeypatch)
    assert failing_place(error, None) == failing_place(error, "a2") == "env.py:2"
    assert failing_place(ValueError(), "a2") is None


@pytest.mark.parametrize(
    ("statement", "masked"),
    [
        ("INSERT INTO nowhere VALUES ('Meyer', 4711, 1.5e3)", "INSERT INTO nowhere VALUES (…, …, …)"),
        ("UPDATE t1 SET a = %(a)s WHERE b = $1", "UPDATE t1 SET a = %(a)s WHERE b = $1"),
        ("SELECT \"It's\"\n  FROM t -- Meyer\n WHERE a = 'it''s'", 'SELECT "It\'s" FROM t WHERE a = …'),
        ("SELECT E'it\\'s Meyer', /* Meyer */ 'x'", "SELECT …, …"),
        ("DO $body$ BEGIN RAISE 'Meyer'; END $body$", "DO …"),
        ("DO $$ BEGIN RAISE 'Meyer", "DO …"),
        ("SELECT 'Meyer", "SELECT …"),
    ],
)
def test_a_statement_keeps_its_names_and_loses_what_it_holds(statement: str, masked: str) -> None:
    assert mask_statement(statement) == masked


def test_a_large_statement_is_cut_and_a_literal_at_the_cut_is_not_shown() -> None:
    masked = mask_statement("SELECT " + "a, " * 100 + f"'{'Meyer' * 1_000_000}'")
    assert len(masked) == LONGEST_STATEMENT + 1
    assert "Meyer" not in mask_statement(f"SELECT '{'Meyer' * 1_000_000}'")
