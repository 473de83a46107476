"""A revision whose SQL cannot be rendered is named with the reason, and the others are rendered all the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.config import Config

from migration_sidecar.worker.scripts.offline_sql import render

UPGRADES = {
    "a1": "op.execute('CREATE TABLE t (id int)')",
    "a2": "op.get_bind().execute('SELECT 1').scalar()",
    "a3": "raise SystemExit('not here')",
    "a4": "pass",
    "a5": "op.execute('SELECT ' + ', '.join(map(str, range(200))))",
}


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "versions").mkdir()
    (tmp_path / "env.py").write_text("")
    below = None
    for revision, upgrade in UPGRADES.items():
        (tmp_path / "versions" / f"{revision}.py").write_text(
            "from alembic import op\n"
            f"revision, down_revision = {revision!r}, {below!r}\n\ndef upgrade():\n    {upgrade}\n"
        )
        below = revision
    config = Config()
    config.set_main_option("script_location", str(tmp_path).replace("%", "%%"))
    return config


def test_each_revision_has_its_sql_or_the_reason_why_not(config: Config) -> None:
    rendered = render(config, list(UPGRADES), "upgrade")
    assert {name: each["reason"] for name, each in rendered.items()} == {
        "a1": None,
        "a2": "a2.py:5 raised AttributeError without a connection",
        "a3": "a3.py:5 raised SystemExit without a connection",
        "a4": None,
        "a5": None,
    }
    assert [rendered[name]["sql"] for name in ("a1", "a2", "a4")] == ["CREATE TABLE t (id int);", None, ""]
    assert len((rendered["a5"]["sql"] or "").splitlines()) == 1


def test_a_missing_function_is_a_reason_too(config: Config) -> None:
    assert render(config, ["a1"], "downgrade")["a1"]["reason"] == "a1.py raised AttributeError without a connection"
