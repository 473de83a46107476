"""T7 and T8: whatever a superuser does to the audit, verification names the first event that shows it.

Both ways find it: the audit's own verification in SQL, and an export in the hands of the stand-alone verifier.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from audit_verifier.verify import verify_file
from services.cas_service.anchors.anchoring import Anchoring
from services.cas_service.anchors.signing import SigningKey
from services.cas_service.evidence.export import RowsAreMissing
from tests.integration.services.evidence import REWRITE, Evidence, evidence_of

REPLACE = """
UPDATE audit_events SET actor = 'mallory' WHERE seq = 7;
UPDATE audit_events AS event SET payload_hash = audit.payload_hash(event) WHERE seq = 7;
UPDATE audit_events AS event SET hash = audit.event_hash(event) WHERE seq = 7;
"""
SWAP = """
UPDATE audit_events SET seq = 1000 WHERE seq = 7;
UPDATE audit_events SET seq = 7 WHERE seq = 8;
UPDATE audit_events SET seq = 8 WHERE seq = 1000;
"""
INSERT = """
UPDATE audit_events SET seq = seq + 1001 WHERE seq >= 7;
UPDATE audit_events SET seq = seq - 1000 WHERE seq > 1000;
INSERT INTO audit_events (seq, event_id, event_type, occurred_at, recorded_at, source, actor, detail, payload_hash,
                          prev_hash, hash)
