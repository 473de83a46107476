"""Fetches an export of any length. A sidecar ends a long answer without a word, so it goes on where it was cut.

It goes on after the last line that was signed: events that were signed meanwhile then come with their anchor.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

from coordinator.client.audit_verification import Tell
from coordinator.client.client import CoordinatorClient
from coordinator.client.errors import CannotReach, CommandFailed, Lost, NotListening, Refused

EVENT = re.compile(rb'\{"seq":(\d{1,18}),')
TRIES = 3
EVENTS_TO_TELL = 500
PAUSE_SECONDS = 1.0


@dataclass(frozen=True)
class Place:
    """How far the file is: what is behind it stays, whatever becomes of the answer."""

    offset: int = 0
    seq: int = 0
    events: int = 0


@dataclass(frozen=True)
class Span:
    """From which number to which, None for all there are."""

    first: int
    last: int | None

    def after(self, seq: int) -> dict[str, Any]:
        begun = {"from": max(self.first, seq + 1)}
        return begun if self.last is None else begun | {"to": self.last}


class Cut(CannotReach):
    """The answers end at the same place each time, which a gap in the chain would do as well."""

    def __init__(self, seq: int) -> None:
        super().__init__(
            f"the export was cut {TRIES} times after event {seq}",
            "let coordinator audit verify tell whether events are missing there; if none is, export less at once",
        )


class Download:
    """Writes one export into `file`, out of as many answers as it takes."""

    def __init__(self, client: CoordinatorClient, file: BinaryIO, span: Span, tell: Tell, total: int) -> None:
        self._client, self._file, self._span = client, file, span
        self._tell, self._total = tell, total
        self._place, self._signed, self._kept = Place(), Place(), Place()
        self._ended = False

    def run(self) -> None:
        """Raises CannotReach where answer after answer is cut before anything signed has come."""
        fruitless = 0
        while not self._ended:
            before = self._kept
            failure = self._go_on()
            fruitless = 0 if self._kept != before else fruitless + 1
            if fruitless == TRIES and not self._ended:
                raise failure or Cut(self._place.seq)
            if fruitless and not self._ended:
                time.sleep(PAUSE_SECONDS)

    def _go_on(self) -> CommandFailed | None:
        """As far as one answer leads; gives what may pass by itself."""
        self._begin_again()
        try:
            for line in self._lines():
                self._take(line)
        except (Lost, NotListening) as failure:
            return failure
        except Refused as failure:
            # The answer that was cut may still count among the exports that are under way.
            if not failure.problem.get("retryable") or not self._kept.offset:
                raise
            return failure
        except (ValueError, KeyError, TypeError):
            raise CannotReach(
                "its export cannot be read: a line is not what it should be",
                "use a command line of the same release as the coordinator",
                retryable=False,
            ) from None
        return None

    def _begin_again(self) -> None:
        self._file.seek(self._kept.offset)
        self._file.truncate()
        self._place = self._signed = self._kept

    def _lines(self) -> Iterator[bytes]:
        lines = self._client.audit_export(self._span.after(self._kept.seq))
        header = next(lines, b"")
        if header and not self._kept.offset:
            self._write(header)
        yield from lines

    def _take(self, line: bytes) -> None:
        if found := EVENT.match(line):
            self._kept = self._signed  # only now is it sure that there is something to go on with
            self._write(line)
            self._place = replace(self._place, seq=int(found[1]), events=self._place.events + 1)
            if self._place.events % EVENTS_TO_TELL == 0:
                self._tell(self._place.events, self._total)
        elif line.startswith(b'{"end"'):
            self._write(self._end(line))
            self._ended = True
        else:
            self._write(line)
            if line.startswith(b'{"segment"'):
                self._place = replace(self._place, seq=int(json.loads(line)["segment"]["last_seq"]))
            elif line.startswith(b'{"anchor"'):
                self._signed = self._place

    def _end(self, line: bytes) -> bytes:
        """Each answer counts its own events; the file's last line counts them all."""
        end = json.loads(line)["end"]
        return json.dumps({"end": {**end, "events": self._place.events}}, separators=(",", ":")).encode() + b"\n"

    def _write(self, line: bytes) -> None:
        self._file.write(line)
        self._place = replace(self._place, offset=self._place.offset + len(line))
