"""An export verifies as it was given, and whatever one thing is done to it, that is named."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import pytest

from audit_verifier.verify import (
    CONTESTED,
    LINE_BYTES,
    Keys,
    Unreadable,
    Verdict,
    event_hash,
    event_line,
    lines_of,
    main,
    oldest_allowed,
    payload_hash,
    verify_export,
    verify_proof,
)
from coordinator.cli.audit import arguments
from coordinator.client.errors import BadInput
from tests.unit.audit_verifier.audits import TIME, Audit, Signer, signed

Lines = list[bytes]


def verdict(lines: Lines, audit: Audit | None = None) -> Verdict:
    """Against the keys and anchors that are kept outside, where an audit is given."""
    trusted, outside = (Keys(audit.keys), audit.outside()) if audit else (None, {})
    return verify_export(iter(lines), trusted, outside)


def audit_of(events: int) -> Audit:
    """Signed after every third event."""
    audit = Audit()
    for number in range(1, events + 1):
        audit.record(f'{{"event": {number}, "text": "é\\" \\\\"}}')
        if number % 3 == 0:
            audit.sign()
    return audit


def place(lines: Lines, seq: int) -> int:
    return next(at for at, line in enumerate(lines) if line.startswith(b'{"seq":%d,' % seq))


def test_an_export_verifies_as_it_was_given() -> None:
    audit = audit_of(10)
    found = verdict(audit.export(), audit)
    assert (found.ok, found.events, found.last_seq, found.anchored_seq) == (True, 10, 10, 9)
    assert found.notes == ["No anchor signs events 10 to 10 yet: they are only consistent."]


def test_events_that_were_told_twice_are_counted() -> None:
    conflict, forged = ({"event_type": "audit.conflict", "source": source} for source in ("cas-audit", "cds-task"))
    audit = audit_of(3).record(json.dumps(conflict), json.dumps(forged)).sign()
    assert verdict(audit.export(), audit).notes == [CONTESTED.format(number=1)]


def change_a_byte(lines: Lines) -> None:
    at = place(lines, 5)
    lines[at] = lines[at].replace(b'\\"event\\": 5', b'\\"event\\": 6')


def delete(lines: Lines) -> None:
    del lines[place(lines, 5)]


def swap(lines: Lines) -> None:
    first, second = place(lines, 4), place(lines, 5)
    lines[first], lines[second] = lines[second], lines[first]


def insert_with_a_fitting_hash(lines: Lines) -> None:
    at, before = place(lines, 5), json.loads(lines[place(lines, 4)])["hash"]
    forged = event_line(5, TIME, before, event_hash(before, 5, TIME, payload_hash("forged")), "forged")
    lines.insert(at, forged.encode() + b"\n")


def replace_with_a_fitting_hash(lines: Lines) -> None:
    insert_with_a_fitting_hash(lines)
    del lines[place(lines, 5) + 1]


def delete_before_its_anchor(lines: Lines) -> None:
    del lines[place(lines, 6)]


def delete_between_two_anchors(lines: Lines) -> None:
    del lines[place(lines, 4) : place(lines, 6) + 1]


def delete_the_last_that_was_signed(lines: Lines) -> None:
    del lines[place(lines, 9)]
    del lines[place(lines, 10)]
    before = lines[:-1]
    at = json.loads(before[place(before, 8)])
    lines[-1] = json.dumps({"end": {"events": 8, "last_seq": 8, "last_hash": at["hash"]}}).encode()


def put_an_event_after_its_anchor(lines: Lines) -> None:
    at = place(lines, 6)
    lines[at], lines[at + 1] = lines[at + 1], lines[at]


def cut_the_file(lines: Lines) -> None:
    del lines[place(lines, 8) :]


@pytest.mark.parametrize(
    ("tamper", "first_bad_seq", "reason"),
    [
        (change_a_byte, 5, "changed"),
        (delete, 6, "missing"),
        (delete_before_its_anchor, 7, "missing"),
        (delete_between_two_anchors, 7, "missing"),
        (delete_the_last_that_was_signed, 9, "cut"),
        (put_an_event_after_its_anchor, 6, "moved"),
        (swap, 5, "missing"),
        (insert_with_a_fitting_hash, 5, "missing"),
        (replace_with_a_fitting_hash, 6, "inserted"),
        (cut_the_file, 8, "cut"),
    ],
)
def test_the_first_bad_event_is_named(tamper: Callable[[Lines], None], first_bad_seq: int, reason: str) -> None:
    lines = audit_of(10).export()
    tamper(lines)
    found = verdict(lines)
    assert (found.ok, found.first_bad_seq, found.reason) == (False, first_bad_seq, reason)


def test_two_events_that_changed_places_and_numbers_are_noticed() -> None:
    lines = audit_of(10).export()
    first, second = place(lines, 4), place(lines, 5)
    four, five = lines[first], lines[second]
    lines[first] = five.replace(b'{"seq":5,', b'{"seq":4,')
    lines[second] = four.replace(b'{"seq":4,', b'{"seq":5,')
    assert (verdict(lines).first_bad_seq, verdict(lines).reason) == (4, "changed")


def rewritten(by: Signer) -> Audit:
    """The same audit with another third event, every hash computed anew, signed by whoever rewrote it."""
    return Audit(by).record("1", "2", "forged").sign().record("4", "5", "6").sign()


def test_a_chain_that_was_rewritten_consistently_is_betrayed_by_the_anchors_outside() -> None:
    audit = Audit().record("1", "2", "3").sign().record("4", "5", "6").sign()
    forged = rewritten(by=Signer(1))
    forged.anchors = []
    found = verdict(forged.export(), audit)
    assert (found.first_bad_seq, found.reason) == (1, "rewritten")


def test_anchors_that_were_rewritten_with_another_key_are_betrayed_by_the_trusted_key() -> None:
    audit = Audit().record("1", "2", "3").sign()
    found = verdict(rewritten(by=Signer(2)).export(), audit)
    assert (found.ok, found.reason) == (False, "keys")


def test_without_trusted_keys_a_rewritten_chain_passes_for_consistent_and_no_more() -> None:
    assert verdict(rewritten(by=Signer(2)).export()).ok


def test_a_tail_that_was_cut_is_betrayed_by_a_later_anchor_outside() -> None:
    audit = audit_of(10)
    cut = audit_of(7)
    found = verdict(cut.export(), audit)
    assert (found.first_bad_seq, found.reason) == (8, "cut")


def test_what_was_rewritten_after_the_last_anchor_is_not_noticed() -> None:
    """The documented limit: nothing outside the database knows of these events yet."""
    audit = audit_of(9).record("what happened")
    forged = audit_of(9).record("what did not")
    found = verdict(forged.export(), audit)
    assert found.ok
    assert found.notes == ["No anchor signs events 10 to 10 yet: they are only consistent."]


def test_a_rotated_key_is_trusted_because_the_one_before_introduced_it() -> None:
    before = audit_of(6)
    trusted = Keys(before.keys)
    audit = audit_of(6).rotate(Signer(2)).record("7").sign()
    assert verify_export(iter(audit.export()), trusted, {}).ok


def test_the_old_key_signs_nothing_any_more_after_its_rotation() -> None:
    audit = audit_of(6)
    old = audit.signer
    audit.rotate(Signer(2))
    audit.signer = old
    audit.record("7").sign()
    found = verdict(audit.export(), audit_of(6))
    assert (found.first_bad_seq, found.reason) == (7, "anchor")


@pytest.mark.parametrize("signature", ["signed_by_old", "signed_by_new"])
def test_a_key_that_introduces_itself_is_refused(signature: str) -> None:
    audit = audit_of(6).rotate(Signer(2))
    audit.keys["keys"][1][signature] = Signer(3).sign(audit.keys["keys"][1]["rotation"])
    assert verdict(audit.export()).reason == "keys"


def test_an_anchor_over_another_tree_is_refused() -> None:
    audit = Audit().record("1", "2").sign()
    other = audit.anchors[0].line.replace(audit.anchors[0].merkle_root, "ab" * 32)
    lines = audit.export()
    lines[3] = json.dumps({"anchor": other, "signature": audit.signer.sign(other)}).encode()
    assert verdict(lines).reason == "rewritten"


def test_an_anchor_that_was_taken_out_is_missed_by_the_next() -> None:
    lines = audit_of(10).export()
    del lines[place(lines, 4) - 1]
    assert (verdict(lines).first_bad_seq, verdict(lines).reason) == (6, "anchor")


def test_a_second_history_signed_with_the_same_key_is_betrayed_by_the_anchors_outside() -> None:
    audit, other = audit_of(6), Audit().record(*(event[4] for event in audit_of(6).events)).sign()
    assert (verdict(audit.export(), other).first_bad_seq, verdict(audit.export(), other).reason) == (3, "rewritten")


def test_a_segment_stands_for_events_that_were_retired_and_its_end_is_signed() -> None:
    audit, lines = retired(told="audit.segment_retired")
    assert verdict(lines, audit).ok
    del lines[2]
    assert (verdict(lines).first_bad_seq, verdict(lines).reason) == (4, "missing")


@pytest.mark.parametrize("told", ["audit.segment_sealed", "revision.applied"])
def test_events_that_were_taken_out_without_an_event_that_tells_of_it_are_missing(told: str) -> None:
    audit, lines = retired(told)
    found = verdict(lines, audit)
    assert (found.ok, found.first_bad_seq, found.reason) == (False, 1, "missing")
    lines[0] = lines[0].replace(b'"to_seq": null', b'"to_seq": 7')
    assert verdict(lines, audit).ok  # what tells of it may come later


def retired(told: str) -> tuple[Audit, Lines]:
    """Events 1 to 3 of six are in a segment; the seventh tells."""
    audit = audit_of(6)
    place_of_it = {"first_seq": 1, "last_seq": 3, "last_hash": audit.events[2][3], "file_sha256": "ab" * 32}
    audit.record(json.dumps({"event_type": told, "source": "cas-audit", "detail": place_of_it}))
    lines = audit.export()
    segment = {"segment": {**place_of_it, "prev_hash": "0" * 64}}
    lines[1 : place(lines, 4)] = [json.dumps(segment).encode(), json.dumps(signed(audit.anchors[0])).encode()]
    lines[-1] = lines[-1].replace(b'"events": 7', b'"events": 4')
    return audit, lines


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[]",
        b"{}",
        b"null",
        b"\xff\xfe",
        b'{"seq":1}',
        b'{"anchor":1,"signature":2}',
        b'{"anchor":"audit-anchor-1|x","signature":""}',
        b'{"segment":[]}',
        b'{"segment":{"first_seq":1e999}}',
        b'{"end":1,"end":2}',
        b"[" * 100_000,
        b'{"n":' + b"9" * 100_000 + b"}",
    ],
)
def test_a_line_of_another_form_is_one_sentence_and_no_traceback(
    line: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = audit_of(3).export()
    for at in range(len(lines)):
        file = tmp_path / f"{at}.jsonl"
        file.write_bytes(b"".join([*lines[:at], line + b"\n", *lines[at + 1 :]]))
        assert main([str(file)]) in (1, 2)
        told = capsys.readouterr()
        assert (told.out + told.err).count("\n") <= 3


def test_a_line_without_end_is_not_read_into_memory() -> None:
    with pytest.raises(Unreadable, match="longer than 16 MiB"):
        list(lines_of(BytesIO(bytes(LINE_BYTES + 1))))


def test_a_key_twice_is_refused_because_readers_would_differ() -> None:
    header, *rest = audit_of(3).export()
    with pytest.raises(Unreadable, match="a key twice"):
        verdict([header.replace(b"{", b'{"chain_id": "another", ', 1), *rest])


def test_events_between_others_cannot_have_been_retired() -> None:
    """Only the oldest ever are; otherwise whatever lies between two anchors could be called a segment."""
    audit = audit_of(9)
    lines = audit.export()
    first, last = place(lines, 4), place(lines, 6)
    ends = {"prev_hash": json.loads(lines[first])["prev_hash"], "last_hash": json.loads(lines[last])["hash"]}
    segment = {"first_seq": 4, "last_seq": 6, **ends, "file_sha256": "ab" * 32}
    lines[first : last + 1] = [json.dumps({"segment": segment}).encode()]
    lines[-1] = lines[-1].replace(b'"events": 9', b'"events": 6')
    found = verdict(lines, audit)
    assert (found.ok, found.first_bad_seq, found.reason) == (False, 4, "missing")


def test_what_is_printed_of_a_segment_is_a_hash_and_nothing_else() -> None:
    audit = audit_of(3)
    segment = {"first_seq": 1, "last_seq": 3, "prev_hash": "0" * 64, "last_hash": "0" * 64, "file_sha256": "\x1b[2J"}
    with pytest.raises(Unreadable, match="hash"):
        verdict([audit.export()[0], json.dumps({"segment": segment}).encode()])


@pytest.mark.parametrize("payload", [rb"\x", rb"\ud800", b'a","more":"b', b"\xff", b"\x01"])
def test_a_payload_that_is_no_text_is_not_readable(payload: bytes) -> None:
    lines = audit_of(3).export()
    at = place(lines, 2)
    lines[at] = re.sub(rb'"payload":".*"', lambda _: b'"payload":"' + payload + b'"', lines[at])
    with pytest.raises(Unreadable, match="payload"):
        verdict(lines)


def test_anything_after_the_end_is_refused() -> None:
    with pytest.raises(Unreadable):
        verdict([*audit_of(3).export(), b'{"end":{}}\n'])


LOST = "was lost after event 6, and that"


def test_a_key_in_the_place_of_a_lost_one_is_believed_if_the_trusted_keys_name_it_and_said_aloud() -> None:
    audit = audit_of(6)
    before = Keys(json.loads(json.dumps(audit.keys)))
    audit.replace_lost(Signer(2)).record("7").sign()
    trusting, old = verdict(audit.export(), audit), verify_export(iter(audit.export()), before, {})
    assert (trusting.ok, [LOST in note for note in trusting.notes]) == (True, [True])
    assert (old.ok, old.reason, "introduced by nobody" in old.sentence) == (False, "keys", True)
    alone = verdict(audit.export())
    assert (alone.ok, [LOST in note for note in alone.notes]) == (True, [True])
    proof = verify_proof(audit.proof(7), Keys(audit.keys))
    assert (proof.ok, [LOST in note for note in proof.notes]) == (True, [True])
    assert not verify_proof(audit.proof(7), before).ok


def test_an_older_export_still_says_that_a_key_was_lost_where_the_trusted_keys_know_it() -> None:
    audit = audit_of(6)
    older = audit.export()
    audit = audit.replace_lost(Signer(2))
    assert [LOST in note for note in verdict(older, audit).notes] == [True]


@pytest.mark.parametrize("harm", ["signed_by_new", "rotation"])
def test_a_replacement_is_signed_by_the_new_key(harm: str) -> None:
    audit = audit_of(6).replace_lost(Signer(2)).record("7").sign()
    entry = audit.keys["keys"][1]
    entry[harm] = (
        Signer(3).sign(entry["rotation"]) if harm == "signed_by_new" else entry["rotation"].replace("6", "5", 1)
    )
    found = verdict(audit.export())
    assert (found.ok, found.reason) == (False, "keys")


def test_a_rotation_cannot_do_without_the_old_key_by_calling_itself_one() -> None:
    audit = audit_of(6).rotate(Signer(2)).record("7").sign()
    audit.keys["keys"][1]["signed_by_old"] = ""
    assert verdict(audit.export()).reason == "keys"


def files_of(audit: Audit, folder: Path) -> list[str]:
    """An export, the keys and the anchors, as somebody kept them at one time."""
    contents = {
        "export.jsonl": b"".join(audit.export()),
        "keys.json": json.dumps(audit.keys).encode(),
        "anchors.jsonl": b"".join(json.dumps(signed(each)).encode() + b"\n" for each in audit.anchors),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    export, keys, anchors = (str(folder / name) for name in contents)
    return [export, "--keys", keys, "--anchors", anchors]


def test_an_old_export_with_old_anchors_says_how_old_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing in it is wrong: what came later, and whether something did, it cannot know."""
    files = files_of(audit_of(10), tmp_path)
    assert main(files) == 0
    assert "are one chain; signed up to 9, at 2026-01-02 03:04:05 UTC." in capsys.readouterr().out
    assert main([*files, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["anchored_at"] == TIME


@pytest.mark.parametrize(
    ("bound", "code"),
    [("2026-01-02", 0), ("2026-01-02T03:04:05.000006Z", 0), ("2026-01-02T03:04:06Z", 1), ("2026-01-03", 1), ("7d", 1)],
)
def test_an_export_that_is_older_than_asked_for_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], bound: str, code: int
) -> None:
    assert main([*files_of(audit_of(10), tmp_path), "--not-older-than", bound]) == code
    told = capsys.readouterr().out
    assert (told.startswith("NOT OK (old). "), "the last one is of 2026-01-02 03:04:05 UTC" in told) == (code == 1,) * 2


