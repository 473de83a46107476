"""Downloads an export of any length. daprd may cut a long answer without an error, so more answers may be needed.

The next answer starts after the last signed event in the file, so that the events after it come with their anchor.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

from coordinator.client.audit_verification import ProgressCallback
from coordinator.client.client import CoordinatorClient
from coordinator.client.errors import AppNotReady, CannotReach, ClientError, NoReply, Refused

EVENT = re.compile(rb'\{"seq":(\d{1,18}),')
TRIES = 3
EVENTS_PER_PROGRESS_CALL = 500
PAUSE_SECONDS = 1.0


@dataclass(frozen=True)
class ResumePosition:
    """A position in the file: its offset in bytes, the last event before it, and the number of events before it."""

    offset: int = 0
    seq: int = 0
    events: int = 0


@dataclass(frozen=True)
class Span:
    """The numbers of the first and the last event to export; None means no last one."""

    first: int
    last: int | None

    def after(self, seq: int) -> dict[str, Any]:
        """The parameters of GET /audit/export for the events of this span after number `seq`."""
        parameters = {"from": max(self.first, seq + 1)}
        return parameters if self.last is None else parameters | {"to": self.last}


class DownloadInterrupted(CannotReach):
    """Several answers ended after the same event. Missing events in the chain have the same effect."""

    def __init__(self, seq: int) -> None:
        super().__init__(
            f"the export was cut {TRIES} times after event {seq}",
            "use coordinator audit verify to see whether events are missing there; if not, export fewer events at once",
        )


class Download:
    """Writes one export into `file`, from as many answers as needed. `total` is only for the progress."""

    def __init__(
        self, client: CoordinatorClient, file: BinaryIO, span: Span, on_progress: ProgressCallback, total: int
    ) -> None:
        self._client, self._file, self._span = client, file, span
        self._on_progress, self._total = on_progress, total
        # The position now; after the last anchor; and where the next answer would start.
        self._position, self._after_anchor, self._resume_at = ResumePosition(), ResumePosition(), ResumePosition()
        self._ended = False

    def run(self) -> None:
        """Raises CannotReach if TRIES answers in a row end before they bring new signed events."""
        useless_answers = 0
        while not self._ended:
            before = self._resume_at
            failure = self._read_one_answer()
            useless_answers = 0 if self._resume_at != before else useless_answers + 1
            if useless_answers == TRIES and not self._ended:
                raise failure or DownloadInterrupted(self._position.seq)
            if useless_answers and not self._ended:
                time.sleep(PAUSE_SECONDS)

    def _read_one_answer(self) -> ClientError | None:
        """Writes the lines of one answer; returns the failure that ended it, if a repeat may help."""
        self._rewind()
        try:
            for line in self._lines():
                self._add(line)
        except (NoReply, AppNotReady) as failure:
            return failure
        except Refused as failure:
            # The server may still count the answer that was cut as a running export.
            if not failure.problem.get("retryable") or not self._resume_at.offset:
                raise
            return failure
        except (ValueError, KeyError, TypeError):
            raise CannotReach(
                "its export cannot be read: a line is not what it should be",
                "use a command line of the same release as the coordinator",
                retryable=False,
            ) from None
        return None

    def _rewind(self) -> None:
        self._file.seek(self._resume_at.offset)
        self._file.truncate()
        self._position = self._after_anchor = self._resume_at

    def _lines(self) -> Iterator[bytes]:
        lines = self._client.audit_export(self._span.after(self._resume_at.seq))
        header = next(lines, b"")
        if header and not self._resume_at.offset:
            self._write(header)
        yield from lines

    def _add(self, line: bytes) -> None:
        if event := EVENT.match(line):
            self._resume_at = self._after_anchor  # an event after the anchor shows that there is more to ask for
            self._write(line)
            self._position = replace(self._position, seq=int(event[1]), events=self._position.events + 1)
            if self._position.events % EVENTS_PER_PROGRESS_CALL == 0:
                self._on_progress(self._position.events, self._total)
        elif line.startswith(b'{"end"'):
            self._write(self._end(line))
            self._ended = True
        else:
            self._write(line)
            if line.startswith(b'{"segment"'):
                self._position = replace(self._position, seq=int(json.loads(line)["segment"]["last_seq"]))
            elif line.startswith(b'{"anchor"'):
                self._after_anchor = self._position

    def _end(self, line: bytes) -> bytes:
        """The last line of the file. Each answer counts only its own events; the file's line counts all."""
        end = json.loads(line)["end"]
        return json.dumps({"end": {**end, "events": self._position.events}}, separators=(",", ":")).encode() + b"\n"

    def _write(self, line: bytes) -> None:
        self._file.write(line)
        self._position = replace(self._position, offset=self._position.offset + len(line))
