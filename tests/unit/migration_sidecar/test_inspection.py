"""What kind of change a revision file makes, told from its text."""

from __future__ import annotations

from pathlib import Path
from textwrap import indent

import pytest
from alembic.config import Config

from migration_sidecar.child.inspection import is_transactional, load_history
from migration_sidecar.child.refusal import Refusal


@pytest.fixture
def versions(tmp_path: Path) -> Path:
    folder = tmp_path / "alembic" / "versions"
    folder.mkdir(parents=True)
    return folder


def write(
    versions: Path, upgrade: str = "pass", downgrade: str = "pass", name: str = "a1", down: object = None
) -> Path:
    file = versions / f"{name}.py"
    file.write_text(
        f'"""Do {name}\n\nand more."""\nfrom alembic import op\n\nrevision = {name!r}\ndown_revision = {down!r}\n\n'
        f"def upgrade():\n{indent(upgrade, '    ')}\n\ndef downgrade():\n{indent(downgrade, '    ')}\n"
    )
    return file


def load(versions: Path) -> dict:
    config = Config()
    config.set_main_option("script_location", str(versions.parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return load_history(config, lambda *_, **__: None)


@pytest.mark.parametrize(
    ("body", "destructive"),
    [
        ('op.create_table("t")', False),
        ('op.add_column("t", None)', False),
        ('op.drop_table("t")', True),
        ('op.drop_column("t", "c")', True),
        ('op.alter_column("t", "c", type_=None)', True),
        ('op.alter_column("t", "c", nullable=False)', False),
        ('op.execute("TRUNCATE t")', True),
        ('op.execute("delete   from t")', True),
        ('op.execute("ALTER TABLE t DROP COLUMN c")', True),
        ('op.execute("drop\\ntable t")', True),
        ("op.execute(\"COMMENT ON TABLE t IS 'dropped tables'\")", False),
        ('op.drop_index("ix")', False),
        ('with op.batch_alter_table("t") as t:\n    t.drop_column("c")', True),
    ],
)
def test_what_can_lose_rows_is_called_destructive(body: str, destructive: bool, versions: Path) -> None:
    write(versions, upgrade=body)
    (revision,) = load(versions)["revisions"]
    assert revision["destructive_upgrade"] is destructive
    assert revision["destructive_downgrade"] is False
    write(versions, downgrade=body)
    (revision,) = load(versions)["revisions"]
    assert revision["destructive_upgrade"] is False
    assert revision["destructive_downgrade"] is destructive


@pytest.mark.parametrize(
    ("body", "reversible"),
    [
        ("pass", False),
        ('"""Nothing to do."""', False),
        ("raise NotImplementedError", False),
        ('raise RuntimeError("no way back")', False),
        ('op.drop_table("t")', True),
        ('"""Back."""\nop.drop_table("t")', True),
    ],
)
def test_a_downgrade_that_does_something_makes_a_revision_reversible(
    body: str, reversible: bool, versions: Path
) -> None:
    write(versions, downgrade=body)
    (revision,) = load(versions)["revisions"]
    assert revision["reversible"] is reversible


@pytest.mark.parametrize(
    "body",
    [
        "with op.get_context().autocommit_block():\n    pass",
        "context = op.get_context()\nwith context.autocommit_block():\n    pass",
        "block = op.get_context().autocommit_block\nwith block():\n    pass",
    ],
)
def test_a_revision_that_commits_in_its_middle_is_not_transactional(body: str, versions: Path) -> None:
    assert is_transactional(write(versions, name="whole"))
    assert not is_transactional(write(versions, upgrade=body))


def test_the_history_is_told_with_heads_messages_and_digests(versions: Path) -> None:
    write(versions, name="a1")
    write(versions, name="a2", down="a1")
    write(versions, name="b2", down="a1")
    told = load(versions)
    assert told["heads"] == ["a2", "b2"]
    by_id = {revision["id"]: revision for revision in told["revisions"]}
    assert by_id["a2"]["down"] == ["a1"]
    assert by_id["a2"]["message"] == "Do a2"
    assert len({revision["sha256"] for revision in told["revisions"]}) == 3


def test_a_value_error_of_a_file_is_that_files_and_not_the_historys(versions: Path) -> None:
    (versions / "a1.py").write_text("number = int('none')\n")
    with pytest.raises(Refusal) as refusal:
        load(versions)
    assert refusal.value.facts["code"] == "CM-304"
    assert "a1.py:1" in refusal.value.facts["detail"]


def test_a_key_error_of_a_file_is_that_files_and_not_the_historys(versions: Path) -> None:
    (versions / "a1.py").write_text("{}['gone']\n")
    with pytest.raises(Refusal) as refusal:
        load(versions)
    assert refusal.value.facts["code"] == "CM-304"


def test_a_file_that_is_no_revision_is_named(versions: Path) -> None:
    (versions / "stray.py").write_text("x = 1\n")
    with pytest.raises(Refusal) as refusal:
        load(versions)
    assert refusal.value.facts["code"] == "CM-302"
    assert "stray.py" in refusal.value.facts["detail"]


def test_an_empty_folder_is_an_empty_history(versions: Path) -> None:
    assert load(versions) == {"heads": [], "revisions": []}
