"""What is sealed, signed and exported may leave the database, and nothing else; the chain goes on from there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg import sql

from audit_verifier.verify import main, merkle_root
from migration_sidecar.contract.errors import DatabaseRefused
from services.cas_service.segment_sealing import RetentionRefused, Sealed, retire, seal
from tests.integration.databases import Database
from tests.integration.services.evidence import Evidence


async def seal_all(evidence: Evidence) -> Sealed:
    """Sealed, and the seal is under an anchor."""
    sealed = await seal_unsigned(evidence)
    await evidence.sign_all()
    return sealed


async def seal_unsigned(evidence: Evidence) -> Sealed:
    later = datetime.now(UTC) + timedelta(hours=1)
    return await seal(evidence.engine.database, later, evidence.folder / "segments")


async def test_a_segment_reaches_to_the_last_anchor_and_its_rows_go(evidence: Evidence) -> None:
    sealed = await seal_all(evidence)
    assert (sealed.first_seq, sealed.last_seq) == (1, 10)
    assert await retire(evidence.engine.database, sealed.file, evidence.keys_file) == 10
    assert evidence.ask("SELECT min(seq), max(seq) FROM audit_events") == [(11, 14)]
    told = "SELECT event_type FROM audit_events WHERE seq > 12 ORDER BY seq"
    assert evidence.ask(told) == [("audit.segment_sealed",), ("audit.segment_retired",)]


async def test_the_chain_verifies_on_from_a_retired_segment(evidence: Evidence) -> None:
    sealed = await seal_all(evidence)
    await retire(evidence.engine.database, sealed.file, evidence.keys_file)
    evidence.record(5)
    await evidence.sign()
    live, exported = await evidence.verify(), await evidence.verify_export()
    assert (live.ok, live.retired_until, live.last_seq) == (True, 10, 19)
    assert (exported.ok, exported.first_seq, exported.last_seq) == (True, 1, 19)
    elsewhere = f"Events 1 to 10 are not here but in the sealed segment with SHA-256 {sealed.sha256}"
    assert exported.notes == [f"{elsewhere}: verify that file too."]


async def test_a_repeat_of_a_retired_event_is_still_a_repeat(evidence: Evidence) -> None:
    sent = evidence.events(3)
    evidence.send(sent)
    await evidence.sign()
    sealed = await seal_all(evidence)
    await retire(evidence.engine.database, sealed.file, evidence.keys_file)
    assert evidence.send(sent) == [(sent[at]["event_id"], 13 + at, "repeated") for at in range(3)]
    assert evidence.ask("SELECT min(seq), max(seq) FROM audit_events") == [(16, 17)]


async def test_a_retired_event_with_another_content_is_a_conflict_and_recorded_once(evidence: Evidence) -> None:
    [sent] = evidence.events(1)
    evidence.send([sent, *evidence.events(2)])
    await evidence.sign()
    sealed = await seal_all(evidence)
    await retire(evidence.engine.database, sealed.file, evidence.keys_file)
    for _ in range(2):
        assert evidence.send([{**sent, "actor": "mallory"}]) == [(sent["event_id"], 13, "conflict")]
    told = "SELECT detail ->> 'event_id', detail -> 'seq', detail ? 'differing' FROM audit_events WHERE seq > 17"
    assert evidence.ask(told) == [(sent["event_id"], 13, False)]
    assert (await evidence.verify()).ok


async def test_a_conflict_that_was_itself_retired_is_not_recorded_again(evidence: Evidence) -> None:
    [sent] = evidence.events(1)
    other = {**sent, "actor": "mallory"}
    evidence.send([sent, other, *evidence.events(3)])
    await evidence.sign()
    sealed = await seal_all(evidence)
    await retire(evidence.engine.database, sealed.file, evidence.keys_file)
    evidence.send([other])
    assert evidence.ask("SELECT count(*) FROM audit_events WHERE event_type = 'audit.conflict'") == [(0,)]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit.retired_events SET payload_hash = ''",
        "DELETE FROM audit.retired_events",
        "TRUNCATE audit.retired_events",
    ],
)
async def test_what_is_remembered_of_retired_events_is_not_changed(evidence: Evidence, statement: str) -> None:
    sealed = await seal_all(evidence)
    await retire(evidence.engine.database, sealed.file, evidence.keys_file)
    with evidence.audit.connect() as connection, pytest.raises(psycopg.errors.InsufficientPrivilege, match="refused"):
        connection.execute(sql.SQL(statement))


async def test_a_second_segment_continues_the_first(evidence: Evidence) -> None:
    first = await seal_all(evidence)
    await retire(evidence.engine.database, first.file, evidence.keys_file)
    evidence.record(5)
    await evidence.sign()
    second = await seal_all(evidence)
    assert (second.first_seq, second.last_seq) == (11, 19)
    await retire(evidence.engine.database, second.file, evidence.keys_file)
    assert (await evidence.verify()).ok
    assert (await evidence.verify_export()).ok


async def test_an_export_may_begin_in_what_was_retired(evidence: Evidence) -> None:
    sealed = await seal_all(evidence)
    await retire(evidence.engine.database, sealed.file, evidence.keys_file)
    assert (await evidence.verify_export(first=4)).first_seq == 1
    assert (await evidence.verify_export(first=11)).ok


async def test_rows_that_were_called_retired_without_a_signature_over_their_end_are_missing(evidence: Evidence) -> None:
    evidence.tamper(
        "ALTER TABLE audit.segments DISABLE TRIGGER ALL",
        "INSERT INTO audit.segments SELECT 1, 7, repeat('0', 64), hash, 7, '', '', now(), 'mallory' "
        "FROM audit_events WHERE seq = 7",
        "INSERT INTO audit.retirements VALUES (1, now(), 'mallory')",
        "DELETE FROM audit_events WHERE seq <= 7",
    )
    live = await evidence.verify()
    assert (live.first_bad_seq, live.reason) == (8, "missing")


async def test_rows_that_were_called_retired_and_no_event_tells_of_it_are_missing(evidence: Evidence) -> None:
    evidence.tamper(
        "ALTER TABLE audit.segments DISABLE TRIGGER ALL",
        "INSERT INTO audit.segments SELECT 1, 10, repeat('0', 64), hash, 10, '', '', now(), 'mallory' "
        "FROM audit_events WHERE seq = 10",
        "INSERT INTO audit.retirements VALUES (1, now(), 'mallory')",
        "DELETE FROM audit_events WHERE seq <= 10",
    )
    live = await evidence.verify()
    assert (live.first_bad_seq, live.reason) == (1, "missing")


async def test_a_file_that_was_changed_retires_nothing(evidence: Evidence) -> None:
    sealed = await seal_all(evidence)
    sealed.file.write_bytes(sealed.file.read_bytes().replace(b"release-bot", b"release-cat", 1))
    with pytest.raises(RetentionRefused, match="Event 1 is not what was recorded"):
        await retire(evidence.engine.database, sealed.file, evidence.keys_file)
    assert evidence.ask("SELECT count(*) FROM audit_events") == [(13,)]


async def test_a_whole_export_that_was_never_sealed_retires_nothing(evidence: Evidence) -> None:
    await seal_all(evidence)
    other = await evidence.export(1, 10)
    with pytest.raises(DatabaseRefused) as refused:
        await retire(evidence.engine.database, other, evidence.keys_file)
    assert "no segment" in (refused.value.problem.server_message or "")
    assert evidence.ask("SELECT count(*) FROM audit_events") == [(13,)]


async def test_there_is_nothing_to_seal_before_the_first_anchor(evidence: Evidence) -> None:
    with pytest.raises(RetentionRefused, match="Nothing recorded before"):
        await seal(evidence.engine.database, datetime(2020, 1, 1, tzinfo=UTC), evidence.folder)


async def test_the_younger_segment_does_not_go_before_the_older(evidence: Evidence) -> None:
    await seal_all(evidence)
    evidence.record(5)
    await evidence.sign()
    younger = await seal_all(evidence)
    with pytest.raises(DatabaseRefused) as refused:
        await retire(evidence.engine.database, younger.file, evidence.keys_file)
    assert "the oldest goes first" in (refused.value.problem.server_message or "")


async def test_a_segment_whose_seal_is_not_signed_is_not_retired(evidence: Evidence) -> None:
    sealed = await seal_unsigned(evidence)
    with pytest.raises(DatabaseRefused) as refused:
        await retire(evidence.engine.database, sealed.file, evidence.keys_file)
    assert "no anchor signs yet" in (refused.value.problem.server_message or "")
    assert evidence.ask("SELECT count(*) FROM audit_events") == [(13,)]


@pytest.mark.parametrize("root", ["f" * 64, None])
def test_a_seal_over_other_events_is_not_recorded(evidence: Evidence, root: str | None) -> None:
    with evidence.audit.connect() as connection, pytest.raises(psycopg.errors.DataException, match="not over the even"):
        connection.execute("SELECT audit.record_segment(1, 10, %s, repeat('0', 64))", [root])


async def test_a_segment_whose_events_are_not_those_that_were_signed_is_not_retired(evidence: Evidence) -> None:
    sealed = await seal_all(evidence)
    evidence.tamper("UPDATE audit_events SET hash = repeat('a', 64) WHERE seq = 3")
    with pytest.raises(DatabaseRefused) as refused:
        await retire(evidence.engine.database, sealed.file, evidence.keys_file)
    assert "not those that their anchor signs" in (refused.value.problem.server_message or "")


@pytest.mark.parametrize("events", [1, 2, 3, 4, 5, 7, 8, 11, 12])
def test_the_store_computes_the_roots_that_anchors_have(evidence: Evidence, events: int) -> None:
    hashes = [hash for (hash,) in evidence.ask(f"SELECT hash FROM audit_events WHERE seq <= {events} ORDER BY seq")]
    assert evidence.ask(f"SELECT audit.merkle_root(1, {events})") == [(merkle_root(hashes),)]


async def test_events_that_were_taken_out_without_a_file_are_never_called_seen(evidence: Evidence) -> None:
    """Two calls by a member of cas_owner: a file with this hash never existed."""
    hashes = [hash for (hash,) in evidence.ask("SELECT hash FROM audit_events WHERE seq <= 10 ORDER BY seq")]
    recorded = f"SELECT audit.record_segment(1, 10, '{merkle_root(hashes)}', repeat('f', 64))"
    evidence.ask(recorded)
    await evidence.sign_all()
    evidence.ask("SELECT audit.retire_segment(1, repeat('f', 64))")
    live, exported = await evidence.verify(100), await evidence.verify_export()
    assert (live.ok, live.retired_until, live.retired[0].file_sha256) == (True, 10, "f" * 64)
    assert (exported.ok, exported.unseen) == (True, [(1, 10)])


async def test_the_file_of_a_segment_makes_its_events_seen_and_no_other_file_does(evidence: Evidence) -> None:
    sealed = await seal_all(evidence)
    another = await evidence.export(1, 10)
    await retire(evidence.engine.database, sealed.file, evidence.keys_file)
    command = [str(await evidence.export()), "--keys", str(evidence.keys_file), "--anchors", str(evidence.anchors_file)]
    assert main(command) == 3
    assert main([*command, "--segment", str(another)]) == 3
    assert main([*command, "--segment", str(sealed.file)]) == 0
    sealed.file.write_bytes(sealed.file.read_bytes().replace(b"release-bot", b"release-cat", 1))
    assert main([*command, "--segment", str(sealed.file)]) == 1


@pytest.mark.parametrize("role", ["cas_ingest", "cas_reader", "cas_witness"])
def test_nobody_but_the_owner_retires(audit: Database, role: str) -> None:
    with audit.connect() as connection:
        connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT audit.retire_segment(1, '')")


async def test_after_a_segment_has_gone_rows_are_guarded_as_before(evidence: Evidence) -> None:
    sealed = await seal_all(evidence)
    await retire(evidence.engine.database, sealed.file, evidence.keys_file)
    with evidence.audit.connect() as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("DELETE FROM audit_events WHERE seq = 11")
