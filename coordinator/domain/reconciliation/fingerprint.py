"""An audit event reduced to eight bytes per fact: enough to say which facts differ."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC
from hashlib import blake2b
from typing import Any, NamedTuple

from migration_sidecar.contract.messages import AuditEvent

WIDTH = 8
FIELDS = tuple(name for name in AuditEvent.model_fields if name not in ("detail", "occurred_at"))
# A sentence for people: shortened and cleaned on its way, by each release in its own manner.
FREE_TEXT_FIELDS = ("error", "cut")
# One tuple for all events with the same names, which are nearly all of them.
_names: dict[tuple[str, ...], tuple[str, ...]] = {}


class Fingerprint(NamedTuple):
    """The names of the facts and their digests, in the same order."""

    names: tuple[str, ...]
    digests: bytes

    def items(self) -> Iterator[tuple[str, bytes]]:
        """Each name with its digest."""
        for position, name in enumerate(self.names):
            yield name, self.digests[position * WIDTH : (position + 1) * WIDTH]


def fingerprint(event: AuditEvent) -> Fingerprint:
    """The fingerprint of an event. Raises OverflowError for a time that does not exist in UTC."""
    facts = {name: getattr(event, name) for name in FIELDS}
    facts["occurred_at"] = event.occurred_at.astimezone(UTC).isoformat()
    facts |= {f"detail.{name}": value for name, value in event.detail.items() if name not in FREE_TEXT_FIELDS}
    names = tuple(sorted(facts))
    return Fingerprint(_names.setdefault(names, names), b"".join(_digest(facts[name]) for name in names))


def differences(source: Fingerprint, audited: Fingerprint) -> list[str]:
    """Names of facts in which the audit differs from the source; facts that only the source has do not count."""
    source_digests = dict(source.items())
    return [name for name, digest in audited.items() if source_digests.get(name) != digest]


def _digest(value: Any) -> bytes:
    # Most values are short texts, and JSON would take most of the time a comparison needs.
    text = f'"{value}' if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str, ensure_ascii=False)
    return blake2b(text.encode(errors="replace"), digest_size=WIDTH).digest()
