"""Verifies an export of the audit, or the proof of one event. Needs only Python and the package `cryptography`.

    python verify.py export.jsonl --keys audit-keys.json --anchors anchors-<chain id>.jsonl [--segment segment.jsonl]
                     [--not-older-than 7d]
    python verify.py proof.json --keys audit-keys.json

The formats are specified in docs/audit.md. Exit code 0: everything is correct; 1: something is wrong, and the output
names the first wrong event; 2: the file is not readable; 3: nothing is wrong, but events are in sealed segments whose
files were not given, and so were not seen. An old export with old anchors is correct as well: `--not-older-than` says
how old its last anchor may be. Store the key file where the administrators of the audit's
database cannot write. Without trusted keys, this shows only that the file is consistent.

The audit service signs and exports with this same code, so a mistake here is invisible to both. Independent of it are
the hashes that PostgreSQL computes, and the examples in tests/vectors.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import file_digest, sha256
from typing import Any, BinaryIO, TypeVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

NOTHING = "0" * 64  # hash before the first event and before the first anchor
LINE_BYTES = 16 << 20
MISSING = "After event {before} comes event {seq}: what was between is missing."
INSERTED = "Event {seq} does not follow the event before it: one was inserted or replaced."
AGE = re.compile(r"([1-9]\d{0,4})([mhd])", re.ASCII)
OLD = "Nothing shows that this is the present: an anchor of {wanted} or later was asked for, and {last}."
REPLACED = "The keys say that key {old} was lost after event {seq}, and that {new} signs in its place."
CONTESTED = "Told twice, with different contents: {number} of the events; audit.conflict events name each of them."
HASH = re.compile(r"[0-9a-f]{64}")
EVENT = re.compile(
    rb'\{"seq":(\d{1,18}),"recorded_at":"([\dT:.Z-]{27})","prev_hash":"([0-9a-f]{64})","hash":"([0-9a-f]{64})"'
    rb',"payload":(".*")\}\n?'
)
ANCHOR = re.compile(r"audit-anchor-1\|([0-9a-f-]{36})\|(\d{1,18})\|([0-9a-f]{64})\|([1-9]\d{0,17})\|([0-9a-f]{64})"
                    r"\|([0-9a-f]{64})\|([\dT:.Z-]{27})\|([0-9a-f]{16})", re.ASCII)  # fmt: skip
# A replacement is not signed by the old key, which was lost: who trusts it must have its own file say so.
ROTATION = re.compile(r"audit-(rotation|replacement)-1\|([0-9a-f-]{36})\|(\d{1,18})\|([0-9a-f]{16})\|([0-9a-f]{16})"
                      r"\|([A-Za-z0-9+/]{43}=)\|([\dT:.Z-]{27})", re.ASCII)  # fmt: skip


Kind = TypeVar("Kind")


class Unreadable(Exception):
    """The file does not have the documented form."""


class Broken(Exception):
    """The data is not what was signed or chained; `seq` is the first event that shows it."""

    def __init__(self, seq: int | None, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.seq, self.reason, self.sentence = seq, reason, sentence


@dataclass
class Verdict:
    """The result. `first_bad_seq` and `reason` are set only if `ok` is false; `notes` are limits a reader must know."""

    kind: str
    ok: bool = True
    chain_id: str = ""
    first_seq: int = 0
    last_seq: int = 0
    events: int = 0
    anchored_seq: int = 0
    anchored_at: str = ""  # when the anchor at `anchored_seq` was signed, by the signer's clock
    first_bad_seq: int | None = None
    reason: str | None = None
    sentence: str = ""
    last_hash: str = ""
    unseen: list[tuple[int, int]] = field(default_factory=list)  # first and last seq of segments that were not given
    notes: list[str] = field(default_factory=list)


# --- the chain ---------------------------------------------------------------------------------------------------


def payload_hash(payload: str) -> str:
    """SHA-256 of the payload text, in hex."""
    return sha256(payload.encode()).hexdigest()


def event_hash(prev_hash: str, seq: int, recorded_at: str, hash_of_payload: str) -> str:
    """The hash that links an event to the one before it, in hex."""
    return sha256(f"audit-chain-1|{prev_hash}|{seq}|{recorded_at}|{hash_of_payload}".encode()).hexdigest()


def event_line(seq: int, recorded_at: str, prev_hash: str, hash: str, payload: str) -> str:
    """An event as a line of an export, without the line end."""
    text = json.dumps(payload, ensure_ascii=False)
    return f'{{"seq":{seq},"recorded_at":"{recorded_at}","prev_hash":"{prev_hash}","hash":"{hash}","payload":{text}}}'


# --- the tree over the event hashes between two anchors (RFC 6962, section 2.1) -----------------------------------


def _leaf(hash: str) -> bytes:
    return sha256(b"\x00" + bytes.fromhex(hash)).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


class Tree:
    """A Merkle tree. Takes leaves one by one, and stores only the roots of its complete subtrees."""

    def __init__(self) -> None:
        self.count = 0
        self._subtrees: list[bytes] = []

    def add(self, hash: str) -> None:
        """Adds the hash of an event as the next leaf."""
        top, level = _leaf(hash), self.count
        while level & 1:
            top, level = _node(self._subtrees.pop(), top), level >> 1
        self._subtrees.append(top)
        self.count += 1

    def root(self) -> str:
        """The root over all leaves so far, in hex."""
        top = self._subtrees[-1] if self._subtrees else sha256(b"").digest()
        for left in reversed(self._subtrees[:-1]):
            top = _node(left, top)
        return top.hex()


def merkle_root(hashes: Sequence[str]) -> str:
    """The root of the tree over these event hashes, in hex."""
    tree = Tree()
    for each in hashes:
        tree.add(each)
    return tree.root()


def merkle_path(hashes: Sequence[str], index: int) -> list[str]:
    """The sibling hashes on the way from leaf `index` to the root, lowest first."""
    if len(hashes) <= 1:
        return []
    half = 1 << (len(hashes) - 1).bit_length() - 1
    if index < half:
        return [*merkle_path(hashes[:half], index), merkle_root(hashes[half:])]
    return [*merkle_path(hashes[half:], index - half), merkle_root(hashes[:half])]


def root_along(path: Sequence[str], hash: str, index: int, count: int) -> str:
    """The root that a path leads to. Raises ValueError when the path is too long or too short for the tree."""
    top, last = _leaf(hash), count - 1
    for step in map(bytes.fromhex, path):
        if last == 0:
            raise ValueError("the path is too long")
        if index & 1 or index == last:
            top = _node(step, top)
            while not index & 1:  # no sibling at these levels
                index, last = index >> 1, last >> 1
        else:
            top = _node(top, step)
        index, last = index >> 1, last >> 1
    if last != 0:
        raise ValueError("the path is too short")
    return top.hex()


# --- keys and anchors --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Anchor:
    """A signed statement: the event `seq` had this hash, and the `count` events up to it this Merkle root."""

    line: str
    signature: str
    chain_id: str
    seq: int
    hash: str
    count: int
    merkle_root: str
    previous: str
    signed_at: str
    key_id: str

    @classmethod
    def read(cls, document: Any) -> Anchor:
        """Parses a line of the form audit-anchor-1 and its signature. Does not check it. Raises Unreadable."""
        parts = document if isinstance(document, dict) else {}
        line, signature = parts.get("anchor"), parts.get("signature")
        match = ANCHOR.fullmatch(line) if isinstance(line, str) else None
        if match is None or not isinstance(signature, str):
            raise Unreadable("an anchor is not of the form audit-anchor-1")
        chain_id, seq, hash, count, root, previous, signed_at, key_id = match.groups()
        return cls(str(line), signature, chain_id, int(seq), hash, int(count), root, previous, signed_at, key_id)

    @property
    def sha256(self) -> str:
        """The hash by which the next anchor refers to this one, in hex."""
        return sha256(self.line.encode()).hexdigest()


def require_follows(anchor: Anchor, before: Anchor | None) -> None:
    """Raises Broken unless the anchor continues the one before it (None for the first anchor)."""
    previous, seq = (before.sha256, before.seq) if before else (NOTHING, 0)
    if anchor.previous != previous or anchor.seq - anchor.count != seq:
        raise Broken(anchor.seq, "anchor", f"The anchor at seq {anchor.seq} does not follow the one before it.")


def key_id(public_key: str) -> str:
    """The short name of a public key: the first 16 hex digits of its hash.

    Raises ValueError for text that is not base64.
    """
    return sha256(b64decode(public_key)).hexdigest()[:16]


def signed(public_key: str, signature: str, line: str) -> bool:
    """Whether this key made this signature of this line."""
    try:
        Ed25519PublicKey.from_public_bytes(b64decode(public_key)).verify(b64decode(signature), line.encode())
    except (InvalidSignature, ValueError):
        return False
    return True


class Keys:
    """Which key may sign from which event on. Each key except the first was introduced by the key before it.

    A key that replaces a lost one was introduced by nobody, so it is believed only if the trusted keys name it. Raises
    Unreadable for another form, and Broken for keys that do not extend the trusted ones.
    """

    def __init__(self, document: Any, trusted: Keys | None = None) -> None:
        entries = document.get("keys") if isinstance(document, dict) else None
        if not isinstance(entries, list) or document.get("format") != "audit-keys-1":
            raise Unreadable("the keys are not of the form audit-keys-1")
        self.chain_id = str(document.get("chain_id"))
        self.keys: list[tuple[str, str, int]] = []  # key id, public key, last seq that it may not sign
        self.replaced: list[tuple[int, str]] = []  # place in `keys` of each key that replaces a lost one, and a note
        for entry in entries:
            self._introduce(entry if isinstance(entry, dict) else {})
        shared = min(len(self.keys), len(trusted.keys)) if trusted else 0
        if trusted and (trusted.chain_id != self.chain_id or trusted.keys[:shared] != self.keys[:shared]):
            raise Broken(None, "keys", "The keys are not the trusted ones: somebody else signed, or for another audit.")
        for place, note in self.replaced if trusted else []:
            if place >= shared:
                raise Broken(None, "keys", f"{note} The trusted keys do not: it was introduced by nobody.")
        if trusted and len(trusted.keys) > len(self.keys):
            self.keys, self.replaced = trusted.keys, trusted.replaced

    def _introduce(self, entry: Mapping[str, Any]) -> None:
        public_key, rotation = entry.get("public_key"), entry.get("rotation")
        if not isinstance(public_key, str) or (bool(self.keys) != isinstance(rotation, str)):
            raise Unreadable("a key is not of the form audit-keys-1")
        try:
            after, name = 0, key_id(public_key)
        except ValueError:
            raise Unreadable("a public key is not base64") from None
        if self.keys:
            old_id, old_key, old_after = self.keys[-1]
            match = ROTATION.fullmatch(str(rotation))
            if match is None or match.group(2, 4, 5, 6) != (self.chain_id, old_id, name, public_key):
                raise Broken(None, "keys", f"The rotation to key {name} names other keys or another audit.")
            after, is_replacement = int(match[3]), match[1] == "replacement"
            if after < old_after or not (
                (is_replacement or signed(old_key, str(entry.get("signed_by_old")), match[0]))
                and signed(public_key, str(entry.get("signed_by_new")), match[0])
            ):
                raise Broken(None, "keys", f"Key {name} was not introduced by key {old_id}.")
            if is_replacement:
                self.replaced.append((len(self.keys), REPLACED.format(old=old_id, new=name, seq=after)))
        self.keys.append((name, public_key, after))

    def require_signed(self, anchor: Anchor) -> None:
        """Raises Broken unless the key that may sign at this seq signed the anchor."""
        for position, (name, public_key, after) in enumerate(self.keys):
            until = self.keys[position + 1][2] if position + 1 < len(self.keys) else 10**18
            may_sign = name == anchor.key_id and after < anchor.seq <= until and anchor.chain_id == self.chain_id
            if may_sign and signed(public_key, anchor.signature, anchor.line):
                return
        raise Broken(anchor.seq, "anchor", f"The anchor at seq {anchor.seq} is not signed by a key that may sign it.")


def read_anchors(lines: Iterator[bytes], keys: Keys) -> dict[int, Anchor]:
    """The anchors of a file outside the database, by seq.

    Raises Broken unless each is signed and follows the last one.
    """
    anchors: dict[int, Anchor] = {}
    before: Anchor | None = None
    for line in lines:
        anchor = Anchor.read(_json(line))
        keys.require_signed(anchor)
        require_follows(anchor, before)
        anchors[anchor.seq] = before = anchor
    return anchors


# --- an export ---------------------------------------------------------------------------------------------------


class Export:
    """State of verifying one export line by line. Stores only the position in the chain, not the events."""

    def __init__(
        self,
        header: Mapping[str, Any],
        trusted: Keys | None,
        outside: Mapping[int, Anchor],
        segments: Mapping[str, Verdict],
    ) -> None:
        first, chain_id = _typed(header, "from_seq", int), _typed(header, "chain_id", str)
        self.verdict = Verdict("export", chain_id=chain_id, first_seq=first)
        self.hash, self.exported_at = _typed(header, "prev_hash", str), _typed(header, "exported_at", str)
        self.until, before = header.get("to_seq"), header.get("previous_anchor")
        self.seq, self.last_outside = first - 1, max(outside, default=0)
        self.keys, self.outside, self.tree, self.ended = Keys(header.get("keys"), trusted), outside, Tree(), False
        self.unrecorded: Mapping[str, Any] | None = None
        self.contested, self.segments = 0, segments
        # ahead: the seq of an anchor that came before its event
        self.segment_open, self.ahead = False, 0
        if self.keys.chain_id != self.verdict.chain_id:
            raise Broken(None, "keys", "The keys belong to another audit than the events.")
        self.verdict.notes += [note for _, note in self.keys.replaced]
        self.anchor = Anchor.read(before) if before else None
        self.follows = first == 1 or self.anchor is not None  # otherwise the file does not contain the anchor before
        if self.anchor:
            self.keys.require_signed(self.anchor)
            self._require_known(self.anchor)
        if self.seq == 0 and (self.hash != NOTHING or self.anchor):
            raise Broken(1, "inserted", "Something is said to stand before the first event.")
        if self.anchor and self.anchor.seq == self.seq and self.anchor.hash != self.hash:
            raise Broken(self.seq + 1, "rewritten", "The export does not begin after what was signed.")

    def event(self, match: re.Match[bytes]) -> None:
        """Takes the line of an event. Raises Broken."""
        seq, recorded_at, prev_hash, hash = int(match[1]), match[2].decode(), match[3].decode(), match[4].decode()
        payload = _text(match[5])
        hash_of_payload = payload_hash(payload)
        if self.segment_open:
            raise Broken(seq, "missing", f"Nothing signs event {self.seq}, after which a segment was taken out.")
        if seq != self.seq + 1:
            raise Broken(seq, "missing", MISSING.format(before=self.seq, seq=seq))
        if self.ahead:
            raise Broken(seq, "moved", f"Event {seq} comes after the anchor at seq {self.ahead}, which signs it.")
        if event_hash(prev_hash, seq, recorded_at, hash_of_payload) != hash:
            raise Broken(seq, "changed", f"Event {seq} is not what was recorded: its hash does not fit it.")
        if prev_hash != self.hash:
            raise Broken(seq, "inserted", INSERTED.format(seq=seq))
        self.seq, self.hash = seq, hash
        self.verdict.events += 1
        self.tree.add(hash)
        if self.unrecorded and '"audit.segment_retired"' in payload and _retires(_json(payload), self.unrecorded):
            self.unrecorded = None
        if '"audit.conflict"' in payload and _tells_of_itself(_json(payload), "audit.conflict"):
            self.contested += 1
        if seq in self.outside:
            self._require_here(self.outside[seq])

    def take_anchor(self, document: Any) -> None:
        """Takes the line of an anchor. Raises Broken or Unreadable."""
        anchor = Anchor.read(document)
        self.keys.require_signed(anchor)
        self._require_known(anchor)
        if anchor.seq > self.seq:  # the next line shows whether events are missing or the tail is cut
            self.ahead = anchor.seq
            return
        if self.follows:
            require_follows(anchor, self.anchor)
        self._require_here(anchor)
        if anchor.count == self.tree.count and anchor.merkle_root != self.tree.root():
            raise Broken(anchor.seq - anchor.count + 1, "rewritten", f"The tree signed at {anchor.seq} is another one.")
        self.anchor, self.tree, self.segment_open, self.follows = anchor, Tree(), False, True
        self.verdict.anchored_seq, self.verdict.anchored_at = anchor.seq, anchor.signed_at

    def take_segment(self, segment: Mapping[str, Any]) -> None:
        """Takes the line of a sealed segment, whose events were removed. The next anchor must sign its last event."""
        first, last, prev_hash = (
            _typed(segment, "first_seq", int),
            _typed(segment, "last_seq", int),
            segment.get("prev_hash"),
        )
        hash, file = _typed(segment, "last_hash", str), _typed(segment, "file_sha256", str)
        if not HASH.fullmatch(hash) or not HASH.fullmatch(file):
            raise Unreadable("a segment's hash is none")
        if self.verdict.events:
            raise Broken(first, "missing", f"Events {first} to {last} are missing: only the oldest are ever taken out.")
        if first != self.seq + 1 or last < first or prev_hash != self.hash:
            raise Broken(first, "missing", f"The sealed segment {first} to {last} does not follow event {self.seq}.")
        self.seq, self.hash, self.segment_open, self.follows = last, hash, True, False
        self.unrecorded = segment  # until a later event records that the segment was retired
        # The anchors inside the segment are in its own file; the anchor at its end names the one before it.
        self.tree = Tree()
        elsewhere = f"Events {first} to {last} are not here but in the sealed segment with SHA-256 {file}:"
        if self._is_seen(file, (self.verdict.chain_id, first, last, hash)):
            self.verdict.notes.append(f"{elsewhere} its file was verified too.")
        else:
            self.verdict.unseen.append((first, last))
            self.verdict.notes.append(f"{elsewhere} verify that file too.")

    def _is_seen(self, file: str, stated: tuple[str, int, int, str]) -> bool:
        seen = self.segments.get(file)
        return seen is not None and (seen.chain_id, seen.first_seq, seen.last_seq, seen.last_hash) == stated

    def take_end(self, end: Any) -> None:
        """Takes the last line. Raises Broken unless it agrees with the events that were read."""
        if self.ahead:
            raise Broken(
                self.seq + 1, "cut", f"The tail is cut: event {self.ahead} was signed, the last is {self.seq}."
            )
        stated = (end.get("events"), end.get("last_seq"), end.get("last_hash")) if isinstance(end, dict) else None
        if stated != (self.verdict.events, self.seq, self.hash):
            raise Broken(self.seq + 1, "cut", f"The export says that it ends elsewhere than at event {self.seq}.")
        self.ended = True

    def finish(self) -> Verdict:
        """The verdict after the last line. Raises Broken when the file or the tail of the chain is cut."""
        if not self.ended or self.segment_open:
            raise Broken(
                self.seq + 1, "cut", f"The file is cut: it stops after event {self.seq} without its last line."
            )
        if self.unrecorded and self.until is None:
            first, last = self.unrecorded["first_seq"], self.unrecorded["last_seq"]
            raise Broken(first, "missing", f"Events {first} to {last} are gone, and no event tells who took them out.")
        beyond = [each for each in self.outside.values() if each.seq > self.seq]
        due = [each for each in beyond if each.signed_at <= self.exported_at]
        if due and self.until is None:
            raise Broken(
                self.seq + 1, "cut", f"The tail is cut: event {due[-1].seq} was signed, and the last is {self.seq}."
            )
        if beyond:
            self.verdict.notes.append(f"Signed up to event {self.last_outside}; this export ends at {self.seq}.")
        signed_seq = max([self.verdict.anchored_seq, *(seq for seq in self.outside if seq <= self.seq)])
        if signed_seq in self.outside:
            self.verdict.anchored_at = self.outside[signed_seq].signed_at
        self.verdict.anchored_seq, self.verdict.last_seq, self.verdict.last_hash = signed_seq, self.seq, self.hash
        if signed_seq < self.seq:
            first = max(signed_seq + 1, self.verdict.first_seq)
            self.verdict.notes.append(f"No anchor signs events {first} to {self.seq} yet: they are only consistent.")
        if self.contested:
            self.verdict.notes.append(CONTESTED.format(number=self.contested))
        return self.verdict

    def _require_here(self, anchor: Anchor) -> None:
        if (anchor.seq, anchor.hash) != (self.seq, self.hash):
            first = anchor.seq - anchor.count + 1
            raise Broken(first, "rewritten", f"Events {first} to {anchor.seq} are not those that were signed.")

    def _require_known(self, anchor: Anchor) -> None:
        """Raises Broken for an anchor that differs from the outside anchors: it belongs to a second history."""
        known = self.outside.get(anchor.seq)
        if (known and known.line != anchor.line) or (not known and anchor.seq <= self.last_outside):
            raise Broken(anchor.seq, "rewritten", f"Another anchor at seq {anchor.seq} is kept outside the database.")


def verify_export(
    lines: Iterator[bytes],
    trusted: Keys | None,
    outside: Mapping[int, Anchor],
    segments: Mapping[str, Verdict] | None = None,
) -> Verdict:
    """The verdict on an export; `ok` is false where something is broken. Raises Unreadable.

    `segments` are the verdicts on sealed segments, by the SHA-256 of their files.
    """
    export: Export | None = None
    try:
        export = Export(_object(next(lines, b"")), trusted, outside, segments or {})
        for line in lines:
            if export.ended:
                raise Unreadable("something stands after the last line of the export")
            if match := EVENT.fullmatch(line):
                export.event(match)
            else:
                _take(export, _object(line))
        return export.finish()
    except Broken as broken:
        verdict = export.verdict if export else Verdict("export")
        verdict.last_seq = export.seq if export else 0
        return _refused(verdict, broken)


def _retires(event: Any, segment: Mapping[str, Any]) -> bool:
    detail = event.get("detail") if _tells_of_itself(event, "audit.segment_retired") else None
    names = ("first_seq", "last_seq", "last_hash", "file_sha256")
    return isinstance(detail, dict) and all(detail.get(name) == segment.get(name) for name in names)


def _tells_of_itself(event: Any, event_type: str) -> bool:
    """Whether the audit itself recorded it: nobody else may use its name."""
    return isinstance(event, dict) and (event.get("source"), event.get("event_type")) == ("cas-audit", event_type)


def _take(export: Export, document: Mapping[str, Any]) -> None:
    if "anchor" in document:
        export.take_anchor(document)
    elif "segment" in document:
        export.take_segment(_typed(document, "segment", dict))
    elif "end" in document:
        export.take_end(document["end"])
    else:
        raise Unreadable(f"the line after event {export.seq} is none of an export")


# --- the proof of one event --------------------------------------------------------------------------------------


def verify_proof(proof: Mapping[str, Any], trusted: Keys | None) -> Verdict:
    """The verdict on the proof that an anchor signs one event. Raises Unreadable."""
    event, path, index = proof.get("event"), proof.get("path"), proof.get("index")
    match = EVENT.fullmatch(event.encode(errors="replace")) if isinstance(event, str) else None
    if match is None or not isinstance(path, list) or type(index) is not int:
        raise Unreadable("the file is not of the form audit-proof-1")
    anchor = Anchor.read(proof)
    seq, hash = int(match[1]), match[4].decode()
    verdict = Verdict("proof", True, anchor.chain_id, seq, seq, 1, anchor.seq, anchor.signed_at)
    try:
        known = Keys(proof.get("keys"), trusted)
        known.require_signed(anchor)
        verdict.notes += [note for _, note in known.replaced]
        computed = event_hash(match[3].decode(), seq, match[2].decode(), payload_hash(_text(match[5])))
        if computed != hash:
            raise Broken(seq, "changed", f"Event {seq} is not what was recorded: its hash does not fit it.")
        if index != seq - (anchor.seq - anchor.count + 1) or not 0 <= index < anchor.count:
            raise Broken(seq, "moved", f"Event {seq} is not where the anchor at seq {anchor.seq} has it.")
        if _root_or_nothing(path, hash, index, anchor.count) != anchor.merkle_root:
            raise Broken(seq, "rewritten", f"Event {seq} is not among those that the anchor at {anchor.seq} signs.")
    except Broken as broken:
        return _refused(verdict, broken)
    return verdict


def _root_or_nothing(path: Sequence[Any], hash: str, index: int, count: int) -> str:
    """The root that the path leads to, or an empty text for a path that leads to none."""
    try:
        return root_along([str(step) for step in path], hash, index, count)
    except ValueError:
        return ""


def _refused(verdict: Verdict, broken: Broken) -> Verdict:
    verdict.ok, verdict.first_bad_seq = False, broken.seq
    verdict.reason, verdict.sentence = broken.reason, broken.sentence
    return verdict


# --- files and the command ---------------------------------------------------------------------------------------


def _typed(document: Mapping[str, Any], name: str, kind: type[Kind]) -> Kind:
    value = document.get(name)
    if type(value) is not kind:
        raise Unreadable(f"{name} is missing or of another type than documented")
    return value


def _object(line: bytes) -> dict[str, Any]:
    document = _json(line)
    if not isinstance(document, dict):
        raise Unreadable("a line is no JSON object")
    return document


def _json(text: bytes | str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_no_key_twice)
    except (ValueError, RecursionError):
        raise Unreadable("a line is no JSON, or has a key twice") from None


def _text(json_text: bytes) -> str:
    """The payload exactly as it was hashed."""
    try:
        text: str = json.loads(json_text)
        text.encode()
    except ValueError:
        raise Unreadable("a payload is no JSON string in UTF-8") from None
    return text


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError
    return dict(pairs)


def lines_of(file: BinaryIO, size: int = 0) -> Iterator[bytes]:
    """The lines of a file.

    With `size` (bytes), prints progress to stderr. Raises Unreadable for a line that is too long.
    """
    done, reported = 0, 0
    while line := file.readline(LINE_BYTES + 1):
        if len(line) > LINE_BYTES:
            raise Unreadable(f"a line is longer than {LINE_BYTES >> 20} MiB")
        done += len(line)
        if size and done - reported > size // 50 + (8 << 20):
            reported = done
            print(f"\r{100 * done // size:3} %", end="", file=sys.stderr, flush=True)
        yield line
    if reported:
        print("\r     \r", end="", file=sys.stderr, flush=True)


def verify_file(
    path: str,
    keys: str | None = None,
    anchors: str | None = None,
    segments: Sequence[str] = (),
    *,
    not_older_than: datetime | None = None,
    progress: bool = False,
) -> Verdict:
    """Verifies an export or a proof; the first line says which. Raises Unreadable or OSError.

    An export whose last anchor was signed before `not_older_than` (aware) is refused as `old`.

    `segments` are files of events that are no longer in the audit's database; one that does not hold is the verdict.
    Without `keys`, the verdict has a note that nothing shows who signed.
    """
    if not keys:
        _refuse_without_keys(anchors, not_older_than)
    trusted = _read_keys(keys) if keys else None
    sealed: dict[str, Verdict] = {}
    for segment in segments:
        verdict = verify_file(segment, keys, anchors)
        if not verdict.ok:
            return verdict
        sealed[_sha256_of(segment)] = verdict
    with open(path, "rb") as file:  # noqa: PTH123
        first = file.readline(LINE_BYTES)
        form = _object(first).get("format")
        if form == "audit-proof-1":
            if not_older_than:
                raise Unreadable("how old an anchor may be is asked of an export: a proof is of one event")
            verdict = verify_proof(_object(first), trusted)
        elif form == "audit-export-1":
            size = file.seek(0, 2)
            file.seek(0)
            try:
                # Newer keys than the trusted ones are accepted, because a trusted key introduced them.
                outside = _read_outside(anchors, Keys(_object(first).get("keys"), trusted)) if anchors else {}
            except Broken as broken:
                return _refused(Verdict("export"), broken)
            verdict = verify_export(lines_of(file, size if progress else 0), trusted, outside, sealed)
            if verdict.ok and not_older_than:
                verdict = _require_young(verdict, not_older_than)
        else:
            raise Unreadable("it is neither audit-export-1 nor audit-proof-1")
    if trusted is None:
        verdict.notes.append("No trusted keys were given: this shows that the file agrees with itself, not who signed.")
    return verdict


def _refuse_without_keys(anchors: str | None, not_older_than: datetime | None) -> None:
    if anchors:
        raise Unreadable("--anchors needs --keys: anchors are worth what their signatures are")
    if not_older_than:
        raise Unreadable("--not-older-than needs --keys: anybody can sign something new with a key of his own")


def _require_young(verdict: Verdict, bound: datetime) -> Verdict:
    try:
        if verdict.anchored_at and datetime.fromisoformat(verdict.anchored_at) >= bound:
            return verdict
    except ValueError:
        raise Unreadable("an anchor is not of the form audit-anchor-1") from None
    last = f"the last one is of {shown_time(verdict.anchored_at)}" if verdict.anchored_at else "there is none"
    wanted = shown_time(bound.astimezone(UTC).isoformat())
    return _refused(verdict, Broken(None, "old", OLD.format(wanted=wanted, last=last)))


def oldest_allowed(text: str, now: datetime) -> datetime:
    """What `--not-older-than` means: so long before now (90m, 36h, 7d), or a day or a time. Raises ValueError."""
    if match := AGE.fullmatch(text):
        return now - timedelta(**{{"m": "minutes", "h": "hours", "d": "days"}[match[2]]: int(match[1])})
    at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def shown_time(moment: str) -> str:
    """A time in UTC for people, without parts of a second."""
    return f"{moment[:10]} {moment[11:19]} UTC"


def _sha256_of(path: str) -> str:
    with open(path, "rb") as file:  # noqa: PTH123
        return file_digest(file, "sha256").hexdigest()


def _read_keys(path: str) -> Keys:
    with open(path, "rb") as file:  # noqa: PTH123
        return Keys(_json(file.read(LINE_BYTES)))


def _read_outside(path: str, keys: Keys) -> dict[int, Anchor]:
    with open(path, "rb") as file:  # noqa: PTH123
        return read_anchors(lines_of(file), keys)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="verify.py", description="Verifies an export or a proof of the audit.")
    parser.add_argument("file")
    parser.add_argument("--keys", help="audit-keys.json, from a place you trust")
    parser.add_argument("--anchors", help="the anchors that are kept outside the database")
    parser.add_argument("--segment", action="append", default=[], help="a sealed segment; repeatable")
    parser.add_argument("--not-older-than", metavar="AGE", help="of the last anchor: 90m, 36h, 7d, a day or a time")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    files = (options.file, options.keys, options.anchors, options.segment)
    try:
        bound = _bound(options.not_older_than)
        verdict = verify_file(*files, not_older_than=bound, progress=sys.stderr.isatty())
    except (Unreadable, Broken, OSError) as error:
        print(f"Not verified: {error}.".replace("..", "."), file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps(asdict(verdict)))
    else:
        print(sentence(verdict), *verdict.notes, sep="\n")
    return 1 if not verdict.ok else 3 if verdict.unseen else 0


def _bound(text: str | None) -> datetime | None:
    try:
        return oldest_allowed(text, datetime.now(UTC)) if text is not None else None
    except ValueError:
        raise Unreadable(f"{text!r} is no age (90m, 36h, 7d), no day and no time") from None


def sentence(verdict: Verdict) -> str:
    """The verdict in one sentence, for people."""
    if not verdict.ok:
        where = f" First bad seq: {verdict.first_bad_seq}." if verdict.first_bad_seq else ""
        return f"NOT OK ({verdict.reason}). {verdict.sentence}{where}"
    if verdict.kind == "proof":
        return f"OK. Event {verdict.first_seq} is among those signed by the anchor at seq {verdict.anchored_seq}."
    at = f", at {shown_time(verdict.anchored_at)}" if verdict.anchored_at else ""
    return (
        f"OK. {verdict.events} events, {verdict.first_seq} to {verdict.last_seq}, are one chain;"
        f" signed up to {verdict.anchored_seq}{at}."
    )


if __name__ == "__main__":
    sys.exit(main())
