"""T-b and T-j: database, key, keys and anchors put back together, or copied. One machine alone cannot know.

What finds it is the one thing that was not put back: a copy of the anchors that is kept elsewhere.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from psycopg import sql
from typer.testing import CliRunner, Result

from audit_verifier.verify import verify_file
from coordinator.cli.app import app as command_line
from tests.integration.databases import Database
from tests.integration.services.evidence import evidence_of
from tests.integration.services.serving import serving
from tests.integration.services.test_audit_from_the_command_line import record

Command = Callable[..., Result]


def copied(source: Database, name: str) -> Database:
    copy = Database(name, source.address)
    names = {"copy": sql.Identifier(name), "source": sql.Identifier(source.name)}
    with source.address.connect() as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {copy} WITH (FORCE)").format(**names))
        connection.execute(sql.SQL("CREATE DATABASE {copy} TEMPLATE {source}").format(**names))
    return copy


@pytest.fixture
def earlier(audit: Database) -> Iterator[Database]:
    """Where a copy of the database goes."""
    name = f"earlier_{uuid4().hex[:8]}"
    yield Database(name, audit.address)
    with audit.address.connect() as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """As .rmbrain/audit: key, keys and anchors."""
    monkeypatch.setenv("AUDIT_FOLDER", str(tmp_path / "audit"))
    monkeypatch.setenv("AUDIT_ANCHOR_EVENTS", "1")
    return tmp_path / "audit"


@contextmanager
def commands(audit: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[Command]:
    with serving(audit) as url:
        monkeypatch.setenv("COORDINATOR_URL", url)
        monkeypatch.setenv("COLUMNS", "200")
        yield lambda *arguments: CliRunner().invoke(command_line, ["audit", *arguments])


def signed(audit: Database, events: int) -> None:
    """That many more events; an orderly stop signs what is left."""
    with serving(audit):
        record(audit, events)


def test_what_is_put_back_as_a_whole_is_found_by_the_anchors_that_are_kept_elsewhere(
    audit: Database, earlier: Database, state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed(audit, 4)
    copied(audit, earlier.name)
    shutil.copytree(state, tmp_path / "earlier")
    signed(audit, 3)
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(state / "anchors", elsewhere)
    [keys], [anchors] = elsewhere.glob("audit-keys-*.json"), elsewhere.glob("anchors-*.jsonl")

    copied(earlier, audit.name)
    shutil.rmtree(state)
    shutil.copytree(tmp_path / "earlier", state)

    def exported(command: Command, name: str, *trusted: str) -> Result:
        return command("export", "-o", str(tmp_path / name), "--keys", str(keys), *trusted)

    with commands(audit, monkeypatch) as command:
        assert command("verify").exit_code == 0, "the limit: here everything agrees"
        assert exported(command, "alone").exit_code == 0
        found = exported(command, "1", "--anchors", str(anchors))
        assert (found.exit_code, "NOT OK (cut). The tail is cut: event 7 was signed" in found.stdout) == (1, True)
    signed(audit, 5)
    with commands(audit, monkeypatch) as command:
        assert command("verify", "--not-older-than", "10m").exit_code == 0, "the limit: it goes on, and signs"
        found = exported(command, "2", "--anchors", str(anchors))
        assert (found.exit_code, "NOT OK (rewritten)" in found.stdout) == (1, True)


def test_how_old_the_last_signature_is_the_live_audit_says(
    audit: Database, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed(audit, 4)
    with commands(audit, monkeypatch) as command:
        assert "signed up to 4, at 20" in command("verify").stdout
        assert command("verify", "--not-older-than", "10m").exit_code == 0
        assert command("verify", "--not-older-than", "2999-01-01").exit_code == 1


async def test_two_histories_after_a_copy_of_database_and_key_are_told_apart_by_their_anchors(
    audit: Database, earlier: Database, tmp_path: Path
) -> None:
    """T-j: each is whole by itself, and no anchors of the one fit the other."""
    async with evidence_of(audit, tmp_path / "one", every_events=1) as one:
        one.record(4)
        await one.sign()
    copied(audit, earlier.name)
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    exports: list[Path] = []
    for database, name in ((audit, "one"), (earlier, "two")):
        async with evidence_of(database, tmp_path / name, every_events=1) as evidence:
            evidence.record(3)
            await evidence.sign()
            assert (await evidence.verify()).ok
            assert (await evidence.verify_export()).ok
            exports.append(await evidence.export())
    for export, other in zip(exports, ("two", "one"), strict=True):
        [keys], [anchors] = ((tmp_path / other / "anchors").glob(f"{kind}-*") for kind in ("audit-keys", "anchors"))
        found = verify_file(str(export), str(keys), str(anchors))
        assert (found.ok, found.reason) == (False, "rewritten")