def test_an_export_without_any_anchor_is_as_old_as_you_like(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = files_of(Audit().record("{}"), tmp_path)
    assert main(files) == 0
    assert main([*files, "--not-older-than", "2000-01-01"]) == 1
    assert "and there is none" in capsys.readouterr().out


def test_how_old_an_anchor_may_be_is_asked_only_where_it_means_something(tmp_path: Path) -> None:
    files = files_of(audit_of(3), tmp_path)
    assert main([files[0], "--not-older-than", "7d"]) == 2  # anybody can sign
    assert main([*files, "--not-older-than", "soon"]) == 2
    proof = tmp_path / "proof.json"
    proof.write_text(json.dumps(audit_of(3).proof(2)))
    assert main([str(proof), *files[1:3]]) == 0
    assert main([str(proof), *files[1:3], "--not-older-than", "7d"]) == 2


def test_something_else_that_is_wrong_weighs_more_than_age(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = files_of(audit_of(9), tmp_path)
    lines = Path(files[0]).read_bytes().splitlines(keepends=True)
    Path(files[0]).write_bytes(b"".join(lines[:-1]))
    assert main([*files, "--not-older-than", "1m"]) == 1
    assert "NOT OK (cut)" in capsys.readouterr().out


NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("90m", NOW - timedelta(minutes=90)),
        ("36h", NOW - timedelta(hours=36)),
        ("7d", NOW - timedelta(days=7)),
        ("2026-01-02", datetime(2026, 1, 2, tzinfo=UTC)),
        ("2026-01-02T03:04+01:00", datetime(2026, 1, 2, 2, 4, tzinfo=UTC)),
    ],
)
def test_an_age_means_the_same_to_the_verifier_and_to_the_command(text: str, meant: datetime) -> None:
    assert oldest_allowed(text, NOW) == arguments.oldest_allowed(text, NOW) == meant


@pytest.mark.parametrize("text", ["", "0d", "7", "d", "-7d", "7 d", "yesterday", "123456d"])
def test_what_is_no_age_is_none_to_either(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        oldest_allowed(text, NOW)
    with pytest.raises(BadInput):
        arguments.oldest_allowed(text, NOW)
