"""Checks with the stand-alone verifier that an event in a report was signed. Does not ask a server."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from audit_verifier import verify
from coordinator.report.inputs import Anchor, Proof, ReportedEvent

STORED_BESIDE = {"seq", "recorded_at"}  # the audit adds these to an event; its payload does not have them


def checked_proof(event: ReportedEvent, document: Mapping[str, Any], trusted: verify.Keys | None) -> Proof:
    """Verifies a proof document and compares its signed event with `event`; without `trusted`, with its own keys.

    Raises nothing: an invalid proof, or a proof of another event, gives a Proof with `forged` and `trouble`.
    """
    try:
        verdict = verify.verify_proof(document, trusted)
        anchor = _anchor(verify.Anchor.read(document))
        line = json.loads(document["event"])
        payload = ReportedEvent.model_validate(json.loads(line["payload"]))
    except (verify.Unreadable, verify.Broken, ValueError):
        return Proof(trouble="the proof given is of no known form", forged=True)
    if not verdict.ok:
        return Proof(hash=line["hash"], trouble=verdict.sentence.rstrip("."), forged=True)
    if _payload(event) != _payload(payload) or event.seq != line["seq"]:
        return Proof(hash=line["hash"], trouble="the proof is that of another event", forged=True)
    return Proof(hash=line["hash"], anchor=anchor)


def _payload(event: ReportedEvent) -> dict[str, Any]:
    return event.model_dump(exclude=STORED_BESIDE)


def _anchor(anchor: verify.Anchor) -> Anchor:
    return Anchor(anchor.seq, anchor.hash, anchor.signed_at, anchor.key_id, anchor.signature, anchor.line)
