"""What kind of change a revision file makes, told from its text."""

from __future__ import annotations

import py_compile
from pathlib import Path
from textwrap import indent

import pytest
from alembic.config import Config

from migration_sidecar.worker.refusal import MigrationRefused
from migration_sidecar.worker.scripts.history_loader import load_history
from migration_sidecar.worker.scripts.static_analysis import stays_in_transaction


@pytest.fixture
def versions(tmp_path: Path) -> Path:
    folder = tmp_path / "alembic" / "versions"
    folder.mkdir(parents=True)
    (folder.parent / "env.py").write_text("# not run here\n")
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


def config_for(versions: Path) -> Config:
    config = Config()
    config.set_main_option("script_location", str(versions.parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def load(versions: Path) -> dict:
    return load_history(config_for(versions), lambda _: None)


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
    write(versions, upgrade='op.create_table("t")', downgrade=body)
    (revision,) = load(versions)["revisions"]
    assert revision["reversible"] is reversible


def test_a_merge_is_reversible_because_there_is_nothing_to_revert(versions: Path) -> None:
    write(versions, upgrade="pass", downgrade="pass")
    assert load(versions)["revisions"][0]["reversible"]


@pytest.mark.parametrize(
    "body",
    [
        "with op.get_context().autocommit_block():\n    pass",
        "context = op.get_context()\nwith context.autocommit_block():\n    pass",
        "block = op.get_context().autocommit_block\nwith block():\n    pass",
    ],
)
def test_a_revision_that_commits_in_its_middle_is_not_transactional(body: str, versions: Path) -> None:
    assert stays_in_transaction(write(versions, name="whole").read_bytes())
    assert not stays_in_transaction(write(versions, upgrade=body).read_bytes())


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


def refusal(versions: Path) -> tuple[str, str]:
    with pytest.raises(MigrationRefused) as refused:
        load(versions)
    return refused.value.facts["code"], refused.value.facts["detail"]


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("number = int('none')\n", "b1.py:1", "ValueError"),
        ("\n{}['gone']\n", "b1.py:2", "KeyError"),
        ("import sys\nsys.exit(3)\n", "b1.py:2", "SystemExit"),
        ("import no_such_package.inside\n", "b1.py:1", "no_such_package"),
        ("from os import no_such_name\n", "b1.py:1", "ImportError"),
        ("def upgrade(:\n", "b1.py:1", "not valid Python"),
        ("revision = 'b1'\n", "b1.py", "down_revision"),
    ],
)
def test_a_file_that_cannot_be_loaded_is_named_with_its_line(text: str, where: str, what: str, versions: Path) -> None:
    write(versions)
    (versions / "b1.py").write_text(text)
    code, detail = refusal(versions)
    assert code == "CM-304"
    assert detail.startswith(f"{where}: ")
    assert what in detail


