"""The ways back: a key that nobody introduced is taken out, and a lost one is replaced in everybody's sight."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from audit_verifier.verify import Verdict, verify_file
from migration_sidecar.config.settings import read_settings
from migration_sidecar.engine.engine import Engine
from services.cas_service.anchors.anchor_sinks import FolderSink
from services.cas_service.anchors.anchoring import Anchoring
from services.cas_service.anchors.signing import SigningKey, now, read_key
from services.cas_service.errors import AnchoringHasStalled
from services.cas_service.repair_keys import KeysLeft, remove, replace_lost
from services.cas_service.rotate_key import rotate
from tests.integration.databases import Database
from tests.integration.services.evidence import Evidence, evidence_of
from tests.integration.services.fleet import BY_FOLDER

ROOT = Path(__file__).parents[3]
WHY = "the disk of the host is gone, INC-9"


@pytest.fixture
async def evidence(audit: Database, tmp_path: Path) -> AsyncIterator[Evidence]:
    """Five events that are signed; the key file is one that the service never makes."""
    async with evidence_of(audit, tmp_path) as evidence:
        evidence.record(5)
        await evidence.sign()
        evidence.settings = replace(evidence.settings, key_is_ours=False)
        evidence.anchoring = Anchoring(evidence.engine.database, evidence.settings)
        yield evidence


def record_key(evidence: Evidence, *facts: object) -> None:
    """As the service's login can."""
    with evidence.audit.connect() as connection:
        connection.execute("SET ROLE cas_witness")
        connection.execute("SELECT audit.record_key(%s, %s, %s, %s, %s, %s, %s)", facts)


def told(evidence: Evidence, event_type: str) -> list[dict[str, Any]]:
    return [
        {"actor": actor, **detail}
        for actor, detail in evidence.ask(f"SELECT actor, detail FROM audit_events WHERE event_type = '{event_type}'")
    ]


async def goes_on(evidence: Evidence) -> None:
    evidence.record(5)
    await evidence.sign()
    found = await evidence.verify()
    assert (found.ok, found.anchored_seq) == (True, found.head_seq), found


def our_key(evidence: Evidence) -> str:
    return read_key(evidence.settings.key_file).public_key


async def repaired(evidence: Evidence, name: str) -> None:
    await remove(evidence.engine.database, evidence.settings, name, WHY)


async def replaced(evidence: Evidence) -> SigningKey:
    return await replace_lost(evidence.engine.database, evidence.settings, WHY)


@pytest.mark.parametrize("whose", ["of nobody", "ours once more"])
async def test_a_key_that_nobody_introduced_is_taken_out_and_the_audit_tells_who_did_it(
    evidence: Evidence, whose: str
) -> None:
    public_key = our_key(evidence) if whose == "ours once more" else "cHVi"
    record_key(evidence, 2, "bogus", public_key, 5, "x", "y", "z")
    assert not await evidence.anchoring.attempt()
    assert not (await evidence.verify()).ok
    await repaired(evidence, "bogus")
    await goes_on(evidence)
    [deed] = told(evidence, "audit.key_removed")
    assert (deed["key_id"], deed["reason"], deed["actor_basis"]) == ("bogus", WHY, "database login")
    with evidence.audit.connect() as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("DELETE FROM audit.signing_keys")


async def test_a_first_key_that_is_not_the_services_is_taken_out(audit: Database, tmp_path: Path) -> None:
    async with evidence_of(audit, tmp_path) as evidence:
        record_key(evidence, 1, "bogus", "cHVi", 0, None, None, None)
        evidence.record(5)
        assert not await evidence.anchoring.attempt()
        await repaired(evidence, "bogus")
        await goes_on(evidence)


async def test_a_key_of_this_audit_is_never_taken_out(evidence: Evidence) -> None:
    first = read_key(evidence.settings.key_file).key_id
    with pytest.raises(KeysLeft, match="is a key of this audit"):
        await repaired(evidence, first)
    second = await rotate(evidence.engine.database, evidence.settings.key_file)
    with pytest.raises(KeysLeft, match=f"which is {second.key_id}"):
        await repaired(evidence, first)
    with pytest.raises(KeysLeft, match="is a key of this audit"):
        await repaired(evidence, second.key_id)
    await goes_on(evidence)
    assert told(evidence, "audit.key_removed") == []


