"""The encoding is specified so exactly that somebody else can write it; the database gives the bytes of the vectors.

`encoded` below is such another implementation, written from docs/audit.md and nothing else.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from audit_verifier.verify import Keys, event_hash, payload_hash, verify_file, verify_proof
from tests.integration.databases import Database

VECTORS = Path(__file__).parents[2] / "vectors"
EVENTS: list[dict[str, Any]] = json.loads((VECTORS / "audit-events.json").read_text())
OPTIONAL = ["request_id", "service", "database", "actor", "from_revision", "to_revision", "outcome", "duration_ms"]
FIELDS = ["event_id", "event_type", "occurred_at", "source", *OPTIONAL, "detail"]

TEXTS = """
SELECT audit.payload_text(event), audit.payload_hash(event), audit.event_hash(event)
FROM jsonb_populate_record(NULL::public.audit_events, %s::jsonb || %s) AS event
"""


@pytest.mark.parametrize("vector", EVENTS, ids=lambda vector: vector["name"])
@pytest.mark.parametrize("time_zone", ["UTC", "Asia/Kathmandu"])
def test_the_database_gives_the_bytes_of_the_vector(audit: Database, vector: dict[str, Any], time_zone: str) -> None:
    place = {name: vector[name] for name in ("seq", "recorded_at", "prev_hash", "payload_hash")}
    with audit.connect() as connection:
        connection.execute("SELECT set_config('TimeZone', %s, false)", [time_zone])
        connection.execute("SET DateStyle = 'German'")
        [found] = connection.execute(TEXTS, [vector["sent"], Jsonb(place)]).fetchall()
    assert found == (vector["payload"], vector["payload_hash"], vector["hash"])


@pytest.mark.parametrize("vector", EVENTS, ids=lambda vector: vector["name"])
def test_another_implementation_gives_the_bytes_of_the_vector(vector: dict[str, Any]) -> None:
    sent = json.loads(vector["sent"], parse_float=Decimal, parse_int=Decimal)
    moment = datetime.fromisoformat(sent["occurred_at"]).astimezone(UTC)
    fields = {"format": "audit-payload-1", **{name: sent.get(name) for name in FIELDS}}
    text = encoded({**fields, "occurred_at": moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")})
    assert text == vector["payload"]
    assert sha256(text.encode()).hexdigest() == vector["payload_hash"]


@pytest.mark.parametrize("vector", EVENTS, ids=lambda vector: vector["name"])
def test_the_stand_alone_verifier_gives_the_hashes_of_the_vector(vector: dict[str, Any]) -> None:
    assert payload_hash(vector["payload"]) == vector["payload_hash"]
    place = (vector["prev_hash"], vector["seq"], vector["recorded_at"])
    assert event_hash(*place, vector["payload_hash"]) == vector["hash"]


def test_the_export_and_the_proof_among_the_vectors_verify() -> None:
    keys, anchors = VECTORS / "audit-keys.json", VECTORS / "audit-anchors.jsonl"
    found = verify_file(str(VECTORS / "audit-export.jsonl"), str(keys), str(anchors))
    assert (found.ok, found.events, found.anchored_seq) == (True, 8, 6)
    proof = json.loads((VECTORS / "audit-proof.json").read_text())
    assert verify_proof(proof, Keys(json.loads(keys.read_text()))).ok


def encoded(value: Any) -> str:
    """JSON as PostgreSQL writes jsonb."""
    if isinstance(value, dict):
        in_order = sorted(value.items(), key=lambda item: (len(item[0].encode()), item[0].encode()))
        return "{" + ", ".join(f"{encoded(name)}: {encoded(each)}" for name, each in in_order) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(encoded, value)) + "]"
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, str):
        return '"' + "".join(map(escaped, value)) + '"'
    return {None: "null", True: "true", False: "false"}[value]


def escaped(character: str) -> str:
    short = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    return short.get(character) or (f"\\u{ord(character):04x}" if character < " " else character)
