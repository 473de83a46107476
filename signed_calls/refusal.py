"""Why a call is refused. The sentences are for the caller and hold no key and nothing that a stranger sent."""

from __future__ import annotations

from enum import StrEnum


class Refusal(StrEnum):
    """The kinds. The value is counted in logs; nothing is decided by a sentence."""

    UNSIGNED = "unsigned"
    MALFORMED = "malformed"
    OTHER_AUDIENCE = "other_audience"
    TOO_OLD = "too_old"
    UNKNOWN_KEY = "unknown_key"
    WRONG_SIGNATURE = "wrong_signature"
    BODY_CHANGED = "body_changed"
    REPEATED = "repeated"
    MEMORY_FULL = "memory_full"  # too many calls to tell whether this one is a repeat


SENTENCES = {
    Refusal.UNSIGNED: "It is not signed.",
    Refusal.MALFORMED: "Its signature is not of the agreed form.",
    Refusal.OTHER_AUDIENCE: "It is signed for another application.",
    Refusal.TOO_OLD: "It was signed too long ago, or by a clock that differs from this one.",
    Refusal.UNKNOWN_KEY: "It is signed with a key that is not known here.",
    Refusal.WRONG_SIGNATURE: "Its signature does not fit its method, address, time and key.",
    Refusal.BODY_CHANGED: "Its body is not the one that was signed.",
    Refusal.REPEATED: "It was received before.",
    Refusal.MEMORY_FULL: "Too many calls came within a minute to tell whether this one is a repeat.",
}


# The same call, signed anew, may be taken later: a proxy sent it twice or kept it, or a key is just being changed.
PASSING = frozenset({Refusal.REPEATED, Refusal.TOO_OLD, Refusal.UNKNOWN_KEY, Refusal.MEMORY_FULL})


class CallRefused(Exception):
    """The caller is not proven. `more` is said behind the sentence of the kind."""

    def __init__(self, kind: Refusal, more: str = "") -> None:
        self.kind, self.detail = kind, f"{SENTENCES[kind]} {more}".rstrip()
        super().__init__(self.detail)