async def test_a_first_key_that_has_signed_nothing_yet_is_not_taken_out_either(audit: Database, tmp_path: Path) -> None:
    async with evidence_of(audit, tmp_path) as evidence:
        await evidence.sign()
        for settings in (evidence.settings, replace(evidence.settings, folder=tmp_path / "elsewhere")):
            with pytest.raises(KeysLeft, match="is a key of this audit"):
                await remove(evidence.engine.database, settings, read_key(settings.key_file).key_id, WHY)


@pytest.mark.parametrize("harm", ["nothing is kept outside", "it is the first"])
async def test_anchors_are_never_taken_out_where_nothing_tells_them_from_true_ones(
    evidence: Evidence, harm: str, tmp_path: Path
) -> None:
    evidence.settings.key_file.unlink()
    settings = replace(evidence.settings, folder=tmp_path / "nothing-there")
    if harm == "it is the first":
        evidence.keys_file.unlink()
        settings = evidence.settings
    [(name,)] = evidence.ask("SELECT key_id FROM audit.signing_keys")
    with pytest.raises(KeysLeft, match="has signed anchors"):
        await remove(evidence.engine.database, settings, name, WHY)
    assert evidence.ask("SELECT count(*) FROM audit.anchors") == [(1,)]


async def test_a_login_that_is_not_the_owners_changes_no_key(evidence: Evidence) -> None:
    with evidence.audit.connect() as connection:
        connection.execute("DROP ROLE IF EXISTS keys_stranger; CREATE ROLE keys_stranger LOGIN PASSWORD 'x'")
    try:
        stranger = Engine(
            read_settings(
                BY_FOLDER["cas_service"].path / "alembic.ini",
                {"DATABASE_URL": re.sub("//[^@]*@", "//keys_stranger:x@", evidence.audit.url)},
            )
        )
        with pytest.raises(KeysLeft, match="no member of cas_owner"):
            await remove(stranger.database, evidence.settings, "any", WHY)
        await stranger.close()
    finally:
        with evidence.audit.connect() as connection:
            connection.execute("DROP ROLE keys_stranger")


async def test_a_lost_key_is_replaced_and_whoever_trusts_the_old_keys_is_told_so(evidence: Evidence) -> None:
    lost = read_key(evidence.settings.key_file).key_id
    old_keys = evidence.folder / "old-keys.json"
    old_keys.write_bytes(evidence.keys_file.read_bytes())
    evidence.settings.key_file.unlink()
    evidence.record(5)
    assert not await evidence.anchoring.attempt()
    new = await replaced(evidence)
    await goes_on(evidence)
    [deed] = told(evidence, "audit.key_replaced")
    assert (deed["lost_key_id"], deed["key_id"], deed["after_seq"], deed["reason"]) == (lost, new.key_id, 5, WHY)
    assert (await evidence.verify()).keys_replaced == 1

    def verified(keys: Path | None, file: Path) -> Verdict:
        return verify_file(str(file), str(keys) if keys else None, str(evidence.anchors_file) if keys else None)

    export, note = (
        await evidence.export(),
        f"The keys say that key {lost} was lost after event 5, and that {new.key_id}",
    )
    trusting, old = verified(evidence.keys_file, export), verified(old_keys, export)
    assert (trusting.ok, trusting.notes) == (True, [f"{note} signs in its place."])
    assert (old.ok, old.reason, old.sentence) == (
        False,
        "keys",
        f"{note} signs in its place. The trusted keys do not: it was introduced by nobody.",
    )
    assert verified(None, export).notes[0] == f"{note} signs in its place."
    assert (await rotate(evidence.engine.database, evidence.settings.key_file)).key_id != new.key_id
    await goes_on(evidence)


async def test_a_replacement_that_only_the_database_has_is_believed_by_nobody(evidence: Evidence) -> None:
    """The service's login can record it, and even an anchor of it; the places outside were not asked."""
    ours = read_key(evidence.settings.key_file)
    document = json.loads(evidence.keys_file.read_text())
    thief, lost = SigningKey.make(), read_key(evidence.settings.key_file).key_id
    parts = ("audit-replacement-1", document["chain_id"], "5", lost, thief.key_id, thief.public_key, now())
    line = "|".join(parts)
    record_key(evidence, 2, thief.key_id, thief.public_key, 5, line, "", thief.sign(line))
    trusted = evidence.keys_file.read_bytes()
    evidence.record(5)
    assert not await evidence.anchoring.attempt()
    evidence.settings.key_file.unlink()
    thief.write(evidence.settings.key_file)
    assert not await evidence.anchoring.attempt()
    live, exported = await evidence.verify(), await evidence.verify_export()
    assert (live.ok, live.reason, exported.ok, exported.reason) == (False, "keys", False, "keys")
    assert evidence.keys_file.read_bytes() == trusted
    await repaired(evidence, thief.key_id)
    assert [deed["anchors"] for deed in told(evidence, "audit.key_removed")] == [1]
    evidence.settings.key_file.unlink()
    ours.write(evidence.settings.key_file)
    await goes_on(evidence)