def test_a_file_that_fails_in_a_module_it_uses_is_named_where_it_uses_it(
    versions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models_of_this_test.py").write_text("\n\nraise OSError('/etc/secret')\n")
    monkeypatch.syspath_prepend(tmp_path)
    (versions / "b1.py").write_text("import os\nimport models_of_this_test\n")
    assert refusal(versions) == (
        "CM-304",
        "b1.py:2: it raised OSError when it was loaded; no database was touched.",
    )


@pytest.mark.parametrize("revision", ["a'||b", 'a"b', "a b", "a;b", "a/b", "é", "a" * 256, "", "a-b"])
def test_an_id_that_is_more_than_a_word_is_refused(revision: str, versions: Path) -> None:
    """Alembic pastes ids into SQL."""
    write(versions)
    file = versions / "b1.py"
    file.write_text(write(versions).read_text().replace("revision = 'a1'", f"revision = {revision!r}", 1))
    code, detail = refusal(versions)
    assert code == "CM-302"
    assert "b1.py" in detail
    assert revision not in detail or not revision or revision == "a-b"


@pytest.mark.parametrize("revision", ["2024.01_add", "A1", "a" * 255])
def test_ids_of_real_projects_are_taken(revision: str, versions: Path) -> None:
    (versions / "b1.py").write_text(write(versions).read_text().replace("'a1'", repr(revision)))
    assert revision in {each["id"] for each in load(versions)["revisions"]}


def test_an_id_that_is_there_twice_is_named_with_both_files(versions: Path) -> None:
    text = write(versions).read_text()
    (versions / "copy.py").write_text(text)
    assert refusal(versions) == ("CM-302", "Revision a1 is there twice: a1.py:6 and copy.py:6.")


@pytest.mark.parametrize("name", ["down_revision", "depends_on"])
def test_a_revision_that_nobody_has_is_named_with_the_line_that_names_it(name: str, versions: Path) -> None:
    file = write(versions)
    file.write_text(file.read_text().replace("down_revision = None", f"down_revision = None\n{name} = 'gone'"))
    code, detail = refusal(versions)
    assert code == "CM-302"
    assert detail == f"a1.py:{7 if name == 'down_revision' else 8} names {name} 'gone', and no file has that revision."


def test_a_down_revision_that_is_no_text_is_named(versions: Path) -> None:
    write(versions, name="a1", down=7)
    assert refusal(versions) == ("CM-302", "a1.py:7 names down_revision 7, and no file has that revision.")


def test_revisions_in_a_circle_are_all_named(versions: Path) -> None:
    write(versions, name="a1", down="a3")
    write(versions, name="a2", down="a1")
    write(versions, name="a3", down="a2")
    assert refusal(versions) == (
        "CM-302",
        "Revisions build on each other in a circle: a1 (a1.py:7), a2 (a2.py:7), a3 (a3.py:7).",
    )


def test_a_revision_that_builds_on_itself_is_named(versions: Path) -> None:
    write(versions, name="a1", down="a1")
    assert refusal(versions) == ("CM-302", "a1.py builds on itself: a1.")


def test_a_label_may_be_depended_on(versions: Path) -> None:
    first, second = write(versions, name="a1"), write(versions, name="b1")
    first.write_text(first.read_text() + "branch_labels = ('left',)\n")
    second.write_text(second.read_text() + "depends_on = 'left'\n")
    told = {each["id"]: each for each in load(versions)["revisions"]}
    assert told["a1"]["labels"] == ["left"]
    assert told["b1"]["depends_on"] == ["a1"]


def test_a_file_that_is_no_revision_is_named(versions: Path) -> None:
    (versions / "stray.py").write_text("x = 1\n")
    assert refusal(versions) == ("CM-303", "stray.py is in the folder of revisions, but it is no revision.")


def test_revisions_in_subfolders_that_are_not_looked_into_are_told(versions: Path) -> None:
    (versions / "2024").mkdir()
    (versions / "2024" / "seed.py").write_text("rows = []\n")
    assert refusal(versions) == ("CM-303", "alembic/versions holds no revision.")
    (versions / "2024" / "a1.py").write_text("revision = 'a1'\ndown_revision = None\n")
    assert "its subfolders do" in refusal(versions)[1]


def test_a_folder_without_revisions_is_refused(versions: Path) -> None:
    assert refusal(versions) == ("CM-303", "alembic/versions holds no revision.")
    (versions / "a1.pyc").write_bytes(b"")
    assert "only compiled files (.pyc), and sourceless is off" in refusal(versions)[1]
    (versions / "a1.pyc").unlink()
    versions.rmdir()
    assert refusal(versions) == ("CM-303", "The folder alembic/versions is not there.")


def test_an_env_py_that_is_not_there_or_not_python_is_named(versions: Path) -> None:
    write(versions)
    env = versions.parent / "env.py"
    env.write_text("x = 1\nx = = 2\n")
    code, detail = refusal(versions)
    assert code == "CM-304"
    assert detail.startswith("env.py:2: it is not valid Python")
    env.unlink()
    assert refusal(versions) == ("CM-303", "alembic/env.py is not there.")


def test_a_file_that_loops_is_named_with_the_line_it_is_at(versions: Path) -> None:
    write(versions)
    (versions / "b1.py").write_text("def wait():\n    while True:\n        pass\n\n\nwait()\n")
    reports: list[str] = []
    with pytest.raises(MigrationRefused) as refused:
        load_history(config_for(versions), lambda report: reports.append(report["event"]), 0.2)
    assert "not loaded after 0 s, at b1.py:6; no database was touched" in refused.value.facts["detail"]
    assert "hangs" in reports


def test_a_script_location_that_cannot_be_used_is_named_without_its_path(versions: Path) -> None:
    for location, expected in (
        (str(versions / "nowhere"), "names a script_location that is not there"),
        ("no_such_package_here:alembic", "a package that cannot be imported (no_such_package_here)"),
    ):
        config = Config()
        config.set_main_option("script_location", location)
        with pytest.raises(MigrationRefused) as refused:
            load_history(config, lambda _: None)
        assert refused.value.facts["code"] == "CM-303"
        assert expected in refused.value.facts["detail"]
        assert str(versions) not in refused.value.facts["detail"]


def found(versions: Path, upgrade: str = "pass", downgrade: str = "pass") -> list[tuple[str, str, int]]:
    write(versions, upgrade=upgrade, downgrade=downgrade)
    (revision,) = load(versions)["revisions"]
    return [(each["kind"], each["action"], each["line"]) for each in revision["findings"]]


CREATE = 'op.create_index("i", "t", ["c"], postgresql_concurrently=True)'


@pytest.mark.parametrize(
    "body",
    [
        CREATE,
        'op.drop_index("i", postgresql_concurrently=True)',
        'op.execute("CREATE INDEX CONCURRENTLY i ON t (c)")',
        'op.execute(text("create unique index concurrently i on t (c)"))',
        'op.get_bind().execute("DROP INDEX CONCURRENTLY i")',
        'op.execute(f"CREATE INDEX CONCURRENTLY {name} ON t (c)")',
        'op.execute("REINDEX TABLE CONCURRENTLY t")',
        f"if op.get_bind().dialect.name == 'postgresql':\n    {CREATE}",
        f"for name in names:\n    {CREATE}",
        f"with op.get_context().autocommit_block():\n    pass\n{CREATE}",
    ],
)
def test_an_index_built_concurrently_inside_a_transaction_is_found(body: str, versions: Path) -> None:
    (kind, action, line) = found(versions, body)[0]
    text = (versions / "a1.py").read_text().splitlines()
    assert (kind, action) == ("concurrently", "upgrade")
    assert "concurrently" in text[line - 1].lower()


@pytest.mark.parametrize(
    "body",
    [
        f'op.execute("COMMIT")\n{CREATE}',
        f"op.get_bind().commit()\n{CREATE}",
        f'connection = op.get_bind().execution_options(isolation_level="AUTOCOMMIT")\n{CREATE}',
        f"if not op.get_context().connection.in_transaction():\n    {CREATE}",
        f"try:\n    {CREATE}\nexcept Exception:\n    pass",
        'op.create_index("i", "t", ["c"], postgresql_concurrently=False)',
        'op.execute("CREATE INDEX i ON t (c) -- not CONCURRENTLY")',
        "op.execute(\"COMMENT ON TABLE t IS 'create index concurrently'\")",
        '"""CREATE INDEX CONCURRENTLY i ON t (c)"""',
        'op.execute("REFRESH MATERIALIZED VIEW CONCURRENTLY v")',
        f"def later():\n    {CREATE}",
    ],
)
def test_code_that_takes_care_of_its_transaction_is_left_alone(body: str, versions: Path) -> None:
    assert found(versions, body) == []


@pytest.mark.parametrize(
    ("body", "kinds"),
    [
        (f"with op.get_context().autocommit_block():\n    {CREATE}", ["autocommit_block"]),
        (f"op.get_bind().commit()\nwith op.get_context().autocommit_block():\n    {CREATE}", []),
    ],
)
def test_an_autocommit_block_matters_unless_the_revision_ends_its_transaction_before(
    body: str, kinds: list[str], versions: Path
) -> None:
    assert [kind for kind, _, _ in found(versions, body)] == kinds


@pytest.mark.parametrize(
    ("body", "is_offline_only"),
    [
        ('if not context.is_offline_mode():\n    raise RuntimeError("offline only")', True),
        ("if not op.get_context().as_sql:\n    raise RuntimeError()", True),
        ("if context.is_offline_mode():\n    op.execute('x')\nelse:\n    raise RuntimeError()", True),
        ("assert context.is_offline_mode()", True),
        ('if context.is_offline_mode():\n    raise RuntimeError("online only")', False),
        ("if not context.is_offline_mode():\n    op.execute('x')", False),
    ],
)
def test_a_revision_that_refuses_to_run_online_is_found(body: str, is_offline_only: bool, versions: Path) -> None:
    assert [kind for kind, _, _ in found(versions, body)] == ["offline_only"] * is_offline_only


def test_a_downgrade_that_is_missing_or_raises_is_found(versions: Path) -> None:
    assert found(versions, downgrade='"""Never."""\nraise RuntimeError()') == [("raises", "downgrade", 14)]
    assert found(versions, downgrade="if x:\n    raise RuntimeError()") == []
    file = write(versions)
    file.write_text(file.read_text().split("def downgrade")[0])
    (revision,) = load(versions)["revisions"]
    assert [each["kind"] for each in revision["findings"]] == ["missing"]
    assert not revision["reversible"]


def test_a_downgrade_that_is_imported_counts_as_one(versions: Path) -> None:
    file = write(versions)
    file.write_text(file.read_text().split("def downgrade")[0] + "\n\nfrom os import getcwd as downgrade\n")
    assert load(versions)["revisions"][0]["findings"] == []


@pytest.mark.parametrize("text", ["", "version_num varchar(255)", "impl.version_table_impl"])
def test_an_env_py_that_makes_the_version_table_itself_is_noticed(text: str, versions: Path) -> None:
    write(versions)
    (versions.parent / "env.py").write_text(f"# {text}\n")
    assert load(versions)["makes_version_table"] is bool(text)


@pytest.mark.parametrize(
    ("body", "finds"),
    [
        ('op.drop_table("journal", schema="migration_sidecar")', True),
        ('op.drop_index("journal_to_relay", table_name="journal", schema="migration_sidecar")', True),
        ('op.execute("DROP SCHEMA IF EXISTS migration_sidecar CASCADE")', True),
        ('op.execute("drop table migration_sidecar.journal")', True),
        ('op.drop_table("journal")', False),
        ('op.drop_table("journal", schema="accounting")', False),
        ('op.execute("DROP TABLE t; -- and not migration_sidecar")', False),
        ('op.execute("DROP TABLE t; GRANT USAGE ON SCHEMA migration_sidecar TO r")', False),
    ],
)
def test_a_revision_that_drops_the_journal_as_autogenerate_writes_it_is_found(
    body: str, finds: bool, versions: Path
) -> None:
    assert ("drops_journal" in [kind for kind, _, _ in found(versions, body)]) is finds


def test_a_compiled_revision_is_described_by_what_can_be_read(versions: Path) -> None:
    file = write(versions, 'with op.get_context().autocommit_block(): op.execute("SELECT 1")')
    py_compile.compile(str(file), cfile=str(file.with_suffix(".pyc")))
    file.unlink()
    config = config_for(versions)
    config.set_main_option("sourceless", "true")
    (revision,) = load_history(config, lambda _: None)["revisions"]
    assert (revision["id"], revision["transactional"], revision["findings"]) == ("a1", False, [])
