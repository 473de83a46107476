"""Anchors: signed as the chain grows, kept outside, never forked, and standing still says why."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from migration_sidecar.contract.errors import Misconfigured
from services.cas_service.anchors.anchor_sinks import FolderSink
from services.cas_service.anchors.anchoring import Anchoring
from services.cas_service.anchors.settings import read_anchoring_settings
from services.cas_service.anchors.signing import SigningKey
from services.cas_service.anchors.unsigned_age import UnsignedAge
from services.cas_service.errors import AnchoringHasStalled
from services.cas_service.rotate_key import rotate
from tests.integration.databases import CreateDatabase, Database
from tests.integration.services.evidence import REWRITE, Evidence, evidence_of


@pytest.fixture
async def evidence(audit: Database, tmp_path: Path) -> AsyncIterator[Evidence]:
    async with evidence_of(audit, tmp_path) as evidence:
        yield evidence


def signed_at(evidence: Evidence) -> list[int]:
    return [seq for (seq,) in evidence.ask("SELECT seq FROM audit.anchors ORDER BY seq")]


def kept_outside(evidence: Evidence) -> list[str]:
    return [json.loads(line)["anchor"] for line in evidence.anchors_file.read_text().splitlines()]


async def test_an_anchor_is_signed_after_so_many_events_and_not_before(evidence: Evidence) -> None:
    evidence.record(4)
    await evidence.sign()
    assert signed_at(evidence) == []
    evidence.record(3)
    await evidence.sign()
    assert signed_at(evidence) == [7]


async def test_an_anchor_is_signed_after_so_many_seconds_however_few_the_events(evidence: Evidence) -> None:
    impatient = Anchoring(evidence.engine.database, replace(evidence.settings, every_seconds=0))
    evidence.record(1)
    await evidence.sign()
    assert signed_at(evidence) == []
    assert await impatient.attempt()
    assert await impatient.attempt()
    assert signed_at(evidence) == [1]


async def test_what_is_kept_outside_is_what_the_database_has(evidence: Evidence) -> None:
    for _ in range(3):
        evidence.record(5)
        await evidence.sign()
    lines = [line for (line,) in evidence.ask("SELECT line FROM audit.anchors ORDER BY seq")]
    assert kept_outside(evidence) == lines
    assert (await evidence.verify_export()).ok


async def test_replicas_that_sign_at_the_same_time_make_one_line_of_anchors(evidence: Evidence) -> None:
    replicas = [Anchoring(evidence.engine.database, evidence.settings) for _ in range(4)]
    for _ in range(5):
        evidence.record(5)
        await asyncio.gather(*(replica.attempt() for replica in replicas))
    assert [replica.standing_still for replica in replicas] == [None] * 4
    assert signed_at(evidence) == [5, 10, 15, 20, 25]
    assert len(kept_outside(evidence)) == 5
    assert (await evidence.verify()).ok


async def test_what_could_not_be_delivered_follows_in_order(evidence: Evidence) -> None:
    anchors = evidence.folder / "anchors"
    anchors.write_text("in the way of the folder")
    for _ in range(3):
        evidence.record(5)
        assert not await evidence.anchoring.attempt()
    first = evidence.anchoring.standing_still
    assert first is not None
    assert "the anchors' folder cannot be written" in str(first)
    anchors.unlink()
    await evidence.sign()
    assert evidence.anchoring.standing_still is None
    assert len(kept_outside(evidence)) == 3


@pytest.mark.parametrize("cut", [1, 100])
async def test_half_a_line_that_a_crash_left_is_finished(evidence: Evidence, cut: int) -> None:
    evidence.record(5)
    await evidence.sign()
    whole = evidence.anchors_file.read_bytes()
    evidence.anchors_file.write_bytes(whole[:-cut])
    not_noted_yet = ("ALTER TABLE audit.deliveries DISABLE TRIGGER ALL", "DELETE FROM audit.deliveries")
    evidence.tamper(*not_noted_yet)
    again = Anchoring(evidence.engine.database, evidence.settings)
    assert await again.attempt()
    assert evidence.anchors_file.read_bytes() == whole


@pytest.mark.parametrize("restarted", [False, True], ids=["the same process", "a new process"])
@pytest.mark.parametrize(
    "harm",
    [
        lambda file: file.unlink(),
        lambda file: file.write_bytes(b""),
        lambda file: file.write_bytes(file.read_bytes().splitlines(keepends=True)[0]),
    ],
    ids=["removed", "emptied", "cut"],
)
async def test_a_file_that_lost_anchors_is_an_alarm_and_not_written_again(
    evidence: Evidence, harm: Callable[[Path], object], restarted: bool
) -> None:
    for _ in range(2):
        evidence.record(5)
        await evidence.sign()
    file = evidence.anchors_file
    whole = file.read_bytes()
    harm(file)
    harmed = file.exists() and file.read_bytes()
    if restarted:
        evidence.anchoring = Anchoring(evidence.engine.database, evidence.settings)
    assert not await evidence.anchoring.attempt()
    assert "anchors up to event 10 were delivered" in str(evidence.anchoring.alarm)
    assert (file.exists() and file.read_bytes()) == harmed
    found = await evidence.verify()
    assert (found.ok, found.reason) == (False, "anchor")
    file.write_bytes(whole)
    await evidence.sign()
    assert (await evidence.verify()).ok


async def test_a_tail_cut_in_database_and_file_is_found_by_the_process_that_delivered_it(evidence: Evidence) -> None:
    """No key is needed for that, and after a restart only reconcile or anchors kept elsewhere tell."""
    for _ in range(2):
        evidence.record(5)
        await evidence.sign()
    evidence.anchors_file.write_bytes(evidence.anchors_file.read_bytes().splitlines(keepends=True)[0])
    evidence.tamper(
        "ALTER TABLE audit.deliveries DISABLE TRIGGER ALL",
        "DELETE FROM audit.deliveries WHERE seq > 5",
        "DELETE FROM audit_events WHERE seq > 5",
        "DELETE FROM audit.anchors WHERE seq > 5",
        "UPDATE audit.chain_head SET seq = 5, hash = (SELECT hash FROM audit_events WHERE seq = 5)",
    )
    assert not (await evidence.verify()).ok
    assert not await evidence.anchoring.attempt()


async def test_another_folder_is_filled_from_the_beginning(evidence: Evidence) -> None:
    evidence.record(5)
    await evidence.sign()
    whole = evidence.anchors_file.read_bytes()
    evidence.anchors_file.unlink()
    elsewhere = replace(evidence.settings, folder=evidence.folder / "elsewhere")
    assert await Anchoring(evidence.engine.database, elsewhere).attempt()
    [file] = (evidence.folder / "elsewhere").glob("anchors-*.jsonl")
    assert file.read_bytes() == whole


async def test_events_dated_in_the_future_are_signed_in_time(evidence: Evidence) -> None:
    clock = iter(range(0, 1000, 100)).__next__
    evidence.anchoring = Anchoring(evidence.engine.database, replace(evidence.settings, every_seconds=150))
    evidence.anchoring._unsigned = UnsignedAge(clock)
    evidence.record(2)
    evidence.tamper("UPDATE audit_events SET recorded_at = recorded_at + interval '9 years'", REWRITE)
    await evidence.sign()
    assert signed_at(evidence) == []
    await evidence.sign()
    assert signed_at(evidence) == [2]


async def test_a_signer_that_hangs_is_an_alarm(evidence: Evidence) -> None:
    now = [0.0]
    evidence.anchoring._unsigned = UnsignedAge(lambda: now[0])
    evidence.record(2)
    await evidence.sign()
    assert evidence.anchoring.alarm is None
    now[0] = 2.0 * evidence.settings.every_seconds + 1
    assert "the oldest unsigned event has waited for 1201 s" in str(evidence.anchoring.alarm)
    assert "overdue" in str((await evidence.verify()).anchoring)


async def test_variables_of_git_and_hooks_do_not_lead_elsewhere(
    audit: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=tmp_path, check=True, capture_output=True, text=True).stdout

    for name in ("clone", "another"):
        git("init", "--quiet", name)
    hook = tmp_path / "clone" / ".git" / "hooks" / "post-commit"
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/hook-ran\n")
    hook.chmod(0o755)
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "another" / ".git"))
    async with evidence_of(audit, tmp_path) as evidence:
        anchoring = Anchoring(evidence.engine.database, replace(evidence.settings, folder=None, git=tmp_path / "clone"))
        evidence.record(5)
        assert await anchoring.attempt(), anchoring.standing_still
    monkeypatch.delenv("GIT_DIR")
    assert len(git("-C", "clone", "rev-list", "--all").split()) == 1
    assert git("-C", "another", "rev-list", "--all") == ""
    assert not (tmp_path / "hook-ran").exists()


async def test_a_database_that_was_put_back_does_not_get_new_anchors_beside_the_old_ones(evidence: Evidence) -> None:
    for _ in range(2):
        evidence.record(5)
        await evidence.sign()
    outside = evidence.anchors_file.read_bytes()
    evidence.tamper(
        "DELETE FROM audit_events WHERE seq > 5",
        "DELETE FROM audit.anchors WHERE seq > 5",
        "UPDATE audit.chain_head SET seq = 5, hash = (SELECT hash FROM audit_events WHERE seq = 5)",
    )
    again = Anchoring(evidence.engine.database, evidence.settings)
    assert not await again.attempt()
    assert "more anchors are kept outside than the database has" in str(again.standing_still)
    evidence.record(5)
    assert not await again.attempt()
    assert "not those that are kept outside" in str(again.standing_still)
    assert evidence.anchors_file.read_bytes() == outside


async def test_other_keys_in_the_database_do_not_become_trusted_outside(evidence: Evidence) -> None:
    evidence.record(5)
    await evidence.sign()
    trusted = evidence.keys_file.read_bytes()
    forged = {**json.loads(trusted), "keys": [{"public_key": SigningKey.make().public_key}]}
    with pytest.raises(AnchoringHasStalled, match="keys in the database are not those outside"):
        FolderSink(evidence.folder / "anchors").deliver([], forged)
    assert evidence.keys_file.read_bytes() == trusted


async def test_a_git_repository_gets_a_commit_and_its_upstream_a_push(audit: Database, tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=tmp_path, check=True, capture_output=True, text=True).stdout

    git("init", "--quiet", "--bare", "upstream.git")
    git("clone", "--quiet", "upstream.git", "clone")
    git("-C", "clone", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "begin", "--allow-empty")
    git("-C", "clone", "push", "--quiet", "-u", "origin", "HEAD")
    async with evidence_of(audit, tmp_path) as evidence:
        settings = replace(evidence.settings, folder=None, git=tmp_path / "clone")
        anchoring = Anchoring(evidence.engine.database, settings)
        for _ in range(2):
            evidence.record(5)
            assert await anchoring.attempt(), anchoring.standing_still
        assert await anchoring.attempt()
    assert git("-C", "upstream.git", "log", "--format=%s", "--reverse").splitlines()[1:] == [
        f"Anchor {anchoring.sinks[0].anchors(chain)[-1].chain_id} at {seq}"
        for chain in [next((tmp_path / "clone").glob("anchors-*")).stem.removeprefix("anchors-")]
        for seq in (5, 10)
    ]


async def test_keys_without_an_anchor_are_committed_and_so_is_what_a_failed_commit_left(
    audit: Database, tmp_path: Path
) -> None:
    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=tmp_path, check=True, capture_output=True, text=True).stdout

    def committed() -> list[str]:
        return [subject.rpartition(" ")[2] for subject in git("-C", "clone", "log", "--format=%s").splitlines()]

    git("init", "--quiet", "clone")
    async with evidence_of(audit, tmp_path) as evidence:
        anchoring = Anchoring(evidence.engine.database, replace(evidence.settings, folder=None, git=tmp_path / "clone"))
        assert await anchoring.attempt(), anchoring.standing_still
        assert committed() == ["0"]
        evidence.record(5)
        lock = tmp_path / "clone" / ".git" / "index.lock"
        lock.touch()
        assert not await anchoring.attempt()
        lock.unlink()
        assert await anchoring.attempt(), anchoring.standing_still
    assert committed() == ["5", "0"]


async def test_the_key_is_made_once_in_development_and_nobody_else_may_read_it(evidence: Evidence) -> None:
    evidence.record(5)
    await evidence.sign()
    assert evidence.settings.key_file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda file: file.unlink(), "cannot be read (no such file or directory)"),
        (lambda file: file.chmod(0o640), "may be read by others"),
        (lambda file: file.write_text("rubbish"), "holds no unencrypted Ed25519 key"),
        (lambda file: (file.unlink(), SigningKey.make().write(file)), "this audit is signed by"),
    ],
    ids=["missing", "open to others", "broken", "another one"],
)
async def test_a_key_that_cannot_sign_stops_the_anchors_and_not_the_events(
    evidence: Evidence, spoil: object, sentence: str
) -> None:
    evidence.record(5)
    await evidence.sign()
    assert callable(spoil)
    spoil(evidence.settings.key_file)
    production = Anchoring(evidence.engine.database, replace(evidence.settings, key_is_ours=False))
    evidence.record(5)
    assert not await production.attempt()
    assert sentence in str(production.standing_still)
    since = production.standing_still.since if production.standing_still else None
    assert not await production.attempt()
    assert production.standing_still is not None
    assert production.standing_still.since == since
    assert evidence.ask("SELECT seq FROM audit.chain_head") == [(10,)]


async def test_a_rotated_key_signs_at_once_and_is_trusted_by_who_trusts_the_old_one(
    evidence: Evidence,
) -> None:
    evidence.record(5)
    await evidence.sign()
    trusted = evidence.folder / "trusted.json"
    trusted.write_bytes(evidence.keys_file.read_bytes())
    new = await rotate(evidence.engine.database, evidence.settings.key_file)
    evidence.record(5)
    await evidence.sign()
    assert kept_outside(evidence)[-1].endswith(new.key_id)
    assert (await evidence.verify()).ok
    assert (await evidence.verify_export()).ok
    evidence.keys_file.write_bytes(trusted.read_bytes())
    assert (await evidence.verify_export()).ok


async def test_a_rotation_that_was_interrupted_before_the_file_moved_is_finished_by_another(evidence: Evidence) -> None:
    evidence.record(5)
    await evidence.sign()
    old = evidence.settings.key_file.read_bytes()
    new = await rotate(evidence.engine.database, evidence.settings.key_file)
    evidence.settings.key_file.rename(f"{evidence.settings.key_file}.next")
    evidence.settings.key_file.write_bytes(old)
    evidence.settings.key_file.chmod(0o600)
    assert (await rotate(evidence.engine.database, evidence.settings.key_file)).key_id == new.key_id
    assert evidence.ask("SELECT count(*) FROM audit.signing_keys") == [(2,)]
    await evidence.sign()


async def test_a_key_that_never_signed_here_cannot_rotate(evidence: Evidence) -> None:
    evidence.record(5)
    await evidence.sign()
    evidence.settings.key_file.unlink()
    SigningKey.make().write(evidence.settings.key_file)
    with pytest.raises(AnchoringHasStalled, match="this audit is signed by"):
        await rotate(evidence.engine.database, evidence.settings.key_file)


async def test_an_audit_that_is_not_migrated_is_not_signed_and_nothing_stands_still(
    create_database: CreateDatabase, tmp_path: Path
) -> None:
    async with evidence_of(create_database(), tmp_path) as evidence:
        assert not await evidence.anchoring.attempt()
        assert evidence.anchoring.standing_still is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AUDIT_ANCHOR_EVENTS", "0"),
        ("AUDIT_ANCHOR_EVENTS", "many"),
        ("AUDIT_ANCHOR_SECONDS", "-1"),
        ("AUDIT_ANCHOR_SECONDS", "1e3"),
        ("AUDIT_ANCHOR_FOLDERS", "/somewhere"),
    ],
)
def test_a_setting_that_means_nothing_is_refused(name: str, value: str) -> None:
    with pytest.raises(Misconfigured, match=name):
        read_anchoring_settings({name: value})