SELECT 7, gen_random_uuid(), event_type, occurred_at, recorded_at, source, 'mallory', detail, '', hash, ''
FROM audit_events WHERE seq = 6;
UPDATE audit_events AS event SET payload_hash = audit.payload_hash(event) WHERE seq = 7;
UPDATE audit_events AS event SET hash = audit.event_hash(event) WHERE seq = 7;
"""


async def test_an_audit_nobody_touched_verifies_both_ways(evidence: Evidence) -> None:
    live, exported = await evidence.verify(), await evidence.verify_export()
    assert (live.ok, live.last_seq, live.anchored_seq, live.head_seq) == (True, 12, 10, 12)
    assert (exported.ok, exported.last_seq, exported.anchored_seq) == (True, 12, 10)


@pytest.mark.parametrize(
    ("statement", "first_bad_seq", "reason"),
    [
        ("UPDATE audit_events SET actor = 'mallory' WHERE seq = 7", 7, "changed"),
        ("""UPDATE audit_events SET detail = '{"revision": "task_0003"}' WHERE seq = 7""", 7, "changed"),
        ("UPDATE audit_events SET recorded_at = recorded_at + interval '1 us' WHERE seq = 7", 7, "moved"),
        (REPLACE, 8, "inserted"),
        (SWAP, 7, "moved"),
        (INSERT, 8, "moved"),
    ],
    ids=["a byte of a text", "a byte of the detail", "the time", "one replaced", "two swapped", "one inserted"],
)
@pytest.mark.parametrize("limit", [4, 6, 100], ids=lambda limit: f"pieces of {limit}")
async def test_t7_the_first_bad_event_is_named(
    evidence: Evidence, statement: str, first_bad_seq: int, reason: str, limit: int
) -> None:
    evidence.tamper(statement)
    live, exported = await evidence.verify(limit), await evidence.verify_export()
    assert (live.ok, live.first_bad_seq, live.reason) == (False, first_bad_seq, reason)
    assert (exported.ok, exported.first_bad_seq) == (False, first_bad_seq)


@pytest.mark.parametrize("limit", [4, 6, 100], ids=lambda limit: f"pieces of {limit}")
@pytest.mark.parametrize("deleted", [1, 5, 7, 10], ids=["the first", "a signed one", "one between", "the last signed"])
async def test_t7_for_a_deleted_event_its_successor_is_named(evidence: Evidence, deleted: int, limit: int) -> None:
    evidence.tamper(f"DELETE FROM audit_events WHERE seq = {deleted}")
    live, exported = await evidence.verify(limit), await evidence.verify_export()
    assert (live.first_bad_seq, live.reason) == (deleted + 1, "missing")
    assert (exported.first_bad_seq, exported.reason) == (deleted + 1, "missing")


async def test_a_whole_page_that_was_deleted_is_named_by_its_successor(evidence: Evidence) -> None:
    evidence.tamper("DELETE FROM audit_events WHERE seq BETWEEN 3 AND 11")
    assert (await evidence.verify(limit=3)).first_bad_seq == 12


async def test_t8_a_cut_tail_is_betrayed_by_the_anchor_outside(evidence: Evidence) -> None:
    evidence.tamper(
        "DELETE FROM audit_events WHERE seq > 8",
        "DELETE FROM audit.anchors WHERE seq > 8",
        "UPDATE audit.chain_head SET seq = 8, hash = (SELECT hash FROM audit_events WHERE seq = 8)",
    )
    live, exported = await evidence.verify(), await evidence.verify_export()
    assert (live.first_bad_seq, live.reason) == (9, "cut")
    assert (exported.first_bad_seq, exported.reason) == (9, "cut")


async def test_t8_a_forgotten_head_betrays_a_tail_that_was_cut_after_the_last_anchor(evidence: Evidence) -> None:
    evidence.tamper("DELETE FROM audit_events WHERE seq > 11")
    assert ((await evidence.verify()).first_bad_seq, (await evidence.verify()).reason) == (12, "cut")


@pytest.mark.parametrize("forged", ["hash = repeat('ab', 32)", "seq = 11"])
async def test_a_head_that_is_not_the_last_event_is_noticed(evidence: Evidence, forged: str) -> None:
    evidence.tamper(f"UPDATE audit.chain_head SET {forged}")
    assert ((await evidence.verify(limit=100)).first_bad_seq, (await evidence.verify()).reason) == (12, "rewritten")


async def test_a_revision_that_is_shown_otherwise_than_it_was_recorded_is_named(evidence: Evidence) -> None:
    """The views ask a column that PostgreSQL derives from the detail; a superuser can make it one like any other."""
    evidence.tamper(
        "ALTER TABLE audit_events ALTER COLUMN revision DROP EXPRESSION",
        "UPDATE audit_events SET revision = 'task_0001' WHERE seq = 7",
    )
    live = await evidence.verify()
    assert (live.first_bad_seq, live.reason) == (7, "changed")


async def test_a_changed_table_that_is_not_shown_any_more_is_named_and_one_that_was_added_is_not_shown(
    evidence: Evidence,
) -> None:
    tables = {"detail": {"revision": "task_0002", "tables": ["public.tasks", "public.notes"]}}
    evidence.send([event | tables for event in evidence.events(3)])
    evidence.tamper("INSERT INTO audit.changed_tables VALUES ('public.salaries', 13), ('public.tasks', 1)")
    shown = "SELECT DISTINCT table_name FROM audit.table_changes ORDER BY 1"
    assert evidence.ask(shown) == [("public.notes",), ("public.tasks",)]
    assert (await evidence.verify()).ok
    evidence.tamper("DELETE FROM audit.changed_tables WHERE seq = 14 AND table_name = 'public.notes'")
    live = await evidence.verify()
    assert (live.first_bad_seq, live.reason) == (14, "changed")


async def test_a_head_that_was_taken_away_is_noticed(evidence: Evidence) -> None:
    evidence.tamper("DELETE FROM audit.chain_head")
    live, exported = await evidence.verify(), await evidence.verify_export()
    assert (live.ok, exported.ok, exported.reason) == (False, False, "cut")


async def test_t8_a_chain_that_was_rewritten_consistently_is_betrayed_by_its_anchors(evidence: Evidence) -> None:
    evidence.tamper("UPDATE audit_events SET actor = 'mallory' WHERE seq = 7", REWRITE)
    live, exported = await evidence.verify(), await evidence.verify_export()
    assert (live.first_bad_seq, live.reason) == (6, "rewritten")
    assert (exported.first_bad_seq, exported.reason) == (6, "rewritten")


async def test_t8_taking_the_anchors_out_of_the_database_too_does_not_help(evidence: Evidence) -> None:
    evidence.tamper("UPDATE audit_events SET actor = 'mallory' WHERE seq = 7", REWRITE, "DELETE FROM audit.anchors")
    live, exported = await evidence.verify(), await evidence.verify_export()
    assert (live.first_bad_seq, live.reason) == (5, "anchor")
    assert (exported.first_bad_seq, exported.reason) == (6, "rewritten")


async def test_t8_an_anchor_in_the_database_that_differs_from_the_one_outside_is_named(evidence: Evidence) -> None:
    evidence.tamper("UPDATE audit.anchors SET signature = 'forged' WHERE seq = 10")
    live, exported = await evidence.verify(), await evidence.verify_export()
    assert (live.first_bad_seq, live.reason) == (10, "rewritten")
    assert (exported.first_bad_seq, exported.reason) == (10, "anchor")


async def test_t8_a_forged_signature_is_named_also_where_no_anchors_are_kept_outside(evidence: Evidence) -> None:
    elsewhere = replace(evidence.settings, folder=evidence.folder / "elsewhere")
    evidence.anchoring = Anchoring(evidence.engine.database, elsewhere)
    evidence.tamper("UPDATE audit.anchors SET signature = 'forged' WHERE seq = 10")
    live = await evidence.verify()
    assert (live.first_bad_seq, live.reason) == (10, "anchor")


async def test_t8_signing_the_rewritten_chain_with_a_key_of_ones_own_does_not_help(evidence: Evidence) -> None:
    evidence.tamper(
        "UPDATE audit_events SET actor = 'mallory' WHERE seq = 7",
        REWRITE,
        "DELETE FROM audit.anchors",
        "DELETE FROM audit.signing_keys",
    )
    trusted_keys, trusted_anchors = evidence.keys_file.read_bytes(), evidence.anchors_file.read_bytes()
    async with evidence_of(evidence.audit, evidence.folder / "mallory") as mallory:
        SigningKey.make().write(mallory.settings.key_file)
        await mallory.sign()
        assert (await mallory.verify()).ok
    live, exported = await evidence.verify(), await evidence.verify_export()
    assert (live.ok, live.reason) == (False, "keys")
    assert (exported.ok, exported.reason) == (False, "keys")
    assert not await evidence.anchoring.attempt()
    assert (evidence.keys_file.read_bytes(), evidence.anchors_file.read_bytes()) == (trusted_keys, trusted_anchors)


NEW_AUDIT = "ALTER TABLE audit.chain DISABLE TRIGGER ALL; UPDATE audit.chain SET chain_id = gen_random_uuid()"
NOTHING_SIGNED = ("DELETE FROM audit.anchors", "DELETE FROM audit.signing_keys")


async def test_t8_giving_a_rewritten_chain_another_name_does_not_get_it_signed(evidence: Evidence) -> None:
    trusted, anchors = evidence.keys_file, evidence.anchors_file
    evidence.tamper("UPDATE audit_events SET actor = 'mallory' WHERE seq = 7", REWRITE, NEW_AUDIT, *NOTHING_SIGNED)
    assert not await evidence.anchoring.attempt()
    assert "its key signed audit" in str(evidence.anchoring.standing_still)
    assert evidence.ask("SELECT count(*) FROM audit.anchors") == [(0,)]
    live, exported = await evidence.verify(), verify_file(str(await evidence.export()), str(trusted), str(anchors))
    assert (live.ok, live.reason, exported.ok, exported.reason) == (False, "keys", False, "keys")
    evidence.settings.key_file.unlink()
    assert (await evidence.verify()).reason == "keys"


async def test_t8_a_renamed_chain_signed_with_a_key_of_ones_own_does_not_verify_before_ours_is_delivered(
    evidence: Evidence,
) -> None:
    evidence.tamper(NEW_AUDIT, *NOTHING_SIGNED)
    async with evidence_of(evidence.audit, evidence.folder / "mallory") as mallory:
        await mallory.sign()
    for file in (evidence.keys_file, evidence.anchors_file):
        file.unlink()
    assert (await evidence.verify()).reason == "keys"


async def test_the_limit_what_is_rewritten_after_the_last_anchor_is_not_noticed(evidence: Evidence) -> None:
    """Documented in docs/audit.md: nothing outside the database knows yet of events 11 and 12."""
    evidence.tamper("UPDATE audit_events SET actor = 'mallory' WHERE seq = 11", REWRITE)
    live, exported = await evidence.verify(), await evidence.verify_export()
    assert (live.ok, live.anchored_seq, live.last_seq) == (True, 10, 12)
    assert exported.ok
    assert exported.notes == ["No anchor signs events 11 to 12 yet: they are only consistent."]


async def test_a_broken_chain_is_not_signed(evidence: Evidence) -> None:
    evidence.tamper("UPDATE audit_events SET actor = 'mallory' WHERE seq = 11")
    evidence.record(3)
    assert not await evidence.anchoring.attempt()
    assert "Event 11 is not what was recorded" in str(evidence.anchoring.standing_still)
    assert evidence.ask("SELECT max(seq) FROM audit.anchors") == [(10,)]


async def test_rows_that_vanish_during_an_export_leave_it_without_its_last_line(evidence: Evidence) -> None:
    evidence.tamper("DELETE FROM audit_events WHERE seq >= 9")
    with pytest.raises(RowsAreMissing):
        await evidence.export()


@pytest.mark.parametrize(
    "harm",
    [
        "UPDATE audit.contested_events SET payload = replace(payload, 'mallory', 'ada')",
        "DELETE FROM audit.contested_events",
        "UPDATE audit.contested_events SET stored_seq = 2",
        "INSERT INTO audit.contested_events VALUES (3, gen_random_uuid(), 2, '', '', '')",
    ],
)
async def test_what_was_refused_cannot_be_changed_unnoticed(evidence: Evidence, harm: str) -> None:
    [sent] = evidence.events(1)
    first = evidence.send([sent, {**sent, "actor": "mallory"}])[0][1]
    before = await evidence.verify()
    assert (before.ok, before.contested > 0) == (True, True)
    evidence.tamper("ALTER TABLE audit.contested_events DISABLE TRIGGER ALL", harm)
    after = await evidence.verify()
    assert (after.ok, after.reason, after.first_bad_seq) == (False, "changed", 3 if "INSERT" in harm else first + 1)