async def test_a_key_that_is_there_is_not_lost(evidence: Evidence) -> None:
    with pytest.raises(KeysLeft, match="is one of this audit"):
        await replaced(evidence)
    old = evidence.settings.key_file.read_bytes()
    await rotate(evidence.engine.database, evidence.settings.key_file)
    evidence.settings.key_file.write_bytes(old)
    with pytest.raises(KeysLeft, match="is one of this audit"):
        await replaced(evidence)


async def test_a_key_is_not_replaced_after_one_that_nobody_introduced(evidence: Evidence) -> None:
    record_key(evidence, 2, "bogus", "cHVi", 5, "x", "y", "z")
    evidence.settings.key_file.unlink()
    with pytest.raises(KeysLeft, match="do not hold"):
        await replaced(evidence)


async def test_a_replacement_that_was_interrupted_is_finished_by_another(
    evidence: Evidence, monkeypatch: pytest.MonkeyPatch
) -> None:
    evidence.settings.key_file.unlink()
    trust = FolderSink.trust

    def dies(self: FolderSink, document: dict[str, Any]) -> None:
        trust(self, document)
        raise RuntimeError("killed")

    monkeypatch.setattr(FolderSink, "trust", dies)
    with pytest.raises(RuntimeError, match="killed"):
        await replaced(evidence)
    assert not await evidence.anchoring.attempt()
    monkeypatch.undo()
    await replaced(evidence)
    await goes_on(evidence)


async def test_a_database_with_other_keys_than_outside_gets_no_new_one(evidence: Evidence) -> None:
    other = SigningKey.make()
    evidence.tamper(
        "DELETE FROM audit.anchors",
        f"UPDATE audit.signing_keys SET public_key = '{other.public_key}', key_id = '{other.key_id}'",
    )
    evidence.settings.key_file.unlink()
    trusted = evidence.keys_file.read_bytes()
    with pytest.raises(AnchoringHasStalled, match="not those outside"):
        await replaced(evidence)
    assert evidence.keys_file.read_bytes() == trusted
    assert evidence.ask("SELECT count(*) FROM audit.signing_keys") == [(1,)]


def test_the_commands_of_the_page(audit: Database, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "audit-operations.md").read_text()
    assert {"repair_keys remove KEY_ID --reason", "repair_keys replace-lost --reason"} <= set(
        re.findall(r"repair_keys (?:remove KEY_ID|replace-lost) --reason", page)
    )

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        places = {"DATABASE_URL": audit.url, "AUDIT_FOLDER": str(tmp_path), "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "services.cas_service.repair_keys", *arguments, "--reason", WHY]
        return subprocess.run(command, env={**os.environ, **places}, cwd=ROOT, capture_output=True, text=True)

    with audit.connect() as connection:
        connection.execute("SET ROLE cas_witness; SELECT audit.record_key(1, 'bogus', 'cHVi', 0, NULL, NULL, NULL)")
    done = run("remove", "bogus")
    assert (done.returncode, "Key bogus was taken out" in done.stdout) == (0, True), done.stderr
    refused = run("remove", "bogus")
    assert (refused.returncode, "Only the newest key can be taken out" in refused.stderr) == (1, True)
    SigningKey.make().write(tmp_path / "signing-key.pem")
    first = read_key(tmp_path / "signing-key.pem")
    with audit.connect() as connection:
        connection.execute("SET ROLE cas_witness")
        key = (first.key_id, first.public_key)
        connection.execute("SELECT audit.record_key(1, %s, %s, 0, NULL, NULL, NULL)", key)
    (tmp_path / "signing-key.pem").unlink()
    done = run("replace-lost")
    assert (done.returncode, "hand the new audit-keys file to everybody" in done.stdout) == (0, True), done.stderr
    assert len(list((tmp_path / "anchors").glob("audit-keys-*.json"))) == 1
